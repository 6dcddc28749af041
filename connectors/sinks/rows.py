"""Batches as rows for a table: which cells, which key, which operation. Pure.

Takes Debezium's envelope or flattened records; a null value is a deletion of its key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal

import orjson

from connect.data import UNAVAILABLE, Batch, Constant, Plain, Schema, Struct
from connect.errors import SchemaMismatch

KeyMode = Literal["none", "kafka", "record_key", "record_value"]
KAFKA_COLUMNS: Final = ("__connect_topic", "__connect_partition", "__connect_offset")
NEW_KEY: Final = "__debezium.newkey"

_STRING: Final = Schema("string")
_INT32: Final = Schema("int32")
_INT64: Final = Schema("int64")


class Op(StrEnum):
    """What one row asks of the table."""

    WRITE = "write"
    DELETE = "delete"
    MOVE = "move"  # a deletion that announces the row's new key
    TRUNCATE = "truncate"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Column:
    """A column a record brings; ``key`` if it identifies the row."""

    name: str
    schema: Schema
    key: bool = False


@dataclass(slots=True)
class Rows:
    """A batch by column; ``cells`` has one list per column, ``ops`` and ``keys`` one entry per row.

    ``holes`` names, by row, the columns whose value is unavailable; ``moves`` the new key of each
    row whose operation is MOVE. ``keys`` is empty when rows have no key.
    """

    columns: tuple[Column, ...]
    cells: list[list[Any]]
    keys: Sequence[tuple[Any, ...]]
    ops: Sequence[Op]
    holes: dict[int, frozenset[int]] = field(default_factory=dict)
    moves: dict[int, tuple[Any, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """How records become rows; the part of a sink's configuration that matters here."""

    key_mode: KeyMode
    key_fields: tuple[str, ...] = ()
    deletes: bool = False
    truncates: bool = False
    null_is_error: bool = False  # Confluent's sink: a null value without delete.enabled fails
    moves: bool = False


_OPERATIONS: Final = {"r": Op.WRITE, "c": Op.WRITE, "u": Op.WRITE, "d": Op.DELETE, "t": Op.TRUNCATE}


def is_envelope(schema: Schema) -> bool:
    """Whether a value schema is Debezium's envelope."""
    names = {f.name for f in schema.fields}
    return {"before", "after", "op"} <= names or (
        (schema.name or "").endswith(".Envelope") and {"after", "op"} <= names
    )


def read(batch: Batch, reading: Reading) -> Rows:
    """The rows of ``batch``; SchemaMismatch names the records that can't be rows."""
    values = batch.values
    if isinstance(values, Plain):
        if any(value is not None for value in values.rows()):
            raise _refuse(
                batch,
                range(len(batch)),
                "the value is no struct with a schema",
                "Write it with schemas: value.converter.schemas.enable=true.",
            )
        values = None
    after, ops = _operations(batch, values, reading)
    columns, cells, keys = _identify(batch, after, ops, reading)
    rows = Rows(columns, cells, keys, ops)
    _find_holes(rows)
    if reading.moves and batch.headers is not None:
        _find_moves(batch, rows, reading)
    return rows


def _operations(
    batch: Batch, values: Struct | None, reading: Reading
) -> tuple[Struct | None, list[Op]]:
    gone = Op.DELETE if reading.deletes else Op.SKIP
    if values is None:
        ops = [gone] * len(batch)
        present: Sequence[bool] = [False] * len(batch)
    else:
        present = Constant(True, len(batch)) if values.present is None else values.present
        if not is_envelope(values.schema):
            ops = [Op.WRITE if here else gone for here in present]
        else:
            values, ops = _open_envelope(batch, values, present, gone, reading)
    if gone is Op.SKIP and reading.null_is_error and False in present:
        absent = [row for row, here in enumerate(present) if not here]
        raise _refuse(batch, absent, "the value is null", "Set delete.enabled=true.")
    return values, ops


def _open_envelope(
    batch: Batch, values: Struct, present: Sequence[bool], gone: Op, reading: Reading
) -> tuple[Struct, list[Op]]:
    after = values["after"]
    if not isinstance(after, Struct):  # a column of nulls: none has a row
        after = Struct(Schema("struct"), (), len(batch), Constant(False, len(batch)))
    codes = values["op"]
    assert not isinstance(codes, Struct)
    ops = []
    for row, (code, here) in enumerate(zip(codes, present, strict=True)):
        op = _OPERATIONS.get(code) if here else gone
        if op is None:
            raise _refuse(batch, [row], f"operation {code!r} is not one of r, c, u, d, t")
        if op is Op.DELETE:
            op = gone
        elif op is Op.TRUNCATE and not reading.truncates:
            op = Op.SKIP
        elif op is Op.WRITE and after.present is not None and not after.present[row]:
            raise _refuse(batch, [row], "the record has no after image")
        ops.append(op)
    return after, ops


