"""Postgres types: the Connect schema of a column, and the function that reads its texts.

Snapshot and stream both carry Postgres's text form and share what is here. A type that is not
known is refused by name: never dropped, never guessed.
"""

from __future__ import annotations

import base64
import binascii
import decimal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from connect.data import DECIMAL, NO_DEFAULT, Field, Schema, parameters
from connectors.postgres import arrays, temporal

Decode: TypeAlias = Callable[[Sequence[bytes]], Sequence[Any]]
"""Texts of a column, without NULLs, to its values. ValueError for what can't be represented."""

DecimalMode = Literal["precise", "double", "string"]
BinaryMode = Literal["bytes", "base64", "base64-url-safe", "hex"]
TimeMode = Literal[
    "adaptive", "adaptive_time_microseconds", "connect", "microseconds", "nanoseconds"
]
IntervalMode = Literal["numeric", "string"]

VARIABLE_SCALE: Final = Schema(
    "struct",
    name="io.debezium.data.VariableScaleDecimal",
    version=1,
    doc="Variable scaled decimal",
    fields=(Field("scale", Schema("int32")), Field("value", Schema("bytes"))),
)
UNBOUNDED: Final = 2**31 - 1
_EXACT: Final = decimal.Context(prec=decimal.MAX_PREC, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX)


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


def column_type(
    oid: int, typmod: int, types: Mapping[int, TypeInfo], options: ValueOptions
) -> ColumnType:
    """The type of a column.

    Args:
        oid: of pg_type.
        typmod: of pg_attribute: length, precision and scale; -1: none.
        types: what pg_type says of the oids that are not built in, arrays and domains included.
    """
    known = _BUILT_IN.get(oid)
    if known is not None:
        return known(typmod, options)
    info = types.get(oid)
    if info is None:
        raise UnsupportedType(f"type with oid {oid}")
    if info.kind == "d":
        return column_type(info.base, typmod if typmod >= 0 else info.base_typmod, types, options)
    if info.kind == "e":
        return _enum(info.labels)
    if info.element:
        return _array(info, typmod, types, options)
    if info.name in _BY_NAME:
        return _BY_NAME[info.name]
    raise UnsupportedType(f"type {info.name}")


def builtin(oid: int) -> bool:
    """Whether ``column_type`` needs no TypeInfo of this oid."""
    return oid in _BUILT_IN


def _texts(column: Sequence[bytes]) -> list[str]:
    return list(map(bytes.decode, column))


def _text(name: str | None = None, zero: str = "") -> ColumnType:
    schema = Schema("string", name=name, version=1 if name else None)
    return ColumnType(schema, _texts, zero)


def _integers(column: Sequence[bytes]) -> list[int]:
    return list(map(int, column))


def _floats(column: Sequence[bytes]) -> list[float]:
    return list(map(float, column))


def _booleans(column: Sequence[bytes]) -> list[bool]:
    return [text == b"t" for text in column]


# -- numbers -----------------------------------------------------------------------------------


def _finite(column: Sequence[bytes]) -> list[Decimal]:
    values = list(map(Decimal, map(bytes.decode, column)))
    if not all(map(Decimal.is_finite, values)):
        raise ValueError("the value is NaN or Infinity, which the precise mode can't represent")
    return values


def _rescaled(column: Sequence[bytes], scale: int) -> list[Decimal]:
    """Decimals of exactly this scale: Postgres writes them so, but for negative scales."""
    values = _finite(column)
    unit = Decimal(1).scaleb(-scale)
    return [v.quantize(unit, decimal.ROUND_HALF_UP, _EXACT) for v in values]


def _variable(column: Sequence[bytes]) -> list[tuple[int, bytes]]:
    """(scale, unscaled value) with trailing zeros stripped and the scale not below 0."""
    found = []
    for value in _finite(column):
        sign, digits, exponent = value.normalize(_EXACT).as_tuple()
        unscaled = _long(digits)
        if int(exponent) > 0:
            unscaled, exponent = unscaled * 10 ** int(exponent), 0
        found.append((-int(exponent), _twos_complement(-unscaled if sign else unscaled)))
    return found


