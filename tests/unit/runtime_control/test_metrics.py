"""The exposition: sums over runs, one family a name, states, the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from connect.logs.embedded import EmbeddedLog
from connect.runtime.metric_names import METRICS
from connect.runtime.metrics import WorkerMetrics
from connect.runtime.planner import TaskId, TaskSpec
from connect.runtime.statuses import StatusBoard
from connect.runtime.tables import Intent
from log_core import Log

TASK = TaskId("c", 0)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[tuple[WorkerMetrics, StatusBoard]]:
    with Log(tmp_path / "log") as log:
        statuses = StatusBoard(EmbeddedLog(log), "w:1")
        yield WorkerMetrics(log, statuses), statuses


def values(metrics: WorkerMetrics) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the texts of its labels; a family may come once only."""
    found: dict[tuple[str, ...], float] = {}
    text = metrics.exposition().decode()
    heads = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads))
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            found[(sample.name, *labels)] = sample.value
    return found


def test_counters_go_on_over_runs_and_gauges_end_with_theirs(
    board: tuple[WorkerMetrics, StatusBoard],
) -> None:
    metrics, _ = board
    count = ["counter", "tailrace_source_events_total", {"op": "c"}]
    gauge = ["gauge", "tailrace_source_lag_seconds", {}]
    metrics.report(TASK, "run 1", [[*count, 5], [*gauge, 2.5]])
    metrics.report(TASK, "run 1", [[*count, 7], [*gauge, 0.5]])
    key = ("tailrace_source_events_total", "connector=c", "op=c", "task=0")
    lag = ("tailrace_source_lag_seconds", "connector=c", "task=0")
    assert (values(metrics)[key], values(metrics)[lag]) == (7, 0.5)
    metrics.ended(TASK)
    assert values(metrics)[key] == 7
    assert lag not in values(metrics)
    metrics.report(TASK, "run 2", [[*count, 3]])
    assert values(metrics)[key] == 10
    metrics.report(TASK, "run 3", [[*count, 1]])  # the end of run 2 was never seen
    assert values(metrics)[key] == 11
    metrics.forget(TASK)
    assert key not in values(metrics)


def test_histograms_add_up_and_are_cumulative(board: tuple[WorkerMetrics, StatusBoard]) -> None:
    metrics, _ = board
    name = "tailrace_sink_put_duration_seconds"
    for run in ("1", "2"):
        value = {"sum": 1.5, "bounds": [0.1, 1.0], "counts": [1, 2, 3]}
        metrics.report(TASK, run, [["histogram", name, {}, value]])
    found = values(metrics)
    owner = ("connector=c", "task=0")
    assert found[f"{name}_sum", *owner] == 3
    assert found[f"{name}_count", *owner] == 12
    buckets = {k[2]: v for k, v in found.items() if k[0] == f"{name}_bucket"}
    assert buckets == {"le=0.1": 2, "le=1.0": 6, "le=+Inf": 12}


def test_progress_is_data_moved_in_this_run(board: tuple[WorkerMetrics, StatusBoard]) -> None:
    metrics, _ = board
    assert not metrics.progressed(TASK)
    line = ["counter", "tailrace_source_events_total", {"op": "c"}, 5]
    metrics.report(TASK, "1", [line])
    assert metrics.progressed(TASK)
    metrics.report(TASK, "2", [["gauge", "tailrace_source_connected", {}, 1]])
    assert not metrics.progressed(TASK)


def test_worker_and_tasks_share_a_family(board: tuple[WorkerMetrics, StatusBoard]) -> None:
    metrics, _ = board
    name = "tailrace_task_errors_total"
    metrics.report(TASK, "1", [["counter", name, {"stage": "TASK_PUT", "kind": "record"}, 4]])
    metrics.failed(TASK, "fatal")
    metrics.restarted(TASK, "auto")
    found = values(metrics)
    assert found[name, "connector=c", "kind=record", "stage=TASK_PUT", "task=0"] == 4
    assert found[name, "connector=c", "kind=fatal", "stage=", "task=0"] == 1
    assert found["tailrace_task_restarts_total", "connector=c", "reason=auto", "task=0"] == 1


def test_states_the_log_and_requests(board: tuple[WorkerMetrics, StatusBoard]) -> None:
    metrics, statuses = board
    statuses.set_connector(Intent("c", {}, "STARTED", 1), "RUNNING")
    statuses.set_task(TaskSpec(TASK, "source", {}, 1), "FAILED")
    metrics.http("GET", "/connectors", 200, 0.01)
    found = values(metrics)
    assert found["tailrace_connector_state", "connector=c", "state=running"] == 1
    assert found["tailrace_task_state", "connector=c", "state=failed", "task=0"] == 1
    assert found["tailrace_task_state", "connector=c", "state=running", "task=0"] == 0
    assert found["tailrace_log_end_offset", "partition=0", "topic=connect-status"] == 0
    route = ("code=200", "method=GET", "route=/connectors")
    assert found["tailrace_http_requests_total", *route] == 1


def test_names_and_kinds_are_prometheuss() -> None:
    for name, described in METRICS.items():
        assert name.endswith("_total") == (described.kind == "counter"), name
        assert described.doc.endswith(".")
