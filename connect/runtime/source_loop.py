"""The loop of a source task: poll, encode, append, confirm."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from connect.faults import reach
from connect.log import Log, Records, Writer
from connect.runtime.offset_table import SourceOffsets
from connect.runtime.pipeline import SourcePipeline
from connect.runtime.run import Run, log_rejected, release
from connect.runtime.task_metrics import count_poll
from connect.source import SourceTask

POLL_SECONDS: Final = 0.5


def run_source(
    task: SourceTask,
    pipeline: SourcePipeline,
    offsets: SourceOffsets,
    log: Log,
    writer: Writer,
    run: Run,
) -> None:
    """Move changes from a source task to the log until asked to stop.

    ``writer`` is open already, so every earlier process of this task is fenced and the offset
    loaded is the last one there will be. Raises what the task or the log raises.
    """
    topics = _Topics(log, pipeline, run)
    try:
        task.open(offsets.load())
        run.opened()
        while not run.stop_asked():
            poll = task.poll(POLL_SECONDS)
            if poll is None:
                continue
            reach("after_decode")
            records, rejected = pipeline.encode(poll.batches)
            topics.create(records)
            reach("before_append")
            started = time.perf_counter()
            writer.append([*records, offsets.record(poll.offset)])  # the commit point
            seconds = time.perf_counter() - started
            reach("after_append")
            task.committed(poll.offset)
            reach("after_confirm")
            count_poll(run.metrics, poll.batches, records, rejected, seconds)
            log_rejected(run, rejected)
    finally:
        release(task)
        release(writer)


class _Topics:
    """Creates each topic on first use, with the partition count by which its keys were dealt."""

    def __init__(self, log: Log, pipeline: SourcePipeline, run: Run) -> None:
        self._log = log
        self._pipeline = pipeline
        self._run = run
        self._known: set[str] = set()

    def create(self, records: Sequence[Records]) -> None:
        for topic in {each.partition.topic for each in records} - self._known:
            self._log.create_topic(self._pipeline.topic(topic))
            self._known.add(topic)
            self._run.uses([topic])
