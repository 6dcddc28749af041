"""The targets of the sink suite: how each is configured, and how a test looks into it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from connect.config import parse
from connect.context import Context
from connect.log import TopicPartition
from connect.sink import SinkConnector, SinkTask
from connectors.sinks.duckdb.connector import DuckDbSinkConnector
from connectors.sinks.sql.connector import SqlSinkConnector
from tests.integration.sink_records import TOPIC
from tests.kit.databases import Database

COPY = {
    "insert.mode": "upsert",
    "primary.key.mode": "record_key",
    "delete.enabled": "true",
    "truncate.enabled": "true",
    "schema.evolution": "basic",
}
TABLE = TOPIC.replace(".", "_")
PARTITION = TopicPartition(TOPIC, 0)


class Subject:
    """One empty target."""

    kind: str
    connector: SinkConnector

    def address(self) -> dict[str, str]:
        raise NotImplementedError

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        raise NotImplementedError

    def execute(self, sql: str) -> None:
        raise NotImplementedError

    def config(self, **changes: str) -> Any:
        keys = {name.replace("_", "."): value for name, value in changes.items()}
        values = {"name": "copy", "topics": TOPIC, **self.address(), **COPY, **keys}
        return parse(self.connector.config, values)

    def task(self, epoch: int = 1, log: str = "", **changes: str) -> SinkTask:
        context = Context("copy", epoch=epoch, log_id=log)
        return self.connector.task(self.config(**changes), context)

    @contextmanager
    def running(self, epoch: int = 1, log: str = "", **changes: str) -> Iterator[SinkTask]:
        task = self.task(epoch, log, **changes)
        try:
            task.open([PARTITION])
            yield task
        finally:
            task.close()

    def rows(self, columns: str = "id, name, body, price", table: str = TABLE) -> list[Any]:
        found = self.query(f"SELECT {columns} FROM {table} ORDER BY 1")
        return [tuple(_plain(cell) for cell in row) for row in found]


def _plain(cell: Any) -> Any:
    return str(cell) if isinstance(cell, Decimal) else cell


class SqliteSubject(Subject):
    kind = "sqlite"
    connector = SqlSinkConnector()

    def __init__(self, directory: Path) -> None:
        self.path = directory / "target.db"

    def address(self) -> dict[str, str]:
        return {"connector.class": "sql", "connection.url": f"sqlite:///{self.path}"}

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def execute(self, sql: str) -> None:
        connection = sqlite3.connect(self.path)
        connection.execute(sql)
        connection.commit()
        connection.close()


class DuckDbSubject(Subject):
    kind = "duckdb"
    connector = DuckDbSinkConnector()

    def __init__(self, directory: Path) -> None:
        self.path = directory / "target.duckdb"

    def address(self) -> dict[str, str]:
        return {"connector.class": "duckdb", "path": str(self.path)}

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.path)) as connection:
            return connection.execute(sql).fetchall()

    def execute(self, sql: str) -> None:
        with duckdb.connect(str(self.path)) as connection:
            connection.execute(sql)


class ServerSubject(Subject):
    connector = SqlSinkConnector()

    def __init__(self, database: Database) -> None:
        self.database = database
        self.kind = "postgres" if database.kind == "postgresql" else "mysql"

    def address(self) -> dict[str, str]:
        return {
            "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
            "connection.url": self.database.jdbc_url,
            "connection.username": self.database.user,
            "connection.password": self.database.password,
        }

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.database.connect() as connection:  # type: ignore[attr-defined]
            cursor = connection.cursor()
            cursor.execute(sql)
            return list(cursor.fetchall())

    def execute(self, sql: str) -> None:
        with self.database.connect() as connection:  # type: ignore[attr-defined]
            connection.cursor().execute(sql)
