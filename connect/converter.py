"""What a converter plugin implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from connect.config import Config
from connect.data import Data


class Converter(ABC):
    """A pure function between rows and bytes; built once per task for keys or for values."""

    config: ClassVar[type[Config]]
    aliases: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __init__(self, config: Any, is_key: bool) -> None: ...

    @abstractmethod
    def encode(self, topic: str, data: Data) -> list[bytes | None]:
        """One payload per row; a null row becomes None. Never sees UNAVAILABLE."""

    @abstractmethod
    def decode(self, topic: str, payloads: Sequence[bytes | None]) -> list[Data]:
        """The rows, in order, as runs of one schema each: their lengths sum to that of
        ``payloads``. A None payload is a null row of whichever run it falls into (a Struct's
        ``present``, a Plain's None). DecodeError names the rows that can't be read."""
