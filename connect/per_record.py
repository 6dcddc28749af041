"""For people who think in records: a function of one record, lifted to batches.

    class Redact(Transform):
        config = RedactConfig
        def __init__(self, config: RedactConfig) -> None:
            self.apply = per_record(self._redact)
        def _redact(self, record: Record) -> Record | None:
            if record.value is None or record.value["internal"]:
                return None                                     # leave it out
            return record._replace(value={**record.value, "email": "***"})

``key`` and ``value`` are dicts by field name (structs inside too), or None for null. A field that
the function adds gets an optional schema after its values (bool, int, float, str, bytes); one it
leaves out is gone; for anything else return a record with another ``value_schema``. Costs a few
microseconds a record and nested struct where an operation on columns costs hundredths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any, Final, NamedTuple, TypeAlias

from connect.data import Batch, Column, Data, Field, Headers, Plain, Schema, Struct
from connect.errors import SchemaMismatch
from connect.transform import Record, RecordFunction

Rows: TypeAlias = list[tuple[int, Record]]
"""Records with the row of the batch they come from."""

Names: TypeAlias = "tuple[str, ...] | None"


class _Shape(NamedTuple):
    """What the rows of one batch have in common; names are those of a struct's fields."""

    topic: str
    key_schema: Schema | None
    key_names: Names
    value_schema: Schema | None
    value_names: Names


_INFERRED: Final[dict[frozenset[type], Schema]] = {
    frozenset(kinds): Schema(name, optional=True)  # type: ignore[arg-type]
    for name, kinds in (
        ("string", ()), ("boolean", (bool,)), ("int64", (int,)), ("double", (float,)),
        ("double", (int, float)), ("string", (str,)), ("bytes", (bytes,)),
    )
}  # fmt: skip


def per_record(function: RecordFunction) -> Callable[[Batch], list[Batch]]:
    """What ``function`` makes of each record of a batch, as batches of one topic and schema.

    Rows keep their positions, and their order inside each batch. SchemaMismatch names the rows
    whose result fits no schema; what ``function`` raises is not caught.
    """

    def apply(batch: Batch) -> list[Batch]:
        groups: dict[_Shape, Rows] = {}
        for row, record in enumerate(_records(batch)):
            made = function(record)
            if made is not None:
                groups.setdefault(_shape(made), []).append((row, made))
        return [_batch(batch, rows) for rows in _with_tombstones(groups)]

    return apply


def _records(batch: Batch) -> Iterator[Record]:
    keys, values = batch.keys, batch.values
    return map(
        Record,
        repeat(batch.topic, len(batch)),
        repeat(None) if keys is None else _values(keys),
        repeat(None) if values is None else _values(values),
        batch.timestamps,
        repeat(()) if batch.headers is None else batch.headers,
        repeat(None if keys is None else keys.schema),
        repeat(None if values is None else values.schema),
    )


def _values(data: Data) -> Iterator[Any]:
    """Each row as dict, plain value or None."""
    if isinstance(data, Plain):
        return data.rows()
    names = [field.name for field in data.schema.fields]
    cells = [_values(c) if isinstance(c, Struct) else c for c in data.columns]
    present = repeat(True, len(data)) if data.present is None else data.present
    rows = zip(*cells, strict=True) if cells else repeat((), len(data))
    return (
        dict(zip(names, row, strict=True)) if here else None
        for row, here in zip(rows, present, strict=True)
    )


def _shape(record: Record) -> _Shape:
    return _Shape(
        record.topic,
        record.key_schema,
        _names(record.key, record.key_schema),
        record.value_schema,
        _names(record.value, record.value_schema),
    )


def _names(value: Any, schema: Schema | None) -> Names:
    struct = schema is not None and schema.type == "struct"
    return tuple(value) if struct and isinstance(value, dict) else None


def _with_tombstones(groups: dict[_Shape, Rows]) -> Iterator[Rows]:
    """The groups, tombstones put to rows that differ in nothing else, so that order is kept."""
    homes: dict[_Shape, _Shape] = {}
    for shape in groups:
        homes.setdefault(shape._replace(value_names=None), shape)
    merged: dict[_Shape, Rows] = {}
    for shape, rows in groups.items():
        home = homes[shape] if shape.value_names is None else shape
        merged.setdefault(home, []).extend(rows)
    return (sorted(rows, key=lambda row: row[0]) for rows in merged.values())


def _batch(source: Batch, rows: Rows) -> Batch:
    records = [record for _, record in rows]
    places = [row for row, _ in rows]
    headers: list[Headers] = [record.headers for record in records]
    return Batch(
        records[0].topic,
        _data(places, records[0].key_schema, [record.key for record in records]),
        _data(places, records[0].value_schema, [record.value for record in records]),
        [record.timestamp for record in records],
        [source.positions[place] for place in places],
        headers if any(headers) else None,
        source.partition,
    )


def _data(places: Sequence[int], schema: Schema | None, values: Sequence[Any]) -> Data | None:
    first = next((value for value in values if value is not None), None)
    if first is None:
        return None
    if schema is None or schema.type != "struct":
        return Plain(schema, values)
    bad = {
        place: "a struct needs a dict, by field name"
        for place, value in zip(places, values, strict=True)
        if value is not None and not isinstance(value, dict)
    }
    if bad:
        raise SchemaMismatch("A record is no dict, though its schema is a struct.", bad)
    known = {field.name: field for field in schema.fields}
    if list(known) != list(first):
        try:
            fields = [known.get(name) or Field(name, _inferred(name, values)) for name in first]
        except ValueError as error:
            raise SchemaMismatch(
                str(error),
                dict.fromkeys(places, str(error)),
                hint="Return a record with a value_schema that has the new fields.",
            ) from None
        schema = replace(schema, fields=tuple(fields))
    return _struct(schema, values)


def _inferred(name: str, values: Sequence[Any]) -> Schema:
    kinds = frozenset(type(v[name]) for v in values if v is not None and v[name] is not None)
    if kinds not in _INFERRED:
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(f"no schema can be told for new field {name} with values of type {found}")
    return _INFERRED[kinds]


def _struct(schema: Schema, values: Sequence[dict[str, Any] | None]) -> Struct:
    columns: list[Column] = []
    for field in schema.fields:
        cells = [None if value is None else value.get(field.name) for value in values]
        columns.append(_struct(field.schema, cells) if field.schema.type == "struct" else cells)
    present = None if None not in values else [value is not None for value in values]
    return Struct(schema, columns, len(values), present)
