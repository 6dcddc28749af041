# ruff: noqa: D102  (methods are documented in Target)
"""SQLite as a target."""

from __future__ import annotations

import sqlite3
from typing import Any, ClassVar

from sqlalchemy import Connection, Engine, create_engine, event, types
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from connectors.sinks.naming import TableName
from connectors.sinks.sql.target import SqlTarget
from connectors.sinks.target import Staged, Table, Verdict, Wanted
from connectors.sinks.types import ColumnType, Kind
from connectors.sinks.values import Cell, plain_cell

_INT64 = range(-(1 << 63), 1 << 63)


class SqliteTarget(SqlTarget):
    """A SQLite file. Decimals are TEXT: SQLite would make floats of them."""

    product = "SQLite"
    mark = "?"
    folds_case = True
    names: ClassVar = {
        Kind.BOOLEAN: "BOOLEAN",
        Kind.SMALLINT: "SMALLINT",
        Kind.INTEGER: "INTEGER",
        Kind.BIGINT: "BIGINT",
        Kind.REAL: "REAL",
        Kind.DOUBLE: "DOUBLE",
        Kind.DURATION: "BIGINT",
        Kind.BYTES: "BLOB",
        Kind.BITS: "BLOB",
    }

    def engine(self, url: URL) -> Engine:
        # The driver's own transactions leave DDL out; ours begin by hand and take the write lock.
        engine = create_engine(
            url, poolclass=NullPool, connect_args={"isolation_level": None, "timeout": 5}
        )

        @event.listens_for(engine, "connect")
        def _prepare(connection: sqlite3.Connection, _record: object) -> None:
            connection.isolation_level = None
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        return engine

    def cell(self, type_: ColumnType) -> Cell | None:
        if type_.kind in (Kind.SMALLINT, Kind.INTEGER, Kind.BIGINT, Kind.BOOLEAN, Kind.BYTES):
            return None
        if type_.kind is Kind.TEXT:
            return None
        return plain_cell(type_)

    def column_sql(self, type_: ColumnType, key: bool) -> str:
        return self.names.get(type_.kind, "TEXT")

    def literal(self, value: Any) -> str:
        return super().literal(value).replace("%%", "%")

    def found(self, type_: Any) -> ColumnType | None:
        # A column takes any value, so nothing has to grow; but these make floats of numbers.
        if isinstance(type_, types.Float | types.Numeric):
            return ColumnType(Kind.DOUBLE)
        return None

    def widen(self, name: TableName, wanted: Wanted) -> None:
        raise AssertionError("SQLite columns have no width")

    def upsert(self, table: Table, staged: Staged) -> int | None:
        keys = self.columns_sql(staged.keys)
        sets = ", ".join(f"{q} = excluded.{q}" for q in map(self.quote, staged.others))
        action = f"DO UPDATE SET {sets}" if sets else "DO NOTHING"
        sql = f"{self.insert_sql(table, staged)} ON CONFLICT ({keys}) {action}"
        written = self.execute_many(sql, self.rows(staged))
        return written if sets else None

    def judge(self, error: BaseException) -> Verdict | None:
        if not isinstance(error, sqlite3.Error):
            return None
        name = getattr(error, "sqlite_errorname", "") or type(error).__name__
        if name.startswith(("SQLITE_CONSTRAINT", "SQLITE_MISMATCH", "SQLITE_TOOBIG")):
            return Verdict("row", name.removeprefix("SQLITE_").lower().replace("_", " "))
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR",
                            "SQLITE_READONLY", "SQLITE_INTERRUPT")):  # fmt: skip
            return Verdict("retry", name)
        if name.startswith("SQLITE_CANTOPEN"):
            return Verdict("lost", name)
        return Verdict("fatal", f"{name}: {error}")
