"""UNAVAILABLE through the log and back."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from decimal import Decimal

import pytest

from connect.data import (
    DECIMAL,
    UNAVAILABLE,
    Batch,
    Constant,
    Field,
    Plain,
    Schema,
    Struct,
    parameters,
)
from connect.errors import SchemaMismatch
from connect.unavailable import HEADER, PLACEHOLDER, hide, placeholder, reveal

TEXT = Schema("string", optional=True)
ROW = Schema("struct", True, fields=(Field("id", Schema("int64")), Field("body", TEXT)))
DOTTED = Schema("struct", True, fields=(Field("a.b,c", TEXT), Field("d", TEXT)))
ENVELOPE = Schema("struct", fields=(Field("before", ROW), Field("after", ROW)))
KEY = Schema("struct", fields=(Field("id", Schema("int64")),))


def envelope(before: Struct, after: Struct) -> Batch:
    count = len(after)
    return Batch(
        "t",
        Struct(KEY, [list(range(count))], count),
        Struct(ENVELOPE, [before, after], count),
        [0] * count,
        list(range(count)),
    )


def row(*bodies: object, present: list[bool] | None = None) -> Struct:
    return Struct(ROW, [list(range(len(bodies))), list(bodies)], len(bodies), present)


def absent(count: int) -> Struct:
    return row(*[None] * count, present=[False] * count)


def bodies(batch: Batch) -> list[object]:
    assert isinstance(batch.values, Struct)
    after = batch.values["after"]
    assert isinstance(after, Struct)
    return list(after["body"])  # type: ignore[arg-type]


def test_a_cell_goes_as_placeholder_and_header_and_comes_back() -> None:
    before = envelope(absent(4), row("a", UNAVAILABLE, PLACEHOLDER, None))
    hidden = hide(before)
    assert bodies(hidden) == ["a", PLACEHOLDER, PLACEHOLDER, None]
    assert hidden.headers == [(), ((HEADER, b"after.body"),), (), ()]
    shown = reveal(hidden)
    assert bodies(shown) == ["a", UNAVAILABLE, PLACEHOLDER, None]
    assert bodies(shown)[1] is UNAVAILABLE
    assert shown.headers is None


def test_a_users_own_headers_stay() -> None:
    own = (("x", b"1"),)
    batch = replace(envelope(absent(2), row(UNAVAILABLE, "a")), headers=Constant(own, 2))
    hidden = hide(batch, "gone")
    assert bodies(hidden) == ["gone", "a"]
    assert hidden.headers == [(*own, (HEADER, b"after.body")), own]
    assert reveal(hidden).headers == [own, own]


def test_a_batch_without_such_cells_is_the_same_object() -> None:
    batch = envelope(absent(2), row("a", None))
    assert hide(batch) is batch
    assert reveal(batch) is batch


def test_cells_of_absent_rows_mean_nothing() -> None:
    batch = envelope(row(UNAVAILABLE, UNAVAILABLE, present=[False, False]), row("a", "b"))
    assert hide(batch) is batch


def test_both_images_of_several_rows() -> None:
    batch = envelope(row(UNAVAILABLE, UNAVAILABLE), row("a", UNAVAILABLE))
    hidden = hide(batch)
    assert hidden.headers == [((HEADER, b"before.body"),), ((HEADER, b"before.body,after.body"),)]
    shown = reveal(hidden)
    assert bodies(shown) == ["a", UNAVAILABLE]
    assert isinstance(shown.values, Struct)
    assert list(shown.values["before"].rows()) == [(0, UNAVAILABLE), (1, UNAVAILABLE)]  # type: ignore[union-attr]


def test_a_constant_column_and_names_with_dots_and_commas() -> None:
    values = Struct(DOTTED, [Constant(UNAVAILABLE, 2), ["x", UNAVAILABLE]], 2)
    batch = Batch("t", None, values, [0, 0], [0, 1])
    hidden = hide(batch)
    assert isinstance(hidden.values, Struct)
    assert list(hidden.values["a.b,c"]) == [PLACEHOLDER] * 2  # type: ignore[arg-type]
    shown = reveal(hidden)
    assert isinstance(shown.values, Struct)
    assert list(shown.values.rows()) == [(UNAVAILABLE, "x"), (UNAVAILABLE, UNAVAILABLE)]


def test_schemaless_rows_are_revealed_too() -> None:
    headers = [((HEADER, b"after.body"),), ()]
    rows = [{"after": {"id": 1, "body": "x"}}, {"after": {"id": 2, "body": "x"}}]
    batch = Batch("t", None, Plain(None, rows), [0, 0], [0, 1], headers)
    shown = reveal(batch)
    assert isinstance(shown.values, Plain)
    assert [r["after"]["body"] for r in shown.values.rows()] == [UNAVAILABLE, "x"]
    assert rows[0] == {"after": {"id": 1, "body": "x"}}


def test_names_of_cells_a_transform_took_away_are_passed_over() -> None:
    hidden = hide(envelope(absent(1), row(UNAVAILABLE)))
    assert isinstance(hidden.values, Struct)
    gone = replace(hidden, values=hidden.values.without("after"))
    assert reveal(gone).headers is None
    assert reveal(replace(hidden, values=None)).values is None


def test_a_key_must_be_known() -> None:
    key = Struct(Schema("struct", fields=(Field("k", TEXT),)), [["a", UNAVAILABLE]], 2)
    with pytest.raises(SchemaMismatch) as caught:
        hide(replace(envelope(absent(2), row("a", "b")), keys=key))
    assert list(caught.value.rows) == [1]


def array(items: Schema) -> Schema:
    return Schema("array", items=items)


UUID = Schema("string", name="io.debezium.data.Uuid")
NAMED = uuid.UUID(bytes=hashlib.md5(PLACEHOLDER.encode()).digest(), version=3)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (TEXT, PLACEHOLDER),
        (Schema("bytes"), PLACEHOLDER.encode()),
        (array(TEXT), [PLACEHOLDER]),
        (array(Schema("bytes")), [PLACEHOLDER.encode()]),
        (array(Schema("int32")), list(PLACEHOLDER.encode())),
        (array(Schema("int64")), list(PLACEHOLDER.encode())),
        (array(UUID), [str(NAMED)]),
        (array(Schema("boolean")), []),
        (Schema("map", keys=TEXT, items=TEXT), {PLACEHOLDER: PLACEHOLDER}),
        (
            Schema("bytes", name=DECIMAL, parameters=parameters(scale="2")),
            Decimal(int.from_bytes(PLACEHOLDER.encode(), "big")) * 1,
        ),
    ],
)
def test_placeholders_are_debeziums(schema: Schema, expected: object) -> None:
    made = placeholder(schema, PLACEHOLDER)
    if schema.name == DECIMAL:
        assert isinstance(made, Decimal)
        sign, digits, exponent = made.as_tuple()
        number = int("".join(map(str, digits)))
        assert (sign, exponent) == (0, -2)
        assert number.to_bytes(len(PLACEHOLDER), "big") == PLACEHOLDER.encode()
    else:
        assert made == expected
