"""JSON by column equals JSON by row, for any schema and values; what is written is read back."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connect.config import parse
from connect.converters.json import JsonConverter, JsonConverterConfig
from connect.data import DECIMAL, Constant, Field, Plain, Schema, Struct, parameters
from connect.errors import DecodeError

CHARACTERS = '",\\/ ab\x00\x1f\x7f\u2028é日😀:{}[]\n'
TEXT = st.text(st.sampled_from(CHARACTERS) | st.characters(exclude_categories=["Cs"]), max_size=8)
RANGES = {"int8": 7, "int16": 15, "int32": 31, "int64": 63}
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def converter(**options: str) -> JsonConverter:
    named = {name.replace("_", "."): value for name, value in options.items()}
    return JsonConverter(parse(JsonConverterConfig, named), False)


def schemas(depth: int = 2) -> st.SearchStrategy[Schema]:
    plain = st.builds(
        Schema,
        st.sampled_from([*RANGES, "float", "double", "boolean", "string", "bytes"]),
        st.booleans(),
    )
    decimals = st.builds(
        lambda optional, scale: Schema(
            "bytes", optional, DECIMAL, 1, parameters=parameters(scale=str(scale))
        ),
        st.booleans(),
        st.integers(0, 6),
    )
    if depth == 0:
        return plain | decimals
    inner = schemas(depth - 1)
    keys = st.sampled_from([Schema("string"), Schema("int32")])
    return st.one_of(
        plain,
        decimals,
        st.builds(lambda o, items: Schema("array", o, items=items), st.booleans(), inner),
        st.builds(lambda o, k, v: Schema("map", o, keys=k, items=v), st.booleans(), keys, inner),
        structs(inner),
    )


def structs(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    fields = st.lists(st.tuples(TEXT, inner), max_size=4, unique_by=lambda pair: pair[0])
    return st.builds(
        lambda optional, pairs: Schema("struct", optional, fields=tuple(map(_field, pairs))),
        st.booleans(),
        fields,
    )


def _field(pair: tuple[str, Schema]) -> Field:
    return Field(*pair)


def values(schema: Schema) -> st.SearchStrategy[Any]:
    """A value as columns hold it; a struct as a tuple."""
    if schema.name == DECIMAL:
        some: st.SearchStrategy[Any] = st.integers(-(10**20), 10**20).map(
            lambda unit: Decimal((int(unit < 0), tuple(map(int, str(abs(unit)))), -schema.scale))
        )
    elif schema.type in RANGES:
        bits = RANGES[schema.type]
        some = st.integers(-(1 << bits), (1 << bits) - 1)
    elif schema.type == "array":
        assert schema.items is not None
        some = st.lists(values(schema.items), max_size=3)
    elif schema.type == "map":
        assert schema.keys is not None
        assert schema.items is not None
        some = st.dictionaries(values(schema.keys), values(schema.items), max_size=3)
    elif schema.type == "struct":
        some = st.tuples(*(values(field.schema) for field in schema.fields))
    else:
        some = {
            "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
            "double": FINITE,
            "boolean": st.booleans(),
            "string": TEXT,
            "bytes": st.binary(max_size=5),
        }[schema.type]
    return st.none() | some if schema.optional else some


def column(schema: Schema, cells: list[Any]) -> Any:
    """Cells as a column, structs as Struct, equal cells now and then as Constant."""
    if schema.type == "struct":
        present = None if None not in cells else [cell is not None for cell in cells]
        inner = [
            column(f.schema, [filler(f.schema) if c is None else c[place] for c in cells])
            for place, f in enumerate(schema.fields)
        ]
        return Struct(schema, inner, len(cells), present)
    if len(cells) > 1 and len({repr(cell) for cell in cells}) == 1:
        return Constant(cells[0], len(cells))
    return cells


def filler(schema: Schema) -> Any:
    """What a cell of a null row may hold: anything, also what the schema forbids."""
    return tuple(filler(f.schema) for f in schema.fields) if schema.type == "struct" else None


def plain(schema: Schema, value: Any) -> Any:
    """The value as a JSON parser shows it."""
    if value is None:
        return None
    if schema.name == DECIMAL:
        unit = int(value.scaleb(schema.scale))
        size = (unit + (unit < 0)).bit_length() // 8 + 1
        return b64encode(unit.to_bytes(size, "big", signed=True)).decode()
    match schema.type:
        case "bytes":
            return b64encode(value).decode()
        case "array":
            assert schema.items is not None
            return [plain(schema.items, item) for item in value]
        case "struct":
            pairs = zip(schema.fields, value, strict=True)
            return {f.name: plain(f.schema, cell) for f, cell in pairs}
        case "map":
            assert schema.keys is not None
            assert schema.items is not None
            if schema.keys.type == "string":
                return {key: plain(schema.items, item) for key, item in value.items()}
            return [[key, plain(schema.items, item)] for key, item in value.items()]
        case "float":
            return pytest.approx(value, rel=1e-6, abs=1e-45)
    return value


@st.composite
def tables(draw: st.DrawFn) -> tuple[Schema, list[Any]]:
    schema = draw(structs(schemas()))
    return schema, draw(st.lists(values(schema), min_size=1, max_size=5))


@settings(max_examples=300, deadline=None)
@given(tables())
def test_texts_by_column_are_the_rows_in_json(table: tuple[Schema, list[Any]]) -> None:
    schema, rows = table
    made = converter(schemas_enable="false").encode("t", column(schema, rows))
    assert [None if text is None else json.loads(text) for text in made] == [
        plain(schema, row) for row in rows
    ]


@settings(max_examples=300, deadline=None)
@given(tables())
def test_what_is_written_is_read_back(table: tuple[Schema, list[Any]]) -> None:
    schema, rows = table
    json_converter = converter()
    texts = json_converter.encode("t", column(schema, rows))
    runs = json_converter.decode("t", texts)
    assert sum(map(len, runs)) == len(rows)
    if any(row is not None for row in rows):
        (run,) = runs
        assert run.schema == schema
        assert list(run.rows()) == [approximate(schema, row) for row in rows]
    assert json_converter.encode("t", column(schema, rows)) == texts


def approximate(schema: Schema, value: Any) -> Any:
    """The value, float32 by nearness: reading keeps the digits that were written."""
    if value is None:
        return None
    if schema.type == "float":
        return pytest.approx(value, rel=1e-6, abs=1e-45)
    if schema.type == "struct":
        cells = zip(schema.fields, value, strict=True)
        return tuple(approximate(field.schema, cell) for field, cell in cells)
    if schema.items is not None:
        if schema.type == "array":
            return [approximate(schema.items, item) for item in value]
        return {key: approximate(schema.items, item) for key, item in value.items()}
    return value


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.none() | tables().map(lambda table: table[0]), min_size=1, max_size=6), st.data()
)
def test_runs_cover_the_payloads_in_order(kinds: list[Schema | None], data: st.DataObject) -> None:
    json_converter = converter()
    rows: list[Any] = []
    payloads: list[bytes | None] = []
    for schema in kinds:
        row = None if schema is None else data.draw(values(schema.as_optional(False)))
        rows.append(None if schema is None else approximate(schema, row))
        made = [None] if schema is None else json_converter.encode("t", column(schema, [row]))
        payloads += made
    runs = json_converter.decode("t", payloads)
    assert [row for run in runs for row in run.rows()] == rows


def test_a_quarter_of_a_million_strings() -> None:
    """Borders between strings: `","` may begin inside one that ends in an escaped quote."""
    draw = random.Random(4)
    pieces = ['"', ",", "\\", '",', '","', "a", "", '\\"', '",\\"', "\x1f", "é", "😀"]
    schema = Schema("struct", fields=(Field("s", Schema("string")),))
    json_converter = converter(schemas_enable="false")
    for _ in range(5000):
        column = ["".join(draw.choices(pieces, k=draw.randrange(5))) for _ in range(50)]
        texts = json_converter.encode("t", Struct(schema, [column], len(column)))
        assert [orjson.loads(text or b"")["s"] for text in texts] == column


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=12) | st.sampled_from([
    b"[1", b"2]", b'{"a":1', b"}", b"1},{", b'"x', b'y"', b"1,2", b"", b" ", b"null", b"1", b"]",
]), max_size=5))  # fmt: skip
def test_broken_messages_never_borrow_from_their_neighbours(messages: list[bytes]) -> None:
    readable: list[Any] = []
    broken = set()
    for row, message in enumerate(messages):
        try:
            readable.append(orjson.loads(message))
        except ValueError:
            broken.add(row)
    json_converter = converter(schemas_enable="false")
    if broken:
        with pytest.raises(DecodeError) as caught:
            json_converter.decode("t", messages)
        assert set(caught.value.rows) == broken
    elif messages:
        (run,) = json_converter.decode("t", messages)
        assert isinstance(run, Plain)
        assert list(run.column) == readable
