"""What the source reads from Postgres's catalog: server, slot, publication, tables, types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import psycopg

from connectors.cdc.tables import Filters, TableId
from connectors.postgres.pgoutput import parse_lsn
from connectors.postgres.session import classify
from connectors.postgres.table import CatalogColumn, CatalogTable
from connectors.postgres.types import TypeInfo
from connectors.postgres.values import builtin

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]


class Server(NamedTuple):
    """The server: version as in server_version_num; ``money_scale`` is that of its locale."""

    version: int
    money_scale: int
    wal_end: int
    sender_timeout_ms: int


class Slot(NamedTuple):
    """A row of pg_replication_slots; ``status`` is wal_status, ``pid`` the reader's."""

    name: str
    plugin: str | None
    database: str | None
    pid: int | None
    restart: int | None
    confirmed: int | None
    status: str | None


class Publication(NamedTuple):
    """A publication and the operations (of c, u, d, t) it publishes."""

    all_tables: bool
    operations: frozenset[str]
    tables: frozenset[TableId]


def query(connection: Connection, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """All rows of a query; errors as CdcError."""
    statement: Any = sql
    try:
        return connection.execute(statement, parameters or None).fetchall()
    except psycopg.Error as error:
        raise classify(error) from error


def server(connection: Connection) -> Server:
    """Version and settings."""
    ((scale, lsn, timeout),) = query(
        connection,
        "SELECT scale(0::money::numeric), "
        "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() "
        "ELSE pg_current_wal_lsn() END::text, "
        "(SELECT setting::int FROM pg_settings WHERE name = 'wal_sender_timeout')",
    )
    version = connection.info.server_version
    return Server(version, int(scale), parse_lsn(lsn or "0/0"), int(timeout))


def slot(connection: Connection, name: str) -> Slot | None:
    """The slot of that name."""
    rows = query(
        connection,
        "SELECT slot_name, plugin, database, active_pid, restart_lsn::text, "
        "confirmed_flush_lsn::text, wal_status FROM pg_replication_slots WHERE slot_name = %s",
        name,
    )
    for found, plugin, database, pid, restart, confirmed, status in rows:
        return Slot(
            found,
            plugin,
            database,
            pid,
            None if restart is None else parse_lsn(restart),
            None if confirmed is None else parse_lsn(confirmed),
            status,
        )
    return None


def publication(connection: Connection, name: str) -> Publication | None:
    """The publication of that name, with the tables it covers now."""
    rows = query(
        connection,
        "SELECT puballtables, pubinsert, pubupdate, pubdelete, pubtruncate "
        "FROM pg_publication WHERE pubname = %s",
        name,
    )
    if not rows:
        return None
    all_tables, *published = rows[0]
    operations = frozenset(o for o, on in zip("cudt", published, strict=True) if on)
    tables = query(
        connection,
        "SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = %s",
        name,
    )
    return Publication(all_tables, operations, frozenset(TableId(*row) for row in tables))


_CAPTURABLE = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text, c.relpersistence::text,
       c.relispartition, c.relrowsecurity
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND n.nspname NOT LIKE 'pg\\_%temp\\_%' AND c.relname <> 'spatial_ref_sys'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e'
                  AND d.classid = 'pg_class'::regclass)
ORDER BY n.nspname, c.relname
"""


class Candidate(NamedTuple):
    """A relation that the lists may name; ``kind`` and ``persistence`` as in pg_class."""

    oid: int
    table: TableId
    kind: str
    persistence: str
    partition: bool
    row_security: bool

    @property
    def capturable(self) -> bool:
        """Whether its changes are in the write-ahead log under its own name."""
        return self.kind == "r" and self.persistence == "p"


def candidates(connection: Connection, filters: Filters) -> list[Candidate]:
    """The relations the lists name, those that can't be captured included."""
    return [
        Candidate(oid, TableId(schema, name), kind, persistence, partition, security)
        for oid, schema, name, kind, persistence, partition, security in query(
            connection, _CAPTURABLE
        )
        if filters.table(TableId(schema, name))
    ]


_TABLES = """
SELECT c.oid, n.nspname, c.relname, c.relreplident::text, c.reltuples::float8,
  (SELECT array_agg(a.attname::text ORDER BY k.place)
   FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(attnum, place), pg_attribute a
   WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum
     AND k.place <= i.indnkeyatts),
  (SELECT array_agg(a.attname::text ORDER BY k.place)
   FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(attnum, place), pg_attribute a
   WHERE i.indrelid = c.oid AND i.indisreplident AND a.attrelid = c.oid AND a.attnum = k.attnum
     AND k.place <= i.indnkeyatts)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY(%s) ORDER BY n.nspname, c.relname
"""
_COLUMNS = """
SELECT a.attrelid, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated::text,
  CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""
_PUBLISHED = """
SELECT schemaname, tablename, attnames::text[], rowfilter
FROM pg_publication_tables WHERE pubname = %s
"""


def tables(connection: Connection, oids: Sequence[int], publication: str) -> list[CatalogTable]:
    """Tables as they are now, with the columns and rows the publication sends of them."""
    may_generate = connection.info.server_version >= 180000  # before, the list names them in vain
    published: dict[TableId, tuple[frozenset[str], str | None]] = {}
    if connection.info.server_version >= 150000:
        for schema, name, columns, row_filter in query(connection, _PUBLISHED, publication):
            published[TableId(schema, name)] = (frozenset(columns), row_filter)
    columns_of: dict[int, list[tuple[CatalogColumn, str]]] = {}
    for oid, name, *rest in query(connection, _COLUMNS, list(oids)):
        type_oid, typmod, required, generated, default = rest
        column = CatalogColumn(name, type_oid, typmod, required, default)
        columns_of.setdefault(oid, []).append((column, generated))
    result = []
    for oid, schema, name, identity, rows, primary, index in query(connection, _TABLES, list(oids)):
        table = TableId(schema, name)
        names, row_filter = published.get(table, (None, None))
        columns = tuple(
            column
            for column, generated in columns_of.get(oid, [])
            if (names is None or column.name in names)
            and (not generated or (names is not None and may_generate))
        )
        keys = (tuple(primary or ()), tuple(index or ()))
        result.append(CatalogTable(oid, table, identity, columns, *keys, row_filter, rows))
    return result


_TYPES = """
SELECT t.oid, t.typname, t.typtype::text, t.typbasetype, t.typtypmod,
  CASE WHEN t.typcategory = 'A' AND t.typlen = -1 THEN t.typelem ELSE 0 END,
  ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)
FROM pg_type t WHERE t.oid = ANY(%s)
"""


def types(connection: Connection, oids: Iterable[int]) -> dict[int, TypeInfo]:
    """What pg_type says of these oids, and of those they are made of."""
    found: dict[int, TypeInfo] = {}
    wanted = {oid for oid in oids if not builtin(oid)}
    while wanted:
        rows = query(connection, _TYPES, list(wanted))
        fresh = [
            TypeInfo(oid, name, kind, base, typmod, element, tuple(labels))
            for oid, name, kind, base, typmod, element, labels in rows
        ]
        found.update((info.oid, info) for info in fresh)
        parts = {oid for info in fresh for oid in (info.base, info.element) if oid}
        wanted = {oid for oid in parts if not builtin(oid)} - set(found)
    return found