def _long(digits: tuple[int, ...]) -> int:
    """int() of many digits: Python refuses texts of more than 4300."""
    if len(digits) < 4000:
        return int("".join(map(str, digits)))
    half = len(digits) // 2
    high: int = _long(digits[:-half]) * 10**half
    return high + _long(digits[-half:])


def _twos_complement(number: int) -> bytes:
    size = (number + (number < 0)).bit_length() // 8 + 1
    return number.to_bytes(size, "big", signed=True)


_SPECIAL: Final = {
    b"NaN": "NAN",
    b"Infinity": "POSITIVE_INFINITY",
    b"-Infinity": "NEGATIVE_INFINITY",
}


def _plain_decimals(column: Sequence[bytes]) -> list[str]:
    return [_SPECIAL.get(text) or text.decode() for text in column]


def _numeric(typmod: int, options: ValueOptions) -> ColumnType:
    if options.decimal == "double":
        return ColumnType(Schema("double"), _floats, 0.0)
    if options.decimal == "string":
        return ColumnType(Schema("string"), _plain_decimals, "0")
    if typmod < 0:
        return ColumnType(VARIABLE_SCALE, _variable, (0, b"\0"))
    precision = ((typmod - 4) >> 16) & 0xFFFF
    scale = (((typmod - 4) & 0x7FF) ^ 0x400) - 0x400
    decode: Decode = _finite if scale >= 0 else partial(_rescaled, scale=scale)
    return ColumnType(_decimal_schema(scale, precision), decode, Decimal(0).scaleb(-scale))


def _decimal_schema(scale: int, precision: int | None = None) -> Schema:
    values = {"scale": str(scale)}
    if precision is not None:
        values["connect.decimal.precision"] = str(precision)
    return Schema("bytes", name=DECIMAL, version=1, parameters=parameters(values))


def _amounts(column: Sequence[bytes], scale: int) -> list[Decimal]:
    """``money`` in whatever locale: its digits, over the fraction digits of that locale."""
    amounts = []
    for text in column:
        digits = bytes(filter(_DIGITS.__contains__, text))
        if not digits:
            raise ValueError("the text is not an amount of money")
        amount = Decimal(digits.decode()).scaleb(-scale, _EXACT)
        amounts.append(-amount if b"-" in text or b"(" in text else amount)
    return amounts


_DIGITS: Final = frozenset(b"0123456789")


def _money(_typmod: int, options: ValueOptions) -> ColumnType:
    read = partial(_amounts, scale=options.server_money_scale)
    if options.decimal == "double":
        return ColumnType(Schema("double"), lambda column: [float(a) for a in read(column)], 0.0)
    unit = Decimal(1).scaleb(-options.money_scale)

    def rounded(column: Sequence[bytes]) -> list[Decimal]:
        return [a.quantize(unit, decimal.ROUND_HALF_UP, _EXACT) for a in read(column)]

    if options.decimal == "string":
        return ColumnType(
            Schema("string"), lambda column: [format(a, "f") for a in rounded(column)], "0"
        )
    return ColumnType(_decimal_schema(options.money_scale), rounded, 0 * unit)


# -- bytes and bits ----------------------------------------------------------------------------


def _bytes(column: Sequence[bytes]) -> list[bytes]:
    if not all(text.startswith(b"\\x") for text in column):
        raise ValueError("bytea_output is not hex")
    return [binascii.unhexlify(text[2:]) for text in column]


def _bytea(_typmod: int, options: ValueOptions) -> ColumnType:
    encoders: dict[str, Callable[[bytes], bytes]] = {
        "base64": base64.b64encode,
        "base64-url-safe": base64.urlsafe_b64encode,
        "hex": binascii.hexlify,
    }
    encode = encoders.get(options.binary)
    if encode is None:
        return ColumnType(Schema("bytes"), _bytes, b"")
    return ColumnType(
        Schema("string"), lambda column: [encode(v).decode() for v in _bytes(column)], ""
    )


