"""Values of records that carry their schema, as people read them: decimals, dates and times."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from connectors.sinks.values import (
    DATE_INFINITY,
    INFINITY,
    date_text,
    time_text,
    timestamp_text,
    unscaled_decimal,
)

MOST_ZEROS: Final = 100


class Bare(str):
    """Text that is shown without quotes: what it stands for is no string."""

    __slots__ = ()


def readable(schema: Any, value: Any) -> Any:
    """``value``, the payload of the JSON converter, with each value of a logical type (Decimal,
    VariableScaleDecimal, dates, times, timestamps, MicroDuration) replaced by its text.

    What is not as its schema says is left as it is: this is for the eyes.
    """
    if value is None or not isinstance(schema, dict):
        return value
    try:
        return _readable(schema, value)
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        return value


def _readable(schema: Mapping[str, Any], value: Any) -> Any:
    name, kind = schema.get("name"), schema.get("type")
    if name in _NAMED:
        return Bare(_NAMED[name](schema, value))
    if kind == "struct" and isinstance(value, dict):
        fields = {field["field"]: field for field in schema["fields"]}
        return {name: readable(fields.get(name), cell) for name, cell in value.items()}
    if kind == "array" and isinstance(value, list):
        return [readable(schema["items"], item) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {name: readable(schema["values"], item) for name, item in value.items()}
    return value


def _decimal(schema: Mapping[str, Any], value: Any) -> str:
    if isinstance(value, int | float):  # decimal.format=NUMERIC
        return str(value)
    return _plain(value, int(schema["parameters"]["scale"]))


def _scaled(_schema: Mapping[str, Any], value: Any) -> str:
    return _plain(value["value"], value["scale"])


def _plain(encoded: str, scale: int) -> str:
    """The number of big-endian base64 bytes, with an exponent where zeros would fill screens."""
    unscaled = int.from_bytes(b64decode(encoded, validate=True), "big", signed=True)
    number: Decimal = unscaled_decimal(unscaled, scale)
    return f"{number:f}" if abs(scale) <= MOST_ZEROS else str(number)


def _date(_schema: Mapping[str, Any], days: Any) -> str:
    return _infinite(days, DATE_INFINITY) or date_text(_integer(days))


def _time(unit: int) -> Callable[[Mapping[str, Any], Any], str]:
    return lambda _, count: time_text(_integer(count), unit)


def _timestamp(unit: int) -> Callable[[Mapping[str, Any], Any], str]:
    def text(_schema: Mapping[str, Any], count: Any) -> str:
        return _infinite(count, INFINITY[unit]) or timestamp_text(_integer(count), unit)

    return text


def _duration(_schema: Mapping[str, Any], micros: Any) -> str:
    return ("-" if micros < 0 else "") + time_text(abs(_integer(micros)), 1_000_000)


def _infinite(count: Any, both: tuple[int, int]) -> str | None:
    return ("infinity", "-infinity")[both.index(count)] if count in both else None


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("not an integer")
    return value


_CONNECT: Final = "org.apache.kafka.connect.data."
_DEBEZIUM: Final = "io.debezium.time."
_NAMED: Final[Mapping[Any, Callable[[Mapping[str, Any], Any], str]]] = {
    _CONNECT + "Decimal": _decimal,
    "io.debezium.data.VariableScaleDecimal": _scaled,
    _CONNECT + "Date": _date,
    _CONNECT + "Time": _time(1_000),
    _CONNECT + "Timestamp": _timestamp(1_000),
    _DEBEZIUM + "Date": _date,
    _DEBEZIUM + "Time": _time(1_000),
    _DEBEZIUM + "MicroTime": _time(1_000_000),
    _DEBEZIUM + "NanoTime": _time(1_000_000_000),
    _DEBEZIUM + "Timestamp": _timestamp(1_000),
    _DEBEZIUM + "MicroTimestamp": _timestamp(1_000_000),
    _DEBEZIUM + "NanoTimestamp": _timestamp(1_000_000_000),
    _DEBEZIUM + "MicroDuration": _duration,
}
