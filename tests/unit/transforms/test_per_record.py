"""Functions of one record, lifted to batches."""

from __future__ import annotations

from typing import Any

import pytest

from connect.data import Schema, Struct
from connect.errors import SchemaMismatch
from connect.per_record import per_record
from connect.transform import Record
from tests.unit.transforms.events import ENVELOPE, ROW, batch, dicts, events, names, rows, structs

TABLE = batch(structs(ROW, [(1, "a", "x"), (2, "b", None), None, (3, "c", "z")]))


def changed(**more: Any) -> Any:
    def change(record: Record) -> Record:
        return record._replace(value=record.value and {**record.value, **more})

    return per_record(change)


def test_the_same_records_make_the_same_batch() -> None:
    (made,) = per_record(lambda record: record)(TABLE)
    assert rows(made) == rows(TABLE)
    assert made.values is not None
    assert TABLE.values is not None
    assert made.values.schema == TABLE.values.schema
    assert (made.positions, made.timestamps) == ([10, 20, 30, 40], [0, 1, 2, 3])


def test_none_leaves_a_record_out() -> None:
    (made,) = per_record(lambda r: r if r.value and r.value["id"] > 1 else None)(TABLE)
    assert (rows(made), made.positions) == ([(2, "b", None), (3, "c", "z")], [20, 40])
    assert per_record(lambda record: None)(TABLE) == []


def test_tombstones_stay_in_their_place() -> None:
    (made,) = changed(name="*")(TABLE)
    assert rows(made) == [(1, "*", "x"), (2, "*", None), None, (3, "*", "z")]


def test_new_fields_get_a_schema_after_their_values() -> None:
    (made,) = changed(i=1, f=1.5, s="x", b=b"y", t=True, n=None)(TABLE)
    assert made.values is not None
    assert made.values.schema is not None
    added = {field.name: field.schema for field in made.values.schema.fields[3:]}
    assert [added[name].type for name in "ifsbtn"] == [
        "int64", "double", "string", "bytes", "boolean", "string",
    ]  # fmt: skip
    assert all(schema.optional for schema in added.values())
    assert rows(made)[2] is None


def test_fields_left_out_are_gone() -> None:
    def drop(record: Record) -> Record:
        return record._replace(value=record.value and {"name": record.value["name"]})

    (made,) = per_record(drop)(TABLE)
    assert (names(made.values), rows(made)) == (["name"], [("a",), ("b",), None, ("c",)])


def test_records_of_other_topics_or_schemas_are_other_batches() -> None:
    def route(record: Record) -> Record:
        return record._replace(topic="even" if record.timestamp % 2 == 0 else "odd")

    made = per_record(route)(TABLE)
    assert {b.topic: b.positions for b in made} == {"even": [10, 30], "odd": [20, 40]}
    text = Schema("string")
    (made_text,) = per_record(lambda r: r._replace(value="x", value_schema=text))(TABLE)
    assert made_text.values is not None
    assert (made_text.values.schema, rows(made_text)) == (text, ["x"] * 4)


def test_structs_inside_are_dicts_too() -> None:
    seen: list[Any] = []

    def look(record: Record) -> Record:
        seen.append(record.value)
        return record

    changes = events(("c", None, (1, "a", "x")), ("d", (1, "a", "x"), None))
    (made,) = per_record(look)(changes)
    assert seen[0]["after"] == {"id": 1, "name": "a", "city": "x"}
    assert seen[0]["before"] is None
    assert rows(made) == rows(changes)
    assert isinstance(made.values, Struct)
    assert made.values.schema == ENVELOPE
    (made,) = per_record(lambda record: record)(batch(dicts({"a": 1}, None)))
    assert rows(made) == [{"a": 1}, None]


def test_keys_are_dicts_as_well() -> None:
    keyed = batch(structs(ROW, [(1, "a", "x")]), structs(ROW, [(1, "a", "x")]))
    (made,) = per_record(lambda r: r._replace(key={"id": r.key["id"]}))(keyed)
    assert names(made.keys) == ["id"]
    (made,) = per_record(lambda r: r._replace(key=None, key_schema=None))(keyed)
    assert made.keys is None


def test_values_without_a_schema_to_tell_are_refused() -> None:
    with pytest.raises(SchemaMismatch):
        changed(new=[1])(TABLE)
    with pytest.raises(SchemaMismatch) as caught:
        per_record(lambda r: r._replace(value="text"))(TABLE)
    assert set(caught.value.rows) == {0, 1, 2, 3}
    with pytest.raises(ZeroDivisionError):
        per_record(lambda r: r._replace(timestamp=1 // 0))(TABLE)
