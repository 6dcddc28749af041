"""Which column a Connect schema asks for: pure, the same for every target.

Names and meanings of the semantic types are those of Debezium and Kafka Connect.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from connect.data import DECIMAL, Schema


class Kind(StrEnum):
    """Families of column types that every target knows in its own words."""

    BOOLEAN = "boolean"
    SMALLINT = "smallint"
    INTEGER = "integer"
    BIGINT = "bigint"
    REAL = "real"
    DOUBLE = "double"
    DECIMAL = "decimal"  # one scale for the column
    NUMERIC = "numeric"  # a scale per value
    TEXT = "text"
    BYTES = "bytes"
    DATE = "date"
    TIME = "time"
    TIMETZ = "timetz"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamptz"
    INTERVAL = "interval"  # ISO 8601 text
    DURATION = "duration"  # a count of micro- or nanoseconds
    UUID = "uuid"
    JSON = "json"
    XML = "xml"
    BITS = "bits"
    ARRAY = "array"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column's type.

    Args:
        unit: of integer dates and times: units per second (``DATE``: 0, days); 0 as well when the
            value is ISO text.
        length: digits of a DECIMAL, characters of a TEXT, bits of a BITS; None: unbounded.
        scale: of a DECIMAL.
        item: of an ARRAY.
        text: the value is ISO 8601 text rather than a count.
    """

    kind: Kind
    unit: int = 0
    length: int | None = None
    scale: int = 0
    item: ColumnType | None = None
    text: bool = False


class UnsupportedSchema(ValueError):
    """A schema for which no column type exists; the message says why."""


_PLAIN: Final = {
    "int8": Kind.SMALLINT,
    "int16": Kind.SMALLINT,
    "int32": Kind.INTEGER,
    "int64": Kind.BIGINT,
    "float": Kind.REAL,
    "double": Kind.DOUBLE,
    "boolean": Kind.BOOLEAN,
    "string": Kind.TEXT,
    "bytes": Kind.BYTES,
    "map": Kind.MAP,
}

_D: Final = "io.debezium.data."
_T: Final = "io.debezium.time."
_C: Final = "org.apache.kafka.connect.data."
_MS, _US, _NS = 1_000, 1_000_000, 1_000_000_000

_NAMED: Final = {
    (_C + "Date", "int32"): ColumnType(Kind.DATE),
    (_C + "Time", "int32"): ColumnType(Kind.TIME, _MS),
    (_C + "Timestamp", "int64"): ColumnType(Kind.TIMESTAMP, _MS),
    (_T + "Date", "int32"): ColumnType(Kind.DATE),
    (_T + "Time", "int32"): ColumnType(Kind.TIME, _MS),
    (_T + "MicroTime", "int64"): ColumnType(Kind.TIME, _US),
    (_T + "NanoTime", "int64"): ColumnType(Kind.TIME, _NS),
    (_T + "Timestamp", "int64"): ColumnType(Kind.TIMESTAMP, _MS),
    (_T + "MicroTimestamp", "int64"): ColumnType(Kind.TIMESTAMP, _US),
    (_T + "NanoTimestamp", "int64"): ColumnType(Kind.TIMESTAMP, _NS),
    (_T + "MicroDuration", "int64"): ColumnType(Kind.DURATION, _US),
    (_T + "NanoDuration", "int64"): ColumnType(Kind.DURATION, _NS),
    (_T + "ZonedTimestamp", "string"): ColumnType(Kind.TIMESTAMPTZ, text=True),
    (_T + "ZonedTime", "string"): ColumnType(Kind.TIMETZ, text=True),
    (_T + "IsoDate", "string"): ColumnType(Kind.DATE, text=True),
    (_T + "IsoTime", "string"): ColumnType(Kind.TIME, text=True),
    (_T + "IsoTimestamp", "string"): ColumnType(Kind.TIMESTAMP, text=True),
    (_T + "Interval", "string"): ColumnType(Kind.INTERVAL, text=True),
    (_D + "Json", "string"): ColumnType(Kind.JSON),
    (_D + "Xml", "string"): ColumnType(Kind.XML),
    (_D + "Uuid", "string"): ColumnType(Kind.UUID),
}

UNBOUNDED_BITS: Final = 2_147_483_647


def column_type(schema: Schema) -> ColumnType:
    """The column type for values of ``schema``; UnsupportedSchema when there is none."""
    parameters = dict(schema.parameters)
    if schema.name == DECIMAL:
        digits = parameters.get("connect.decimal.precision")
        return ColumnType(Kind.DECIMAL, length=int(digits) if digits else None, scale=schema.scale)
    if schema.name == _D + "VariableScaleDecimal" and schema.type == "struct":
        return ColumnType(Kind.NUMERIC)
    if schema.name == _D + "Bits" and schema.type == "bytes":
        bits = int(parameters.get("length", UNBOUNDED_BITS))
        return ColumnType(Kind.BITS, length=None if bits >= UNBOUNDED_BITS else bits)
    named = _NAMED.get((schema.name or "", schema.type))
    if named is not None:
        return named
    if schema.type == "array":
        assert schema.items is not None
        item = column_type(schema.items)
        if item.kind in (Kind.ARRAY, Kind.MAP):
            raise UnsupportedSchema(f"an array of {item.kind}s has no column type")
        return ColumnType(Kind.ARRAY, item=item)
    kind = _PLAIN.get(schema.type)
    if kind is None:
        raise UnsupportedSchema(f"a nested {schema.name or schema.type} has no column type")
    if kind is Kind.TEXT:
        characters = parameters.get("__debezium.source.column.length", "")
        return ColumnType(kind, length=int(characters) if characters.isdecimal() else None)
    return ColumnType(kind)


_INTEGERS: Final = (Kind.SMALLINT, Kind.INTEGER, Kind.BIGINT)
_FLOATS: Final = (Kind.REAL, Kind.DOUBLE)
_EXACT: Final = (*_INTEGERS, Kind.DECIMAL, Kind.NUMERIC)


def is_wider(wanted: ColumnType, found: ColumnType) -> bool:
    """Whether a column of type ``found`` can grow, without loss, to hold every ``wanted``."""
    if wanted.kind in _INTEGERS and found.kind in _INTEGERS:
        return _INTEGERS.index(wanted.kind) > _INTEGERS.index(found.kind)
    if wanted.kind is Kind.DOUBLE and found.kind is Kind.REAL:
        return True
    if wanted.kind is Kind.TEXT and found.kind is Kind.TEXT:
        return bool(wanted.length and found.length and wanted.length > found.length)
    if wanted.kind is Kind.NUMERIC and found.kind is Kind.DECIMAL:
        return found.length is not None
    if wanted.kind is Kind.DECIMAL and found.kind is Kind.DECIMAL and found.length is not None:
        if wanted.length is None:
            return wanted.scale > found.scale
        whole = wanted.length - wanted.scale
        return wanted.scale > found.scale or whole > found.length - found.scale
    return False


def rounds(wanted: ColumnType, found: ColumnType) -> bool:
    """Whether a column of type ``found`` would change values of ``wanted`` without an error."""
    if found.kind in _FLOATS:
        return wanted.kind in _EXACT or (wanted.kind, found.kind) == (Kind.DOUBLE, Kind.REAL)
    if wanted.kind in (Kind.DECIMAL, Kind.NUMERIC, *_FLOATS):
        if found.kind in _INTEGERS:
            return True
        if found.kind is Kind.DECIMAL and found.length is not None:
            return wanted.kind is not Kind.DECIMAL or wanted.scale > found.scale
    return False
