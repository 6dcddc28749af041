"""When a sink is flushed, and in which order things become durable."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from connect.context import NoMetrics
from connect.data import Batch
from connect.errors import LogUnavailable, RecordError
from connect.log import Records, TopicPartition
from connect.runtime import task_metrics
from connect.runtime.chain import Chain, Tolerance
from connect.runtime.pipeline import Converters, SinkPipeline
from connect.runtime.sink_loop import FETCH_SECONDS, FlushPolicy, run_sink
from connect.sink import SinkTask
from tests.kit.fakes import FakeRun

A, B = TopicPartition("a", 0), TopicPartition("b", 0)


def told(positions: Mapping[TopicPartition, int]) -> str:
    """Positions as text: ``a:3 b:8``."""
    return " ".join(f"{name.topic}:{position}" for name, position in positions.items())


class ScriptedReader:
    """Gives what the script says, then nothing; notes what is asked of it."""

    def __init__(self, journal: list[str], *fetches: Sequence[Records]) -> None:
        self.journal = journal
        self.fetches = list(fetches)
        self.epoch = 1
        self.sought: Mapping[TopicPartition, int] = {}
        self.timeouts: list[float] = []
        self.fail: str | None = None

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        self.sought = positions

    def fetch(self, timeout: float) -> Sequence[Records]:
        self.timeouts.append(timeout)
        return self.fetches.pop(0) if self.fetches else []

    def commit(
        self, positions: Mapping[TopicPartition, int], dead_letters: Sequence[Records] = ()
    ) -> None:
        letters = [offset for each in dead_letters for offset in each.timestamps]
        said = f"commit {told(positions)}" if positions else f"letters {letters}"
        if self.fail and said.startswith(self.fail):
            raise LogUnavailable("gone")
        self.journal.append(said)

    def close(self) -> None:
        self.journal.append("reader closed")


class Target(SinkTask):
    """Notes what is asked of it; refuses the offsets in ``refused``."""

    def __init__(self, journal: list[str], *refused: int) -> None:
        self.journal = journal
        self.refused = refused

    def open(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {A: 5}

    def put(self, batch: Batch) -> None:
        bad = {row: "no" for row, p in enumerate(batch.positions) if p in self.refused}
        if bad:
            raise RecordError("refused", bad)
        self.journal.append(f"put {list(batch.positions)}")

    def flush(self, positions: Mapping[TopicPartition, int]) -> None:
        self.journal.append(f"flush {told(positions)}")

    def close(self) -> None:
        self.journal.append("closed")


def records(name: TopicPartition, first: int, end: int) -> Records:
    from tailrace_fakes import numbered

    batch = numbered("t", first, end)
    assert batch.keys is not None
    assert batch.values is not None
    keys = [repr(row).encode() for row in batch.keys.rows()]
    values = [repr(row).encode() for row in batch.values.rows()]
    offsets = list(range(first, end))
    return Records(name, keys, values, offsets, None, offsets)


def pipeline() -> SinkPipeline:
    from tailrace_fakes import ReprConverter

    pair = Converters(ReprConverter(is_key=True), ReprConverter())
    tolerance = Tolerance(True)
    return SinkPipeline(Chain([], tolerance), pair, tolerance, dead_letter_topic="dead")


def run(
    target: Target,
    reader: ScriptedReader,
    until: Callable[[], bool] | None = None,
    **policy: Any,
) -> FakeRun:
    done = FakeRun(until or (lambda: not reader.fetches and reader.timeouts[-1:] == [0]))
    run_sink(target, pipeline(), [A, B], reader, done, FlushPolicy(**policy))
    return done


def test_it_starts_where_the_target_says() -> None:
    journal: list[str] = []
    reader = ScriptedReader(journal)
    done = run(Target(journal), reader, lambda: bool(reader.timeouts))
    assert reader.sought == {A: 5}
    assert done.is_open
    assert journal == ["closed", "reader closed"]


def test_when_no_more_records_wait_it_flushes_at_once() -> None:
    journal: list[str] = []
    reader = ScriptedReader(journal, [records(A, 0, 2), records(B, 7, 8)], [records(A, 2, 3)])
    done = run(Target(journal), reader, lambda: "commit a:3 b:8" in journal)
    assert journal == [
        "put [0, 1]", "put [7]", "put [2]",
        "flush a:3 b:8", "commit a:3 b:8",
        "closed", "reader closed",
    ]  # fmt: skip
    assert reader.timeouts == [FETCH_SECONDS, 0, 0]
    assert done.topics == {"a", "b"}


@pytest.mark.parametrize(
    "policy", [{"rows": 2}, {"payload_bytes": 10}, {"seconds": 0.0}], ids=lambda p: next(iter(p))
)
def test_under_load_it_flushes_when_enough_was_accepted(policy: dict[str, Any]) -> None:
    journal: list[str] = []
    reader = ScriptedReader(journal, *([records(A, n, n + 2)] for n in (0, 2, 4)))
    run(Target(journal), reader, lambda: not reader.fetches, **policy)
    assert [line for line in journal if line.startswith("flush")] == [
        f"flush a:{n}" for n in (2, 4, 6)
    ]


def test_asked_to_stop_it_flushes_what_it_accepted() -> None:
    journal: list[str] = []
    reader = ScriptedReader(journal, [records(A, 0, 2)], [records(A, 2, 4)])
    run(Target(journal), reader, lambda: bool(reader.timeouts))
    assert journal[-4:] == [
        "flush a:2", "commit a:2", "closed", "reader closed",
    ]  # fmt: skip


def test_dead_letters_are_durable_before_the_target_moves_past_them() -> None:
    journal: list[str] = []
    reader = ScriptedReader(journal, [records(A, 0, 4)])
    run(Target(journal, 1, 3), reader)
    assert journal[:4] == [
        "put [0, 2]", "letters [1, 3]", "flush a:4", "commit a:4",
    ]  # fmt: skip


def test_records_that_all_failed_still_move_the_position() -> None:
    journal: list[str] = []
    reader = ScriptedReader(journal, [records(A, 0, 2)])
    run(Target(journal, 0, 1), reader)
    assert journal[:3] == ["letters [0, 1]", "flush a:2", "commit a:2"]


@pytest.mark.parametrize("fail", ["letters", "commit"])
def test_what_the_log_refuses_ends_the_run(fail: str) -> None:
    journal: list[str] = []
    reader = ScriptedReader(journal, [records(A, 0, 2)])
    reader.fail = fail
    with pytest.raises(LogUnavailable):
        run(Target(journal, 1), reader)
    assert ("flush" in " ".join(journal)) is (fail == "commit")
    assert journal[-2:] == ["closed", "reader closed"]


class Gauges(NoMetrics):
    """Notes every lag in the journal."""

    def __init__(self, journal: list[str]) -> None:
        self.journal = journal

    def set(self, name: str, value: float, **labels: str) -> None:
        assert name == "tailrace_sink_lag_seconds"
        self.journal.append(f"lag {value:g}")


def test_lag_is_the_age_of_the_oldest_record_not_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_metrics, "time", SimpleNamespace(time=lambda: 1000.0))
    journal: list[str] = []
    one = records(A, 0, 2)._replace(timestamps=[100_000, 200_000])
    two = records(A, 2, 4)._replace(timestamps=[300_000, 990_000])
    other = records(B, 0, 1)._replace(timestamps=[250_000])
    last = records(A, 4, 5)._replace(timestamps=[999_000])
    reader = ScriptedReader(journal, [one], [two, other], [last])
    done = FakeRun(lambda: len(reader.timeouts) == 5)
    done.metrics = Gauges(journal)
    run_sink(Target(journal), pipeline(), [A, B], reader, done, FlushPolicy(rows=5))
    told = [line for line in journal if line.startswith(("lag", "flush"))]
    assert told == [
        "lag 900",  # from the first record of the first fetch, also while the next is awaited
        "lag 900",
        "flush a:4 b:1",
        "lag 10",  # more may wait: as old as the newest that was delivered
        "lag 1",
        "lag 1",
        "flush a:5",
        "lag 0",
        "lag 0",
    ]


def test_a_sink_that_finds_nothing_has_no_lag() -> None:
    journal: list[str] = []
    reader = ScriptedReader(journal)
    done = FakeRun(lambda: bool(reader.timeouts))
    done.metrics = Gauges(journal)
    run_sink(Target(journal), pipeline(), [A], reader, done)
    assert journal == ["lag 0", "closed", "reader closed"]
