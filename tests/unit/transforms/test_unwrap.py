"""ExtractNewRecordState, as Debezium 3.6 does it."""

from __future__ import annotations

import pytest

from connect.config import validate
from connect.data import UNAVAILABLE, Constant, Plain, Schema
from connect.errors import ConfigError, SchemaMismatch
from connectors.cdc.unwrap import ExtractNewRecordState, ExtractNewRecordStateConfig
from tests.unit.transforms.events import batch, build, events, names, rows, structs

A, B, C = (1, "a", "x"), (2, "b", None), (3, UNAVAILABLE, "z")
MIXED = (("c", None, A), ("u", A, B), ("d", B, None), None, ("r", None, C), ("t", None, None))


def unwrap(mode: str = "tombstone", **more: str) -> ExtractNewRecordState:
    options = {name.replace("_", "."): value for name, value in more.items()}
    made: ExtractNewRecordState = build(
        ExtractNewRecordState, {"delete.tombstone.handling.mode": mode, **options}
    )
    return made


@pytest.mark.parametrize("mode", ["tombstone", "delete-to-tombstone"])
def test_a_delete_becomes_the_tombstone_in_its_place(mode: str) -> None:
    (made,) = unwrap(mode).apply(events(*MIXED))
    assert rows(made) == [A, B, None, C]
    assert list(made.positions) == [10, 20, 30, 50]
    assert rows(made)[3][1] is UNAVAILABLE


def test_drop_leaves_neither_delete_nor_tombstone() -> None:
    (made,) = unwrap("drop").apply(events(*MIXED))
    assert rows(made) == [A, B, C]
    assert list(unwrap("drop").apply(events(("d", A, None), None))) == []


def test_rewrite_keeps_the_last_image_and_marks_it() -> None:
    (made,) = unwrap("rewrite").apply(events(*MIXED))
    b, c = (2, "b", "Ulm"), C
    assert rows(made) == [(*A, "false"), (*b, "false"), (*b, "true"), (*c, "false")]
    assert names(made.values) == ["id", "name", "city", "__deleted"]
    keeps = unwrap("rewrite", replace_null_with_default="false")
    (made,) = keeps.apply(events(("d", B, None)))
    assert rows(made) == [(*B, "true")]


def test_rewrite_with_tombstone_keeps_both() -> None:
    (made,) = unwrap("rewrite-with-tombstone").apply(events(*MIXED))
    assert [row and row[-1] for row in rows(made)] == ["false", "false", "true", None, "false"]
    tombstones = batch(None, structs(Schema("struct"), [()]))
    assert list(unwrap("rewrite-with-tombstone").apply(tombstones)) == [tombstones]
    assert list(unwrap("rewrite").apply(tombstones)) == []


def test_uniform_batches_stay_columns() -> None:
    (made,) = unwrap("rewrite").apply(events(("c", None, A), ("c", None, A)))
    assert made.values is not None
    deleted = made.values["__deleted"]  # type: ignore[index]
    assert deleted == Constant("false", 2)
    (made,) = unwrap().apply(events(("d", A, None), ("d", B, None)))
    assert made.values is None
    assert list(unwrap().apply(events(("t", None, None)))) == []


def test_the_schema_is_required_and_one_object() -> None:
    transform = unwrap()
    (first,), (second,) = (transform.apply(events(("c", None, A))) for _ in range(2))
    assert first.values is not None
    assert second.values is not None
    assert first.values.schema is second.values.schema
    assert first.values.schema is not None
    assert (first.values.schema.name, first.values.schema.optional) == ("s.t.Value", False)


def test_fields_of_the_event_are_added() -> None:
    transform = unwrap(add_fields="op,table,source.lsn,source.lsn:LSN,transaction.id,ts_ms,nothing")
    (made,) = transform.apply(events(("c", None, A), ("d", A, None), ("u", A, B)))
    assert names(made.values)[3:] == [
        "__op", "__table", "__source_lsn", "__LSN", "__transaction_id", "__ts_ms",
    ]  # fmt: skip
    assert rows(made) == [
        (*A, "c", "t", 100, 100, None, 9), None, (*B, "u", "t", 102, 102, None, 9)
    ]  # fmt: skip
    assert made.values is not None
    assert made.values.schema is not None
    assert all(field.schema.optional for field in made.values.schema.fields[3:])
    (made,) = unwrap("rewrite", add_fields="op", add_fields_prefix="").apply(events(*MIXED))
    assert names(made.values)[3:] == ["__deleted", "op"]


def test_headers_of_the_event_are_added() -> None:
    transform = unwrap(
        add_headers="op,lsn,ts_ms:AT,snapshot,transaction.id", add_headers_prefix="h."
    )
    (made,) = transform.apply(events(("c", None, A), ("d", A, None)))
    assert made.headers is not None
    assert made.headers[1] == (
        ("h.op", b"d"), ("h.lsn", b"101"), ("h.AT", b"9"), ("h.snapshot", None),
        ("h.transaction_id", None),
    )  # fmt: skip
    keeps = unwrap("rewrite-with-tombstone", add_headers="op,lsn")
    (made,) = keeps.apply(events(("d", A, None), None))
    assert made.headers is not None
    assert [len(headers) for headers in made.headers] == [2, 1]
    assert made.headers[1] == (("__op", b"d"),)


def test_own_headers_stay() -> None:
    own = batch(events(("c", None, A)).values, headers=Constant((("k", b"v"),), 1))
    (made,) = unwrap(add_headers="op").apply(own)
    assert list(made.headers or ()) == [(("k", b"v"), ("__op", b"c"))]


def test_rows_go_to_the_topic_their_column_names() -> None:
    transform = unwrap(route_by_field="name")
    made = list(
        transform.apply(
            events(("c", None, A), ("c", None, B), ("d", A, None), ("c", None, (4, " ", "")))
        )
    )
    assert {b.topic: list(b.positions) for b in made} == {"a": [10, 30], "b": [20], "s.t": [40]}
    assert rows(made[0]) == [A, None]
    with pytest.raises(SchemaMismatch):
        list(unwrap(route_by_field="nothing").apply(events(("c", None, A))))
    with pytest.raises(SchemaMismatch):
        list(unwrap(route_by_field="name").apply(events(("c", None, C))))


def test_other_records_pass_unchanged() -> None:
    for values in (Plain(None, [{"op": "c"}]), structs(Schema("struct", name="Other"), [()])):
        other = batch(values)
        assert list(unwrap().apply(other)) == [other]


def test_what_is_not_supported_is_refused_by_name() -> None:
    for name in ("drop.fields.header.name", "drop.tombstones", "delete.handling.mode"):
        (problem,) = validate(ExtractNewRecordStateConfig, {name: "x"}).errors
        assert (problem.key, problem.code) == (name, "config.unsupported")
    with pytest.raises(ConfigError) as caught:
        unwrap(add_headers="a.b.c")
    assert caught.value.key == "add.headers"


def test_a_column_of_the_same_name_is_never_overwritten() -> None:
    with pytest.raises(SchemaMismatch):
        unwrap("rewrite", add_fields="op:deleted").apply(events(("c", None, A)))
    with pytest.raises(SchemaMismatch):
        unwrap(add_fields="op:name", add_fields_prefix="").apply(events(("c", None, A)))
