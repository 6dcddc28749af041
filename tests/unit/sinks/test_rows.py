"""Batches read as rows."""

from typing import Any

import pytest

from connect.data import UNAVAILABLE, Batch, Constant, Field, Plain, Schema, Struct
from connect.errors import SchemaMismatch
from connectors.sinks.rows import Op, Reading, read
from connectors.sinks.types import ColumnType as T
from connectors.sinks.types import Kind, UnsupportedSchema, column_type, is_wider, rounds

KEY = Schema("struct", fields=(Field("id", Schema("int32")),))
VALUE = Schema(
    "struct", fields=(Field("id", Schema("int32")), Field("n", Schema("string", optional=True)))
)
COPY = Reading("record_key", deletes=True, truncates=True, moves=True)


def batch(keys: Any, values: Any, headers: Any = None) -> Batch:
    count = len(values if values is not None else keys)
    return Batch("t", keys, values, Constant(0, count), range(50, 50 + count), headers, 2)


def keyed(*ids: int | None) -> Struct:
    return Struct(KEY, [list(ids)], len(ids), [i is not None for i in ids])


def test_key_columns_come_first_and_once() -> None:
    rows = read(batch(keyed(1), Struct(VALUE, [[1], ["a"]], 1)), COPY)
    assert [(c.name, c.key) for c in rows.columns] == [("id", True), ("n", False)]
    assert rows.cells == [[1], ["a"]]


def test_unavailable_cells_are_holes_and_the_batch_stays_as_it_was() -> None:
    values = Struct(VALUE, [[1, 2], [UNAVAILABLE, "b"]], 2)
    rows = read(batch(keyed(1, 2), values), COPY)
    assert rows.holes == {0: frozenset({1})}
    assert values["n"] == [UNAVAILABLE, "b"]


def test_null_values_delete_or_are_passed_over_or_refused() -> None:
    values = Struct(VALUE, [[1, 2], ["a", None]], 2, [True, False])
    assert read(batch(keyed(1, 2), values), COPY).ops == [Op.WRITE, Op.DELETE]
    assert read(batch(keyed(1, 2), values), Reading("record_key")).ops == [Op.WRITE, Op.SKIP]
    with pytest.raises(SchemaMismatch) as error:
        read(batch(keyed(1, 2), values), Reading("record_key", null_is_error=True))
    assert list(error.value.rows) == [1]
    assert read(batch(keyed(1), None), COPY).ops == [Op.DELETE]


def test_a_missing_key_is_named_by_row() -> None:
    with pytest.raises(SchemaMismatch) as error:
        read(batch(keyed(1, None), Struct(VALUE, [[1, 2], ["a", "b"]], 2)), COPY)
    assert error.value.rows == {1: "t-2 offset 51: the record key is null"}
    with pytest.raises(SchemaMismatch):
        read(batch(None, Struct(VALUE, [[1], ["a"]], 1)), COPY)


def test_records_without_schema_are_refused() -> None:
    with pytest.raises(SchemaMismatch) as error:
        read(batch(keyed(1), Plain(None, [{"id": 1}])), COPY)
    assert "schemas.enable" in str(error.value)


@pytest.mark.parametrize(
    ("header", "moved"),
    [
        (b'{"id":9}', (9,)),
        (b'{"schema":{},"payload":{"id":9}}', (9,)),
        (b'{"id":"9"}', None),
        (b'{"id":true}', None),
        (b"Struct{id=9}", None),
        (b'{"other":9}', None),
    ],
)
def test_a_deletion_may_tell_the_new_key(header: bytes, moved: tuple[int] | None) -> None:
    values = Struct(VALUE, [[1], [None]], 1, [False])
    rows = read(batch(keyed(1), values, [(("__debezium.newkey", header),)]), COPY)
    assert rows.moves == ({} if moved is None else {0: moved})
    assert rows.ops == [Op.DELETE if moved is None else Op.MOVE]


def test_nested_structs_have_no_column_type() -> None:
    with pytest.raises(UnsupportedSchema):
        column_type(VALUE)
    with pytest.raises(UnsupportedSchema):
        column_type(Schema("array", items=Schema("array", items=Schema("int32"))))


@pytest.mark.parametrize(
    ("wanted", "found", "wider", "rounding"),
    [
        (T(Kind.BIGINT), T(Kind.INTEGER), True, False),
        (T(Kind.INTEGER), T(Kind.BIGINT), False, False),
        (T(Kind.DOUBLE), T(Kind.REAL), True, True),
        (T(Kind.BIGINT), T(Kind.DOUBLE), False, True),
        (T(Kind.NUMERIC), T(Kind.DECIMAL, length=10, scale=2), True, True),
        (T(Kind.DECIMAL, length=10, scale=4), T(Kind.DECIMAL, length=10, scale=2), True, True),
        (T(Kind.DECIMAL, length=12, scale=2), T(Kind.DECIMAL, length=10, scale=2), True, False),
        (T(Kind.DECIMAL, length=8, scale=2), T(Kind.DECIMAL, length=10, scale=2), False, False),
        (T(Kind.DECIMAL, length=8, scale=2), T(Kind.BIGINT), False, True),
        (T(Kind.TEXT, length=20), T(Kind.TEXT, length=10), True, False),
        (T(Kind.TEXT), T(Kind.TEXT, length=10), False, False),
    ],
)
def test_which_columns_grow_and_which_would_round(
    wanted: T, found: T, wider: bool, rounding: bool
) -> None:
    assert is_wider(wanted, found) is wider
    assert rounds(wanted, found) is rounding
