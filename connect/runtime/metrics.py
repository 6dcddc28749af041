"""The worker's metrics: what tasks report, what the worker knows itself, what the log holds.

A task reports the absolute figures of its run (``task_metrics``); the worker adds up runs, so a
counter goes on where it was when a task is restarted, and gauges end with their run. A report is a
list of ``[kind, name, labels, value]``; the value of a histogram is
``{"sum": s, "bounds": [b1, ...], "counts": [n1, ..., n_above]}``, the counts not cumulative.
"""

from __future__ import annotations

import platform
import shutil
import threading
from collections import Counter as Counts
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from connect.runtime.metric_names import METRICS, PROGRESS
from connect.runtime.offset_table import GROUP_PREFIX
from connect.runtime.planner import TaskId
from connect.runtime.statuses import StatusBoard

if TYPE_CHECKING:
    from log_core import Log

STATES: Final = ("running", "paused", "stopped", "failed", "unassigned", "restarting")


class Sample(NamedTuple):
    """The identity of one figure."""

    kind: str
    name: str
    labels: tuple[tuple[str, str], ...]


class Distribution(NamedTuple):
    """A histogram's figures; one count per bound, and one above the last."""

    sum: float
    bounds: tuple[float, ...]
    counts: tuple[int, ...]

    def plus(self, other: Distribution) -> Distribution:
        """Both together; of other bounds, the newer alone."""
        if self.bounds != other.bounds:
            return other
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return Distribution(self.sum + other.sum, self.bounds, counts)

    def cumulative(self) -> list[tuple[str, float]]:
        """Prometheus's buckets."""
        total, buckets = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets


Value = float | Distribution


class TaskFigures:
    """The figures of one task over all its runs."""

    def __init__(self) -> None:
        self._run = ""
        self._now: dict[Sample, Value] = {}
        self._before: dict[Sample, Value] = {}

    def report(self, run: str, samples: Iterable[tuple[Sample, Value]]) -> None:
        """Take over the newest figures of a run."""
        if run != self._run:
            self.end()
            self._run = run
        self._now.update(samples)

    def end(self) -> None:
        """The run is over: its counters are history, its gauges are nothing."""
        for sample, value in self._now.items():
            if sample.kind != "gauge":
                self._before[sample] = _sum(self._before.get(sample), value)
        self._now = {}

    def progressed(self) -> bool:
        """Whether the present run moved any data."""
        return any(s.name in PROGRESS and bool(v) for s, v in self._now.items())

    def totals(self) -> dict[Sample, Value]:
        """Every figure as of now."""
        now = {s: _sum(self._before.get(s), v) for s, v in self._now.items()}
        return {**self._before, **now}


