"""The metrics there are: kind, labels and meaning. The reference is generated from this table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Described(NamedTuple):
    """A metric as documented; ``labels`` as a text of names."""

    kind: str
    labels: str
    doc: str


_GAUGE, _COUNTER, _HISTOGRAM = "gauge", "counter", "histogram"
_TASK, _SLOT = "connector task", "connector task slot"

METRICS: Final[Mapping[str, Described]] = {
    f"tailrace_{name}": Described(kind, labels, doc)
    for name, kind, labels, doc in (
        ("build_info", _GAUGE, "version python", "Always 1."),
        ("connector_info", _GAUGE, "connector type class", "Always 1; joins by connector."),
        ("connector_state", _GAUGE, "connector state", "1 for the state the connector is in."),
        ("task_state", _GAUGE, "connector task state", "1 for the state the task is in."),
        (
            "task_restarts_total", _COUNTER, "connector task reason",
            "Restarts; reason is auto (after a failure) or manual.",
        ),
        (
            "task_errors_total", _COUNTER, "connector task stage kind",
            "Failures and rejected records; stage in Kafka Connect's names where it is known.",
        ),
        ("source_connected", _GAUGE, _TASK, "1 while the replication stream is open."),
        (
            "source_events_total", _COUNTER, "connector task op",
            "Events committed to the log; op is c, u, d, r, t or m.",
        ),
        ("source_records_total", _COUNTER, _TASK, "Records committed to the log."),
        ("source_bytes_total", _COUNTER, _TASK, "Bytes read from the database's log."),
        ("source_transactions_total", _COUNTER, _TASK, "Transactions read."),
        (
            "source_filtered_events_total", _COUNTER, _TASK,
            "Events dropped by include and exclude lists.",
        ),
        (
            "source_lag_seconds", _GAUGE, _TASK,
            "Now minus the commit time of the last event read; 0 when idle.",
        ),
        ("source_lag_bytes", _GAUGE, _TASK, "Head of the database's log minus the position read."),
        (
            "source_last_event_timestamp_seconds", _GAUGE, _TASK,
            "Commit time of the last event read, in seconds since 1970.",
        ),
        ("source_append_duration_seconds", _HISTOGRAM, _TASK, "One append to the log."),
        ("postgres_slot_active", _GAUGE, _SLOT, "1 while somebody streams from the slot."),
        (
            "postgres_slot_retained_wal_bytes", _GAUGE, _SLOT,
            "Write-ahead log the slot keeps on the database's disk.",
        ),
        (
            "postgres_slot_unconfirmed_wal_bytes", _GAUGE, _SLOT,
            "Write-ahead log not confirmed yet.",
        ),
        (
            "postgres_slot_wal_limit_bytes", _GAUGE, _SLOT,
            "max_slot_wal_keep_size; absent when there is no limit.",
        ),
        ("postgres_slot_safe_wal_bytes", _GAUGE, _SLOT, "Bytes left before the slot is lost."),
        (
            "postgres_slot_wal_status", _GAUGE, "connector task slot status",
            "1 for the status: reserved, extended, unreserved or lost.",
        ),
        ("snapshot_running", _GAUGE, _TASK, "1 while a snapshot runs."),
        (
            "snapshot_tables", _GAUGE, "connector task status",
            "Tables of the snapshot; status is total, remaining or failed.",
        ),
        ("snapshot_rows_total", _COUNTER, "connector task table", "Rows read by the snapshot."),
        (
            "snapshot_rows_estimated", _GAUGE, "connector task table",
            "Rows the table has by the database's statistics.",
        ),
        ("snapshot_progress_ratio", _GAUGE, _TASK, "0 to 1 over all tables."),
        ("snapshot_elapsed_seconds", _GAUGE, _TASK, "Duration of the present or last snapshot."),
        ("log_appended_records_total", _COUNTER, "topic", "Records appended since the start."),
        ("log_appended_bytes_total", _COUNTER, "topic", "Bytes appended since the start."),
        ("log_end_offset", _GAUGE, "topic partition", "The committed end."),
        ("log_start_offset", _GAUGE, "topic partition", "The oldest offset kept."),
        ("log_size_bytes", _GAUGE, "topic", "Size on disk."),
        ("log_fsync_duration_seconds", _HISTOGRAM, "", "One sync of the log's files."),
        ("log_disk_free_bytes", _GAUGE, "", "Space left where the log is."),
        (
            "sink_records_total", _COUNTER, "connector task result",
            "Records durable in the target (written), or skipped or dead_lettered.",
        ),
        ("sink_lag_records", _GAUGE, "connector topic partition", "Records not delivered yet."),
        (
            "sink_lag_seconds", _GAUGE, _TASK,
            "Now minus the timestamp of the oldest record not delivered yet; 0 when none waits.",
        ),
        ("sink_put_duration_seconds", _HISTOGRAM, _TASK, "One put of a batch."),
        ("sink_flush_duration_seconds", _HISTOGRAM, _TASK, "One flush to the target."),
        ("sink_batch_records", _HISTOGRAM, _TASK, "Records of one put."),
        (
            "consumer_group_lag_records", _GAUGE, "group topic partition",
            "Records a group other than a sink's has not read yet.",
        ),
        ("http_requests_total", _COUNTER, "method route code", "REST requests answered."),
        ("http_request_duration_seconds", _HISTOGRAM, "method route", "Time to answer one."),
    )
}  # fmt: skip

PROGRESS: Final = frozenset(
    ("tailrace_source_events_total", "tailrace_source_records_total", "tailrace_sink_records_total")
)
"""Counters that say a run has moved data for good: the next failure is a first one."""
