"""Small batches for the tests of transforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connect.config import parse
from connect.data import Batch, Column, Constant, Data, Field, Plain, Schema, Struct

ROW = Schema(
    "struct",
    optional=True,
    name="s.t.Value",
    fields=(
        Field("id", Schema("int32")),
        Field("name", Schema("string", optional=True)),
        Field("city", Schema("string", optional=True, default="Ulm")),
    ),
)
SOURCE = Schema(
    "struct",
    name="Source",
    fields=(
        Field("table", Schema("string")),
        Field("lsn", Schema("int64", optional=True)),
        Field("snapshot", Schema("string", optional=True, default="false")),
    ),
)
TRANSACTION = Schema(
    "struct", optional=True, name="event.block", version=1, fields=(Field("id", Schema("string")),)
)
ENVELOPE = Schema(
    "struct",
    name="s.t.Envelope",
    version=2,
    fields=(
        Field("before", ROW),
        Field("after", ROW),
        Field("source", SOURCE),
        Field("transaction", TRANSACTION),
        Field("op", Schema("string")),
        Field("ts_ms", Schema("int64", optional=True)),
    ),
)

Row = tuple[Any, ...]


def structs(schema: Schema, rows: Sequence[Row | None]) -> Struct:
    """Rows as a struct, None as null rows."""
    cells = [[None if row is None else row[p] for row in rows] for p in range(len(schema.fields))]
    present = None if None not in rows else [row is not None for row in rows]
    return Struct(schema, cells, len(rows), present)


def events(*changes: tuple[str, Row | None, Row | None] | None) -> Batch:
    """Change events (operation, before, after); None for a tombstone."""
    count = len(changes)
    known = [change or ("", None, None) for change in changes]
    columns: list[Column] = [
        structs(ROW, [before for _, before, _ in known]),
        structs(ROW, [after for _, _, after in known]),
        Struct(
            SOURCE,
            [Constant("t", count), list(range(100, 100 + count)), Constant(None, count)],
            count,
        ),
        Constant(None, count),
        [operation for operation, _, _ in known],
        Constant(9, count),
    ]
    present = None if None not in changes else [change is not None for change in changes]
    return batch(Struct(ENVELOPE, columns, count, present))


def batch(values: Data | None, keys: Data | None = None, topic: str = "s.t", **more: Any) -> Batch:
    """A batch of these values, at positions 10, 20, ..."""
    count = len(values) if values is not None else len(keys or ())
    return Batch(
        topic, keys, values, list(range(count)), [10 * row + 10 for row in range(count)], **more
    )


def dicts(*values: Any) -> Plain:
    """Schemaless rows."""
    return Plain(None, list(values))


def build(plugin: Any, settings: Mapping[str, str] | None = None) -> Any:
    """A plugin from what a user would write."""
    return plugin(parse(plugin.config, settings or {}))


def rows(batch: Batch) -> list[Any]:
    """The values' rows, None for tombstones."""
    return [None] * len(batch) if batch.values is None else list(batch.values.rows())


def names(data: Data | None) -> list[str]:
    """Field names of a struct."""
    assert isinstance(data, Struct)
    return [field.name for field in data.schema.fields]
