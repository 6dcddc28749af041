"""Postgres types: the Connect schema of a column, and the function that reads its texts.

Snapshot and stream both carry Postgres's text form and share what is here. A type that is not
known is refused by name: never dropped, never guessed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Final, Literal, TypeAlias

from connect.data import NO_DEFAULT, Schema, parameters
from connectors.postgres import arrays, decimals, temporal
from connectors.postgres.types import (
    ColumnType,
    Decode,
    TypeInfo,
    UnsupportedType,
    ValueOptions,
)

UNBOUNDED: Final = 2**31 - 1


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


def _booleans(column: Sequence[bytes]) -> list[bool]:
    return [text == b"t" for text in column]


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
    700: _always(ColumnType(Schema("float"), decimals.floats, 0.0)),
    701: _always(ColumnType(Schema("double"), decimals.floats, 0.0)),
    774: _always(_text()),  # macaddr8
    790: decimals.money,
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
    1700: decimals.numeric,
    2950: _always(_UUID),
    3614: _always(_text("io.debezium.data.Tsvector")),
    3802: _always(_JSON),
    **{oid: _always(_text()) for oid in (3904, 3906, 3908, 3910, 3912, 3926)},  # ranges
}
_BY_NAME: Final = {"citext": _text(), "ltree": _text("io.debezium.data.Ltree")}
_NO_ARRAYS: Final = frozenset({18})  # "char"[] is not an array of anything Connect has
