"""What a source plugin implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

from connect.config import Problem
from connect.connector_config import SourceConfig
from connect.context import Context
from connect.data import Batch

Offset: TypeAlias = Mapping[str, Any]
"""What a source needs to go on: a JSON object."""


class Poll(NamedTuple):
    """Batches, and the offset from which to go on after *all* their rows."""

    batches: Sequence[Batch]
    offset: Offset


class SourceTask(ABC):
    """Reads one source partition. Called by one thread; any exception ends the task's life, and
    the next life starts from the last committed offset."""

    @abstractmethod
    def open(self, offset: Offset | None) -> None:
        """Connect and go on from ``offset``; None: nothing was ever committed."""

    @abstractmethod
    def poll(self, timeout: float) -> Poll | None:
        """The next changes; None when there are none within ``timeout`` seconds. A Poll without
        batches moves only the offset."""

    def committed(self, offset: Offset) -> None:  # noqa: B027  most sources have nothing to forget
        """The rows up to ``offset`` are durable in the log: the database may forget them."""

    def close(self) -> None:  # noqa: B027  optional
        """Release what ``open`` took; called once, also after a failed ``open``."""


class SourceConnector(ABC):
    """A source plugin: its configuration, its checks and its tasks."""

    config: ClassVar[type[SourceConfig]]
    aliases: ClassVar[tuple[str, ...]] = ()  # Java class names and short names it answers to
    version: ClassVar[str]

    @abstractmethod
    def check(self, config: SourceConfig) -> Sequence[Problem]:
        """Live checks: reachable, privileged, configured? Read-only. Called by validation and
        before every start. Before a start, problems whose codes are ``connection.*`` or
        ``*.unavailable`` are retried with back-off; others fail the task."""

    @abstractmethod
    def task(self, config: SourceConfig, context: Context) -> SourceTask:
        """The task of this configuration (sources have one task)."""

    @abstractmethod
    def partition(self, config: SourceConfig) -> Mapping[str, str]:
        """The source partition its offsets are stored under, e.g. ``{"server": "dbserver1"}``."""

    def validate_offset(self, config: SourceConfig, offset: Offset) -> None:  # noqa: B027
        """Raise ConfigError if a person's offset can't be used by this source."""

    def forget(self, config: SourceConfig) -> Sequence[str]:
        """On delete: drop what was made for this connector in the source (slot, publication).

        Returns a sentence for each thing dropped or left behind.
        """
        return ()
