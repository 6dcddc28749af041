"""The Log protocol over a log of raw batches: rows are encoded and decoded on this side."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence

from connect.data import Headers
from connect.errors import FatalError
from connect.log import Records, TopicPartition, TopicSpec
from connect.logs.raw import Bounds, GroupPositions, RawBatches, RawLog
from log_core import records as codec


class RecordLog:
    """Satisfies ``connect.log.Log``. Writers and readers share its one connection and thread."""

    def __init__(self, raw: RawLog) -> None:
        self._raw = raw

    def writer(self, name: str) -> RecordWriter:
        """See ``Log.writer``."""
        return RecordWriter(self._raw, name)

    def reader(
        self, group: str, partitions: Collection[TopicPartition], member: str = "0"
    ) -> RecordReader:
        """See ``Log.reader``."""
        return RecordReader(self._raw, group, partitions, member)

    def create_topic(self, spec: TopicSpec) -> None:
        """See ``Log.create_topic``."""
        self._raw.create_topic(spec)

    def topics(self) -> Mapping[str, TopicSpec]:
        """See ``Log.topics``."""
        return self._raw.topics()

    def ends(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """See ``Log.ends``."""
        return {name: bounds.end for name, bounds in self._raw.bounds(partitions).items()}

    def read(self, partition: TopicPartition, offset: int) -> Sequence[Records]:
        """See ``Log.read``."""
        found: Sequence[Records] = ()
        position = offset
        # A fetch may hold no record (transaction markers): go on to the next one.
        while not found:
            fetched = self._raw.fetch({partition: position}, 0)
            if not fetched:
                return []
            found, position = _decode(fetched[0], position)
        return found

    def close(self) -> None:
        """Release the connection."""
        self._raw.close()


class RecordWriter:
    """Satisfies ``connect.log.Writer``."""

    def __init__(self, raw: RawLog, name: str) -> None:
        self._raw = raw
        self._name = name
        self.epoch = raw.open_writer(name)

    def append(self, records: Sequence[Records]) -> None:
        """See ``Writer.append``."""
        self._raw.append(list(_encode(records)), (self._name, self.epoch))

    def close(self) -> None:
        """Nothing to release: the connection is the log's."""


class RecordReader:
    """Satisfies ``connect.log.Reader``.

    Two writer names stand behind a reader: the member's, whose epoch fences its commits, and the
    group's, which only counts, so that ``epoch`` rises over all members of the group.
    """

    def __init__(
        self, raw: RawLog, group: str, partitions: Collection[TopicPartition], member: str
    ) -> None:
        self._raw = raw
        self._group = group
        self._writer = (f"{group}-{member}", raw.open_writer(f"{group}-{member}"))
        self.epoch = raw.open_writer(f"{group} (readers)")
        committed = raw.group_positions(group)
        bounds = raw.bounds(partitions)
        self._positions: dict[TopicPartition, int] = {}
        for partition in partitions:
            name = TopicPartition(*partition)
            start = bounds[name].start if name in bounds else 0
            self._positions[name] = committed.get(name, start)
        self._bounds = bounds

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """See ``Reader.seek``."""
        for partition, position in positions.items():
            self._positions[TopicPartition(*partition)] = position
        for name, position in self._positions.items():
            if name in self._bounds:
                _check(name, position, self._bounds[name], self._group)

    def fetch(self, timeout: float) -> Sequence[Records]:
        """See ``Reader.fetch``."""
        fetched: list[Records] = []
        for batches in self._raw.fetch(self._positions, timeout):
            name = batches.partition
            records, self._positions[name] = _decode(batches, self._positions[name])
            fetched += records
            # Whoever was served goes to the end of the queue: no partition starves another.
            self._positions[name] = self._positions.pop(name)
        return fetched

    def commit(
        self, positions: Mapping[TopicPartition, int], dead_letters: Sequence[Records] = ()
    ) -> None:
        """See ``Reader.commit``."""
        self._raw.append(
            list(_encode(dead_letters)), self._writer, GroupPositions(self._group, positions)
        )

    def close(self) -> None:
        """Nothing to release: the connection is the log's."""


def _check(name: TopicPartition, position: int, bounds: Bounds, group: str) -> None:
    if bounds.start <= position <= bounds.end:
        return
    lost = "were deleted by retention" if position < bounds.start else "do not exist"
    raise FatalError(
        f"{group} stands at offset {position} of {name.topic}-{name.partition}, which holds "
        f"offsets {bounds.start} to {bounds.end}: the records in between {lost}.",
        code="log.offset_out_of_range",
        hint="Records may be missing in the target. Stop the connector, set or reset its offsets, "
        "and restart it; take a new snapshot if the records are needed.",
    )


def _encode(records: Sequence[Records]) -> Iterator[RawBatches]:
    for each in records:
        if len(each.values):
            data = codec.encode(each.keys, each.values, each.timestamps, each.headers)
            yield RawBatches(each.partition, data)


def _decode(batches: RawBatches, position: int) -> tuple[list[Records], int]:
    """The records from ``position`` on as one ``Records`` (or none), and the next position."""
    decoded = codec.decode(batches.data)
    keys: list[bytes | None] = []
    values: list[bytes | None] = []
    timestamps: list[int] = []
    headers: list[Headers] = []
    offsets: list[int] = []
    for each in decoded:
        skipped = bisect_left(each.offsets, position)
        keys += each.keys[skipped:]
        values += each.values[skipped:]
        timestamps += each.timestamps[skipped:]
        offsets += each.offsets[skipped:]
        if each.headers is not None:
            headers += [()] * (len(offsets) - len(headers) - len(each.headers) + skipped)
            headers += each.headers[skipped:]
    following = max(position, decoded[-1].next_offset) if decoded else position
    if not offsets:
        return [], following
    if headers:
        headers += [()] * (len(offsets) - len(headers))
    return [
        Records(batches.partition, keys, values, timestamps, headers or None, offsets)
    ], following
