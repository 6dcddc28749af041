"""A log that takes and gives whole RecordBatches: what crosses the border between processes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from connect.log import TopicPartition, TopicSpec


class RawBatches(NamedTuple):
    """RecordBatches v2 of one partition: one to append, or some fetched."""

    partition: TopicPartition
    data: bytes


class GroupPositions(NamedTuple):
    """A consumer group's next offsets to read."""

    group: str
    positions: Mapping[TopicPartition, int]


class Bounds(NamedTuple):
    """The first offset a partition still holds, and its committed end."""

    start: int
    end: int


class RawLog(Protocol):
    """The log's operations in bytes. All raise FencedError, LogUnavailable or FatalError."""

    def open_writer(self, name: str) -> int:
        """A new epoch of this writer; every earlier one is fenced."""

    def append(
        self,
        batches: Sequence[RawBatches],
        writer: tuple[str, int],
        group: GroupPositions | None = None,
    ) -> None:
        """Append all and move the group's positions, or nothing; durable on return."""

    def fetch(
        self, positions: Mapping[TopicPartition, int], timeout: float
    ) -> Sequence[RawBatches]:
        """Committed batches at these positions, waiting up to ``timeout`` seconds for some; the
        first batch of a partition may begin before its position."""

    def group_positions(self, group: str) -> Mapping[TopicPartition, int]:
        """What the group committed."""

    def bounds(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        """Of the partitions that exist."""

    def create_topic(self, spec: TopicSpec) -> None:
        """Create the topic; no error if it exists already."""

    def topics(self) -> Mapping[str, TopicSpec]:
        """Every topic by name."""

    def close(self) -> None:
        """Release the connection."""
