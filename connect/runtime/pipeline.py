"""From batches to records and back: transforms, converters, partitions, dead letters. Pure."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from connect import unavailable
from connect.converter import Converter
from connect.data import Batch, Data, Headers, Plain
from connect.log import Records, TopicPartition, TopicSpec
from connect.runtime.chain import Chain, Rejected, Tolerance
from connect.runtime.merging import Encoded, in_order, merge, pick
from connect.runtime.partitioner import Partitioner
from connect.sink import SinkTask


class Outgoing(NamedTuple):
    """What a poll became: records to append, and the rows that were left out."""

    records: list[Records]
    rejected: list[Rejected]


class Incoming(NamedTuple):
    """What fetched records became: batches in the order of their offsets, and what was left out."""

    batches: list[Batch]
    rejected: list[Rejected]


@dataclass(frozen=True, slots=True)
class Converters:
    """A connector's two converters."""

    key: Converter
    value: Converter


class SourcePipeline:
    """Batches of a source to records.

    Args:
        partitions: partition counts of the topics that exist.
        default_partitions: that of a topic which does not exist yet.
        placeholder: Debezium's ``unavailable.value.placeholder``.
    """

    def __init__(
        self,
        chain: Chain,
        converters: Converters,
        tolerance: Tolerance,
        *,
        partitions: Mapping[str, int],
        default_partitions: int = 1,
        placeholder: str = unavailable.PLACEHOLDER,
    ) -> None:
        self._chain = chain
        self._converters = converters
        self._tolerance = tolerance
        self._partitions = dict(partitions)
        self._default_partitions = default_partitions
        self._placeholder = placeholder
        self._partitioner = Partitioner()

    def topic(self, name: str) -> TopicSpec:
        """The topic as this pipeline takes it to be."""
        return TopicSpec(name, self._partitions.get(name, self._default_partitions))

    def encode(self, batches: Sequence[Batch]) -> Outgoing:
        """The records of one poll: those of a partition in the order of their positions."""
        rejected: list[Rejected] = []
        topics: dict[str, list[Encoded]] = {}
        for batch in batches:
            changed = [batch] if len(batch) else []
            if self._chain.steps:
                changed, bad = self._chain.apply(batch)
                rejected += bad
            for each in changed:
                part, bad = self._encode(each)
                rejected += bad
                if part is not None:
                    topics.setdefault(each.topic, []).append(part)
        self._partitioner.next_round()
        records = [
            each for topic, parts in topics.items() for each in self._partitioned(topic, parts)
        ]
        return Outgoing(records, rejected)

    def _encode(self, batch: Batch) -> tuple[Encoded | None, list[Rejected]]:
        hidden = self._tolerance.attempt(
            "KEY_CONVERTER",
            self._converters.key,
            lambda rows: unavailable.hide(rows, self._placeholder),
            batch,
        )
        if not len(hidden.rows):
            return None, hidden.rejected
        keyed = self._tolerance.attempt(
            "KEY_CONVERTER",
            self._converters.key,
            lambda rows: self._payloads(self._converters.key, rows, rows.keys),
            hidden.made,
        )
        valued = self._tolerance.attempt(
            "VALUE_CONVERTER",
            self._converters.value,
            lambda rows: self._payloads(self._converters.value, rows, rows.values),
            keyed.rows,
        )
        rows, keys = valued.rows, keyed.made
        rejected = hidden.rejected + keyed.rejected + valued.rejected
        if not len(rows):
            return None, rejected
        if valued.rejected:
            keys = self._payloads(self._converters.key, rows, rows.keys)
        return (
            Encoded(
                rows.positions, keys, valued.made, rows.timestamps, rows.headers, rows.partition
            ),
            rejected,
        )

    @staticmethod
    def _payloads(converter: Converter, batch: Batch, data: Data | None) -> Sequence[bytes | None]:
        return [None] * len(batch) if data is None else converter.encode(batch.topic, data)

    def _partitioned(self, topic: str, parts: Sequence[Encoded]) -> Iterator[Records]:
        count = self._partitions.get(topic, self._default_partitions)
        placed: dict[int, list[Encoded]] = {}
        for part in parts:
            if part.partition is not None or count == 1:
                placed.setdefault(part.partition or 0, []).append(part)
                continue
            rows: dict[int, list[int]] = {}
            for row, partition in enumerate(self._partitioner.assign(part.keys, count)):
                rows.setdefault(partition, []).append(row)
            for partition, chosen in rows.items():
                placed.setdefault(partition, []).append(pick(part, chosen))
        for partition, several in sorted(placed.items()):
            yield _records(topic, partition, merge(several))


