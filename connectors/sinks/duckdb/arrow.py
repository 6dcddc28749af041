"""Columns as Arrow arrays that DuckDB casts, without loss, to its own types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from connectors.sinks.types import ColumnType, Kind
from connectors.sinks.values import (
    DATE_INFINITY,
    INFINITY,
    bits_text,
    date_text,
    decimal_of,
    json_text,
    plain_decimal,
    time_text,
    timestamp_text,
    without_zone,
)

_PLAIN: Final = {
    Kind.BOOLEAN: pa.bool_(),
    Kind.SMALLINT: pa.int16(),
    Kind.INTEGER: pa.int32(),
    Kind.BIGINT: pa.int64(),
    Kind.REAL: pa.float32(),
    Kind.DOUBLE: pa.float64(),
    Kind.TEXT: pa.string(),
    Kind.BYTES: pa.binary(),
    Kind.DURATION: pa.int64(),
}

# DuckDB's own infinities: the largest count and its negative.
_LAST_DAY: Final = (1 << 31) - 1
_LAST_MOMENT: Final = (1 << 63) - 1


def array(cells: Sequence[Any], type_: ColumnType, declared: str) -> pa.Array:
    """The Arrow array of a column; ArrowInvalid or ValueError for a value without a form.

    ``declared`` is the column's type in DuckDB.
    """
    kind = type_.kind
    if kind in _PLAIN:
        return pa.array(cells, _PLAIN[kind])
    if kind is Kind.DECIMAL and type_.length is not None and declared != "VARCHAR":
        return pa.array(cells, pa.decimal128(type_.length, type_.scale))
    if not type_.text and kind is Kind.DATE:
        days = _infinite(cells, DATE_INFINITY, _LAST_DAY)
        return pa.array(days, pa.int32()).view(pa.date32())
    if not type_.text and kind is Kind.TIMESTAMP:
        counts = _infinite(cells, INFINITY[type_.unit], _LAST_MOMENT)
        if type_.unit == 1_000:  # microseconds, which have the infinities
            counts = [c if c in (None, _LAST_MOMENT, -_LAST_MOMENT) else c * 1000 for c in counts]
        unit = "ns" if type_.unit == 1_000_000_000 else "us"
        return pa.array(counts, pa.int64()).view(pa.timestamp(unit))
    if kind is Kind.ARRAY:
        assert type_.item is not None
        flat = [item for cell in cells if cell is not None for item in cell]
        ends = [0]
        for cell in cells:
            ends.append(ends[-1] + (0 if cell is None else len(cell)))
        mask = pa.array([cell is None for cell in cells], pa.bool_())
        items = array(flat, type_.item, declared.removesuffix("[]"))
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), items, mask=mask)
    return pa.array([None if c is None else _text(c, type_) for c in cells], pa.string())


def literal(value: Any, type_: ColumnType) -> str:
    """A value of the column's schema as DuckDB reads it in a statement."""
    if isinstance(value, bool | int | float) and type_.kind in _PLAIN:
        return str(value)
    text = value.hex() if isinstance(value, bytes) else _text(value, type_)
    quoted = "'" + text.replace("'", "''") + "'"
    return f"from_hex({quoted})" if isinstance(value, bytes) else quoted


def _infinite(cells: Sequence[Any], both: tuple[int, int], last: int) -> Sequence[Any]:
    """The cells with DuckDB's infinities in place of ``both``."""
    if both[0] not in cells and both[1] not in cells:
        return cells
    known = {both[0]: last, both[1]: -last}
    return [known.get(cell, cell) for cell in cells]


def _text(value: Any, type_: ColumnType) -> str:
    kind, unit = type_.kind, type_.unit
    if kind is Kind.TIMESTAMPTZ:
        return str(value).removeprefix("+")
    if kind is Kind.TIMETZ:
        return str(value).replace("Z", "+00")
    if kind in (Kind.DATE, Kind.TIME, Kind.TIMESTAMP) and type_.text:
        return without_zone(value)
    match kind:
        case Kind.DECIMAL:
            return plain_decimal(value)
        case Kind.NUMERIC:
            return plain_decimal(decimal_of(value))
        case Kind.DATE:
            return date_text(value)
        case Kind.TIME:
            return time_text(value, unit)
        case Kind.TIMESTAMP:
            return timestamp_text(value, unit)
        case Kind.BITS:
            return bits_text(value, type_.length)
        case Kind.MAP | Kind.ARRAY:
            return json_text(value, type_)
    return str(value)
