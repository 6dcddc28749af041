"""A column that is no list: one value for every row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Repeated(Sequence[Any]):
    def __init__(self, value: Any, length: int) -> None:
        self.value = value
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: Any) -> Any:
        if not -self.length <= index < self.length:
            raise IndexError(index)
        return self.value
