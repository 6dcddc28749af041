# ruff: noqa: D102  (methods are documented in Target)
"""What the SQL databases have in common, over SQLAlchemy's engine, quoting and reflection."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from sqlalchemy import Connection, CursorResult, Engine, inspect, types
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, NoSuchTableError

from connectors.sinks.naming import TableName
from connectors.sinks.target import Found, Staged, Table, Target, Verdict, Wanted
from connectors.sinks.types import ColumnType, Kind
from connectors.sinks.values import Cell


class SqlTarget(Target):
    """A connection through SQLAlchemy; what differs by database is in the subclasses."""

    mark = "%s"
    names: ClassVar[Mapping[Kind, str]]

    def __init__(self, url: URL) -> None:
        self._url = url
        self._preparer = url.get_dialect()().identifier_preparer
        self._engine: Engine | None = None
        self._connection: Connection | None = None

    @abstractmethod
    def engine(self, url: URL) -> Engine:
        """An engine whose sessions read and write values exactly."""

    @abstractmethod
    def cell(self, type_: ColumnType) -> Cell | None:
        """How one value, never None, is bound; None: as it is."""

    @abstractmethod
    def judge(self, error: BaseException) -> Verdict | None:
        """What an exception of the driver means."""

    @property
    def connection(self) -> Connection:
        """The open connection."""
        assert self._connection is not None, "open() first"
        return self._connection

    def open(self) -> None:
        self._engine = self.engine(self._url)
        self._connection = self._engine.connect()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        engine, self._engine = self._engine, None
        if connection is not None:
            connection.invalidate()  # no rollback to wait for: the server undoes what is open
            connection.close()
        if engine is not None:
            engine.dispose()

    def begin(self) -> None:
        if not self.connection.in_transaction():
            self.connection.begin()

    def commit(self) -> None:
        self.connection.commit()

    def rollback(self) -> None:
        self.connection.rollback()

    def savepoint(self) -> AbstractContextManager[object]:
        return self.connection.begin_nested()

    def quote(self, name: str) -> str:
        return self._preparer.quote_identifier(name)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        return self._run(sql, values).rowcount

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._run(sql, values)]

    def _run(self, sql: str, values: Sequence[Any]) -> CursorResult[Any]:
        if values:
            return self.connection.exec_driver_sql(sql, tuple(values))
        return self.connection.execution_options(no_parameters=True).exec_driver_sql(
            self.plain(sql)
        )

    def plain(self, sql: str) -> str:
        """A statement as it is sent without parameters: ``%`` stands for itself."""
        return sql.replace("%%", "%") if self.mark == "%s" else sql

    def execute_many(self, sql: str, rows: list[tuple[Any, ...]]) -> int:
        """Run a statement for each row; the number of rows touched."""
        return self.connection.exec_driver_sql(sql, rows).rowcount if rows else 0

    def rows(self, staged: Staged, order: Sequence[str] | None = None) -> list[tuple[Any, ...]]:
        """The staged rows as the driver binds them, their columns in ``order``."""
        columns = []
        for name in order or staged.names:
            place = list(staged.names).index(name)
            cells, cell = staged.cells[place], self.cell(staged.types[place])
            columns.append(
                cells if cell is None else [None if c is None else cell(c) for c in cells]
            )
        return list(zip(*columns, strict=True))

    def describe(self, name: TableName) -> Table | None:
        inspector = inspect(self.connection)
        try:
            found = inspector.get_columns(name.name, name.schema)
        except NoSuchTableError:
            return None
        if not found:
            return None
        primary = inspector.get_pk_constraint(name.name, name.schema)["constrained_columns"]
        uniques = [frozenset(primary)] if primary else []
        uniques += [
            frozenset(u["column_names"])
            for u in inspector.get_unique_constraints(name.name, name.schema)
        ]
        for index in inspector.get_indexes(name.name, name.schema):
            names = index["column_names"]
            partial = any("_where" in str(key) for key in index.get("dialect_options", ()))
            if index["unique"] and None not in names and not partial:
                uniques.append(frozenset(str(n) for n in names))
        columns = {
            column["name"]: Found(self.found(column["type"]), bool(column.get("computed")))
            for column in found
        }
        return Table(name, columns, tuple(dict.fromkeys(uniques)))

    def found(self, type_: types.TypeEngine[Any]) -> ColumnType | None:
        """Our name for a reflected type that may have to grow."""
        match type_:
            case types.Enum():
                return None
            case types.SmallInteger():
                return ColumnType(Kind.SMALLINT)
            case types.BigInteger():
                return ColumnType(Kind.BIGINT)
            case types.Integer():
                return ColumnType(Kind.INTEGER)
            case types.Double() | types.DOUBLE_PRECISION():
                return ColumnType(Kind.DOUBLE)
            case types.REAL() | types.Float():
                return ColumnType(Kind.REAL)
            case types.Numeric():
                return ColumnType(Kind.DECIMAL, length=type_.precision, scale=type_.scale or 0)
            case types.String():
                return ColumnType(Kind.TEXT, length=type_.length)
        return None

    def default_sql(self, wanted: Wanted) -> str:
        if wanted.default is None or wanted.key:
            return ""
        cell = self.cell(wanted.type)
        value = wanted.default if cell is None else cell(wanted.default)
        return f" DEFAULT {self.literal(value)}"

    def literal(self, value: Any) -> str:
        """A bound value as it is written in a statement."""
        if isinstance(value, bool):
            return "TRUE" if value else "FALSE"
        if isinstance(value, bytes):
            return f"X'{value.hex()}'"
        text = str(value).replace("'", "''").replace("%", "%%")
        return text if isinstance(value, int | float) else f"'{text}'"

    def widen(self, name: TableName, wanted: Wanted) -> None:
        self.execute(
            f"ALTER TABLE {self.table_sql(name)} ALTER COLUMN {self.quote(wanted.name)} "
            f"TYPE {self.column_sql(wanted.type, wanted.key)}"
        )

    def insert(self, table: Table, staged: Staged) -> int | None:
        return self.execute_many(self.insert_sql(table, staged), self.rows(staged))

    def insert_sql(self, table: Table, staged: Staged) -> str:
        """An insert of one row's parameters."""
        marks = ", ".join([self.mark] * len(staged.names))
        return (
            f"INSERT INTO {self.table_sql(table.name)} ({self.columns_sql(staged.names)}) "
            f"VALUES ({marks})"
        )

    def update(self, table: Table, staged: Staged) -> int:
        if not staged.others:
            return staged.count
        order = [*staged.others, *staged.keys]
        sets = ", ".join(f"{self.quote(name)} = {self.mark}" for name in staged.others)
        sql = f"UPDATE {self.table_sql(table.name)} SET {sets} WHERE {self.where(staged)}"
        return self.execute_many(sql, self.rows(staged, order))

    def delete(self, table: Table, staged: Staged) -> None:
        sql = f"DELETE FROM {self.table_sql(table.name)} WHERE {self.where(staged)}"
        self.execute_many(sql, self.rows(staged))

    def where(self, staged: Staged) -> str:
        """The condition that finds a row by its key's parameters."""
        return " AND ".join(f"{self.quote(name)} = {self.mark}" for name in staged.keys)

    def move(self, table: Table, old: Staged, new: Staged) -> None:
        target, where = self.table_sql(table.name), self.where(old)
        [before], [after] = self.rows(old), self.rows(new)
        if not self.query(f"SELECT 1 FROM {target} WHERE {where}", after):
            sets = ", ".join(f"{self.quote(name)} = {self.mark}" for name in old.keys)
            self.execute(f"UPDATE {target} SET {sets} WHERE {where}", (*after, *before))
        else:
            self.execute(f"DELETE FROM {target} WHERE {where}", before)

    def classify(self, error: Exception) -> Verdict | None:
        cause: BaseException = error
        if isinstance(error, DBAPIError) and error.orig is not None:
            cause = error.orig
        if isinstance(cause, ValueError | OverflowError):
            return Verdict("row", f"a value does not fit ({_reason(cause)})")
        return self.judge(cause)


def _reason(error: BaseException) -> str:
    """Our own converters' reasons; others' may quote the value."""
    return str(error) if type(error) is ValueError else type(error).__name__
