"""What the JsonConverter refuses, and what it reads that it would not have written."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from connect.config import parse, validate
from connect.converters.json import JsonConverter, JsonConverterConfig
from connect.data import DECIMAL, UNAVAILABLE, Constant, Field, Plain, Schema, Struct, parameters
from connect.errors import DecodeError, SchemaMismatch

MONEY = Schema("bytes", True, DECIMAL, 1, parameters=parameters(scale="2"))
ROW = Schema(
    "struct",
    name="t.Value",
    fields=(Field("id", Schema("int32")), Field("name", Schema("string", True)), Field("m", MONEY)),
)


def converter(**options: str) -> JsonConverter:
    named = {name.replace("_", "."): value for name, value in options.items()}
    return JsonConverter(parse(JsonConverterConfig, named), False)


def wrapped(schema: str, payload: str) -> bytes:
    return f'{{"schema":{schema},"payload":{payload}}}'.encode()


INT = '{"type":"int32","optional":true}'


def test_a_value_that_does_not_fit_names_its_row_and_field() -> None:
    rows = Struct(ROW, [[1, 2, 3], ["a", 5, "c"], [None, None, Decimal("1.005")]], 3)
    with pytest.raises(SchemaMismatch) as caught:
        converter().encode("t", rows)
    assert set(caught.value.rows) == {1, 2}
    assert caught.value.rows[1] == "name: string can't hold a value of type int"
    assert caught.value.rows[2] == "m: a decimal that its scale can't hold"


@pytest.mark.parametrize(
    ("kind", "value"),
    [("int8", 128), ("int64", 2**63), ("int32", True), ("string", UNAVAILABLE), ("string", None),
     ("string", "\ud800"), ("bytes", "text"), ("boolean", 1), ("double", "1")],
)  # fmt: skip
def test_values_out_of_their_type_are_refused(kind: str, value: object) -> None:
    schema = Schema("struct", fields=(Field("x", Schema(kind)),))  # type: ignore[arg-type]
    for column in ([value], Constant(value, 1)):
        with pytest.raises(SchemaMismatch):
            converter().encode("t", Struct(schema, [column], 1))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1.005"])
@pytest.mark.parametrize("form", ["BASE64", "NUMERIC"])
def test_decimals_a_scale_cant_hold_are_refused(value: str, form: str) -> None:
    with pytest.raises(SchemaMismatch):
        converter(decimal_format=form).encode("t", Plain(MONEY, [Decimal(value)]))


def test_null_rows_are_null_payloads() -> None:
    rows = Struct(ROW, [[1, None], ["a", None], [None, None]], 2, [True, False])
    texts = converter(schemas_enable="false").encode("t", rows)
    assert texts == [b'{"id":1,"name":"a","m":null}', None]
    assert converter().encode("t", Plain(None, [None])) == [None]


def test_cells_of_null_rows_are_ignored() -> None:
    inner = Schema("struct", True, fields=(Field("id", Schema("int32")),))
    outer = Schema("struct", fields=(Field("after", inner),))
    column = Struct(inner, [[UNAVAILABLE, 7]], 2, [False, True])
    texts = converter(schemas_enable="false").encode("t", Struct(outer, [column], 2))
    assert texts == [b'{"after":null}', b'{"after":{"id":7}}']


def test_tombstones_join_the_run_they_fall_into() -> None:
    one, other = wrapped(INT, "1"), wrapped('{"type":"string","optional":false}', '"x"')
    runs = converter().decode("t", [None, one, None, one, other, None])
    assert [len(run) for run in runs] == [4, 2]
    assert [list(run.rows()) for run in runs] == [[None, 1, None, 1], ["x", None]]
    assert [len(run) for run in converter().decode("t", [None, None])] == [2]
    assert converter().decode("t", []) == []


@pytest.mark.parametrize(
    "message",
    [
        b"", b"1", b"{}", b'{"payload":1}', b'{"schema":null,"payload":1,"more":2}',
        wrapped(INT, "1") + b"x", wrapped(INT, "1")[:-1], wrapped(INT, "1,2"),
        wrapped(INT, '1,"payload":2'), wrapped(INT, '"1"'), wrapped(INT, "1.5"),
        wrapped(INT, "2147483648"), wrapped(INT, "true"), wrapped('{"type":"int32"}', "null"),
        wrapped('{"type":"thing"}', "1"), wrapped('{"type":"bytes"}', '"a"'),
        wrapped('{"type":"bytes"}', '"YQ==\\n"'), wrapped('{"type":"double"}', '"1"'),
        wrapped('{"type":"double"}', "NaN"), wrapped("1", "1"), b"\xff\xfe",
        wrapped('{"type":"map","keys":{"type":"int32"},"values":{"type":"int32"}}', "[[1]]"),
        wrapped('{"type":"struct","fields":[{"type":"int32"}]}', "{}"), b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_cant_be_read_is_named_and_the_rest_is_not(message: bytes) -> None:
    good = wrapped(INT, "1")
    with pytest.raises(DecodeError) as caught:
        converter().decode("t", [good, message, None, good])
    assert list(caught.value.rows) == [1]


@pytest.mark.parametrize(
    "messages",
    [[b"[1", b"2]"], [b'1,"x":2'], [b'1},{"x":2', b"[{}", b"{}]"], [b'"a', b'b"'], [b"1,2", b""],
     [b'{"a":1', b'"b":2}'], [b"1]", b"[2"]],
)  # fmt: skip
def test_messages_borrow_no_brackets_from_their_neighbours(messages: list[bytes]) -> None:
    with pytest.raises(DecodeError):
        converter(schemas_enable="false").decode("t", messages)
    with pytest.raises(DecodeError):
        converter().decode("t", [wrapped("null", message.decode()) for message in messages])


def test_other_layouts_of_the_same_message_are_read() -> None:
    spaced = b' { "payload" : {"id": 1, "more": [2]} ,\n "schema": {"type": "struct", "fields": '
    spaced += b'[{"type": "int32", "field": "id"}]}} '
    compact = wrapped('{"type":"struct","fields":[{"type":"int32","field":"id"}]}', '{"id":2}')
    runs = converter().decode("t", [spaced, compact])
    assert [row for run in runs for row in run.rows()] == [(1,), (2,)]


def test_a_field_called_payload_is_no_payload() -> None:
    inner = Schema("struct", fields=(Field("payload", Schema("int32", True)),))
    schema = Schema(
        "struct", parameters=parameters({"payload": "x", "a": ',"payload":'}),
        fields=(Field("a", inner), Field("payload", Schema("string"))),
    )  # fmt: skip
    rows = Struct(schema, [Struct(inner, [[1, None]], 2), ["x", ',"payload":']], 2)
    (run,) = converter().decode("t", converter().encode("t", rows))
    assert run.schema == schema
    assert list(run.rows()) == list(rows.rows())


def test_every_digit_of_a_number_is_kept() -> None:
    schema = Schema("struct", fields=(Field("m", MONEY), Field("d", Schema("double"))))
    digits = Decimal("12345678901234567890123.45")
    numeric = converter(decimal_format="NUMERIC")
    texts = numeric.encode("t", Struct(schema, [[digits, Decimal("2")], [0.1, 1e300]], 2))
    (run,) = converter().decode("t", texts)
    assert list(run.rows()) == [(digits, 0.1), (Decimal("2.00"), 1e300)]


def test_not_finite_numbers_survive() -> None:
    texts = converter().encode("t", Plain(Schema("double"), [math.inf, -math.inf, math.nan]))
    (run,) = converter().decode("t", texts)
    assert list(map(str, run.rows())) == ["inf", "-inf", "nan"]


def test_a_column_of_several_kinds_of_sequence() -> None:
    schema = Schema("struct", fields=(Field("a", Schema("int32")), Field("b", Schema("int64"))))
    rows = Struct(schema, [range(2), (5, 6)], 2)
    texts = converter(schemas_enable="false").encode("t", rows)
    assert texts == [b'{"a":0,"b":5}', b'{"a":1,"b":6}']


def test_columns_of_different_lengths_are_a_bug_not_a_loss() -> None:
    two = Schema("struct", fields=(Field("a", Schema("int32")), Field("b", Schema("int32"))))
    for columns, count in (([[1, 2], [1]], 2), ([[1], [1, 2]], 1), ([[1], [1]], 2)):
        with pytest.raises((ValueError, AssertionError)):
            converter().encode("t", Struct(two, columns, count))


def test_configuration_is_connects() -> None:
    assert validate(JsonConverterConfig, {"decimal.format": "NUMERIC"}).errors == []
    (problem,) = validate(JsonConverterConfig, {"decimal.format": "HEX"}).errors
    assert problem.key == "decimal.format"
    (problem,) = validate(JsonConverterConfig, {"schema.content": "{}"}).errors
    assert problem.code == "config.unsupported"
