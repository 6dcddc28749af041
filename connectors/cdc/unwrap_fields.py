"""The fields of a change event that ``add.fields`` and ``add.headers`` name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from connect.data import NO_DEFAULT, Column, Constant, Headers, Schema, Struct
from connect.errors import ConfigError

_TRANSACTION = frozenset(("id", "data_collection_order", "total_order"))
_EVENT = frozenset(("op", "ts_ms", "ts_us", "ts_ns"))


@dataclass(frozen=True, slots=True)
class Reference:
    """One field: of the event itself (``struct`` None) or of a struct in it; its new name."""

    struct: str | None
    field: str
    name: str

    def find(self, events: Struct) -> tuple[Schema, Column] | None:
        """Optional schema and column of the field, None if the event has no such field."""
        parent: Column = events
        if self.struct is not None:
            parent = events[self.struct] if self.struct in events else Constant(None, len(events))
        schema = _inside(events.schema, self.struct)
        if schema is None or schema.field(self.field) is None:
            schema, parent = events.schema, events  # another transform may have put it there
        field = schema.field(self.field)
        if field is None:
            return None
        column: Column = Constant(None, len(events))
        if isinstance(parent, Struct):
            column = _unless_null(parent[self.field], parent.present)
        return replace(field.schema, optional=True, default=NO_DEFAULT), column

    def headers(self, events: Struct) -> Sequence[Headers]:
        """The header of each event; a tombstone has only that of ``op``."""
        found = self.find(events)
        column = Constant((), len(events)) if found is None else self._texts(found[1])
        if events.present is None or all(events.present):
            return column
        tombstone = self.of_tombstone()
        return [
            headers if here else tombstone
            for headers, here in zip(column, events.present, strict=True)
        ]

    def of_tombstone(self) -> Headers:
        """What a tombstone gets: the operation, which is a delete."""
        return ((self.name, b"d"),) if self.field == "op" else ()

    def _texts(self, column: Column) -> Sequence[Headers]:
        if isinstance(column, Constant):
            return Constant(((self.name, _text(column.value)),), len(column))
        if isinstance(column, Struct):
            names = [field.name for field in column.schema.fields]
            rows = (None if r is None else dict(zip(names, r, strict=True)) for r in column.rows())
            return [((self.name, _text(row)),) for row in rows]
        return [((self.name, _text(value)),) for value in column]


def parse_references(key: str, names: Sequence[str], prefix: str = "") -> tuple[Reference, ...]:
    """References as users write them: ``field``, ``struct.field``, each with ``:NEW_NAME``.

    ConfigError at ``key`` for what is none.
    """
    return tuple(_parse(key, name, prefix) for name in names)


def _parse(key: str, text: str, prefix: str) -> Reference:
    path, colon, new = text.partition(":")
    parts = path.split(".")
    if len(parts) > 2 or not all(parts) or (colon and not new) or ":" in new:
        raise ConfigError(
            key, f"Unexpected field name: {text}", hint="Write struct.field:NEW_NAME."
        )
    field = parts[-1]
    if len(parts) == 2:
        return Reference(parts[0], field, prefix + (new or f"{parts[0]}_{field}"))
    struct = None if field in _EVENT else "transaction" if field in _TRANSACTION else "source"
    return Reference(struct, field, prefix + (new or field))


def _inside(schema: Schema, struct: str | None) -> Schema | None:
    if struct is None:
        return schema
    field = schema.field(struct)
    return None if field is None else field.schema


def _unless_null(column: Column, present: Sequence[bool] | None) -> Column:
    """The column with null where the struct around it is null."""
    if present is None or (isinstance(column, Constant) and column.value is None):
        return column
    if isinstance(column, Struct):
        own = column.present or Constant(True, len(column))
        both = [a and b for a, b in zip(present, own, strict=True)]
        return Struct(column.schema, column.columns, column.count, both)
    return [cell if here else None for cell, here in zip(column, present, strict=True)]


def _text(value: Any) -> bytes | None:
    """A header's bytes as SimpleHeaderConverter writes them."""
    if value is None:
        return None
    return value.encode() if isinstance(value, str) else orjson.dumps(value, default=str)
