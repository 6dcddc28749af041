# ruff: noqa: D102  (methods are documented in Target)
"""Postgres as a target: COPY into a temporary table, then one statement for all rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

import psycopg
from sqlalchemy import Engine, create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from connect.config import Problem
from connectors.sinks.naming import POSITIONS, TableName
from connectors.sinks.sql.target import SqlTarget
from connectors.sinks.target import Staged, Table, Verdict, Wanted
from connectors.sinks.types import ColumnType, Kind
from connectors.sinks.values import (
    DATE_INFINITY,
    INFINITY,
    Cell,
    array_text,
    bits_text,
    date_text,
    decimal_of,
    json_text,
    time_text,
    timestamp_text,
)

# Text of dates, times and intervals is read by these rules, whatever the role's settings are.
_SETTINGS = "-cTimeZone=UTC -cDateStyle=ISO,YMD -cIntervalStyle=postgres -cbytea_output=hex"

_DENIED = re.compile(
    r"authentication failed|no password supplied|role \".*\" (does not exist|is not permitted)|"
    r"no pg_hba.conf entry|pg_hba.conf rejects|permission denied for database"
)
_ABSENT = re.compile(r"database \".*\" does not exist")


class PostgresTarget(SqlTarget):
    """A Postgres database."""

    product = "PostgreSQL"
    name_bytes = 63
    names: ClassVar = {
        Kind.BOOLEAN: "boolean",
        Kind.SMALLINT: "smallint",
        Kind.INTEGER: "integer",
        Kind.BIGINT: "bigint",
        Kind.REAL: "real",
        Kind.DOUBLE: "double precision",
        Kind.NUMERIC: "numeric",
        Kind.TEXT: "text",
        Kind.BYTES: "bytea",
        Kind.DATE: "date",
        Kind.TIME: "time",
        Kind.TIMETZ: "timetz",
        Kind.TIMESTAMP: "timestamp",
        Kind.TIMESTAMPTZ: "timestamptz",
        Kind.INTERVAL: "interval",
        Kind.DURATION: "interval",
        Kind.UUID: "uuid",
        Kind.JSON: "json",
        Kind.XML: "xml",
        Kind.MAP: "json",
    }

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        self._stages: dict[tuple[TableName, tuple[str, ...]], str] = {}
        self._used: set[str] = set()
        self._count = 0

    def engine(self, url: URL) -> Engine:
        options = " ".join(filter(None, [_SETTINGS, str(url.query.get("options", ""))]))
        return create_engine(
            url.difference_update_query(["options"]),
            poolclass=NullPool,
            isolation_level="READ COMMITTED",
            connect_args={
                "options": options,
                "client_encoding": "utf8",
                "connect_timeout": 10,
                "keepalives_idle": 30,
                "application_name": "tailrace",
            },
        )

    def check(self, key: str, creates: bool) -> list[Problem]:
        [(writable, schema, may_create, is_source)] = self.query(
            "SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off', "
            "current_schema(), coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), "
            "EXISTS (SELECT FROM pg_replication_slots WHERE database = current_database() "
            "AND slot_type = 'logical')"
        )
        problems = []
        if not writable:
            problems.append(Problem(key, "The database is read-only.", "sink.read_only"))
        if not may_create:
            problems.append(
                Problem(
                    key,
                    f"The user may not create tables in schema {schema}.",
                    "sink.privilege",
                    f'GRANT CREATE ON SCHEMA "{schema}" TO CURRENT_USER; or, if every table and '
                    "tailrace_positions are there already, go on.",
                    "error" if creates and self.describe(POSITIONS) is None else "warning",
                )
            )
        if is_source:
            problems.append(
                Problem(
                    key,
                    "This database has a logical replication slot: it is a source too.",
                    "sink.is_source",
                    "Make sure that the tables written here are not captured.",
                    "warning",
                )
            )
        return problems

    def rollback(self) -> None:
        super().rollback()
        self._stages.clear()

    def commit(self) -> None:
        super().commit()
        self._used.clear()  # ON COMMIT DELETE ROWS

    def savepoint(self) -> AbstractContextManager[object]:
        @contextmanager
        def guarded() -> Iterator[None]:
            try:
                with super(PostgresTarget, self).savepoint():
                    yield
            except BaseException:
                self._stages.clear()  # temporary tables made since are gone
                raise

        return guarded()

    def widen(self, name: TableName, wanted: Wanted) -> None:
        super().widen(name, wanted)
        self._stages = {key: stage for key, stage in self._stages.items() if key[0] != name}

    def column_sql(self, type_: ColumnType, key: bool) -> str:
        if type_.kind is Kind.DECIMAL:
            return f"numeric({type_.length},{type_.scale})" if type_.length else "numeric"
        if type_.kind is Kind.TEXT and type_.length:
            return f"varchar({type_.length})"
        if type_.kind is Kind.BITS:
            return f"bit({type_.length})" if type_.length else "bit varying"
        if type_.kind is Kind.ARRAY and type_.item is not None:
            return self.column_sql(type_.item, False) + "[]"
        return self.names[type_.kind]

    def stored(self, type_: ColumnType) -> ColumnType:
        if type_.kind is Kind.DECIMAL and type_.length is None:
            return ColumnType(Kind.NUMERIC)
        return type_

    def found(self, type_: Any) -> ColumnType | None:
        if isinstance(type_, postgresql.JSON | postgresql.JSONB):
            return None
        return super().found(type_)

    def literal(self, value: Any) -> str:
        if isinstance(value, bytes):
            return f"'\\x{value.hex()}'::bytea"
        return super().literal(value)

    def cell(self, type_: ColumnType) -> Cell | None:
        unit = type_.unit
        if type_.text:
            return _zoned if type_.kind is not Kind.INTERVAL else None
        cells: dict[Kind, Cell] = {
            Kind.NUMERIC: decimal_of,
            Kind.DATE: _date,
            Kind.TIME: lambda count: time_text(count, unit),
            Kind.TIMESTAMP: lambda count: _timestamp(count, unit),
            Kind.DURATION: lambda count: _duration(count, unit),
            Kind.BITS: lambda value: bits_text(value, type_.length),
            Kind.MAP: lambda value: json_text(value, type_),
        }
        if type_.kind is Kind.ARRAY and type_.item is not None:
            item = self.cell(type_.item) or _same
            return lambda value: array_text(value, item)
        return cells.get(type_.kind)

    def insert(self, table: Table, staged: Staged) -> int | None:
        names = self.columns_sql(staged.names)
        return self._from_stage(
            table, staged, f"INSERT INTO {{table}} ({names}) SELECT {names} FROM {{stage}}"
        )

    def upsert(self, table: Table, staged: Staged) -> int | None:
        names, keys = self.columns_sql(staged.names), self.columns_sql(staged.keys)
        sets = ", ".join(f"{q} = EXCLUDED.{q}" for q in map(self.quote, staged.others))
        action = f"DO UPDATE SET {sets}" if sets else "DO NOTHING"
        written = self._from_stage(
            table,
            staged,
            f"INSERT INTO {{table}} ({names}) SELECT {names} FROM {{stage}} "
            f"ON CONFLICT ({keys}) {action}",
        )
        return written if sets else None

    def update(self, table: Table, staged: Staged) -> int:
        sets = ", ".join(f"{q} = s.{q}" for q in map(self.quote, staged.others))
        if not sets:
            return staged.count
        return self._from_stage(
            table,
            staged,
            f"UPDATE {{table}} AS t SET {sets} FROM {{stage}} AS s WHERE {self._match(staged)}",
        )

    def delete(self, table: Table, staged: Staged) -> None:
        self._from_stage(
            table,
            staged,
            f"DELETE FROM {{table}} AS t USING {{stage}} AS s WHERE {self._match(staged)}",
        )

    def truncate(self, table: Table) -> None:
        self.execute(f"TRUNCATE {self.table_sql(table.name)}")

    def _match(self, staged: Staged) -> str:
        return " AND ".join(f"t.{q} = s.{q}" for q in map(self.quote, staged.keys))

    def _from_stage(self, table: Table, staged: Staged, template: str) -> int:
        stage = self._stage(table, tuple(staged.names))
        cursor = self.connection.connection.cursor()
        try:
            copy = f"COPY {stage} ({self.columns_sql(staged.names)}) FROM STDIN"
            with cursor.copy(self.plain(copy)) as writer:
                for row in self.rows(staged):
                    writer.write_row(row)
            sql = template.replace("{table}", self.table_sql(table.name)).replace("{stage}", stage)
            cursor.execute(self.plain(sql))
            return int(cursor.rowcount)
        finally:
            cursor.close()

    def _stage(self, table: Table, names: tuple[str, ...]) -> str:
        """An empty temporary table with these columns of ``table``."""
        stage = self._stages.get((table.name, names))
        if stage is None:
            self._count += 1
            stage = self._stages[table.name, names] = f"pg_temp.tailrace_stage_{self._count}"
            self.execute(
                f"CREATE TEMP TABLE tailrace_stage_{self._count} ON COMMIT DELETE ROWS AS "
                f"SELECT {self.columns_sql(names)} FROM {self.table_sql(table.name)} WITH NO DATA"
            )
        elif stage in self._used:
            self.execute(f"TRUNCATE {stage}")
        self._used.add(stage)
        return stage

    def judge(self, error: BaseException) -> Verdict | None:
        if not isinstance(error, psycopg.Error):
            return None
        state, diag = error.sqlstate, error.diag
        if state is None:
            if isinstance(error, psycopg.DataError):
                return Verdict("row", "a value the driver can't send (such as NUL in text)")
            return _no_connection(error)
        reason = f"{_words(type(error).__name__)} ({state})"
        if diag.constraint_name:
            reason += f' "{diag.constraint_name}"'
        if state[:2] in ("22", "23"):
            return Verdict("row", reason, diag.column_name or _copied_column(diag.context))
        if state[:2] == "28":
            return Verdict("denied", reason)
        if state[:2] == "08" or state in ("57P01", "57P02", "57P03"):
            return Verdict("lost", reason)
        if state[:2] in ("40", "53", "57", "58") or state in ("55P03", "55006", "25006"):
            return Verdict("retry", reason)
        return Verdict("fatal", f"{reason}: {diag.message_primary}")


def _same(value: Any) -> Any:
    return value


def _zoned(text: str) -> str:
    """ISO text as Postgres reads it; infinities keep their names."""
    if text[:1] == "+":
        return text[1:]
    if (text[:1] == "-" and text != "-infinity") or text.startswith("0000-"):
        year, rest = text.removeprefix("-").split("-", 1)
        return f"{int(year) + 1:04}-{rest} BC"
    return text


def _date(days: int) -> str:
    return _infinite(days, DATE_INFINITY) or date_text(days)


def _timestamp(count: int, unit: int) -> str:
    return _infinite(count, INFINITY[unit]) or timestamp_text(count, unit)


def _infinite(count: int, both: tuple[int, int]) -> str | None:
    return ("infinity", "-infinity")[both.index(count)] if count in both else None


def _duration(count: int, unit: int) -> str:
    sign, text = ("-" if count < 0 else ""), time_text(abs(count), unit)
    return sign + text


def _words(name: str) -> str:
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()


def _no_connection(error: BaseException) -> Verdict:
    """What a failure to connect means: libpq gives the server's words, not its SQLSTATE."""
    for line in str(error).splitlines():
        if _DENIED.search(line):
            return Verdict("denied", line.strip())
        if _ABSENT.search(line):
            return Verdict("fatal", line.strip())
    return Verdict("lost", _first_line(error))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _copied_column(context: str | None) -> str | None:
    """The column COPY names: ``COPY stage, line 3, column qty: ...``; what follows is a value."""
    if not context or ", column " not in context:
        return None
    return context.split(", column ", 1)[1].split(":", 1)[0]
