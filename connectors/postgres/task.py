"""The task of the Postgres source: first the snapshot, then the stream.

Both are sequences of polls. The snapshot is a generator of them, because it has a beginning and
an end; the stream has neither.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from connect.context import Context
from connect.data import Batch
from connect.faults import reach
from connect.source import Offset, Poll, SourceTask
from connectors.postgres import catalog, offsets, slots, snapshot
from connectors.postgres.capture import Capture
from connectors.postgres.catalog import Connection, Slot
from connectors.postgres.config import PostgresConfig
from connectors.postgres.monitor import Monitor, SnapshotMonitor
from connectors.postgres.offsets import Identity, SnapshotState, SourceOffset
from connectors.postgres.pgoutput import Decoder, Position, before
from connectors.postgres.replication import ReplicationConnection, ReplicationStream
from connectors.postgres.session import connect
from connectors.postgres.table import CatalogTable
from connectors.version import VERSION

CATCH_UP_SECONDS: Final = 0.1
SLOT_SECONDS: Final = 3.0


class PostgresTask(SourceTask):
    """Reads one database through one slot."""

    def __init__(self, config: PostgresConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self._sql: Connection | None = None
        self._reader: Connection | None = None  # inside the snapshot's transaction
        self._stream: ReplicationStream | None = None
        self._snapshot: Iterator[Poll | None] | None = None
        self._monitor: Monitor | None = None
        self._resting = False
        self._decoder = Decoder(Position(0))
        self._offered = Position(0)  # the position of the last poll
        self._moved_at = 0.0
        self._state: SnapshotState | None = None
        self._identity = Identity()

    # -- opening -------------------------------------------------------------------------------

    def open(self, offset: Offset | None) -> None:
        """Check that the server still has what comes next, then go on with it."""
        config = self._config
        stored = None if offset is None else offsets.decode(offset)
        self._sql = connect(config)
        self._server = catalog.server(self._sql)
        self._capture = Capture(config, self._context, self._sql, self._server, VERSION)
        tables = self._capture.discover()
        slots.ensure_publication(self._sql, config, [table.table for table in tables])
        with ReplicationConnection(config) as link:
            system = link.identify()
        ((database,),) = catalog.query(
            self._sql, "SELECT oid::text FROM pg_database WHERE datname = current_database()"
        )
        self._identity = Identity(system.identifier, database, config.slot_name)
        slot = self._free_slot()
        if stored is not None and not self._rests(stored):
            slots.check_position(stored, slot, system, self._identity)
        if slot is not None:
            slots.check_slot(slot, config)
        self._monitor = Monitor(self._sql, config.slot_name, self._context.metrics)
        if stored is not None and self._rests(stored):
            self._resting = True
        elif stored is not None and not stored.snapshot_running:
            self._state = stored.snapshot
            self._start_stream(stored.position)
        elif config.snapshot_mode in ("no_data", "never"):
            self._start_stream(Position(self._slot_start()))
        else:
            self._open_snapshot(stored)

    def _free_slot(self) -> Slot | None:
        """The slot, if there is one; a process of an earlier life may just be leaving it."""
        assert self._sql is not None
        deadline = time.monotonic() + SLOT_SECONDS
        while True:
            slot = catalog.slot(self._sql, self._config.slot_name)
            if slot is None or slot.pid is None or time.monotonic() > deadline:
                return slot
            threading.Event().wait(0.05)

    def _rests(self, stored: SourceOffset) -> bool:
        done = stored.snapshot is not None and stored.snapshot.completed
        return self._config.snapshot_mode == "initial_only" and done

    def _slot_start(self) -> int:
        """Where the slot begins; makes it if it does not exist."""
        assert self._sql is not None
        slot = catalog.slot(self._sql, self._config.slot_name)
        if slot is not None and slot.confirmed is not None:
            return slot.confirmed
        with ReplicationConnection(self._config) as link:
            name = self._config.slot_name
            return slots.create(self._sql, link, name, temporary=False).consistent_point

    def _start_stream(self, position: Position) -> None:
        self._decoder = Decoder(position)
        self._offered = position
        self._moved_at = time.monotonic()
        self._stream = ReplicationStream(self._config, position.lsn, self._server.sender_timeout_ms)
        self._context.metrics.set("tailrace_source_connected", 1)

    # -- polling -------------------------------------------------------------------------------

    def poll(self, timeout: float) -> Poll | None:
        """The next changes, or the next rows of the snapshot."""
        timeout = min(timeout, self._config.poll_interval_ms / 1000)
        if self._monitor is not None:
            self._monitor.refresh(self._decoder.position.lsn)
        if self._resting:
            threading.Event().wait(timeout)
            return None
        if self._snapshot is None:
            return self._poll_stream(timeout)
        try:
            return next(self._snapshot)
        except StopIteration:
            self._snapshot = None
            if self._config.snapshot_mode == "initial_only":
                self._resting = True
            else:
                self._start_stream(self._decoder.position)
            return None

    def committed(self, offset: Offset) -> None:
        """Let the server forget what is durable now."""
        if self._stream is not None:
            self._stream.confirm(int(offset["lsn"]))
        elif self._config.snapshot_mode == "initial_only" and offset.get("snapshot_completed"):
            assert self._sql is not None
            catalog.query(
                self._sql,
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                "WHERE slot_name = %s AND active_pid IS NULL",
                self._config.slot_name,
            )

    def close(self) -> None:
        """Close all connections; the slot stays."""
        self._end_reader()  # first: what the snapshot's generator still reads ends with it
        self._snapshot = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._sql is not None:
            self._sql.close()
            self._sql = None
        self._context.metrics.set("tailrace_source_connected", 0)

    def _end_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # -- the stream ----------------------------------------------------------------------------

    def _poll_stream(self, timeout: float) -> Poll | None:
        assert self._stream is not None
        frames = self._stream.read(self._config.max_batch_size, timeout)
        batches = self._batches(frames, None)
        position = self._decoder.position
        if not batches:
            # Nothing was captured, but the place moved: once an interval, let the slot follow.
            due = self._moved_at + min(self._config.status_interval_ms / 1000, 10.0)
            if position == self._offered or time.monotonic() < due:
                return None
        return self._offer(batches, position)

    def _batches(self, frames: Sequence[bytes], only: frozenset[str] | None) -> list[Batch]:
        if not frames:
            return []
        feed = self._decoder.feed(frames)
        if self._monitor is not None:
            self._monitor.received(frames, feed)
        return self._capture.batches(feed, time.time_ns(), only)

    def _offer(self, batches: list[Batch], position: Position) -> Poll:
        self._offered = position
        self._moved_at = time.monotonic()
        offset = SourceOffset(position, self._identity, self._state)
        return Poll(batches, offsets.encode(offset))

    # -- the snapshot --------------------------------------------------------------------------

    def _open_snapshot(self, stored: SourceOffset | None) -> None:
        """Take a snapshot at a known place of the log.

        A slot made now exports the snapshot of its first moment. If the slot exists (an earlier
        life was interrupted), a temporary slot does, which is dropped at once.
        """
        assert self._sql is not None
        config = self._config
        with ReplicationConnection(config) as link:
            exists = catalog.slot(self._sql, config.slot_name) is not None
            name = f"{config.slot_name[:40]}_snapshot_{link.pgconn.backend_pid}"
            made = slots.create(
                self._sql, link, name if exists else config.slot_name, temporary=exists
            )
            self._reader = connect(config)
            xid = snapshot.enter(self._reader, made.snapshot)
        self._state = SnapshotState(completed=False)
        if stored is not None and stored.snapshot is not None:
            self._state = stored.snapshot
        self._snapshot = self._snapshot_polls(stored, made.consistent_point, xid)

    def _snapshot_polls(
        self, stored: SourceOffset | None, lsn: int, xid: int
    ) -> Iterator[Poll | None]:
        """All polls of the snapshot, which sees every transaction that commits before ``lsn``.

        Rows of an interrupted snapshot are in the log already. Before the tables are read anew,
        the stream brings these rows to ``lsn``: what was deleted since is deleted, nothing goes
        backwards, and tables that were read to their end need not be read again.
        """
        assert self._reader is not None
        assert self._state is not None
        if stored is not None:
            yield from self._catch_up(stored.position, lsn)
        self._decoder = Decoder(Position(lsn, self._decoder.position.before))
        everything = self._capture.read(self._reader)
        tables = self._unread(everything)
        estimates = {str(table.table): table.rows for table in tables}
        progress = SnapshotMonitor(estimates, len(everything), self._context.metrics)
        started = time.time_ns() // 1000
        readings = snapshot.chunks(self._reader, tables, self._config.snapshot_fetch_size)
        rows = self._capture.snapshot(readings, tables, lsn, xid, started)
        begun = self._state.table
        for table, batch, done in rows:
            if batch is not None and table is not None:
                batches = [batch]
                if str(table.table) == begun and not table.key():
                    # Its rows have no key to be found by: what was written of them must go.
                    yield self._offer([self._capture.truncation(table, lsn, started)], self._place)
                begun = None if str(table.table) == begun else begun
                self._state = replace(self._state, table=str(table.table))
                progress.read(str(table.table), len(batch))
                yield self._offer(batches, self._place)
                reach("during_snapshot_chunk")
            elif done is not None:
                progress.done(str(done.table))
                names = (*self._state.tables, str(done.table))
                self._state = SnapshotState(completed=False, tables=names)
        self._end_reader()
        progress.end()
        reach("after_snapshot")
        self._state = SnapshotState(completed=True)
        yield self._offer([], self._place)

    @property
    def _place(self) -> Position:
        return self._decoder.position

    def _unread(self, tables: Sequence[CatalogTable]) -> list[CatalogTable]:
        """The tables still to be read, the one that was begun first."""
        assert self._state is not None
        done, begun = set(self._state.tables), self._state.table
        left = [table for table in tables if str(table.table) not in done]
        return sorted(left, key=lambda table: str(table.table) != begun)

    def _catch_up(self, position: Position, lsn: int) -> Iterator[Poll | None]:
        """The stream from ``position`` to ``lsn``, of the tables of which rows were written."""
        assert self._state is not None
        begun = frozenset(
            (*self._state.tables, *([self._state.table] if self._state.table else []))
        )
        self._start_stream(position)
        reached = False
        while not reached:
            assert self._stream is not None
            frames = self._stream.read(self._config.max_batch_size, CATCH_UP_SECONDS)
            if not frames:
                self._stream.ask()
            due, reached = before(frames, lsn)
            batches = self._batches(due, begun)
            yield self._offer(batches, self._place) if batches else None
        if self._stream is not None:
            self._stream.close()
            self._stream = None
