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

    Null rows stay null. SchemaMismatch for rows that are neither, or for which ``members`` raises
    ValueError.
    """
    data: Data | None = batch.keys if side == "keys" else batch.values
    if data is None:
        return batch
    if isinstance(data, Struct):
        return with_side(batch, side, columns(data))
    changed: list[Any] = []
    bad: dict[int, str] = {}
    for row, value in enumerate(data.column):
        try:
            changed.append(None if value is None else members(_map(data, value)))
        except ValueError as error:
            bad[row] = str(error)
    if bad:
        raise SchemaMismatch(f"Rows can't be used for {purpose}.", bad)
    return with_side(batch, side, Plain(None, changed))


def _map(data: Plain, value: Any) -> dict[Any, Any]:
    if data.schema is not None:
        raise ValueError("only Struct objects are supported")
    if not isinstance(value, dict):
        raise ValueError("only Map objects are supported in absence of a schema")
    return value


def with_side(batch: Batch, side: Side, data: Data) -> Batch:
    """The batch with other keys or other values."""
    return replace(batch, keys=data) if side == "keys" else replace(batch, values=data)
