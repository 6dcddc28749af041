"""The source's gauges: lag, and what the slot costs the server."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from connect.context import Metrics
from connectors.postgres import catalog
from connectors.postgres.catalog import Connection
from connectors.postgres.pgoutput import Feed

SECONDS: Final = 10.0
_STATES: Final = ("reserved", "extended", "unreserved", "lost")

_SLOT: Final = """
SELECT active::int, pg_wal_lsn_diff(here, restart_lsn)::float8,
  pg_wal_lsn_diff(here, confirmed_flush_lsn)::float8, safe_wal_size::float8, wal_status,
  pg_wal_lsn_diff(here, '0/0')::text,
  pg_size_bytes(nullif(current_setting('max_slot_wal_keep_size'), '-1'))::float8
FROM pg_replication_slots,
  LATERAL (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
           ELSE pg_current_wal_lsn() END) AS now(here)
WHERE slot_name = %s
"""


class Monitor:
    """Reports figures; reads the slot's row every ten seconds."""

    def __init__(self, connection: Connection, slot: str, metrics: Metrics) -> None:
        self._sql = connection
        self._slot = slot
        self._metrics = metrics
        self._next = 0.0
        self._transaction = 0  # where the last one seen commits

    def received(self, frames: Sequence[bytes], feed: Feed) -> None:
        """Changes were read from the stream."""
        self._metrics.add("tailrace_source_bytes_total", sum(map(len, frames)))
        if feed.count == 0 and not feed.runs:
            self._metrics.set("tailrace_source_lag_seconds", 0.0)  # only keepalives: all is read
        elif feed.runs:
            last = feed.runs[-1][1].timestamp / 1e6
            commits = {transaction.commit_lsn for _, transaction in feed.runs}
            new = len(commits - {self._transaction})
            self._metrics.add("tailrace_source_transactions_total", new)
            self._transaction = feed.runs[-1][1].commit_lsn
            self._metrics.set("tailrace_source_lag_seconds", max(0.0, time.time() - last))
            self._metrics.set("tailrace_source_last_event_timestamp_seconds", last)

    def refresh(self, position: int) -> None:
        """Report the slot's figures when it is time; ``position``: the place that was read."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + SECONDS
        rows = catalog.query(self._sql, _SLOT, self._slot)
        for active, retained, unconfirmed, safe, status, head, limit in rows:
            gauges = {
                "tailrace_postgres_slot_active": active,
                "tailrace_postgres_slot_retained_wal_bytes": retained,
                "tailrace_postgres_slot_unconfirmed_wal_bytes": unconfirmed,
                "tailrace_postgres_slot_safe_wal_bytes": safe,
                "tailrace_postgres_slot_wal_limit_bytes": limit,
            }
            for name, value in gauges.items():
                if value is not None:
                    self._metrics.set(name, float(value), slot=self._slot)
            for state in _STATES:
                self._metrics.set(
                    "tailrace_postgres_slot_wal_status",
                    float(state == status),
                    slot=self._slot,
                    status=state,
                )
            lag = max(0, int(head) - position) if position else 0
            self._metrics.set("tailrace_source_lag_bytes", float(lag))


class SnapshotMonitor:
    """Reports how far the snapshot is; ``estimates``: rows of each table, as the planner says."""

    def __init__(self, estimates: Mapping[str, float], total: int, metrics: Metrics) -> None:
        self._metrics = metrics
        self._estimates = {table: max(rows, 0.0) for table, rows in estimates.items()}
        self._read = dict.fromkeys(estimates, 0)
        self._left = len(estimates)
        self._started = time.monotonic()
        for table, rows in self._estimates.items():
            metrics.set("tailrace_snapshot_rows_estimated", rows, table=table)
        metrics.set("tailrace_snapshot_tables", total, status="total")
        self._report(running=True)

    def read(self, table: str, rows: int) -> None:
        """Rows of a table were read."""
        self._read[table] += rows
        self._metrics.add("tailrace_snapshot_rows_total", rows, table=table)
        self._report(running=True)

    def done(self, table: str) -> None:
        """All rows of a table were read."""
        self._estimates[table] = self._read[table]
        self._left -= 1
        self._report(running=True)

    def end(self) -> None:
        """The snapshot is complete."""
        self._left = 0
        self._report(running=False)

    def _report(self, *, running: bool) -> None:
        expected = sum(max(self._estimates[t], read) for t, read in self._read.items())
        share = sum(self._read.values()) / expected if expected and running else float(not running)
        metrics = self._metrics
        metrics.set("tailrace_snapshot_running", float(running))
        metrics.set("tailrace_snapshot_tables", self._left, status="remaining")
        metrics.set("tailrace_snapshot_progress_ratio", share)
        metrics.set("tailrace_snapshot_elapsed_seconds", time.monotonic() - self._started)
