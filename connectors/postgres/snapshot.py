"""The initial snapshot: the tables as they were at one place of the write-ahead log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import pq, sql

from connect.errors import FatalError, RetriableError
from connectors.postgres import catalog
from connectors.postgres.catalog import Connection
from connectors.postgres.session import classify, failure, readable
from connectors.postgres.table import CatalogTable
from connectors.postgres.tuples import Texts

_ESCAPES: Final = {
    b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b"\\": b"\\",
}  # fmt: skip
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of one table, one list of cells per row, escaped; ``first``, ``last``: of the table."""

    table: CatalogTable
    rows: Sequence[Sequence[bytes]]
    first: bool
    last: bool


def enter(connection: Connection, snapshot: str) -> int:
    """Begin the transaction that sees exactly the exported snapshot. Returns the oldest xid that
    may be missing in it."""
    try:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
        connection.execute("SET LOCAL row_security = off")  # never a part of the rows in silence
        connection.execute("SET LOCAL statement_timeout = 0")
    except psycopg.Error as error:
        raise classify(error) from error
    ((xid,),) = catalog.query(
        connection, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    )
    return int(xid) & 0xFFFFFFFF


def chunks(
    connection: Connection, tables: Sequence[CatalogTable], size: int
) -> Iterator[Chunk | CatalogTable]:
    """The rows of the tables, in order, at most ``size`` at a time; the table itself follows when
    all of its rows were given."""
    for table in tables:
        pending: list[Sequence[bytes]] = []
        first = True
        for row in _rows(connection, table):
            if len(pending) >= size:  # one row is held back: the last one is marked
                yield Chunk(table, pending, first, last=False)
                pending, first = [], False
            pending.append(row)
        if pending:
            yield Chunk(table, pending, first, last=True)
        yield table


def _rows(connection: Connection, table: CatalogTable) -> Iterator[Sequence[bytes]]:
    """The rows of one table; its lock is held no longer than that."""
    try:
        connection.execute("SAVEPOINT one_table")
        _lock(connection, table)
        yield from _copy(connection, table)
        connection.execute("ROLLBACK TO SAVEPOINT one_table")
    except psycopg.errors.InsufficientPrivilege as error:
        raise FatalError(
            f"Table {table.table} can't be read in full: {error.diag.message_primary}",
            code="postgres.privilege.select",
            hint=f"GRANT SELECT ON {table.table} TO the role; with row-level security also "
            "ALTER ROLE ... BYPASSRLS.",
        ) from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise _altered(table) from error
    except psycopg.Error as error:
        raise classify(error) from error


def _lock(connection: Connection, table: CatalogTable) -> None:
    """Keep the table as it is. Rows of a table that was rewritten (ALTER, TRUNCATE) after the
    snapshot was taken are not in the snapshot any more: the file it is kept in tells."""
    connection.execute(
        sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(sql.Identifier(*table.table))
    )
    rows = connection.execute(
        "SELECT relfilenode = pg_relation_filenode(oid) FROM pg_class WHERE oid = %s", [table.oid]
    ).fetchall()
    if rows != [(True,)]:
        raise _altered(table)


def _altered(table: CatalogTable) -> RetriableError:
    return RetriableError(
        f"Table {table.table} was altered or truncated while the snapshot ran; it is taken anew.",
        code="postgres.snapshot.table_altered",
    )


def _copy(connection: Connection, table: CatalogTable) -> Iterator[list[bytes]]:
    """Rows in COPY's text form, as cells still escaped."""
    condition: Any = f" WHERE {table.row_filter}" if table.row_filter else ""
    statement = sql.SQL("COPY (SELECT {} FROM ONLY {}{}) TO STDOUT").format(
        sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns),
        sql.Identifier(*table.table),
        sql.SQL(condition),
    )
    pgconn = connection.pgconn
    result = pgconn.exec_(statement.as_bytes(connection))
    if result.status != pq.ExecStatus.COPY_OUT:
        raise failure(result)
    receive = pgconn.get_copy_data
    while (answer := receive(1))[0] >= 0:
        if answer[0] == 0:
            readable(pgconn.socket, 3600)
            pgconn.consume_input()
        else:
            yield bytes(answer[1])[:-1].split(b"\t")  # the line's end is no cell's
    while (ended := pgconn.get_result()) is not None:
        if ended.status == pq.ExecStatus.FATAL_ERROR:
            raise failure(ended)


def _unescaped(cell: bytes) -> bytes | None:
    if cell == b"\\N":
        return None
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), cell)


def texts(rows: Sequence[Sequence[bytes]], places: Sequence[int]) -> Texts:
    """The wanted columns of rows in COPY's text form."""
    columns = list(zip(*rows, strict=True))
    wanted: list[list[bytes | None]] = []
    odd = set()
    for index, place in enumerate(places):
        column = columns[place]
        if b"\\" not in b"".join(column):
            wanted.append(list(column))
            continue
        plain = [_unescaped(cell) if b"\\" in cell else cell for cell in column]
        wanted.append(plain)
        if None in plain:
            odd.add(index)
    return Texts(wanted, frozenset(odd))


def markers(count: int, *, first: bool, last: bool, begins: bool, ends: bool) -> list[str]:
    """``source.snapshot`` of the rows of a chunk.

    Args:
        first, last: the chunk begins or ends its table.
        begins, ends: it begins or ends the whole snapshot.
    """
    marks = ["true"] * count
    if last:
        marks[-1] = "last_in_data_collection"
    if first:
        marks[0] = "first_in_data_collection"
    if begins:
        marks[0] = "first"
    if ends:
        marks[-1] = "last"
    return marks