def _identify(
    batch: Batch, after: Struct | None, ops: Sequence[Op], reading: Reading
) -> tuple[tuple[Column, ...], list[list[Any]], Sequence[tuple[Any, ...]]]:
    """Columns (keys first), their cells, and the key of each row."""
    count = len(batch)
    names: list[str] = []
    key_columns: list[tuple[Column, list[Any]]] = []
    if reading.key_mode == "record_key":
        key_columns = _record_key(batch, ops, reading)
    elif reading.key_mode == "kafka":
        names = list(reading.key_fields or KAFKA_COLUMNS)
        cells: list[list[Any]] = [
            [batch.topic] * count, [batch.partition or 0] * count, list(batch.positions)
        ]  # fmt: skip
        schemas = (_STRING, _INT32, _INT64)
        key_columns = [
            (Column(name, schema, True), column)
            for name, schema, column in zip(names, schemas, cells, strict=True)
        ]
    named = {column.name for column, _ in key_columns}
    others: list[tuple[Column, list[Any]]] = []
    for f, column in zip(after.schema.fields, after.columns, strict=True) if after else ():
        if f.name in named:
            continue
        is_key = reading.key_mode == "record_value" and (
            not reading.key_fields or f.name in reading.key_fields
        )
        plain = list(column.rows()) if isinstance(column, Struct) else list(column)
        (key_columns if is_key else others).append((Column(f.name, f.schema, is_key), plain))
    if reading.key_mode == "record_value" and Op.WRITE in ops:
        _require_fields(batch, ops, [c.name for c, _ in key_columns], reading.key_fields)
    keys = list(zip(*(cells for _, cells in key_columns), strict=True)) if key_columns else []
    both = [*key_columns, *others]
    return tuple(c for c, _ in both), [cells for _, cells in both], keys


def _require_fields(
    batch: Batch, ops: Sequence[Op], found: Sequence[str], wanted: Sequence[str]
) -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        rows = [row for row, op in enumerate(ops) if op in (Op.WRITE, Op.DELETE)]
        raise _refuse(batch, rows, f"there is no field {missing[0]}", "See primary.key.fields.")


def _record_key(
    batch: Batch, ops: Sequence[Op], reading: Reading
) -> list[tuple[Column, list[Any]]]:
    needed = [row for row, op in enumerate(ops) if op in (Op.WRITE, Op.DELETE)]
    hint = "Give the table a primary key, or set primary.key.mode."
    keys = batch.keys
    if keys is None:
        if needed:
            raise _refuse(batch, needed, "the record key is null", hint)
        return []
    if isinstance(keys, Plain):
        absent = [row for row in needed if keys.column[row] is None]
        if absent:
            raise _refuse(batch, absent, "the record key is null", hint)
        if keys.schema is None or len(reading.key_fields) != 1:
            raise _refuse(
                batch,
                needed,
                "the record key is no struct with a schema",
                "Set key.converter.schemas.enable=true, or for a primitive key exactly one name "
                "in primary.key.fields.",
            )
        return [(Column(reading.key_fields[0], keys.schema, True), list(keys.column))]
    if keys.present is not None:
        absent = [row for row in needed if not keys.present[row]]
        if absent:
            raise _refuse(batch, absent, "the record key is null", hint)
    wanted = reading.key_fields or tuple(f.name for f in keys.schema.fields)
    _require_fields(batch, ops, [f.name for f in keys.schema.fields], wanted)
    found = []
    for name in wanted:
        f, column = keys.schema.field(name), keys[name]
        assert f is not None
        plain = list(column.rows()) if isinstance(column, Struct) else list(column)
        found.append((Column(name, f.schema, True), plain))
    return found


def _find_holes(rows: Rows) -> None:
    for place, cells in enumerate(rows.cells):
        nested = rows.columns[place].schema.type == "struct"
        for row, cell in enumerate(cells):
            if cell is UNAVAILABLE or (nested and cell is not None and UNAVAILABLE in cell):
                cells[row] = None
                rows.holes[row] = rows.holes.get(row, frozenset()) | {place}


def _find_moves(batch: Batch, rows: Rows, reading: Reading) -> None:
    """Deletions that carry Debezium's new key header, where its key can be read."""
    assert batch.headers is not None
    ops = list(rows.ops)
    names = [column.name for column in rows.columns if column.key]
    for row, op in enumerate(ops):
        if op is not Op.DELETE:
            continue
        payload = dict(batch.headers[row]).get(NEW_KEY)
        key = None if payload is None else _key_in(payload, names)
        if key is not None and all(
            _alike(new, old) for new, old in zip(key, rows.keys[row], strict=True)
        ):
            ops[row] = Op.MOVE
            rows.moves[row] = key
    rows.ops = ops


def _alike(new: object, old: object) -> bool:
    return type(new) is type(old) and isinstance(new, int | str)


def _key_in(payload: bytes, names: Sequence[str]) -> tuple[Any, ...] | None:
    """The key a header holds as JSON (with or without schema), or None if it can't be read."""
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    if isinstance(found, Mapping) and set(found) == {"schema", "payload"}:
        found = found["payload"]
    if not isinstance(found, Mapping) or not set(names) <= set(found):
        return None
    return tuple(found[name] for name in names)


def _refuse(batch: Batch, rows: Sequence[int], why: str, hint: str | None = None) -> SchemaMismatch:
    where = f"{batch.topic}-{batch.partition or 0}"
    first = f" at offset {batch.positions[rows[0]]}" if rows else ""
    return SchemaMismatch(
        f"{where}{first}: {why}.",
        {row: f"{where} offset {batch.positions[row]}: {why}" for row in rows},
        hint=hint,
    )
