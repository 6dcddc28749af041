"""The five laws, by name."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import connect
from connect.data import Batch, Plain, Schema, Struct
from connect.errors import LogUnavailable, RetriableError
from connect.log import Records, TopicPartition
from connect.logs.embedded import EmbeddedLog
from connect.runtime.chain import Chain, Step, Tolerance
from connect.runtime.offset_table import SourceOffsets
from connect.runtime.pipeline import Converters, SinkPipeline, SourcePipeline
from connect.runtime.sink_loop import run_sink
from connect.runtime.source_loop import run_source
from connect.sink import SinkTask
from connect.source import Offset, Poll, SourceTask
from log_core import Log
from tests.kit.fakes import FakeRun

ROOT = Path(connect.__file__).parent.parent
TOPIC = TopicPartition("numbers", 0)


def converters() -> Converters:
    from tailrace_fakes import ReprConverter

    return Converters(ReprConverter(is_key=True), ReprConverter())


def source_pipeline() -> SourcePipeline:
    return SourcePipeline(Chain([], Tolerance()), converters(), Tolerance(), partitions={})


def sink_pipeline() -> SinkPipeline:
    tolerance = Tolerance()
    return SinkPipeline(Chain([], tolerance), converters(), tolerance, dead_letter_topic="dead")


class Numbers(SourceTask):
    """Rows 0 to 9 in polls of three; ``journal`` tells what was called."""

    def __init__(self, journal: list[str], rows: int = 10) -> None:
        self.journal = journal
        self.rows = rows
        self.next = 0

    def open(self, offset: Offset | None) -> None:
        self.next = 0 if offset is None else offset["next"]
        self.journal.append(f"open {self.next}")

    def poll(self, timeout: float) -> Poll | None:
        from tailrace_fakes import numbered

        first, self.next = self.next, min(self.next + 3, self.rows)
        if first == self.next:
            return None
        return Poll([numbered("numbers", first, self.next)], {"next": self.next})

    def committed(self, offset: Offset) -> None:
        self.journal.append(f"committed {offset['next']}")

    def close(self) -> None:
        self.journal.append("close")


class JournalWriter:
    """A writer that notes its appends; ``fail_at`` is the append that fails, ``commits`` whether
    the rows are durable all the same."""

    def __init__(
        self, journal: list[str], inner: Any = None, fail_at: int = -1, commits: bool = False
    ) -> None:
        self.journal = journal
        self.inner = inner
        self.fail_at = fail_at
        self.commits = commits
        self.epoch = 0

    def append(self, records: Sequence[Records]) -> None:
        self.fail_at -= 1
        fails = self.fail_at == -1
        if self.inner is not None and (self.commits or not fails):
            self.inner.append(records)
        if fails:
            raise LogUnavailable("the log is gone")
        self.journal.append(f"append {records[-1].partition.topic}")

    def close(self) -> None:
        self.journal.append("writer closed")


class Rows(SinkTask):
    """Keeps rows; with ``exactly_once`` the flushed ones with their positions."""

    def __init__(self, journal: list[str], exactly_once: bool = True) -> None:
        self.journal = journal
        self.exactly_once = exactly_once
        self.pending: list[int] = []
        self.durable: list[int] = []
        self.positions: dict[TopicPartition, int] = {}
        self.fail_put = -1

    def open(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.pending = []
        return dict(self.positions) if self.exactly_once else {}

    def put(self, batch: Batch) -> None:
        assert isinstance(batch.keys, Struct)
        self.fail_put -= 1
        if self.fail_put == -1:
            raise RetriableError("the target is gone")
        self.pending += batch.keys["id"]  # type: ignore[arg-type]
        self.journal.append(f"put {len(batch)}")

    def flush(self, positions: Mapping[TopicPartition, int]) -> None:
        self.durable += self.pending
        self.pending = []
        self.positions.update(positions)
        self.journal.append("flush")

    def close(self) -> None:
        self.journal.append("close")


@pytest.fixture
def core(tmp_path: Path) -> Any:
    log = Log(tmp_path / "log")
    yield log
    log.close()


@pytest.fixture
def log(core: Log) -> EmbeddedLog:
    return EmbeddedLog(core)


def end_of(log: EmbeddedLog) -> int:
    return log.ends([TOPIC]).get(TOPIC, 0)


def keys_of(log: EmbeddedLog) -> list[int]:
    found: list[int] = []
    while batches := log.read(TOPIC, len(found)):
        found += [ast.literal_eval(key.decode())[0] for b in batches for key in b.keys if key]
    return found


def run_once(log: EmbeddedLog, task: SourceTask, writer: Any = None, rows: int = 10) -> None:
    own = log.writer("c-0")
    if writer is not None:
        writer.inner = own
    offsets = SourceOffsets(log, "c", {"server": "s"})
    run = FakeRun(lambda: end_of(log) >= rows)
    run_source(task, source_pipeline(), offsets, log, writer or own, run)


# -- 1: commit, then confirm -------------------------------------------------------------------


def test_database_may_forget_only_after_the_commit(log: EmbeddedLog) -> None:
    journal: list[str] = []
    run_once(log, Numbers(journal), JournalWriter(journal))
    assert journal == [
        "open 0",
        *("append connect-offsets", "committed 3", "append connect-offsets", "committed 6"),
        *("append connect-offsets", "committed 9", "append connect-offsets", "committed 10"),
        "close",
        "writer closed",
    ]


@pytest.mark.parametrize("commits", [False, True])
def test_an_append_that_did_not_return_is_never_confirmed(log: EmbeddedLog, commits: bool) -> None:
    journal: list[str] = []
    with pytest.raises(LogUnavailable):
        run_once(log, Numbers(journal), JournalWriter(journal, fail_at=1, commits=commits))
    assert journal[-3:] == ["committed 3", "close", "writer closed"]


def test_a_groups_position_moves_only_after_the_flush(log: EmbeddedLog) -> None:
    run_once(log, Numbers([]))
    journal: list[str] = []
    reader = log.reader("g", [TOPIC])
    commit = reader.commit

    def noted(positions: Mapping[TopicPartition, int], letters: Sequence[Records] = ()) -> None:
        commit(positions, letters)
        journal.append(f"commit {positions[TOPIC]}")

    reader.commit = noted  # type: ignore[method-assign]
    task = Rows(journal)
    run_sink(task, sink_pipeline(), [TOPIC], reader, FakeRun(lambda: "commit 10" in journal))
    assert journal == ["put 10", "flush", "commit 10", "close"]


def test_a_failed_put_is_neither_flushed_nor_committed_on_close(log: EmbeddedLog) -> None:
    run_once(log, Numbers([], 5), rows=5)
    run_once(log, Numbers([], 10))
    journal: list[str] = []
    task = Rows(journal)
    task.fail_put = 0
    with pytest.raises(RetriableError):
        run_sink(task, sink_pipeline(), [TOPIC], log.reader("g", [TOPIC]), FakeRun(lambda: False))
    assert journal == ["close"]
    assert [next(iter(r.offsets or ())) for r in log.reader("g", [TOPIC]).fetch(0)] == [0]


# -- 2: one way --------------------------------------------------------------------------------


def test_plugins_are_given_values_and_never_a_callback() -> None:
    from connect.converter import Converter
    from connect.transform import Predicate, Transform

    for cls in (SourceTask, SinkTask, Converter, Transform, Predicate):
        for name, method in inspect.getmembers(cls, inspect.isfunction):
            for parameter in inspect.signature(method).parameters.values():
                assert "Callable" not in str(parameter.annotation), f"{cls.__name__}.{name}"


def test_nothing_between_the_layers_queues_data() -> None:
    for name in ("source_loop", "sink_loop", "pipeline", "chain", "merging", "building"):
        assert not imported(ROOT / f"connect/runtime/{name}.py") & {
            "queue", "collections.deque", "asyncio", "threading", "multiprocessing",
        }  # fmt: skip


# -- 3: batches of one topic and one schema ------------------------------------------------------


class CountingTransform:
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def apply(self, batch: Batch) -> list[Batch]:
        self.calls += 1
        return [batch]


def test_a_decision_is_taken_once_a_batch_not_once_a_row() -> None:
    from tailrace_fakes import numbered

    transform = CountingTransform()
    chain = Chain([Step(transform)], Tolerance())  # type: ignore[arg-type]
    pipeline = SourcePipeline(chain, converters(), Tolerance(), partitions={})
    pipeline.encode([numbered("a", 0, 1000), numbered("b", 0, 1000)])
    assert transform.calls == 2


def test_records_of_several_schemas_become_batches_of_one_each() -> None:
    class TwoSchemas:
        def decode(self, topic: str, payloads: Sequence[bytes | None]) -> list[Any]:
            half = len(payloads) // 2
            parts = payloads[:half], payloads[half:]
            kinds = (Schema("string"), Schema("bytes"))
            return [Plain(kind, list(part)) for kind, part in zip(kinds, parts, strict=True)]

    pair = Converters(TwoSchemas(), TwoSchemas())  # type: ignore[arg-type]
    pipeline = SinkPipeline(Chain([], Tolerance()), pair, Tolerance())
    records = Records(TOPIC, [b"k"] * 6, [b"v"] * 6, [0] * 6, None, list(range(100, 106)))
    batches = pipeline.decode(records).batches
    assert [(b.values.schema.type, list(b.positions)) for b in batches] == [  # type: ignore[union-attr]
        ("string", [100, 101, 102]),
        ("bytes", [103, 104, 105]),
    ]


# -- 4: crash is the normal exit -----------------------------------------------------------------


@pytest.mark.parametrize("commits", [False, True])
@pytest.mark.parametrize("fail_at", range(4))
def test_a_source_that_fails_goes_on_from_the_last_commit_by_the_same_path(
    log: EmbeddedLog, fail_at: int, commits: bool
) -> None:
    journal: list[str] = []
    with pytest.raises(LogUnavailable):
        run_once(log, Numbers(journal), JournalWriter(journal, fail_at=fail_at, commits=commits))
    run_once(log, Numbers(journal))
    committed = min(3 * (fail_at + commits), 10)
    assert [line for line in journal if line.startswith("open")] == ["open 0", f"open {committed}"]
    assert keys_of(log) == list(range(10))


@pytest.mark.parametrize("exactly_once", [True, False])
def test_a_sink_that_fails_goes_on_from_the_last_position_by_the_same_path(
    log: EmbeddedLog, exactly_once: bool
) -> None:
    run_once(log, Numbers([]))
    task = Rows([], exactly_once)
    reader = log.reader("g", [TOPIC])

    def lost(*_: Any) -> None:
        raise LogUnavailable("killed between flush and commit")

    reader.commit = lost  # type: ignore[method-assign]
    with pytest.raises(LogUnavailable):
        run_sink(task, sink_pipeline(), [TOPIC], reader, FakeRun(lambda: False))
    assert task.durable == list(range(10))
    run_once(log, Numbers([], 13), rows=13)
    done = FakeRun(lambda: task.positions.get(TOPIC) == 13)
    run_sink(task, sink_pipeline(), [TOPIC], log.reader("g", [TOPIC]), done)
    assert task.durable == [*([] if exactly_once else range(10)), *range(13)]


def test_a_source_fences_its_predecessor_before_it_reads_where_to_go_on(log: EmbeddedLog) -> None:
    older = log.writer("c-0")
    run_once(log, Numbers([]))
    from connect.errors import FencedError

    offsets = SourceOffsets(log, "c", {"server": "s"})
    with pytest.raises(FencedError):
        older.append([offsets.record({"next": 0})])
    assert offsets.load() == {"next": 10}


# -- 5: only the edges do I/O ------------------------------------------------------------------


PURE = (
    "connect/data.py",
    "connect/unavailable.py",
    "connect/converters",
    "connect/transforms",
    "connect/per_record.py",
    "connect/runtime/chain.py",
    "connect/runtime/merging.py",
    "connect/runtime/partitioner.py",
    "connect/runtime/pipeline.py",
    "connect/runtime/planner.py",
    "connectors/cdc/envelope.py",
    "connectors/cdc/unwrap.py",
    "connectors/postgres/pgoutput.py",
    "connectors/postgres/values.py",
    "log_core/records.py",
)
EDGES = {
    "os", "io", "socket", "ssl", "select", "subprocess", "threading", "asyncio", "sqlite3",
    "pathlib", "shutil", "tempfile", "time", "random", "urllib.request", "http", "psycopg",
    "pymysql", "sqlalchemy", "duckdb", "multiprocessing", "queue",
}  # fmt: skip


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def pure_files() -> list[Path]:
    found: list[Path] = []
    for name in PURE:
        path = ROOT / name
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return found


@pytest.mark.parametrize("path", pure_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_decodes_converts_transforms_and_plans_has_no_way_out(path: Path) -> None:
    assert not imported(path) & EDGES
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"open", "print", "input"}
