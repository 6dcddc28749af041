"""Cells as the text SQL databases read: pure functions from one value to its exact text.

Dates follow the proleptic Gregorian calendar, as Java's and Postgres' do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from math import isfinite
from typing import Any, Final

import orjson

from connectors.sinks.types import ColumnType, Kind

Cell = Callable[[Any], Any]
"""Turns one value, never None, into what a driver binds; ValueError when it has no such form."""

INFINITY: Final = {
    1_000: (9_223_372_036_825_200, -9_223_372_036_832_400),
    1_000_000: (9_223_372_036_825_200_000, -9_223_372_036_832_400_000),
    1_000_000_000: ((1 << 63) - 1, -(1 << 63)),
}
"""What stands for Postgres' infinite timestamps, by units per second (Debezium's numbers)."""

DATE_INFINITY: Final = ((1 << 31) - 1, -(1 << 31))
"""What stands for Postgres' infinite dates."""

_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_LAST_ORDINAL: Final = date.max.toordinal()
_DAY: Final = 86_400


def civil(days: int) -> tuple[int, int, int]:
    """Year (0 = 1 BC), month and day of a count of days since 1970-01-01, without bounds."""
    ordinal = days + _EPOCH_ORDINAL
    if 1 <= ordinal <= _LAST_ORDINAL:
        known = date.fromordinal(ordinal)
        return known.year, known.month, known.day
    eras, within = divmod(ordinal - 1, 146_097)  # 400 years repeat exactly
    known = date.fromordinal(within + 1)
    return known.year + 400 * eras, known.month, known.day


def date_text(days: int) -> str:
    """``2024-02-29``; years before 1 AD as Postgres writes them, ``0044-03-15 BC``."""
    year, month, day = civil(days)
    if year > 0:
        return f"{year:04}-{month:02}-{day:02}"
    return f"{1 - year:04}-{month:02}-{day:02} BC"


def time_text(count: int, unit: int) -> str:
    """``23:59:59.5`` for a count of ``unit`` s per second; hours run past 24."""
    seconds, rest = divmod(count, unit)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}{_fraction(rest, unit)}"


def timestamp_text(count: int, unit: int) -> str:
    """``2024-02-29 12:00:00.123456`` (with `` BC`` at the end before 1 AD)."""
    days, rest = divmod(count, _DAY * unit)
    day = date_text(days)
    if day.endswith(" BC"):
        return f"{day[:-3]} {time_text(rest, unit)} BC"
    return f"{day} {time_text(rest, unit)}"


def _fraction(rest: int, unit: int) -> str:
    if not rest:
        return ""
    micros, lost = divmod(rest * 1_000_000, unit)
    if lost:
        raise ValueError("more than microsecond precision")
    return f".{micros:06}"


def bits_text(value: bytes, length: int | None) -> str:
    """Zeros and ones, most significant first, of Debezium's little-endian Bits."""
    number = int.from_bytes(value, "little")
    if length is None:
        return f"{number:b}"
    if number.bit_length() > length:
        raise ValueError(f"more than {length} bits")
    return f"{number:0{length}b}"


def decimal_of(value: tuple[int, bytes]) -> Decimal:
    """The Decimal of a VariableScaleDecimal: (scale, big-endian unscaled value)."""
    scale, unscaled = value
    return unscaled_decimal(int.from_bytes(unscaled, "big", signed=True), scale)


def unscaled_decimal(unscaled: int, scale: int) -> Decimal:
    """``unscaled`` / 10 ** ``scale``, exact whatever the decimal context says."""
    sign, digits = int(unscaled < 0), tuple(map(int, str(abs(unscaled))))
    return Decimal((sign, digits, -scale))


def plain_decimal(value: Decimal) -> str:
    """A finite decimal's digits without exponent."""
    if not value.is_finite():
        raise ValueError("not a finite number")
    return f"{value:f}"


def finite(value: float) -> float:
    """The number itself; targets without NaN and infinities refuse them."""
    if not isfinite(value):
        raise ValueError("not a finite number")
    return value


def without_zone(text: str) -> str:
    """ISO text without its closing Z, date and time parted by a space."""
    return text.removesuffix("Z").replace("T", " ")


def json_text(value: Any, type_: ColumnType) -> str:
    """An array or map as JSON; numbers that JSON readers would round are strings."""
    if type_.kind is Kind.ARRAY and type_.item is not None:
        cell = plain_cell(type_.item)
        value = [None if one is None else cell(one) for one in value]
    return orjson.dumps(value, default=_jsonable, option=orjson.OPT_NON_STR_KEYS).decode()


def _jsonable(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    raise ValueError(f"{type(value).__name__} has no JSON form")


def _same(value: Any) -> Any:
    return value


def plain_cell(type_: ColumnType) -> Cell:
    """Cells for targets without types of their own for these kinds: exact, sortable text."""
    unit = type_.unit
    if type_.text:
        local = type_.kind in (Kind.DATE, Kind.TIME, Kind.TIMESTAMP)
        return without_zone if local else _same
    cells: dict[Kind, Cell] = {
        Kind.DATE: _iso_date,
        Kind.TIME: lambda count: time_text(count, unit),
        Kind.TIMESTAMP: lambda count: _iso_timestamp(count, unit),
        Kind.DECIMAL: plain_decimal,
        Kind.NUMERIC: lambda value: plain_decimal(decimal_of(value)),
        Kind.REAL: finite,
        Kind.DOUBLE: finite,
        Kind.ARRAY: lambda value: json_text(value, type_),
        Kind.MAP: lambda value: json_text(value, type_),
    }
    return cells.get(type_.kind, _same)


def _iso_date(days: int) -> str:
    return _common_era(date_text(days))


def _iso_timestamp(count: int, unit: int) -> str:
    return _common_era(timestamp_text(count, unit))


def _common_era(text: str) -> str:
    if text.endswith(" BC") or not re.match(r"[0-9]{4}-", text):
        raise ValueError("outside the years 1 to 9999")
    return text


def array_text(items: Sequence[Any], cell: Cell) -> str:
    """Postgres' array literal; every non-null element quoted."""
    parts = []
    for item in items:
        if item is None:
            parts.append("NULL")
            continue
        value = cell(item)
        if isinstance(value, bool):
            text = "t" if value else "f"
        elif isinstance(value, bytes):
            text = "\\x" + value.hex()
        else:
            text = str(value)
        parts.append('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
    return "{" + ",".join(parts) + "}"
