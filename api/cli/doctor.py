"""``tailrace doctor``: looks for what is wrong, and says how to mend it."""

from __future__ import annotations

import fcntl
import logging
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import click

from api.cli.apply import load_connectors
from api.cli.client import client, with_client
from api.cli.errors import INPUT, UNREACHABLE, Failure
from api.cli.get import first_error, overall
from api.cli.output import paint, print_json, printable, size, with_output
from connect.errors import CdcError, ConfigError

LITTLE_SPACE = 1 << 30
OLDEST_PYTHON = (3, 11)


class Check(NamedTuple):
    """One finding: ``mark`` is ✓, ⚠ or ✗; ``fix`` says what to do."""

    group: str
    mark: str
    text: str
    fix: str | None = None


@click.command()
@with_client
@with_output
@click.option("--data-dir", default="tailrace-data", show_default=True, metavar="DIR")
@click.option("--port", default=8083, show_default=True, type=click.IntRange(1, 65535))
@click.option("--source", metavar="URL", help="postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
@click.option(
    "-f", "--file", "files", multiple=True, help="Connector files: check what they connect to.",
    metavar="FILE",
)  # fmt: skip
def doctor(
    url: str | None,
    output: str,
    data_dir: str,
    port: int,
    source: str | None,
    files: tuple[str, ...],
) -> int:
    """Look for what is wrong, and say how to mend it; exit 3 if something is.

    Works without a server. With --source or -f it asks the database, read-only.
    """
    logging.disable(logging.WARNING)  # what a module would log is among the checks
    named = [] if source is None else [("Postgres", postgres_config(source))]
    named += [(connector.name, connector.config) for connector in load_connectors(files)]
    checks = [*_environment(), *_directory(Path(data_dir)), *_server(url, port)]
    for group, config in named:
        checks += _connector(group, config)
    if output == "json":
        print_json([check._asdict() for check in checks])
    else:
        _print(checks)
    return UNREACHABLE if any(check.mark == "✗" for check in checks) else 0


def _print(checks: list[Check]) -> None:
    groups = list(dict.fromkeys(check.group for check in checks))
    for group in groups:
        click.echo(group)
        for check in checks:
            if check.group == group:
                click.echo(f"  {paint(check.mark)} {printable(check.text)}")
                if check.fix:
                    click.echo(f"      → {printable(check.fix)}")
    failed = {check.group for check in checks if check.mark == "✗"}
    click.echo(
        f"{len(failed)} of {len(groups)} groups failed" if failed else "Everything looks well."
    )


def _environment() -> Iterator[Check]:
    group = "Environment"
    found = platform.python_version()
    if sys.version_info >= OLDEST_PYTHON:
        yield Check(group, "✓", f"Python {found}")
    else:
        yield Check(group, "✗", f"Python {found}", "Tailrace needs Python 3.11 or newer.")
    from connect.runtime.plugins import plugins

    for plugin in plugins():
        if plugin.error:
            fix = "Install what it needs, or a version that fits."
            yield Check(group, "✗", f"plugin {plugin.name}: {plugin.error}", fix)


def _directory(path: Path) -> Iterator[Check]:
    group = "Data directory"
    nearest = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        yield Check(group, "✗", f"{nearest} is not writable", "Choose another with --data-dir.")
        return
    free = shutil.disk_usage(nearest).free
    mark, fix = ("✓", None) if free > LITTLE_SPACE else ("✗", "Make space, or choose another disk.")
    yield Check(group, mark, f"{path.absolute()}: {size(free)} free", fix)
    if path.exists() and path.stat().st_mode & 0o077:
        fix = f"chmod -R go= {path}"
        yield Check(group, "⚠", f"{path} can be read by other users", fix)
    if _locked(path / "lock"):
        yield Check(group, "✓", "a server has it open")


def _locked(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _server(url: str | None, port: int) -> Iterator[Check]:
    group = "Server"
    server = client(url or os.environ.get("TAILRACE_URL") or f"http://127.0.0.1:{port}")
    try:
        root = server.get()
    except Failure as failure:
        if failure.exit_code != UNREACHABLE:
            yield Check(group, "✗", f"{server.shown}: {failure}", failure.hint)
        elif url is not None or _taken(port):
            fix = f"Another program may have the port: choose one with --port {port + 1}."
            yield Check(group, "✗", str(failure), failure.hint if url else fix)
        else:
            yield Check(group, "✓", f"port {port} is free; no server runs")
        return
    yield Check(group, "✓", f"{server.shown} answers, version {root.get('version')}")
    for name in server.get("connectors"):
        status = server.get("connectors", name, "status")
        if overall(status) in ("FAILED", "RESTARTING"):
            text = f"connector {name} is {overall(status)}: {first_error(status)}"
            yield Check(group, "✗", text, f"See: tailrace describe connector {name}")


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _connector(group: str, config: dict[str, str]) -> Iterator[Check]:
    """What the connector's own checks find."""
    from connect.config import validate
    from connect.runtime.plugins import find

    try:
        plugin = find(config.get("connector.class", ""), "source", "sink").cls
        result = validate(plugin.config, config)
        problems = result.problems if result.config is None else plugin().check(result.config)
    except ConfigError as error:
        yield Check(group, "✗", f"{error.key}: {error.message}", error.hint)
        return
    except CdcError as error:
        yield Check(group, "✗", error.message, error.hint)
        return
    for problem in problems:
        mark = "✗" if problem.severity == "error" else "⚠"
        yield Check(group, mark, f"{problem.key}: {problem.message}", problem.hint)
    if not any(problem.severity == "error" for problem in problems):
        yield Check(group, "✓", "ready to connect")


def postgres_config(url: str) -> dict[str, str]:
    """The configuration of a Postgres source for a URL; a missing password is the environment's."""
    parts = urlsplit(url)
    try:
        port = parts.port or 5432
    except ValueError:
        port = 0
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or not port:
        example = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        raise Failure(INPUT, f"Not of the form {example}.", key="--source")
    user = unquote(parts.username or os.environ.get("PGUSER", "postgres"))
    config = {
        "name": "doctor",
        "connector.class": "postgres",
        "database.hostname": parts.hostname,
        "database.port": str(port),
        "database.user": user,
        "database.dbname": unquote(parts.path.lstrip("/")) or user,
        "topic.prefix": "doctor",
    }
    password = unquote(parts.password) if parts.password else os.environ.get("PGPASSWORD")
    return config if password is None else {**config, "database.password": password}
