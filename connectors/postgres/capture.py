"""Which tables are captured, and their events by table version."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from connect.context import Context
from connect.data import Batch, Headers
from connect.errors import ConfigError, FatalError
from connectors.cdc.tables import TableId
from connectors.postgres import catalog, snapshot
from connectors.postgres.catalog import Candidate, Connection, Server
from connectors.postgres.choices import filters, naming, skipped, value_options
from connectors.postgres.config import PostgresConfig
from connectors.postgres.events import (
    OPERATIONS,
    Moment,
    NullFound,
    SnapshotRows,
    TableEvents,
)
from connectors.postgres.pgoutput import Changes, Feed, Relation
from connectors.postgres.snapshot import Chunk
from connectors.postgres.source_block import Origin
from connectors.postgres.table import (
    CatalogColumn,
    CatalogTable,
    Table,
    from_catalog,
    from_relation,
    unsupported,
)
from connectors.postgres.types import TypeInfo, UnsupportedType


class Capture:
    """Knows the captured tables and asks the catalog when the stream announces a new version."""

    def __init__(
        self,
        config: PostgresConfig,
        context: Context,
        connection: Connection,
        server: Server,
        version: str,
    ) -> None:
        self._config = config
        self._context = context
        self._sql = connection
        self._filters = filters(config)
        self._options = value_options(config, server.money_scale)
        self._skipped = skipped(config)
        self._origin = Origin(
            version, config.dbname, naming(config), config.tombstones, _headers(config, context)
        )
        self._versions: dict[int, tuple[Relation, TableEvents | None]] = {}

    # -- from the catalog ----------------------------------------------------------------------

    def discover(self) -> list[Candidate]:
        """The tables to capture now; the publication must cover them."""
        found = [c for c in catalog.candidates(self._sql, self._filters) if c.capturable]
        self._origin.naming.check(candidate.table for candidate in found)
        if not found:
            raise ConfigError(
                "table.include.list",
                "No table is captured: the include and exclude lists match none that exists.",
                code="postgres.tables.none",
            )
        return found

    def read(self, connection: Connection) -> list[CatalogTable]:
        """The captured tables as ``connection`` sees them."""
        found = [c for c in catalog.candidates(connection, self._filters) if c.capturable]
        oids = [candidate.oid for candidate in found]
        return catalog.tables(connection, oids, self._config.publication_name)

    # -- the snapshot --------------------------------------------------------------------------

    def snapshot(
        self,
        readings: Iterator[Chunk | CatalogTable],
        tables: Sequence[CatalogTable],
        lsn: int,
        xid: int,
        timestamp: int,
    ) -> Iterator[tuple[CatalogTable | None, Batch | None, CatalogTable | None]]:
        """Batches of the rows that are read, and each table when it is done."""
        types = self._types(tables)
        events = {
            table.oid: TableEvents(self._table(table, types), self._origin) for table in tables
        }
        begins = True
        for item, ends in _with_end(readings):
            if isinstance(item, CatalogTable):
                yield None, None, item
                continue
            made = events[item.table.oid]
            rows = SnapshotRows(
                snapshot.texts(item.rows, made.table.places),
                snapshot.markers(
                    len(item.rows), first=item.first, last=item.last, begins=begins, ends=ends
                ),
                lsn,
                xid,
                timestamp,
                time.time_ns(),
            )
            begins = False
            yield item.table, made.read(rows), None

    def truncation(self, table: CatalogTable, lsn: int, timestamp: int) -> Batch:
        """The event that empties a table."""
        made = TableEvents(self._table(table, self._types([table])), self._origin)
        return made.truncation(lsn, timestamp, timestamp * 1000)

    def _types(self, tables: Sequence[CatalogTable]) -> dict[int, TypeInfo]:
        columns: list[CatalogColumn] = [c for table in tables for c in table.columns]
        return catalog.types(self._sql, {column.oid for column in columns})

    def _table(self, table: CatalogTable, types: dict[int, TypeInfo]) -> Table:
        try:
            return from_catalog(table, types, self._filters, self._options)
        except UnsupportedType as error:
            raise _refused(error) from None

    # -- the stream ----------------------------------------------------------------------------

    def batches(self, feed: Feed, now: int, only: frozenset[str] | None = None) -> list[Batch]:
        """The events of a feed; ``only``: of these tables."""
        moment = Moment(feed.runs, now)
        batches: list[Batch] = []
        for changes in feed.changes:
            operation = OPERATIONS[changes.kind]
            name = f"{changes.relation.schema}.{changes.relation.name}"
            if not changes.places or operation in self._skipped:
                continue
            if only is not None and name not in only:
                continue
            events = self._events(changes.relation)
            if events is None:
                self._context.metrics.add(
                    "tailrace_source_filtered_events_total", len(changes.places)
                )
                continue
            batches.extend(self._converted(events, changes, moment))
        return batches

    def _converted(self, events: TableEvents, changes: Changes, moment: Moment) -> list[Batch]:
        try:
            return events.changes(changes, moment)
        except NullFound as found:
            # The stream is older than the catalog's NOT NULL: in this version they take NULL.
            events = self._build(changes.relation, frozenset(found.columns))
            self._versions[changes.relation.oid] = (changes.relation, events)
            return self._converted(events, changes, moment)

    def _events(self, relation: Relation) -> TableEvents | None:
        known = self._versions.get(relation.oid)
        if known is not None and known[0] is relation:
            return known[1]
        events = None
        if self._filters.table(TableId(relation.schema, relation.name)):
            events = self._build(relation, frozenset())
        self._versions[relation.oid] = (relation, events)
        return events

    def _build(self, relation: Relation, nullable: frozenset[str]) -> TableEvents:
        tables = catalog.tables(self._sql, [relation.oid], self._config.publication_name)
        types = catalog.types(self._sql, {column.oid for column in relation.columns})
        found = tables[0] if tables else None
        if found is None and relation.identity == "f":
            raise FatalError(
                f"Table {relation.schema}.{relation.name} was dropped before its changes were "
                "read; with REPLICA IDENTITY FULL the stream does not say what its key was.",
                code="postgres.table.gone",
                hint="Name it in table.exclude.list: its last changes are not captured then.",
            )
        try:
            table = from_relation(relation, found, types, self._filters, self._options, nullable)
        except UnsupportedType as error:
            raise _refused(error) from None
        return TableEvents(table, self._origin)


def _refused(error: UnsupportedType) -> FatalError:
    problem = unsupported(error)
    return FatalError(problem.message, code=problem.code, hint=problem.hint)


def _headers(config: PostgresConfig, context: Context) -> Headers:
    if not config.extended_headers:
        return ()
    return (
        ("__debezium.context.connectorLogicalName", config.topic_prefix.encode()),
        ("__debezium.context.taskId", str(context.task).encode()),
        ("__debezium.context.connectorName", b"postgresql"),
        ("__debezium.context.runId", context.run_id.encode()),
    )


def _with_end(
    readings: Iterator[Chunk | CatalogTable],
) -> Iterator[tuple[Chunk | CatalogTable, bool]]:
    """Each reading in order, with whether no rows come after it."""
    held: list[Chunk | CatalogTable] = []
    for reading in readings:
        if isinstance(reading, Chunk):
            yield from ((item, False) for item in held)
            held = []
        held.append(reading)
    yield from ((item, isinstance(item, Chunk)) for item in held)
