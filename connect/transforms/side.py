"""The side of a record a transform works on: its key or its value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from connect.data import Batch, Data, Plain, Struct
from connect.errors import SchemaMismatch

Side: TypeAlias = Literal["keys", "values"]


def on_side(
    batch: Batch,
    side: Side,
    columns: Callable[[Struct], Struct],
    members: Callable[[dict[Any, Any]], dict[Any, Any]],
    purpose: str,
) -> Batch:
    """The batch with one side changed: structs by ``columns``, schemaless maps one by one.

    Null rows stay null. SchemaMismatch for rows that are neither.
    """
    data: Data | None = batch.keys if side == "keys" else batch.values
    if data is None:
        return batch
    if isinstance(data, Struct):
        return with_side(batch, side, columns(data))
    bad = {
        row: f"only Struct and Map are supported for {purpose}"
        for row, value in enumerate(data.column)
        if value is not None and not (data.schema is None and isinstance(value, dict))
    }
    if bad:
        raise SchemaMismatch(f"Only Struct and Map objects are supported for {purpose}.", bad)
    changed = [None if value is None else members(value) for value in data.column]
    return with_side(batch, side, Plain(data.schema, changed))


def with_side(batch: Batch, side: Side, data: Data) -> Batch:
    """The batch with other keys or other values."""
    return replace(batch, keys=data) if side == "keys" else replace(batch, values=data)
