"""What the runtime asks of a log, whoever keeps it: the bundled one, its socket twin, Kafka."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from connect.data import Headers


class TopicPartition(NamedTuple):
    """A partition's name."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be: name, partition count and Kafka's topic configuration keys."""

    name: str
    partitions: int = 1
    config: Mapping[str, str] = field(default_factory=dict)


class Records(NamedTuple):
    """Encoded rows of one partition; every sequence has one entry per row.

    ``offsets`` is set on fetched records and None on records to append.
    """

    partition: TopicPartition
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    timestamps: Sequence[int]
    headers: Sequence[Headers] | None = None
    offsets: Sequence[int] | None = None


class Writer(Protocol):
    """The one live writer of its name."""

    @property
    def epoch(self) -> int:
        """Higher than that of every earlier writer of the name."""

    def append(self, records: Sequence[Records]) -> None:
        """Append all or nothing; durable on return.

        Topics that do not exist are created. Raises FencedError once a newer writer of the same
        name exists, LogUnavailable when the log can't answer (then nothing is known of the append,
        and the task restarts from the last committed offset).
        """

    def close(self) -> None:
        """Release the connection; the name stays fenced to this writer's epoch."""


class Reader(Protocol):
    """Reads committed records of a fixed set of partitions for one consumer group."""

    @property
    def epoch(self) -> int:
        """Higher than that of every earlier reader of the group, whichever its member: a target
        can fence with it."""

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read on from these offsets; partitions not named stay at the group's committed offset,
        or at the log's start when the group has none."""

    def fetch(self, timeout: float) -> Sequence[Records]:
        """Committed records in order, at most one ``Records`` per partition; empty when none came
        within ``timeout`` seconds. Raises FatalError (code ``log.offset_out_of_range``) when the
        position was deleted by retention: never a silent jump."""

    def commit(
        self, positions: Mapping[TopicPartition, int], dead_letters: Sequence[Records] = ()
    ) -> None:
        """Make the group's positions (the next offsets to read) durable, with ``dead_letters``
        appended in the same atomic commit. Raises FencedError for an outdated reader."""

    def close(self) -> None:
        """Release the connection."""


class Log(Protocol):
    """A partitioned log of committed records."""

    def writer(self, name: str) -> Writer:
        """A writer that fences every earlier writer of that name."""

    def reader(
        self, group: str, partitions: Collection[TopicPartition], member: str = "0"
    ) -> Reader:
        """A reader of these partitions; it fences every earlier reader of the same group and
        member. Whoever deals the partitions gives each to one member."""

    def create_topic(self, spec: TopicSpec) -> None:
        """Create the topic; no error if it exists already."""

    def topics(self) -> Mapping[str, TopicSpec]:
        """Every topic by name."""

    def ends(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The committed end offset of each partition that exists."""

    def read(self, partition: TopicPartition, offset: int) -> Sequence[Records]:
        """Some committed records from ``offset`` on, without group or waiting; empty at the
        end."""