class WorkerMetrics(Collector):
    """All metrics of a worker; many threads may use it."""

    def __init__(self, log: Log, board: StatusBoard) -> None:
        self._log = log
        self._board = board
        self._lock = threading.Lock()
        self._tasks: dict[TaskId, TaskFigures] = {}
        self._connectors: dict[str, tuple[str, str]] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._ends: Counts[Sample] = Counts()
        self._requests = Counter(
            *_described("tailrace_http_requests_total"), registry=self._registry
        )
        self._durations = Histogram(
            *_described("tailrace_http_request_duration_seconds"), registry=self._registry
        )

    def exposition(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self._registry)

    def report(self, task: TaskId, run: str, lines: Sequence[Sequence[Any]]) -> None:
        """Take over a task's report."""
        with self._lock:
            figures = self._tasks.setdefault(task, TaskFigures())
            figures.report(run, map(_sample, lines))

    def progressed(self, task: TaskId) -> bool:
        """Whether the task's present run has moved data."""
        with self._lock:
            return task in self._tasks and self._tasks[task].progressed()

    def ended(self, task: TaskId) -> None:
        """A run of the task is over."""
        with self._lock:
            if task in self._tasks:
                self._tasks[task].end()

    def forget(self, task: TaskId) -> None:
        """The task is no more."""
        with self._lock:
            self._tasks.pop(task, None)

    def name_connectors(self, connectors: Mapping[str, tuple[str, str]]) -> None:
        """Type and class of every connector."""
        self._connectors = dict(connectors)

    def restarted(self, task: TaskId, reason: str) -> None:
        """Count a restart: auto or manual."""
        self._count("tailrace_task_restarts_total", task, reason=reason)

    def failed(self, task: TaskId, kind: str) -> None:
        """Count a task's end by an error."""
        self._count("tailrace_task_errors_total", task, stage="", kind=kind)

    def http(self, method: str, route: str, code: int, seconds: float) -> None:
        """Count a REST request."""
        self._requests.labels(method, route, str(code)).inc()
        self._durations.labels(method, route).observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """Everything that is looked up when it is asked for; prometheus_client calls it."""
        with self._lock:
            totals = [
                (_owned(sample, task), value)
                for task, figures in self._tasks.items()
                for sample, value in figures.totals().items()
            ]
            totals += [(sample, float(count)) for sample, count in self._ends.items()]
        yield from _families((*totals, *self._own(), *self._of_log()))

    def _count(self, name: str, task: TaskId, **labels: str) -> None:
        with self._lock:
            self._ends[_owned(Sample("counter", name, tuple(labels.items())), task)] += 1

    def _own(self) -> Iterator[tuple[Sample, Value]]:
        build = {"version": version("tailrace"), "python": platform.python_version()}
        yield _gauge("tailrace_build_info", 1, **build)
        for name, (kind, cls) in self._connectors.items():
            yield _gauge("tailrace_connector_info", 1, connector=name, type=kind, **{"class": cls})
        for name, status in self._board.connectors().items():
            for state in STATES:
                on = float(status.state.lower() == state)
                yield _gauge("tailrace_connector_state", on, connector=name, state=state)
        for text, status in self._board.tasks().items():
            name, _, task = text.rpartition("-")
            for state in STATES:
                on = float(status.state.lower() == state)
                yield _gauge("tailrace_task_state", on, connector=name, task=task, state=state)

    def _of_log(self) -> Iterator[tuple[Sample, Value]]:
        ends: dict[tuple[str, int], int] = {}
        for name, topic in self._log.topics().items():
            size = 0
            for partition in range(topic.partitions):
                where = {"topic": name, "partition": str(partition)}
                end = ends[name, partition] = self._log.end_offset(name, partition)
                start = self._log.start_offset(name, partition)
                size += self._log.size(name, partition)
                yield _gauge("tailrace_log_end_offset", end, **where)
                yield _gauge("tailrace_log_start_offset", start, **where)
            yield _gauge("tailrace_log_size_bytes", size, topic=name)
        for group in self._log.groups():
            connector = group.removeprefix(GROUP_PREFIX)
            for (name, partition), offset in self._log.group_offsets(group).items():
                where = {"topic": name, "partition": str(partition)}
                lag = ends.get((name, partition), offset) - offset
                if connector in self._connectors:
                    yield _gauge("tailrace_sink_lag_records", lag, connector=connector, **where)
                else:
                    yield _gauge("tailrace_consumer_group_lag_records", lag, group=group, **where)
        for name, totals in self._log.appended().items():
            yield _counter("tailrace_log_appended_records_total", totals.records, topic=name)
            yield _counter("tailrace_log_appended_bytes_total", totals.bytes, topic=name)
        syncs = self._log.syncs()
        yield (
            Sample("histogram", "tailrace_log_fsync_duration_seconds", ()),
            Distribution(syncs.seconds, syncs.bounds, tuple(syncs.counts)),
        )
        free = shutil.disk_usage(self._log.path).free
        yield _gauge("tailrace_log_disk_free_bytes", free)


def _described(name: str) -> tuple[str, str, list[str]]:
    """Name, documentation and label names of a metric, as prometheus_client takes them."""
    _, labels, doc = METRICS[name]
    return name, doc, labels.split()


def _gauge(name: str, value: float, **labels: str) -> tuple[Sample, Value]:
    return Sample("gauge", name, tuple(labels.items())), float(value)


def _counter(name: str, value: float, **labels: str) -> tuple[Sample, Value]:
    return Sample("counter", name, tuple(labels.items())), float(value)


def _sample(line: Sequence[Any]) -> tuple[Sample, Value]:
    kind, name, labels, value = line
    sample = Sample(kind, name, tuple(sorted(labels.items())))
    if kind != "histogram":
        return sample, float(value)
    bounds, counts = tuple(value["bounds"]), tuple(value["counts"])
    return sample, Distribution(float(value["sum"]), bounds, counts)


def _owned(sample: Sample, task: TaskId) -> Sample:
    """A task's sample, with the labels that say whose it is."""
    owner = {"connector": task.connector, "task": str(task.task)}
    return sample._replace(labels=tuple({**owner, **dict(sample.labels)}.items()))


def _sum(old: Value | None, new: Value) -> Value:
    if old is None:
        return new
    if isinstance(old, Distribution):
        return old.plus(new) if isinstance(new, Distribution) else new
    return new if isinstance(new, Distribution) else old + new


def _families(samples: Iterable[tuple[Sample, Value]]) -> list[Metric]:
    """Samples as prometheus_client's families, one per name whatever the labels."""
    families: dict[str, Metric] = {}
    for (kind, name, pairs), value in samples:
        base = name.removesuffix("_total") if kind == "counter" else name
        family = families.get(name)
        if family is None:
            doc = METRICS[name].doc if name in METRICS else name
            family = families[name] = Metric(base, doc, kind)
        labels = dict(pairs)
        if isinstance(value, Distribution):
            for bound, count in (buckets := value.cumulative()):
                family.add_sample(f"{name}_bucket", {**labels, "le": bound}, count)
            family.add_sample(f"{name}_count", labels, buckets[-1][1])
            family.add_sample(f"{name}_sum", labels, value.sum)
        else:
            family.add_sample(f"{base}_total" if kind == "counter" else name, labels, value)
    return list(families.values())
