"""A source of one small table, for cases in which the load doesn't matter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from api.demo.postgres import free_port
from tests.fault.fleet import PREFIX
from tests.fault.pipeline import source_config
from tests.fault.watching import await_state
from tests.kit.databases import PostgresDatabase
from tests.kit.server import Server, until

TOPIC = f"{PREFIX}.public.item"
TABLE = f"{PREFIX}_public_item"


@contextmanager
def lone_source(
    postgres: Any, directory: Path, **more: str
) -> Iterator[tuple[Server, PostgresDatabase]]:
    """A server with nothing but a source named ``source`` of a table ``item`` of one row."""
    database = postgres.create_database()
    database.execute("CREATE TABLE item (id serial PRIMARY KEY, t text)")
    database.execute("INSERT INTO item (t) VALUES ('first')")
    directory.mkdir(exist_ok=True)
    server = Server(directory / "data", free_port())
    try:
        server.start()
        server.create("source", source_config(database, **more))
        until(lambda: in_log(server) == 1, 60, "the snapshot is in the log")
        await_state(server, "source", "RUNNING")
        yield server, database
    finally:
        if server.process is not None:
            server.stop()
        database.drop()


def in_log(server: Server) -> int:
    """Records of the table's topic."""
    return server.end_offsets(PREFIX).get(TOPIC, 0)


def insert(database: PostgresDatabase, *texts: str) -> None:
    """One row a text, each in a transaction of its own."""
    for text in texts:
        database.query("INSERT INTO item (t) VALUES (%s) RETURNING id", (text,))


def slot(database: PostgresDatabase, columns: str) -> Any:
    """Columns of the one slot on this database."""
    (row,) = database.query(
        f"SELECT {columns} FROM pg_replication_slots WHERE database = current_database()"
    )
    return row