class SinkPipeline:
    """Fetched records to batches for a sink, and rejected rows to dead letters.

    Args:
        dead_letter_topic: where rejected records go; None: nowhere.
        context_headers: whether dead letters get ``__connect.errors.*`` headers.
        connector, task: named in those headers.
        clean: removes secrets from a text.
    """

    def __init__(
        self,
        chain: Chain,
        converters: Converters,
        tolerance: Tolerance,
        *,
        dead_letter_topic: str | None = None,
        context_headers: bool = False,
        connector: str = "",
        task: int = 0,
        clean: Callable[[str], str] = str,
    ) -> None:
        self._chain = chain
        self._converters = converters
        self._tolerance = tolerance
        self.dead_letter_topic = dead_letter_topic
        self._context_headers = context_headers
        self._names = (connector, task)
        self._clean = clean

    def decode(self, records: Records) -> Incoming:
        """The batches of one partition's records, in the order of their offsets."""
        raw = Batch(
            records.partition.topic,
            Plain(None, records.keys),
            Plain(None, records.values),
            records.timestamps,
            records.offsets or (),
            records.headers,
            records.partition.partition,
        )
        keyed = self._tolerance.attempt(
            "KEY_CONVERTER",
            self._converters.key,
            lambda rows: self._runs(self._converters.key, rows, rows.keys),
            raw,
        )
        valued = self._tolerance.attempt(
            "VALUE_CONVERTER",
            self._converters.value,
            lambda rows: self._runs(self._converters.value, rows, rows.values),
            keyed.rows,
        )
        rejected = keyed.rejected + valued.rejected
        if not len(valued.rows):
            return Incoming([], rejected)
        keys = keyed.made
        if valued.rejected:
            keys = self._runs(self._converters.key, valued.rows, valued.rows.keys)
        made: list[Batch] = []
        for batch in _batches(valued.rows, keys, valued.made):
            revealed = unavailable.reveal(batch)
            if not self._chain.steps:
                made.append(revealed)
                continue
            changed, bad = self._chain.apply(revealed)
            made += changed
            rejected += bad
        return Incoming(list(in_order(made)), rejected)

    def put(self, sink: SinkTask, batch: Batch) -> list[Rejected]:
        """Put a batch, and again without the rows the sink refuses; returns those rows."""
        return self._tolerance.attempt("TASK_PUT", sink, sink.put, batch).rejected

    def dead_letters(self, records: Records, rejected: Sequence[Rejected]) -> list[Records]:
        """The rejected ones among ``records`` with their original bytes, for the dead-letter
        topic; none without such a topic."""
        if self.dead_letter_topic is None or not rejected:
            return []
        rows = {offset: row for row, offset in enumerate(records.offsets or ())}
        places = [rows[each.position] for each in rejected]
        return [
            Records(
                TopicPartition(self.dead_letter_topic, 0),
                [records.keys[row] for row in places],
                [records.values[row] for row in places],
                [records.timestamps[row] for row in places],
                [
                    (*(records.headers[row] if records.headers else ()), *self._context(each))
                    for row, each in zip(places, rejected, strict=True)
                ],
            )
        ]

    @staticmethod
    def _runs(converter: Converter, batch: Batch, payloads: Data | None) -> list[Data | None]:
        assert isinstance(payloads, Plain)
        column: Sequence[bytes | None] = payloads.column
        if column.count(None) == len(column):
            return [None]
        return list(converter.decode(batch.topic, column))

    def _context(self, rejected: Rejected) -> Headers:
        if not self._context_headers:
            return ()
        kind = type(rejected.error)
        trace = "".join(traceback.format_exception(rejected.error))
        connector, task = self._names
        values = {
            "topic": rejected.topic,
            "partition": rejected.partition,
            "offset": rejected.position,
            "connector.name": connector,
            "task.id": task,
            "stage": rejected.stage,
            "class.name": rejected.plugin,
            "exception.class.name": f"{kind.__module__}.{kind.__qualname__}",
            "exception.message": self._clean(rejected.reason),
            "exception.stacktrace": self._clean(trace),
        }
        return tuple((f"__connect.errors.{k}", str(v).encode()) for k, v in values.items())


def _records(topic: str, partition: int, part: Encoded) -> Records:
    return Records(
        TopicPartition(topic, partition), part.keys, part.values, part.timestamps, part.headers
    )


def _batches(
    raw: Batch, keys: Sequence[Data | None], values: Sequence[Data | None]
) -> Iterator[Batch]:
    """Batches of one key schema and one value schema: the runs of both, cut at each other's ends.

    A single None stands for a column of nulls.
    """
    count = len(raw)
    cuts = sorted({0, count, *_ends(keys, count), *_ends(values, count)})
    for start, end in pairwise(cuts):
        rows = range(start, end)
        part = raw if len(cuts) == 2 else raw.take(rows)
        yield Batch(
            raw.topic,
            _cut(keys, start, end, count),
            _cut(values, start, end, count),
            part.timestamps,
            part.positions,
            part.headers,
            raw.partition,
        )


def _ends(runs: Sequence[Data | None], count: int) -> Iterator[int]:
    end = 0
    for run in runs:
        end += count if run is None else len(run)
        yield end


def _cut(runs: Sequence[Data | None], start: int, end: int, count: int) -> Data | None:
    begin = 0
    for run in runs:
        if run is None:
            return None
        if begin <= start < begin + len(run):
            if len(run) == end - start:
                return run
            return run.take(range(start - begin, end - begin))
        begin += len(run)
    raise AssertionError("a converter returned fewer rows than it was given")
