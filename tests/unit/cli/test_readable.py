from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from api.cli.changes import describe_change
from api.cli.readable import Bare, readable

CONNECT, TIME = "org.apache.kafka.connect.data.", "io.debezium.time."


def number(unscaled: int) -> str:
    size = unscaled.bit_length() // 8 + 1
    return b64encode(unscaled.to_bytes(size, "big", signed=True)).decode()


def decimal(scale: int, **more: Any) -> dict[str, Any]:
    parameters = {"scale": str(scale)}
    return {"type": "bytes", "name": CONNECT + "Decimal", "parameters": parameters, **more}


@pytest.mark.parametrize(
    ("unscaled", "scale", "text"),
    [(1250, 2, "12.50"), (-1, 3, "-0.001"), (0, 2, "0.00"), (10**40, 0, "1" + "0" * 40),
     (12, -3, "12000"), (-128, 0, "-128"), (5, 9_999, "5E-9999")],
)  # fmt: skip
def test_decimals_have_all_their_digits(unscaled: int, scale: int, text: str) -> None:
    found = readable(decimal(scale), number(unscaled))
    assert (found, type(found)) == (text, Bare)
    variable = {"type": "struct", "name": "io.debezium.data.VariableScaleDecimal", "fields": []}
    assert readable(variable, {"scale": scale, "value": number(unscaled)}) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (TIME + "Date", 19782, "2024-02-29"),
        (CONNECT + "Date", -1, "1969-12-31"),
        (TIME + "Date", 2**31 - 1, "infinity"),
        (TIME + "Date", -719529, "0002-12-31 BC"),
        (TIME + "Time", 3_600_000, "01:00:00"),
        (CONNECT + "Time", 1, "00:00:00.001000"),
        (TIME + "MicroTime", 86_399_500_000, "23:59:59.500000"),
        (TIME + "NanoTime", 1_000_000_000, "00:00:01"),
        (TIME + "Timestamp", 1_709_208_000_000, "2024-02-29 12:00:00"),
        (CONNECT + "Timestamp", 0, "1970-01-01 00:00:00"),
        (TIME + "MicroTimestamp", 1_709_208_000_123_456, "2024-02-29 12:00:00.123456"),
        (TIME + "MicroTimestamp", -9223372036832400000, "-infinity"),
        (TIME + "NanoTimestamp", 1_000_000_000, "1970-01-01 00:00:01"),
        (TIME + "MicroDuration", -90_500_000, "-00:01:30.500000"),
    ],
)
def test_dates_and_times(name: str, value: int, text: str) -> None:
    found = readable({"type": "int64", "name": name}, value)
    assert (found, type(found)) == (text, Bare)


def test_nested_values_and_plain_ones() -> None:
    schema = {
        "type": "struct",
        "fields": [
            {"field": "prices", "type": "array", "items": decimal(1)},
            {"field": "days", "type": "map", "values": {"type": "int32", "name": TIME + "Date"}},
            {"field": "n", "type": "int64"},
            {"field": "gone", **decimal(1, optional=True)},
        ],
    }
    value = {"prices": [number(15), None], "days": {"a": 0}, "n": 7, "gone": None, "more": "x"}
    assert readable(schema, value) == {
        "prices": ["1.5", None], "days": {"a": "1970-01-01"}, "n": 7, "gone": None, "more": "x",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (None, 1), ("x", 1), ({}, 1), ({"name": ["x"], "type": "int64"}, 1),
        (decimal(2), "not base64"), (decimal(2), []), ({**decimal(2), "parameters": None}, "AQ=="),
        (decimal(2), "é"), ({"name": TIME + "Date"}, "2024"), ({"name": TIME + "Date"}, True),
        ({"name": TIME + "NanoTime"}, 1), ({"name": TIME + "MicroDuration"}, 1.5),
        ({"name": "io.debezium.data.VariableScaleDecimal"}, {"scale": "2", "value": "AQ=="}),
        ({"type": "struct"}, {"a": 1}), ({"type": "array", "items": 5}, [1]),
        ({"type": "struct", "fields": [{"type": "int32"}]}, {"a": 1}),
    ],
)  # fmt: skip
def test_what_is_not_as_its_schema_says_stays_as_it_is(schema: Any, value: Any) -> None:
    assert readable(schema, value) == value
    assert not isinstance(readable(schema, value), Bare)


def test_a_change_with_its_schema_is_readable() -> None:
    row = {
        "type": "struct",
        "fields": [
            {"field": "id", **decimal(0)},
            {"field": "total", **decimal(2)},
            {"field": "day", "type": "int32", "name": TIME + "Date"},
            {"field": "body", **decimal(2)},
        ],
    }
    fields = [{**row, "field": "before"}, {**row, "field": "after"}]
    before = {"id": number(7), "total": number(1250), "day": 0, "body": number(1)}
    after = {"id": number(7), "total": number(1300), "day": None, "body": "X19kZWJleml1bQ=="}
    change = {"op": "u", "before": before, "after": after, "source": {"txId": 1}}
    record = {
        "partition": 0,
        "offset": 5,
        "timestamp": 0,
        "key": {"schema": {**row, "fields": row["fields"][:1]}, "payload": {"id": number(7)}},
        "value": {"schema": {"type": "struct", "fields": fields}, "payload": change},
        "headers": [["__tailrace.unavailable", "after.body"]],
    }
    _, text = describe_change(record)
    assert text.split("  ", 2)[2] == (
        "UPDATE id=7   total 12.50 → 13.00   day 1970-01-01 → null   tx 1"
    )
