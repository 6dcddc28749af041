"""A task's figures."""

from __future__ import annotations

from dataclasses import replace

from connect.data import Struct
from connect.runtime.task_metrics import SECONDS, TaskMetrics, count_poll
from tests.kit.fakes import FAKE_PLUGINS  # noqa: F401  puts the fakes on the path


def test_figures_are_absolute_and_told_once() -> None:
    metrics = TaskMetrics()
    assert metrics.report() == []
    metrics.add("a_total", 2, op="c")
    metrics.add("a_total", op="c")
    metrics.set("g", 1.5)
    assert metrics.report() == [["counter", "a_total", {"op": "c"}, 3], ["gauge", "g", {}, 1.5]]
    assert metrics.report() == []
    metrics.set("g", 1.5)
    assert metrics.report() == []
    metrics.set("g", 2)
    assert metrics.report() == [["counter", "a_total", {"op": "c"}, 3], ["gauge", "g", {}, 2]]


def test_a_histogram_counts_each_value_once_in_its_bucket() -> None:
    metrics = TaskMetrics()
    for value in (0.001, 0.0011, 0.3, 99.0):
        metrics.observe("x_seconds", value)
    [[kind, name, labels, value]] = metrics.report()
    assert (kind, name, labels, value["bounds"]) == ("histogram", "x_seconds", {}, list(SECONDS))
    assert len(value["counts"]) == len(SECONDS) + 1
    counted = {b: n for b, n in zip((*SECONDS, "inf"), value["counts"], strict=True) if n}
    assert counted == {0.001: 1, 0.0025: 1, 0.5: 1, "inf": 1}
    assert round(value["sum"], 4) == 99.3021


def test_events_are_counted_by_operation_and_tombstones_are_none() -> None:
    from tailrace_fakes import numbered

    plain = numbered("t", 0, 3)
    assert isinstance(plain.values, Struct)
    mixed = replace(plain, values=plain.values.with_column("op", ["c", "d", "c"]))
    absent = Struct(plain.values.schema, plain.values.columns, 3, [True, False, True])
    metrics = TaskMetrics()
    batches = [plain, mixed, replace(plain, values=absent), replace(plain, values=None)]
    count_poll(metrics, batches, [], [], 0.0)
    figures = {labels.get("op"): value for _, _, labels, value in metrics.report()}
    assert (figures["c"], figures["d"]) == (7, 1)
