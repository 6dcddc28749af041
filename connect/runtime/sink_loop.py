"""The loop of a sink task: fetch, decode, put; flush, commit."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from connect.faults import reach
from connect.log import Reader, Records, TopicPartition
from connect.runtime.pipeline import SinkPipeline
from connect.runtime.run import Run, log_rejected, release
from connect.runtime.task_metrics import count_flush, count_lag, count_rejected
from connect.sink import SinkTask

FETCH_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class FlushPolicy:
    """How much a sink may have accepted before it is flushed under steady load. When the log has
    no more records to give, it is flushed at once.

    ``seconds`` is the longest wait. A target whose flushes are quick is flushed sooner, yet never
    so often that flushing takes more than ``share`` of the time.
    """

    seconds: float = 1.0
    share: float = 0.2
    rows: int = 50_000
    payload_bytes: int = 32 << 20

    def patience(self, flush_seconds: float) -> float:
        """Seconds to go on before the next flush, given how long the last one took."""
        return min(self.seconds, max(0.05, flush_seconds / self.share))


def run_sink(
    task: SinkTask,
    pipeline: SinkPipeline,
    partitions: Collection[TopicPartition],
    reader: Reader,
    run: Run,
    policy: FlushPolicy = FlushPolicy(),
) -> None:
    """Move records from the log to a sink task until asked to stop.

    Raises what the task or the log raises; what was put and not flushed then comes again.
    """
    accepted = Accepted(policy, policy.seconds)
    try:
        reader.seek(task.open(partitions))
        run.opened()
        while not run.stop_asked():
            fetched = reader.fetch(0 if accepted else FETCH_SECONDS)
            if not fetched and not accepted:
                task.idle()
            count_lag(run.metrics, [*accepted.oldest, *(each.timestamps[0] for each in fetched)])
            for records in fetched:
                accepted.add(records, *_put(task, pipeline, records, run))
            if accepted and (not fetched or accepted.enough()):
                took = _flush(task, reader, accepted, run)
                # The next fetch knows better: what follows is about as old as what came last.
                count_lag(run.metrics, [accepted.newest] if fetched else [])
                accepted = Accepted(policy, policy.patience(took))
        if accepted:
            _flush(task, reader, accepted, run)
    finally:
        release(task)
        release(reader)


class Accepted:
    """What was put since the last flush; false when nothing was fetched."""

    def __init__(self, policy: FlushPolicy, patience: float) -> None:
        self.positions: dict[TopicPartition, int] = {}
        self.dead_letters: list[Records] = []
        self.written = 0
        self.oldest: list[int] = []  # timestamps of which one is the oldest record's
        self.newest = 0
        self._policy = policy
        self._patience = patience
        self._rows = 0
        self._bytes = 0
        self._since = 0.0

    def __bool__(self) -> bool:
        return bool(self.positions)

    def add(self, records: Records, written: int, dead_letters: Sequence[Records]) -> None:
        """All of ``records`` are dealt with: ``written`` of them put, the others left out."""
        assert records.offsets is not None
        if not self.positions:
            self._since = time.monotonic()
        self.positions[records.partition] = records.offsets[-1] + 1
        self.dead_letters += dead_letters
        self.written += written
        self.oldest.append(records.timestamps[0])
        self.newest = max(self.newest, records.timestamps[-1])
        self._rows += len(records.offsets)
        self._bytes += sum(len(value) for value in records.values if value is not None)

    def enough(self) -> bool:
        """Whether to flush although more records wait."""
        return (
            self._rows >= self._policy.rows
            or self._bytes >= self._policy.payload_bytes
            or time.monotonic() - self._since >= self._patience
        )


def _put(
    task: SinkTask, pipeline: SinkPipeline, records: Records, run: Run
) -> tuple[int, list[Records]]:
    """Put one partition's records; how many were written, and the dead letters of the others."""
    batches, rejected = pipeline.decode(records)
    written = 0
    for batch in batches:
        started = time.perf_counter()
        refused = pipeline.put(task, batch)
        run.metrics.observe("tailrace_sink_put_duration_seconds", time.perf_counter() - started)
        run.metrics.observe("tailrace_sink_batch_records", len(batch))
        written += len(batch) - len(refused)
        rejected += refused
        reach("after_put")
    if rejected:
        result = "dead_lettered" if pipeline.dead_letter_topic else "skipped"
        run.metrics.add("tailrace_sink_records_total", len(rejected), result=result)
        count_rejected(run.metrics, rejected)
        log_rejected(run, rejected)
    run.uses([records.partition.topic])
    return written, pipeline.dead_letters(records, rejected)


def _flush(task: SinkTask, reader: Reader, accepted: Accepted, run: Run) -> float:
    """Make durable what was accepted; returns the seconds that the target took."""
    positions: Mapping[TopicPartition, int] = accepted.positions
    if accepted.dead_letters:
        # Before the target may move past them: a crash in between repeats dead letters, and
        # never loses one.
        reader.commit({}, accepted.dead_letters)
    reach("before_sink_flush")
    started = time.perf_counter()
    task.flush(positions)
    seconds = time.perf_counter() - started
    reach("after_sink_flush")
    reader.commit(positions)
    reach("after_sink_commit")
    count_flush(run.metrics, accepted.written, seconds)
    return seconds