def _bits(column: Sequence[bytes]) -> list[bytes]:
    """Little-endian, without trailing zero bytes, as Java's BitSet has them."""
    numbers = [int(text, 2) if text else 0 for text in column]
    return [n.to_bytes((n.bit_length() + 7) // 8, "little") for n in numbers]


def _single_bits(column: Sequence[bytes]) -> list[bool]:
    if any(text not in (b"0", b"1") for text in column):
        raise ValueError("the text is not a single bit")
    return [text == b"1" for text in column]


def _bit(typmod: int, _options: ValueOptions) -> ColumnType:
    if typmod == 1:
        return ColumnType(Schema("boolean"), _single_bits, False)
    length = str(typmod if typmod >= 0 else UNBOUNDED)
    schema = Schema(
        "bytes", name="io.debezium.data.Bits", version=1, parameters=parameters(length=length)
    )
    return ColumnType(schema, _bits, b"")


# -- time --------------------------------------------------------------------------------------


def _precision(typmod: int) -> int:
    return typmod if typmod >= 0 else 6


def _date(_typmod: int, options: ValueOptions) -> ColumnType:
    name = "org.apache.kafka.connect.data.Date" if options.time == "connect" else _TIME + "Date"
    return ColumnType(Schema("int32", name=name, version=1), temporal.days, 0)


_TIME: Final = "io.debezium.time."


def _unit(options: ValueOptions, typmod: int, time_of_day: bool) -> str:
    mode = options.time
    if mode in ("connect", "nanoseconds", "microseconds"):
        return mode
    if time_of_day and mode == "adaptive_time_microseconds":
        return "microseconds"
    return "milliseconds" if _precision(typmod) <= 3 else "microseconds"


def _milliseconds(
    column: Sequence[bytes], read: Callable[[Sequence[bytes]], list[int]]
) -> list[int]:
    return [value // 1000 for value in read(column)]


def _microseconds(
    column: Sequence[bytes], read: Callable[[Sequence[bytes]], list[int]]
) -> list[int]:
    values = read(column)
    if values and max(values) >= 2**63:
        raise ValueError("the timestamp has more microseconds than 64 bits hold")
    return values


def _nanoseconds(
    column: Sequence[bytes], read: Callable[[Sequence[bytes]], list[int]]
) -> list[int]:
    ends = {temporal.TIMESTAMP_INFINITY: 2**63 - 1, temporal.TIMESTAMP_MINUS_INFINITY: -(2**63)}
    values = [ends.get(value, value * 1000) for value in read(column)]
    if values and not (min(values) >= -(2**63) and max(values) < 2**63):
        raise ValueError("the timestamp is outside 1677-09-21 to 2262-04-11, what nanoseconds hold")
    return values


def _time(typmod: int, options: ValueOptions) -> ColumnType:
    unit = _unit(options, typmod, time_of_day=True)
    name = {
        "connect": "org.apache.kafka.connect.data.Time",
        "milliseconds": _TIME + "Time",
        "microseconds": _TIME + "MicroTime",
        "nanoseconds": _TIME + "NanoTime",
    }[unit]
    size: Literal["int32", "int64"] = "int32" if unit in ("connect", "milliseconds") else "int64"
    return ColumnType(Schema(size, name=name, version=1), _READERS[unit](temporal.times), 0)


def _timestamp(typmod: int, options: ValueOptions) -> ColumnType:
    unit = _unit(options, typmod, time_of_day=False)
    name = {
        "connect": "org.apache.kafka.connect.data.Timestamp",
        "milliseconds": _TIME + "Timestamp",
        "microseconds": _TIME + "MicroTimestamp",
        "nanoseconds": _TIME + "NanoTimestamp",
    }[unit]
    return ColumnType(Schema("int64", name=name, version=1), _READERS[unit](temporal.timestamps), 0)


_READERS: Final[dict[str, Callable[[Callable[[Sequence[bytes]], list[int]]], Decode]]] = {
    "connect": lambda read: partial(_milliseconds, read=read),
    "milliseconds": lambda read: partial(_milliseconds, read=read),
    "microseconds": lambda read: partial(_microseconds, read=read),
    "nanoseconds": lambda read: partial(_nanoseconds, read=read),
}


def _zoned_timestamp(typmod: int, _options: ValueOptions) -> ColumnType:
    precision = _precision(typmod)
    zero = temporal.zoned_timestamps([b"1970-01-01 00:00:00+00"], precision)[0]
    decode = partial(temporal.zoned_timestamps, precision=precision)
    return ColumnType(Schema("string", name=_TIME + "ZonedTimestamp", version=1), decode, zero)


def _zoned_time(_typmod: int, _options: ValueOptions) -> ColumnType:
    schema = Schema("string", name=_TIME + "ZonedTime", version=1)
    return ColumnType(schema, temporal.zoned_times, "00:00:00Z")


def _interval(_typmod: int, options: ValueOptions) -> ColumnType:
    if options.interval == "string":
        schema = Schema("string", name=_TIME + "Interval", version=1)
        return ColumnType(schema, temporal.iso_durations, "P0Y0M0DT0H0M0S")
    return ColumnType(
        Schema("int64", name=_TIME + "MicroDuration", version=1), temporal.durations, 0
    )


# -- enums and arrays --------------------------------------------------------------------------


def _enum(labels: tuple[str, ...]) -> ColumnType:
    schema = Schema(
        "string",
        name="io.debezium.data.Enum",
        version=1,
        parameters=parameters(allowed=",".join(labels)),
    )
    return ColumnType(schema, _texts, labels[0] if labels else "")


def _array(
    info: TypeInfo, typmod: int, types: Mapping[int, TypeInfo], options: ValueOptions
) -> ColumnType:
    if info.element in _NO_ARRAYS:
        raise UnsupportedType(f"type {info.name}")
    element = column_type(info.element, typmod, types, options)

    def decode(column: Sequence[bytes]) -> list[list[Any]]:
        rows = arrays.split(column)
        texts = [text for row in rows for text in row if text is not None]
        values = iter(element.decode(texts))
        return [
            list(islice(values, len(row)))
            if None not in row
            else [None if text is None else next(values) for text in row]
            for row in rows
        ]

    items = replace(element.schema, optional=True, default=NO_DEFAULT)
    return ColumnType(Schema("array", items=items), decode, [])


# -- the table of types ------------------------------------------------------------------------

_Maker: TypeAlias = Callable[[int, ValueOptions], ColumnType]


def _always(made: ColumnType) -> _Maker:
    return lambda _typmod, _options: made


_JSON = _text("io.debezium.data.Json", "{}")
_UUID = _text("io.debezium.data.Uuid", "00000000-0000-0000-0000-000000000000")

_BUILT_IN: Final[dict[int, _Maker]] = {
    16: _always(ColumnType(Schema("boolean"), _booleans, False)),
    17: _bytea,
    18: _always(_text()),  # "char"
    19: _always(_text()),  # name
    20: _always(ColumnType(Schema("int64"), _integers, 0)),
    21: _always(ColumnType(Schema("int16"), _integers, 0)),
    23: _always(ColumnType(Schema("int32"), _integers, 0)),
    25: _always(_text()),
    26: _always(ColumnType(Schema("int64"), _integers, 0)),  # oid
    114: _always(_JSON),
    142: _always(_text("io.debezium.data.Xml")),
    650: _always(_text()),  # cidr
    700: _always(ColumnType(Schema("float"), _floats, 0.0)),
    701: _always(ColumnType(Schema("double"), _floats, 0.0)),
    774: _always(_text()),  # macaddr8
    790: _money,
    829: _always(_text()),  # macaddr
    869: _always(_text()),  # inet
    1042: _always(_text()),  # bpchar
    1043: _always(_text()),  # varchar
    1082: _date,
    1083: _time,
    1114: _timestamp,
    1184: _zoned_timestamp,
    1186: _interval,
    1266: _zoned_time,
    1560: _bit,
    1562: _bit,
    1700: _numeric,
    2950: _always(_UUID),
    3614: _always(_text("io.debezium.data.Tsvector")),
    3802: _always(_JSON),
    **{oid: _always(_text()) for oid in (3904, 3906, 3908, 3910, 3912, 3926)},  # ranges
}
_BY_NAME: Final = {"citext": _text(), "ltree": _text("io.debezium.data.Ltree")}
_NO_ARRAYS: Final = frozenset({18})  # "char"[] is not an array of anything Connect has
