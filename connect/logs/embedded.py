"""The bundled log, used in its own process."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from connect.errors import CdcError, FatalError, FencedError, LogUnavailable
from connect.log import TopicPartition, TopicSpec
from connect.logs.raw import Bounds, GroupPositions, RawBatches
from connect.logs.records import RecordLog
from log_core import Append, errors

if TYPE_CHECKING:
    from log_core import Log

FETCH_BYTES: Final = 4 << 20
PARTITION_BYTES: Final = 1 << 20


class EmbeddedLog(RecordLog):
    """Satisfies ``connect.log.Log`` over a ``log_core.Log``, which stays its owner's to close."""

    def __init__(self, log: Log) -> None:
        super().__init__(EmbeddedRaw(log))


class EmbeddedRaw:
    """Satisfies ``RawLog``; used by the worker too, to serve its tasks."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def open_writer(self, name: str) -> int:
        """See ``RawLog.open_writer``."""
        with translated():
            return self._log.open_writer(name)

    def append(
        self,
        batches: Sequence[RawBatches],
        writer: tuple[str, int],
        group: GroupPositions | None = None,
    ) -> None:
        """See ``RawLog.append``. Missing topics are created."""
        appends = [Append(*each.partition, each.data) for each in batches]
        moved = None if group is None else (group.group, _plain(group.positions))
        with translated():
            try:
                self._log.append(appends, writer=writer, group=moved)
            except errors.UnknownTopic:
                self._create_missing(appends)
                self._log.append(appends, writer=writer, group=moved)

    def fetch(
        self, positions: Mapping[TopicPartition, int], timeout: float
    ) -> Sequence[RawBatches]:
        """See ``RawLog.fetch``."""
        with translated():
            found = self._committed(positions)
            if not found and timeout > 0 and self._log.wait(_plain(positions), timeout):
                found = self._committed(positions)
            return found

    def group_positions(self, group: str) -> Mapping[TopicPartition, int]:
        """See ``RawLog.group_positions``."""
        with translated():
            offsets = self._log.group_offsets(group)
        return {TopicPartition(*name): offset for name, offset in offsets.items()}

    def bounds(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        """See ``RawLog.bounds``."""
        with translated():
            topics = self._log.topics()
            return {
                TopicPartition(topic, number): Bounds(
                    self._log.start_offset(topic, number), self._log.end_offset(topic, number)
                )
                for topic, number in partitions
                if topic in topics and number < topics[topic].partitions
            }

    def create_topic(self, spec: TopicSpec) -> None:
        """See ``RawLog.create_topic``."""
        with translated(), suppress(errors.TopicExists):  # with other partitions: they stay
            self._log.create_topic(spec.name, spec.partitions, dict(spec.config))

    def topics(self) -> Mapping[str, TopicSpec]:
        """See ``RawLog.topics``."""
        with translated():
            return {
                name: TopicSpec(name, topic.partitions, topic.config)
                for name, topic in self._log.topics().items()
            }

    def close(self) -> None:
        """Nothing to release."""

    def _committed(self, positions: Mapping[TopicPartition, int]) -> list[RawBatches]:
        found = []
        room = FETCH_BYTES
        for name, position in positions.items():
            if room <= 0:
                break
            if self._log.end_offset(*name) > position:
                data = self._log.fetch(*name, position, min(room, PARTITION_BYTES))
                room -= len(data)
                found.append(RawBatches(TopicPartition(*name), data))
        return found

    def _create_missing(self, appends: Sequence[Append]) -> None:
        topics = self._log.topics()
        counts: dict[str, int] = {}
        for each in appends:
            if each.topic not in topics:
                counts[each.topic] = max(counts.get(each.topic, 1), each.partition + 1)
        for topic, count in counts.items():
            self._log.create_topic(topic, count)


def _plain(positions: Mapping[TopicPartition, int]) -> dict[tuple[str, int], int]:
    return {(topic, number): offset for (topic, number), offset in positions.items()}


@contextmanager
def translated() -> Iterator[None]:
    """The log's exceptions as those of ``connect.errors``."""
    try:
        yield
    except errors.LogError as error:
        raise _translate(error) from error


def _translate(error: errors.LogError) -> CdcError:
    text = str(error)
    match error:
        case errors.Fenced():
            return FencedError(text)
        case errors.OffsetOutOfRange():
            return FatalError(
                text,
                code="log.offset_out_of_range",
                hint="Records may be missing in the target. Stop the connector, set or reset its "
                "offsets, and restart it; take a new snapshot if the records are needed.",
            )
        case errors.CorruptLog():
            return FatalError(
                text,
                code="log.corrupt",
                hint="Restore the data directory from a backup, or begin with an empty one and a "
                "new snapshot.",
            )
        case errors.InvalidTopic():
            return FatalError(
                text, code="log.invalid_topic", hint="Route these records to another topic."
            )
        case errors.InvalidBatch():
            return FatalError(text, code="log.invalid_batch")
        case errors.LogFull():
            return LogUnavailable(text, code="log.full", hint="Free space on the log's disk.")
    return LogUnavailable(text)
