# ruff: noqa: D102  (methods are documented in Target)
"""DuckDB as a target: Arrow tables in, one statement for all rows."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar, Literal

import duckdb
import pyarrow as pa

from connect.errors import FatalError
from connectors.sinks.duckdb.arrow import array, literal
from connectors.sinks.naming import TableName
from connectors.sinks.target import Found, Staged, Table, Target, Verdict, Wanted
from connectors.sinks.types import ColumnType, Kind

Release = Literal["idle", "flush", "never"]

_STAGE = "tailrace_stage"
_LOCK_SECONDS = 5.0

_COLUMNS = (
    "FROM duckdb_columns() WHERE database_name = current_database() "
    "AND schema_name = ? AND table_name = ? ORDER BY column_index"
)
_KEYS = (
    "FROM duckdb_constraints() WHERE database_name = current_database() AND schema_name = ? "
    "AND table_name = ? AND constraint_type IN ('PRIMARY KEY', 'UNIQUE') ORDER BY constraint_type"
)


class DuckDbTarget(Target):
    """A DuckDB file. A failed statement costs DuckDB's whole transaction."""

    product = "DuckDB"
    mark = "?"
    savepoints = False
    folds_case = True
    names: ClassVar = {
        Kind.BOOLEAN: "BOOLEAN",
        Kind.SMALLINT: "SMALLINT",
        Kind.INTEGER: "INTEGER",
        Kind.BIGINT: "BIGINT",
        Kind.REAL: "REAL",
        Kind.DOUBLE: "DOUBLE",
        Kind.BYTES: "BLOB",
        Kind.DATE: "DATE",
        Kind.TIME: "TIME",
        Kind.TIMETZ: "TIMETZ",
        Kind.TIMESTAMP: "TIMESTAMP",
        Kind.TIMESTAMPTZ: "TIMESTAMPTZ",
        Kind.DURATION: "BIGINT",
        Kind.UUID: "UUID",
        Kind.JSON: "JSON",
        Kind.MAP: "JSON",
        Kind.BITS: "BIT",
    }

    def __init__(self, path: str, release: Release = "never", read_only: bool = False) -> None:
        self._path = path
        self._release = release
        self._read_only = read_only
        self._connection: duckdb.DuckDBPyConnection | None = None

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The open connection."""
        assert self._connection is not None, "open() first"
        return self._connection

    def open(self) -> None:
        self._connection = self._connect()
        self._connection.execute("SET TimeZone = 'UTC'")

    def _connect(self) -> duckdb.DuckDBPyConnection:
        """Open the file; a reader that has it for a moment is waited for."""
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                return duckdb.connect(self._path, read_only=self._read_only)
            except duckdb.IOException as error:
                if "lock" not in str(error) or time.monotonic() >= deadline:
                    raise
            time.sleep(0.05)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def begin(self) -> None:
        if self._connection is None:
            self.open()
        self.connection.begin()

    def commit(self) -> None:
        self.connection.commit()
        if self._release == "flush":
            self.close()

    def release(self) -> None:
        if self._release == "idle":
            self.close()

    def rollback(self) -> None:
        self.connection.rollback()

    def savepoint(self) -> AbstractContextManager[object]:
        return nullcontext()

    def quote(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        found = self.connection.execute(sql, list(values)).fetchall()
        return int(found[0][0]) if found and isinstance(found[0][0], int) else 0

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, list(values)).fetchall()

    def describe(self, name: TableName) -> Table | None:
        place = (name.schema or "main", name.name)
        found = self.query(f"SELECT column_name, data_type {_COLUMNS}", place)
        if not found:
            return None
        uniques = self.query(f"SELECT constraint_column_names {_KEYS}", place)
        columns = {column: Found(_found(type_)) for column, type_ in found}
        return Table(name, columns, tuple(frozenset(names) for (names,) in uniques))

    def stored(self, type_: ColumnType) -> ColumnType:
        return _found(self.column_sql(type_, False)) or type_

    def column_sql(self, type_: ColumnType, key: bool) -> str:
        if type_.kind is Kind.DECIMAL:
            digits = type_.length or 38
            if digits > 38 or type_.scale > digits:
                return "VARCHAR"
            return f"DECIMAL({digits},{type_.scale})"
        if type_.kind is Kind.TIMESTAMP and type_.unit == 1_000_000_000:
            return "TIMESTAMP_NS"
        if type_.kind is Kind.ARRAY and type_.item is not None:
            return self.column_sql(type_.item, False) + "[]"
        return self.names.get(type_.kind, "VARCHAR")

    def default_sql(self, wanted: Wanted) -> str:
        if wanted.default is None or wanted.key:
            return ""
        return f" DEFAULT {literal(wanted.default, wanted.type)}"

    def widen(self, name: TableName, wanted: Wanted) -> None:
        type_ = self.column_sql(wanted.type, wanted.key)
        if wanted.key:
            self._rebuild(name, {wanted.name: type_})
            return
        self.execute(
            f"ALTER TABLE {self.table_sql(name)} ALTER COLUMN {self.quote(wanted.name)} "
            f"TYPE {type_}"
        )

    def _rebuild(self, name: TableName, types: dict[str, str]) -> None:
        """Copy the table into one with other types: DuckDB can't change those of a key."""
        place = (name.schema or "main", name.name)
        columns = self.query(f"SELECT column_name, data_type, column_default {_COLUMNS}", place)
        indexes = self.query(
            "SELECT 1 FROM duckdb_indexes() WHERE database_name = current_database() "
            "AND schema_name = ? AND table_name = ?",
            place,
        )
        keys = self.query(f"SELECT constraint_type, constraint_column_names {_KEYS}", place)
        if indexes or len(keys) != 1:
            raise FatalError(
                f'The key of table "{name}" must grow, and its indexes are in the way.',
                code="sink.column_narrow",
                hint=f"Rebuild it by hand with {types}.",
            )
        parts = [
            f"{self.quote(column)} {types.get(column, type_)}"
            + (f" DEFAULT {default}" if default and default != "NULL" else "")
            for column, type_, default in columns
        ]
        copy = TableName(name.schema, "tailrace_rebuilt")
        key = self.columns_sql(keys[0][1])
        self.execute(
            f"CREATE TABLE {self.table_sql(copy)} ({', '.join(parts)}, PRIMARY KEY ({key}))"
        )
        self.execute(f"INSERT INTO {self.table_sql(copy)} SELECT * FROM {self.table_sql(name)}")
        self.execute(f"DROP TABLE {self.table_sql(name)}")
        self.execute(f"ALTER TABLE {self.table_sql(copy)} RENAME TO {self.quote(name.name)}")

    def insert(self, table: Table, staged: Staged) -> int | None:
        names = self.columns_sql(staged.names)
        with self._staged(table, staged):
            return self.execute(
                f"INSERT INTO {self.table_sql(table.name)} ({names}) {self._select(staged)}"
            )

    def upsert(self, table: Table, staged: Staged) -> int | None:
        names, keys = self.columns_sql(staged.names), self.columns_sql(staged.keys)
        sets = ", ".join(f"{q} = excluded.{q}" for q in map(self.quote, staged.others))
        action = f"DO UPDATE SET {sets}" if sets else "DO NOTHING"
        with self._staged(table, staged):
            written = self.execute(
                f"INSERT INTO {self.table_sql(table.name)} ({names}) {self._select(staged)} "
                f"ON CONFLICT ({keys}) {action}"
            )
        return written if sets else None

    def update(self, table: Table, staged: Staged) -> int:
        sets = ", ".join(f"{q} = s.{q}" for q in map(self.quote, staged.others))
        if not sets:
            return staged.count
        with self._staged(table, staged):
            return self.execute(
                f"UPDATE {self.table_sql(table.name)} AS t SET {sets} "
                f"FROM ({self._select(staged)}) AS s WHERE {self._match(staged)}"
            )

    def delete(self, table: Table, staged: Staged) -> None:
        with self._staged(table, staged):
            self.execute(
                f"DELETE FROM {self.table_sql(table.name)} AS t "
                f"USING ({self._select(staged)}) AS s WHERE {self._match(staged)}"
            )

    def move(self, table: Table, old: Staged, new: Staged) -> None:
        target = self.table_sql(table.name)
        others = self.columns_sql([name for name in table.columns if name not in old.keys])
        marks = ", ".join(f"CAST(? AS {self.column_sql(type_, True)})" for type_ in new.types)
        where = " AND ".join(f"{self.quote(name)} = ?" for name in old.keys)
        before, after = ([c[0] for c in s.cells] for s in (old, new))
        tail = f", {others}" if others else ""
        self.execute(
            f"INSERT INTO {target} ({self.columns_sql(old.keys)}{tail}) "
            f"SELECT {marks}{tail} FROM {target} WHERE {where} ON CONFLICT DO NOTHING",
            [*after, *before],
        )
        self.execute(f"DELETE FROM {target} WHERE {where}", before)

    def _match(self, staged: Staged) -> str:
        return " AND ".join(f"t.{q} = s.{q}" for q in map(self.quote, staged.keys))

    def _select(self, staged: Staged) -> str:
        columns = ", ".join(
            f"CAST({self.quote(name)} AS {self.column_sql(type_, False)}) AS {self.quote(name)}"
            for name, type_ in zip(staged.names, staged.types, strict=True)
        )
        return f"SELECT {columns} FROM {_STAGE}"

    @contextmanager
    def _staged(self, table: Table, staged: Staged) -> Iterator[None]:
        arrays = [
            array(cells, type_, self.column_sql(type_, False))
            for cells, type_ in zip(staged.cells, staged.types, strict=True)
        ]
        self.connection.register(_STAGE, pa.table(arrays, names=list(staged.names)))
        yield
        self.connection.unregister(_STAGE)  # after an error the rollback takes it away

    def classify(self, error: Exception) -> Verdict | None:
        if isinstance(error, pa.ArrowException | ValueError | OverflowError):
            return Verdict("row", "a value does not fit its column")
        if not isinstance(error, duckdb.Error):
            return None
        name = type(error).__name__
        if isinstance(
            error, duckdb.ConstraintException | duckdb.ConversionException | duckdb.DataError
        ) and not isinstance(error, duckdb.IOException):
            return Verdict("row", name)
        if isinstance(error, duckdb.IOException):
            locked = "lock" in str(error)
            return Verdict(
                "retry",
                f"{name}: the file is open in another process" if locked else f"{name}: {error}",
                hint="Close it there." if locked else None,
            )
        if isinstance(error, duckdb.TransactionException | duckdb.OutOfMemoryException):
            return Verdict("retry", name)
        return Verdict("fatal", f"{name}: {error}")


def _found(type_: str) -> ColumnType | None:
    """Our name for a declared type that may have to grow."""
    decimal = re.fullmatch(r"DECIMAL\(([0-9]+),\s*([0-9]+)\)", type_)
    if decimal:
        return ColumnType(Kind.DECIMAL, length=int(decimal[1]), scale=int(decimal[2]))
    kinds = {
        "SMALLINT": Kind.SMALLINT,
        "INTEGER": Kind.INTEGER,
        "BIGINT": Kind.BIGINT,
        "FLOAT": Kind.REAL,
        "REAL": Kind.REAL,
        "DOUBLE": Kind.DOUBLE,
        "VARCHAR": Kind.TEXT,
    }
    return ColumnType(kinds[type_]) if type_ in kinds else None
