"""The server: the one place where log, worker, herder and REST are put together.

It runs until SIGTERM or SIGINT, then stops REST, the tasks and the log, in this order.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final

import uvicorn

from api.app import create_app
from api.authentication import Authentication, read_users
from api.connector_files import ConnectorFile, read_connectors
from api.guard import is_loopback
from api.services import READY, Health, Services
from api.settings import Settings, load_settings
from connect.errors import ConfigError
from connect.runtime.herder import Herder, HerderError
from connect.runtime.settings import WorkerSettings
from connect.runtime.worker import Worker
from log_core import Log
from log_core.errors import LogError, LogFull

logger = logging.getLogger(__name__)

DONE: Final = 0
REFUSED: Final = 2
UNREACHABLE: Final = 3
DRAIN_SECONDS: Final = 5


class CannotStart(Exception):
    """The server was asked for something it can't do; ``exit_code`` is the process's."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def run(
    properties: Path | None,
    connector_files: Sequence[Path],
    options: Mapping[str, str],
    environ: Mapping[str, str],
) -> int:
    """Serve until a signal comes; the process's exit code."""
    try:
        settings = load_settings(properties, environ, options)
        connectors = [c for path in connector_files for c in _read(path)]
        authentication = _authentication(settings)
        with _bound(settings) as listener, _opened(settings) as log:
            for note in settings.notes:
                logger.warning("%s", note)
            _serve(settings, authentication, log, listener, connectors)
    except ConfigError as error:
        return _refuse(REFUSED, f"{error.key}: {error}")
    except CannotStart as error:
        return _refuse(error.exit_code, str(error))
    return DONE


def _refuse(exit_code: int, message: str) -> int:
    print(f"tailrace: {message}", file=sys.stderr)
    return exit_code


def _serve(
    settings: Settings,
    authentication: Authentication | None,
    log: Log,
    listener: socket.socket,
    connectors: Sequence[ConnectorFile],
) -> None:
    address = f"{settings.host}:{listener.getsockname()[1]}"
    worker = Worker(
        log,
        WorkerSettings(
            data_dir=settings.data_dir,
            worker_id=address,
            defaults=settings.defaults,
            providers=settings.providers,
            shutdown_seconds=settings.worker.shutdown_ms / 1000,
        ),
    )
    herder = Herder(log, worker)
    stopping = threading.Event()
    housekeeper = threading.Thread(
        target=_keep_house, args=(log, stopping, settings.worker.clean_ms / 1000), daemon=True
    )
    # uvicorn raises the signal that ended it once more: it must find somebody who knows already.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    worker.start()
    housekeeper.start()
    try:
        _apply(herder, connectors)
        app = create_app(
            Services(
                herder,
                log,
                worker.metrics.exposition,
                health=lambda: _health(log, worker),
                stopping=lambda: server.should_exit,
            ),
            authentication=authentication,
            observe=worker.metrics.http,
            version=version("tailrace"),
        )
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        server = uvicorn.Server(config)
        print(
            f"tailrace {version('tailrace')} serves http://{address}, data in "
            f"{settings.data_dir}, connectors: {len(herder.connectors())}",
            flush=True,
        )
        server.run(sockets=[listener])
    finally:
        stopping.set()
        worker.close()
        housekeeper.join(timeout=5)


def _apply(herder: Herder, connectors: Sequence[ConnectorFile]) -> None:
    """Create or update the connectors named on the command line."""
    for connector in connectors:
        name = connector.name
        exists = name in herder.connectors()
        try:
            if exists:
                herder.put_config(name, connector.config)
            else:
                herder.create(
                    name, connector.config, connector.initial_state, connector.initial_offsets
                )
        except HerderError as error:
            if not exists:
                raise CannotStart(REFUSED, f"connector {name}: {error.message}") from error
            # A database that is away while the server starts must not stop what is stored.
            logger.error("Connector %s keeps its stored configuration: %s", name, error.message)


def _health(log: Log, worker: Worker) -> Health:
    if log.failure is not None:
        return Health("unhealthy", f"The log has stopped: {log.failure!r}")
    if worker.board.failure is not None:
        return Health("unhealthy", f"The log can't be written: {worker.board.failure}")
    return READY


def _keep_house(log: Log, stopping: threading.Event, interval: float) -> None:
    while not stopping.wait(interval):
        try:
            log.clean(time.time())
        except LogFull as error:
            logger.warning("Retention waits for room: %s", error)
        except LogError:
            logger.exception("Retention and compaction failed")
            return


def _read(path: Path) -> list[ConnectorFile]:
    try:
        return read_connectors(str(path), path.read_bytes())
    except OSError as error:
        raise CannotStart(REFUSED, f"can't read {path}: {error.strerror}") from error


def _authentication(settings: Settings) -> Authentication | None:
    """Who may use REST; CannotStart for an address others reach while nobody has to log in."""
    users = read_users(settings.auth_file) if settings.auth_file else {}
    if settings.token or users:
        return Authentication(settings.token, users)
    if not is_loopback(settings.host):
        raise CannotStart(
            REFUSED,
            f"refusing to listen on {settings.host} without authentication. Listen on 127.0.0.1, "
            "or set TAILRACE_API_TOKEN, or give --auth-file FILE (lines user:password).",
        )
    return None


@contextmanager
def _bound(settings: Settings) -> Iterator[socket.socket]:
    """The listening socket, taken before anything else so that a taken port costs nothing."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
            listener.listen(128)
        except OSError as error:
            raise CannotStart(
                UNREACHABLE,
                f"can't listen on {settings.host}:{settings.port}: {error.strerror}. "
                "Choose another with --port.",
            ) from error
        yield listener


@contextmanager
def _opened(settings: Settings) -> Iterator[Log]:
    try:
        log = Log(settings.data_dir)
    except (LogError, OSError) as error:
        raise CannotStart(REFUSED, f"can't open {settings.data_dir}: {error}") from error
    try:
        yield log
    finally:
        log.close()
