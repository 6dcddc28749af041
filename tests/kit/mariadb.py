"""A real MariaDB server for tests: a given one, a container, or one from local binaries."""

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pymysql

from api.demo.postgres import free_port, unprivileged_user
from tests.kit.databases import MariaDatabase

IMAGE = "mariadb:11.8.3-noble"
OPTIONS = (
    "--log-bin=binlog",
    "--binlog-format=ROW",
    "--binlog-row-image=FULL",
    "--server-id=1",
    "--character-set-server=utf8mb4",
    "--skip-name-resolve",
)
START_SECONDS = 60


class MariaDB:
    """A MariaDB server of a test session. Tests work in databases of their own on it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or 3306
        self.user = unquote(parts.username or "root")
        self.password = unquote(parts.password or "")
        self.dsn = url

    def database(self, name: str) -> MariaDatabase:
        """Return the address of a database, whether it exists or not."""
        return MariaDatabase("mysql", name, self.host, self.port, self.user, self.password)

    def create_database(self) -> MariaDatabase:
        """Create an empty database under a new name; `drop()` it when done."""
        database = self.database(f"t_{secrets.token_hex(6)}")
        self.database("mysql").execute(f"CREATE DATABASE `{database.name}`")
        return database

    def kill9(self) -> None:
        """Kill the server at once."""
        raise NotImplementedError("the server given by URL is not ours to kill")

    def restart(self) -> None:
        """Start the server again, after `kill9` or a clean stop; same port, same data."""
        raise NotImplementedError("the server given by URL is not ours to restart")

    def stop(self) -> None:
        """Stop the server and remove its data."""


class LocalMariaDB(MariaDB):
    """A server from binaries of this machine, in a temporary directory."""

    def __init__(self, server: str, installer: str) -> None:
        port, password = free_port(), secrets.token_hex(12)
        super().__init__(f"mysql://tailrace:{password}@127.0.0.1:{port}/mysql")
        self._server = server
        self._process: subprocess.Popen[bytes] | None = None
        user = unprivileged_user("mysql")
        group = pwd.getpwnam(user).pw_gid if user else None
        self._identity = {"user": user, "group": group, "extra_groups": [] if user else None}
        self._directory = Path(tempfile.mkdtemp(prefix="tailrace-maria-"))
        if user:
            shutil.chown(self._directory, user, group)
        try:
            self._init_data(installer)
            self._start()
        except BaseException:
            self.stop()
            raise

    def _init_data(self, installer: str) -> None:
        subprocess.run(
            [
                installer,
                "--no-defaults",
                f"--datadir={self._directory / 'data'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            check=True,
            capture_output=True,
            cwd=self._directory,
            **self._identity,
        )
        grants = self._directory / "grants.sql"
        grants.write_text(
            f"CREATE USER IF NOT EXISTS '{self.user}'@'%' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL ON *.* TO '{self.user}'@'%' WITH GRANT OPTION;\n"
        )
        if self._identity["user"]:
            shutil.chown(grants, self._identity["user"], self._identity["group"])

    def _start(self) -> None:
        with open(self._directory / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                [
                    self._server,
                    "--no-defaults",
                    f"--datadir={self._directory / 'data'}",
                    f"--socket={self._directory / 'socket'}",
                    f"--pid-file={self._directory / 'pid'}",
                    f"--init-file={self._directory / 'grants.sql'}",
                    f"--port={self.port}",
                    "--bind-address=127.0.0.1",
                    *OPTIONS,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                start_new_session=True,
                **self._identity,
            )
        wait_until_answers(self, lambda: self._process is None or self._process.poll() is None)

    def kill9(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def restart(self) -> None:
        self._shut_down()
        self._start()

    def stop(self) -> None:
        self._shut_down()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _shut_down(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill9()
        self._process = None

    @property
    def log_text(self) -> str:
        path = self._directory / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""


class ContainerMariaDB(MariaDB):
    """A server in a container, for machines with Docker and no local binaries."""

    def __init__(self) -> None:
        from testcontainers.core.container import DockerContainer

        password, port = secrets.token_hex(12), free_port()
        self._container = (
            DockerContainer(IMAGE)
            .with_env("MARIADB_ROOT_PASSWORD", password)
            .with_bind_ports(3306, port)
            .with_command(" ".join(OPTIONS))
        )
        self._container.start()
        host = self._container.get_container_host_ip()
        super().__init__(f"mysql://root:{password}@{host}:{port}/mysql")

    def kill9(self) -> None:
        self._container.get_wrapped_container().kill("SIGKILL")

    def restart(self) -> None:
        self._container.get_wrapped_container().restart()
        wait_until_answers(self, lambda: True)

    def stop(self) -> None:
        self._container.stop()


def wait_until_answers(server: MariaDB, alive) -> None:
    """Return once a client can log in; raise if the server died or took too long."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(pymysql.err.OperationalError):
            server.database("mysql").connect().close()
            return
        if not alive() or time.monotonic() > deadline:
            raise RuntimeError(f"MariaDB did not start:\n{getattr(server, 'log_text', '')[-2000:]}")
        time.sleep(0.05)


def local_mariadb() -> MariaDB | None:
    """Start a MariaDB from local binaries, or return None when they are not installed."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    server = shutil.which("mariadbd", path=path)
    installer = shutil.which("mariadb-install-db", path=path)
    return LocalMariaDB(server, installer) if server and installer else None
