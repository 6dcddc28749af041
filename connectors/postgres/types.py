"""What a column's type comes to: the words that the modules about types share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from connect.data import Schema

Decode: TypeAlias = Callable[[Sequence[bytes]], Sequence[Any]]
"""Texts of a column, without NULLs, to its values. ValueError for what can't be represented."""

DecimalMode = Literal["precise", "double", "string"]
BinaryMode = Literal["bytes", "base64", "base64-url-safe", "hex"]
TimeMode = Literal[
    "adaptive", "adaptive_time_microseconds", "connect", "microseconds", "nanoseconds"
]
IntervalMode = Literal["numeric", "string"]


@dataclass(frozen=True, slots=True)
class ValueOptions:
    """How values are represented; ``server_money_scale``: fraction digits of the server's money."""

    decimal: DecimalMode = "precise"
    binary: BinaryMode = "bytes"
    time: TimeMode = "adaptive"
    interval: IntervalMode = "numeric"
    money_scale: int = 2
    server_money_scale: int = 2


class TypeInfo(NamedTuple):
    """A row of pg_type: ``kind`` is typtype, ``base`` and ``base_typmod`` those of a domain,
    ``element`` that of an array, ``labels`` those of an enum in their order."""

    oid: int
    name: str
    kind: str
    base: int
    base_typmod: int
    element: int
    labels: tuple[str, ...]


class ColumnType(NamedTuple):
    """A column's schema (required), its reader, and the value that stands for a missing one."""

    schema: Schema
    decode: Decode
    zero: Any


class UnsupportedType(ValueError):
    """A type that can't be captured; the text names it."""
