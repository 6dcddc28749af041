# ruff: noqa: D102  (methods are documented in Target)
"""MySQL and MariaDB as targets."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, ClassVar

import pymysql
from pymysql.constants import ER
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from connectors.sinks.naming import TableName
from connectors.sinks.sql.target import SqlTarget
from connectors.sinks.target import Found, Staged, Table, Verdict, Wanted
from connectors.sinks.types import ColumnType, Kind
from connectors.sinks.values import Cell, finite, plain_cell, without_zone

_SESSION = (
    "SET time_zone = '+00:00', "
    "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO'"
)
_KEYS_A_STATEMENT = 1000

# Access denied, with a password or without; host not allowed; password expired; account locked.
_DENIED = (1044, 1045, 1130, 1698, 1820, 1862, 3118, 4151)


class MySqlTarget(SqlTarget):
    """A MySQL or MariaDB database.

    DDL commits, so what was written before it is undone first and written again after.
    """

    product = "MySQL"
    savepoints = False
    transactional_ddl = False
    folds_case = True
    name_bytes = 64
    positions_options = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    names: ClassVar = {
        Kind.BOOLEAN: "BOOLEAN",
        Kind.SMALLINT: "SMALLINT",
        Kind.INTEGER: "INT",
        Kind.BIGINT: "BIGINT",
        Kind.REAL: "FLOAT",
        Kind.DOUBLE: "DOUBLE",
        Kind.BYTES: "LONGBLOB",
        Kind.BITS: "LONGBLOB",
        Kind.DATE: "DATE",
        Kind.TIME: "TIME(6)",
        Kind.TIMESTAMP: "DATETIME(6)",
        Kind.TIMESTAMPTZ: "DATETIME(6)",
        Kind.DURATION: "BIGINT",
        Kind.UUID: "CHAR(36)",
    }

    def engine(self, url: URL) -> Engine:
        return create_engine(
            url,
            poolclass=NullPool,
            isolation_level="READ COMMITTED",
            connect_args={"charset": "utf8mb4", "connect_timeout": 10, "init_command": _SESSION},
        )

    def savepoint(self) -> AbstractContextManager[object]:
        return nullcontext()

    def column_sql(self, type_: ColumnType, key: bool) -> str:
        if type_.kind is Kind.DECIMAL:
            digits = type_.length or 65
            if digits > 65 or type_.scale > 30:
                return "LONGTEXT"
            return f"DECIMAL({digits},{type_.scale})"
        if key and type_.kind in (Kind.TEXT, Kind.UUID, Kind.NUMERIC, Kind.TIMETZ):
            return f"VARCHAR({type_.length or 255}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        if key and type_.kind in (Kind.BYTES, Kind.BITS):
            return "VARBINARY(255)"
        if type_.kind is Kind.TEXT and type_.length:
            return f"VARCHAR({type_.length}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        return self.names.get(type_.kind, "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")

    def describe(self, name: TableName) -> Table | None:
        # Not by SQLAlchemy's inspector, which can't find tables with a percent sign in the name.
        place = (name.schema, name.name)
        columns = self.query(
            "SELECT column_name, data_type, character_maximum_length, numeric_precision, "
            "numeric_scale, generation_expression FROM information_schema.columns "
            "WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s "
            "ORDER BY ordinal_position",
            place,
        )
        if not columns:
            return None
        uniques: dict[str, set[str]] = {}
        for index, column, prefix in self.query(
            "SELECT index_name, column_name, sub_part FROM information_schema.statistics "
            "WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s AND non_unique = 0 "
            "ORDER BY index_name <> 'PRIMARY', index_name, seq_in_index",
            place,
        ):
            # A unique prefix or expression finds other rows than the column's own values do.
            whole = column is not None and prefix is None
            uniques.setdefault(index, set()).add(column if whole else f"{index}\0")
        return Table(
            name,
            {c[0]: Found(_found(*c[1:5]), bool(c[5])) for c in columns},
            tuple(frozenset(names) for names in uniques.values()),
        )

    def literal(self, value: Any) -> str:
        text = super().literal(value)
        return text.replace("\\", "\\\\") if isinstance(value, str) else text

    def cell(self, type_: ColumnType) -> Cell | None:
        if type_.kind in (Kind.REAL, Kind.DOUBLE):
            return finite
        if type_.kind is Kind.TIMESTAMPTZ:
            return _utc
        if type_.kind in (Kind.BYTES, Kind.TEXT, Kind.SMALLINT, Kind.INTEGER, Kind.BIGINT):
            return None
        return plain_cell(type_)

    def widen(self, name: TableName, wanted: Wanted) -> None:
        null = " NOT NULL" if wanted.key else ""
        self.execute(
            f"ALTER TABLE {self.table_sql(name)} MODIFY COLUMN {self.quote(wanted.name)} "
            f"{self.column_sql(wanted.type, wanted.key)}{null}"
        )

    def upsert(self, table: Table, staged: Staged) -> int | None:
        if set(table.uniques) - {frozenset(staged.keys)}:
            return self._update_or_insert(table, staged)
        # A change counts as two rows: fewer than one a row means that something took them away.
        pairs = [f"{q} = VALUES({q})" for q in map(self.quote, staged.others or staged.keys)]
        sql = f"{self.insert_sql(table, staged)} ON DUPLICATE KEY UPDATE {', '.join(pairs)}"
        return self.execute_many(sql, self.rows(staged))

    def _update_or_insert(self, table: Table, staged: Staged) -> int:
        """ON DUPLICATE KEY would change the row that another unique key finds."""
        cells = dict(zip(staged.names, self._columns(staged), strict=True))
        keys = list(zip(*(cells[name] for name in staged.keys), strict=True))
        there = [bool(self._exists(table, staged, key)) for key in keys]
        written = 0
        for found, write in ((True, self.update), (False, self.insert)):
            group = [row for row, is_there in enumerate(there) if is_there is found]
            if group:
                part = [[column[row] for row in group] for column in staged.cells]
                written += write(
                    table, Staged(staged.names, staged.types, staged.keys, part, len(group))
                ) or 0  # fmt: skip
        return written

    def _columns(self, staged: Staged) -> list[tuple[Any, ...]]:
        return list(zip(*self.rows(staged), strict=True))

    def _exists(self, table: Table, staged: Staged, key: tuple[Any, ...]) -> bool:
        sql = f"SELECT 1 FROM {self.table_sql(table.name)} WHERE {self.where(staged)} FOR UPDATE"
        return bool(self.query(sql, key))

    def delete(self, table: Table, staged: Staged) -> None:
        rows = iter(self.rows(staged))
        names = self.columns_sql(staged.keys)
        marks = f"({', '.join([self.mark] * len(staged.keys))})"
        while chunk := list(islice(rows, _KEYS_A_STATEMENT)):
            self.execute(
                f"DELETE FROM {self.table_sql(table.name)} WHERE ({names}) IN "
                f"({', '.join([marks] * len(chunk))})",
                [value for row in chunk for value in row],
            )

    def judge(self, error: BaseException) -> Verdict | None:
        if not isinstance(error, pymysql.err.Error | pymysql.err.Warning):
            return None
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        if number in _DENIED:
            return Verdict("denied", f"error {number}: the server refuses the user")
        if number in (ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT, 1021, 1114, 1290, 1836, 3024, 1969):
            return Verdict("retry", f"error {number}")
        if number in (0, 1040, 1053, 1152, 1158, 1159, 1160, 1161, 1203, 1226, 1927) or (
            2000 <= number < 3000
        ):
            return Verdict("lost", f"error {number}")
        if isinstance(error, pymysql.err.IntegrityError | pymysql.err.DataError) or number in (
            1048, 1062, 1264, 1265, 1292, 1364, 1366, 1406, 1451, 1452, 3140, 3819, 4025,
        ):  # fmt: skip
            return Verdict("row", f"{type(error).__name__} ({number})")
        return Verdict("fatal", f"{type(error).__name__} ({number})")


def _utc(text: str) -> str:
    """The moment as a DATETIME in UTC; MySQL would take a year 0000 for a date."""
    if text.startswith(("0000-", "-", "+")):
        raise ValueError("outside the years 1 to 9999")
    return without_zone(text)


def _found(
    type_: str, characters: int | None, digits: int | None, scale: int | None
) -> ColumnType | None:
    """Our name for a column's type that may have to grow."""
    if type_ == "decimal":
        return ColumnType(Kind.DECIMAL, length=digits, scale=scale or 0)
    if type_ in ("varchar", "char"):
        return ColumnType(Kind.TEXT, length=characters)
    kinds = {
        "smallint": Kind.SMALLINT,
        "int": Kind.INTEGER,
        "bigint": Kind.BIGINT,
        "float": Kind.REAL,
        "double": Kind.DOUBLE,
    }
    return ColumnType(kinds[type_]) if type_ in kinds else None
