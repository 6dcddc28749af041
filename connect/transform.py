"""What a transform or predicate plugin implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

from connect.config import Config
from connect.data import Batch, Headers, Schema


class Transform(ABC):
    """A pure function from a batch to batches; built once per task from its configuration."""

    config: ClassVar[type[Config]]
    aliases: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __init__(self, config: Any) -> None: ...

    @abstractmethod
    def apply(self, batch: Batch) -> Iterable[Batch]:
        """The batch changed: none (dropped), one, or several (routed or split). Rows keep their
        ``positions``. RecordError names rows that can't be transformed."""


class Predicate(ABC):
    """A pure test of rows."""

    config: ClassVar[type[Config]]
    aliases: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __init__(self, config: Any) -> None: ...

    @abstractmethod
    def test(self, batch: Batch) -> Sequence[bool]:
        """One answer per row."""


class Record(NamedTuple):
    """One row, for people who think in records; ``value`` is a dict by field name, or None."""

    topic: str
    key: Any
    value: Any
    timestamp: int
    headers: Headers
    key_schema: Schema | None
    value_schema: Schema | None


RecordFunction = Callable[[Record], "Record | None"]
