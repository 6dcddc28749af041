"""ReplaceField and MaskField, on structs and on schemaless maps."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from connect.config import validate
from connect.data import DECIMAL, UNAVAILABLE, Constant, Field, Plain, Schema, Struct, parameters
from connect.errors import ConfigError, SchemaMismatch
from connect.transforms.fields import ReplaceFieldConfig, ReplaceFieldKey, ReplaceFieldValue
from connect.transforms.mask import MaskFieldKey, MaskFieldValue
from tests.unit.transforms.events import ROW, batch, build, dicts, names, rows, structs


def test_fields_are_kept_dropped_and_renamed() -> None:
    table = batch(structs(ROW, [(1, "a", None), None]))
    (made,) = build(ReplaceFieldValue, {"exclude": "name", "renames": "id:key"}).apply(table)
    assert (names(made.values), rows(made)) == (["key", "city"], [(1, "Ulm"), None])
    (made,) = build(ReplaceFieldValue, {"include": "name,id,none", "exclude": "id"}).apply(table)
    assert rows(made) == [("a",), None]
    keeps = {"include": "city", "replace.null.with.default": "false"}
    (made,) = build(ReplaceFieldValue, keeps).apply(table)
    assert rows(made) == [(None,), None]
    assert made.values is not None
    assert made.values.schema is not None
    assert (made.values.schema.name, made.values.schema.optional) == ("s.t.Value", False)


def test_two_fields_never_get_one_name() -> None:
    with pytest.raises(SchemaMismatch):
        build(ReplaceFieldValue, {"renames": "id:name"}).apply(batch(structs(ROW, [(1, "a", "b")])))
    swap = build(ReplaceFieldValue, {"renames": "id:name,name:id"})
    (made,) = swap.apply(batch(structs(ROW, [(1, "a", "b")])))
    assert names(made.values) == ["name", "id", "city"]


def test_maps_without_schema_are_changed_alike() -> None:
    (made,) = build(ReplaceFieldValue, {"exclude": "a", "renames": "b:c"}).apply(
        batch(dicts({"a": 1, "b": 2, "d": 3}, None))
    )
    assert rows(made) == [{"c": 2, "d": 3}, None]
    with pytest.raises(SchemaMismatch) as caught:
        list(build(ReplaceFieldValue, {"exclude": "a"}).apply(batch(dicts({}, "text"))))
    assert list(caught.value.rows) == [1]


def test_keys_are_the_other_side() -> None:
    table = batch(structs(ROW, [(1, "a", "b")]), structs(ROW, [(1, "a", "b")]))
    (made,) = build(ReplaceFieldKey, {"include": "id"}).apply(table)
    assert (names(made.keys), names(made.values)) == (["id"], ["id", "name", "city"])
    (made,) = build(MaskFieldKey, {"fields": "id"}).apply(table)
    assert (list(made.keys.rows()), rows(made)) == ([(0, "a", "b")], [(1, "a", "b")])
    assert list(build(ReplaceFieldKey, {"include": "id"}).apply(batch(None, None))) == [
        batch(None, None)
    ]


def test_removed_keys_are_refused_with_their_successor() -> None:
    (problem,) = validate(ReplaceFieldConfig, {"blacklist": "a"}).errors
    assert "exclude" in problem.message
    with pytest.raises(ConfigError):
        build(ReplaceFieldValue, {"renames": "a"})


KINDS: list[tuple[Schema, Any, Any]] = [
    (Schema("int8", True), 5, 0), (Schema("int64", True), 5, 0), (Schema("float", True), 5.0, 0.0),
    (Schema("boolean", True), True, False), (Schema("string", True), "a", ""),
    (Schema("array", True, items=Schema("string")), ["a"], []),
    (Schema("map", True, keys=Schema("string"), items=Schema("string")), {"a": "b"}, {}),
    (Schema("bytes", True, DECIMAL, parameters=parameters(scale="2")), Decimal("1.5"), Decimal(0)),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "value", "neutral"), KINDS)
def test_masks_are_the_neutral_value_of_the_type(schema: Schema, value: Any, neutral: Any) -> None:
    table = Struct(Schema("struct", fields=(Field("x", schema),)), [[value, None]], 2)
    (made,) = build(MaskFieldValue, {"fields": "x,none"}).apply(batch(table))
    assert rows(made) == [(neutral,), (None,)]


def test_masks_hide_constants_and_values_not_sent() -> None:
    table = Struct(ROW, [[1], [UNAVAILABLE], Constant("secret", 1)], 1)
    (made,) = build(MaskFieldValue, {"fields": "name,city"}).apply(batch(table))
    assert rows(made) == [(1, "", "")]


def test_replacements_are_converted_to_the_type() -> None:
    table = batch(structs(ROW, [(1, "a", None)]))
    (made,) = build(MaskFieldValue, {"fields": "id", "replacement": "7"}).apply(table)
    assert rows(made) == [(7, "a", "Ulm")]
    (made,) = build(MaskFieldValue, {"fields": "name,city", "replacement": "***"}).apply(table)
    assert rows(made) == [(1, "***", "***")]
    with pytest.raises(SchemaMismatch):
        list(build(MaskFieldValue, {"fields": "id", "replacement": "x"}).apply(table))


def test_maps_are_masked_by_the_type_of_each_value() -> None:
    value = {"a": 1, "b": "x", "c": None, "d": [1], "e": {"f": 1}, "g": True, "h": 1.5, "i": 2}
    (made,) = build(MaskFieldValue, {"fields": "a,b,c,d,e,g,h"}).apply(batch(dicts(value)))
    assert rows(made) == [
        {"a": 0, "b": "", "c": None, "d": [], "e": {}, "g": False, "h": 0.0, "i": 2}
    ]


def test_only_rows_that_cant_be_masked_are_refused() -> None:
    schema = Schema("struct", fields=(Field("x", Schema("bytes", True)),))
    mask = build(MaskFieldValue, {"fields": "x"})
    with pytest.raises(SchemaMismatch) as caught:
        mask.apply(batch(Struct(schema, [[b"a", None]], 2)))
    assert list(caught.value.rows) == [0]
    (made,) = mask.apply(batch(Struct(schema, [[None, None]], 2)))
    assert rows(made) == [(None,), (None,)]
    with pytest.raises(SchemaMismatch) as caught:
        mask.apply(batch(dicts({"x": 1}, {"x": b"a"}, None)))
    assert list(caught.value.rows) == [1]
    with pytest.raises(SchemaMismatch):
        mask.apply(batch(Plain(Schema("string"), ["a"])))
    with pytest.raises(ConfigError):
        build(MaskFieldValue, {"fields": ""})
