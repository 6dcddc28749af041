"""Real Postgres servers for tests: a given one, a container, or one started from local binaries."""

import secrets
import signal
from urllib.parse import unquote, urlsplit

import psutil

from api.demo.postgres import SETTINGS, PostgresServer, find_binaries, free_port
from tests.kit.databases import PostgresDatabase

IMAGES = {15: "postgres:15.14-bookworm", 18: "postgres:18.1-bookworm"}


class Postgres:
    """A Postgres server of a test session. Tests work in databases of their own on it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or 5432
        self.user = unquote(parts.username or "postgres")
        self.password = unquote(parts.password or "")

    @property
    def dsn(self) -> str:
        return self.database("postgres").dsn

    def database(self, name: str) -> PostgresDatabase:
        """Return the address of a database, whether it exists or not."""
        return PostgresDatabase("postgresql", name, self.host, self.port, self.user, self.password)

    def create_database(self) -> PostgresDatabase:
        """Create an empty database under a new name; `drop()` it when done."""
        database = self.database(f"t_{secrets.token_hex(6)}")
        self.database("postgres").execute(f'CREATE DATABASE "{database.name}"')
        return database

    def kill9(self) -> None:
        """Kill every process of the server at once, as a power cut would."""
        raise NotImplementedError("the server given by URL is not ours to kill")

    def restart(self) -> None:
        """Start the server again, after `kill9` or a clean stop; same port, same data."""
        raise NotImplementedError("the server given by URL is not ours to restart")

    def stop(self) -> None:
        """Stop the server and remove its data."""


class LocalPostgres(Postgres):
    """A server from binaries of this machine."""

    def __init__(self, server: PostgresServer) -> None:
        super().__init__(server.dsn())
        self._server = server

    def kill9(self) -> None:
        postmaster = psutil.Process(self._server.pid)
        family = [postmaster, *postmaster.children(recursive=True)]
        # The postmaster first: it would restart the rest of the family.
        for process in family:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        self._server.reaped()
        # A backend that still holds the shared memory would forbid the restart.
        psutil.wait_procs(family[1:], timeout=30)

    def restart(self) -> None:
        self._server.stop()
        self._server.start()

    def stop(self) -> None:
        self._server.close()


class ContainerPostgres(Postgres):
    """A server in a container, for machines with Docker and no local binaries."""

    def __init__(self, image: str) -> None:
        from testcontainers.core.container import DockerContainer

        password, port = secrets.token_hex(12), free_port()
        settings = [f"-c {key}={value}" for key, value in SETTINGS.items()]
        self._container = (
            DockerContainer(image)
            .with_env("POSTGRES_PASSWORD", password)
            .with_bind_ports(5432, port)
            .with_command("postgres " + " ".join(settings))
        )
        self._container.start()
        host = self._container.get_container_host_ip()
        super().__init__(f"postgresql://postgres:{password}@{host}:{port}/postgres")

    def kill9(self) -> None:
        self._container.get_wrapped_container().kill("SIGKILL")

    def restart(self) -> None:
        self._container.get_wrapped_container().restart()

    def stop(self) -> None:
        self._container.stop()


def local_postgres(*majors: int) -> Postgres | None:
    """Start the first of these major versions that this machine has, or return None."""
    for major in majors:
        if binaries := find_binaries(major):
            return LocalPostgres(PostgresServer(binaries).open())
    return None
