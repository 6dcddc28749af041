"""What a sink plugin implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from connect.config import Problem
from connect.connector_config import SinkConfig
from connect.context import Context
from connect.data import Batch
from connect.log import TopicPartition


class SinkTask(ABC):
    """Writes a fixed set of partitions to a target. Called by one thread; any exception ends the
    task's life, and the next life starts from the last position."""

    @abstractmethod
    def open(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Connect; fence an older writer of the same task. Returns the next offsets to read that
        the target itself holds (exactly once); a partition left out goes on from the group's."""

    @abstractmethod
    def put(self, batch: Batch) -> None:
        """Accept a batch; may buffer. A RecordError names rows: nothing of this batch was
        accepted, and it may come again without those rows."""

    @abstractmethod
    def flush(self, positions: Mapping[TopicPartition, int]) -> None:
        """Make every earlier ``put`` durable, with ``positions`` (the next offsets to read of
        each touched partition) in the same transaction where the target can."""

    def idle(self) -> None:  # noqa: B027  optional
        """Everything is flushed and no record came for a while: a moment to let others in."""

    def close(self) -> None:  # noqa: B027  optional
        """Release what ``open`` took, without making anything durable; called once, also after a
        failed ``open``."""


class SinkConnector(ABC):
    """A sink plugin: its configuration, its checks and its tasks."""

    config: ClassVar[type[SinkConfig]]
    aliases: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[str]
    exclusive: ClassVar[bool] = False  # True: the target takes one writer only, so one task

    @abstractmethod
    def check(self, config: SinkConfig) -> Sequence[Problem]:
        """Live checks: reachable, privileged, configured? Read-only. Called by validation and
        before every start. Before a start, problems whose codes are ``connection.*`` or
        ``*.unavailable`` are retried with back-off; others fail the task."""

    @abstractmethod
    def task(self, config: SinkConfig, context: Context) -> SinkTask:
        """A task of this configuration; the partitions come with ``open``."""

    def move_positions(  # noqa: B027
        self, config: SinkConfig, context: Context, positions: Mapping[TopicPartition, int | None]
    ) -> None:
        """Set (or with None forget) positions the target itself holds; called when a person
        alters or resets the offsets of the stopped connector, before the group's."""
