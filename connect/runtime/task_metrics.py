"""What a task counts: absolute figures since its start, reported to the worker.

A report is a list of ``[kind, name, labels, value]``; a histogram's value is
``{"sum": s, "bounds": [b1, ...], "counts": [n1, ..., n_above]}``, its counts not cumulative.
The worker adds the labels connector and task.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from connect.context import Metrics
from connect.data import Batch, Constant, Struct
from connect.log import Records
from connect.runtime.chain import Rejected

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS: Final = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)

Line: TypeAlias = list[Any]
_Key: TypeAlias = tuple[str, str, tuple[tuple[str, str], ...]]


class TaskMetrics:
    """Satisfies ``connect.context.Metrics``; any thread may use it."""

    def __init__(self) -> None:
        self._figures: dict[_Key, float] = {}
        self._histograms: dict[_Key, tuple[Sequence[float], list[float]]] = {}
        self._changed = False
        self._lock = threading.Lock()

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        key = _key("gauge", name, labels)
        with self._lock:
            if self._figures.get(key) != value:  # an idle task repeats its zeros: nothing to tell
                self._figures[key] = value
                self._changed = True

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Raise a counter."""
        key = _key("counter", name, labels)
        with self._lock:
            self._figures[key] = self._figures.get(key, 0) + amount
            self._changed = True

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Put a value in a histogram."""
        key = _key("histogram", name, labels)
        with self._lock:
            bounds, counts = self._histograms.get(key, ((), []))
            if not counts:
                bounds = ROWS if name.endswith("_records") else SECONDS
                counts = [0.0] * (len(bounds) + 2)  # one above the last bound, then the sum
                self._histograms[key] = bounds, counts
            counts[bisect_left(bounds, value)] += 1
            counts[-1] += value
            self._changed = True

    def report(self) -> list[Line]:
        """Every figure; nothing when none changed since the last report."""
        with self._lock:
            if not self._changed:
                return []
            self._changed = False
            lines: list[Line] = [
                [kind, name, dict(labels), value]
                for (kind, name, labels), value in self._figures.items()
            ]
            for (kind, name, labels), (bounds, counts) in self._histograms.items():
                value = {"sum": counts[-1], "bounds": list(bounds), "counts": counts[:-1]}
                lines.append([kind, name, dict(labels), value])
            return lines


def count_poll(
    metrics: Metrics,
    batches: Sequence[Batch],
    records: Sequence[Records],
    rejected: Sequence[Rejected],
    seconds: float,
) -> None:
    """What one committed poll means to a source's figures."""
    for op, events in _operations(batches).items():
        metrics.add("tailrace_source_events_total", events, op=op)
    rows = sum(len(each.values) for each in records)
    if rows:
        metrics.add("tailrace_source_records_total", rows)
    metrics.observe("tailrace_source_append_duration_seconds", seconds)
    count_rejected(metrics, rejected)


def count_flush(metrics: Metrics, written: int, seconds: float) -> None:
    """What one flush means to a sink's figures."""
    metrics.observe("tailrace_sink_flush_duration_seconds", seconds)
    if written:
        metrics.add("tailrace_sink_records_total", written, result="written")


def count_lag(metrics: Metrics, waiting: Iterable[int]) -> None:
    """How far a sink is behind, given timestamps (ms) among which is that of the oldest record
    that is not delivered; without any it has caught up."""
    oldest = min(waiting, default=None)
    lag = 0.0 if oldest is None else max(0.0, time.time() - oldest / 1000)
    metrics.set("tailrace_sink_lag_seconds", lag)


def count_rejected(metrics: Metrics, rejected: Iterable[Rejected]) -> None:
    """Count records that were left out, by the stage at which they failed."""
    for stage, count in Counter(each.stage for each in rejected).items():
        metrics.add("tailrace_task_errors_total", count, stage=stage, kind="record")


def _operations(batches: Sequence[Batch]) -> Counter[str]:
    """Change events by operation; batches that are no envelopes (tombstones) count nothing."""
    counted: Counter[str] = Counter()
    for batch in batches:
        values = batch.values
        if not isinstance(values, Struct) or "op" not in values:
            continue
        operations = values["op"]
        if isinstance(operations, Constant) and values.present is None:
            counted[operations.value] += len(batch)
        elif not isinstance(operations, Struct):
            present = values.present or Constant(True, len(batch))
            counted.update(op for op, here in zip(operations, present, strict=True) if here)
    return counted


def _key(kind: str, name: str, labels: dict[str, str]) -> _Key:
    return kind, name, tuple(sorted(labels.items()))
