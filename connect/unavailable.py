"""UNAVAILABLE cells on their way through the log.

Converters know nothing of UNAVAILABLE,
    Unavailable, and other readers of the log expect Debezium's placeholder
values. So ``hide`` writes the placeholder and names the cell in a header of the record,
``__tailrace.unavailable: after.body,after.notes``; ``reveal`` turns the named cells back and drops
the header. A user's own text that equals the placeholder is never mistaken for it.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, TypeAlias
from urllib.parse import quote, unquote

from connect.data import (
    DECIMAL,
    UNAVAILABLE,
    Batch,
    Column,
    Constant,
    Data,
    Headers,
    Plain,
    Schema,
    Struct,
    Unavailable,
)
from connect.errors import SchemaMismatch

HEADER: Final = "__tailrace.unavailable"
PLACEHOLDER: Final = "__debezium_unavailable_value"

# Only values of these types can be stored out of line.
_LARGE: Final = frozenset(("string", "bytes", "array", "map"))
_INTEGERS: Final = frozenset(("int8", "int16", "int32", "int64"))

Path: TypeAlias = tuple[str, ...]


def hide(batch: Batch, text: str = PLACEHOLDER) -> Batch:
    """The batch with a placeholder in each UNAVAILABLE cell of its values, and headers naming them.

    A batch without such cells comes back as it is. SchemaMismatch names rows whose key holds one:
    a key must be known.
    """
    if isinstance(batch.keys, Struct):
        unknown = {row for _, cells in _found(batch.keys) for row in cells}
        if unknown:
            reason = "a column of the key was not sent by the database"
            raise SchemaMismatch(f"{batch.topic}: {reason}", dict.fromkeys(sorted(unknown), reason))
    if not isinstance(batch.values, Struct):
        return batch
    found = list(_found(batch.values))
    if not found:
        return batch
    values = batch.values
    names: dict[int, list[str]] = {}
    for path, rows in found:
        values = _replaced(values, path, rows, text)
        for row in rows:
            names.setdefault(row, []).append(_join(path))
    headers: list[Headers] = list(batch.headers) if batch.headers else [()] * len(batch)
    added = {paths: ((HEADER, paths.encode()),) for paths in {",".join(n) for n in names.values()}}
    for row, paths in names.items():
        headers[row] = headers[row] + added[",".join(paths)]
    return replace(batch, values=values, headers=headers)


def reveal(batch: Batch) -> Batch:
    """The batch with UNAVAILABLE in the cells its headers name, and without those headers."""
    if batch.headers is None:
        return batch
    named: dict[int, bytes] = {}
    cleaned: dict[int, Headers] = {}
    for row, headers in enumerate(batch.headers):
        for name, value in headers:
            if name == HEADER and value is not None:
                named[row] = value
                cleaned[row] = tuple(h for h in headers if h[0] != HEADER)
    if not named:
        return batch
    headers_left = [cleaned.get(row, headers) for row, headers in enumerate(batch.headers)]
    cells: dict[Path, list[int]] = {}
    for row, value in named.items():
        for text in value.decode().split(","):
            cells.setdefault(_split(text), []).append(row)
    values = batch.values
    for path, rows in cells.items():
        values = _revealed(values, path, rows)
    return replace(batch, values=values, headers=headers_left if any(headers_left) else None)


def placeholder(schema: Schema, text: str) -> Any:
    """What Debezium writes in place of an unavailable value of this schema."""
    data = text.encode()
    match schema.type:
        case "string":
            return _uuid(data) if schema.name == "io.debezium.data.Uuid" else text
        case "bytes" if schema.name == DECIMAL:
            digits = tuple(map(int, str(int.from_bytes(data, "big"))))
            return Decimal((0, digits, -schema.scale))
        case "bytes":
            return data
        case "map":
            return {text: text}
        case "array" if schema.items is not None:
            if schema.items.type in _INTEGERS:
                return list(data)
            if schema.items.type in ("float", "double"):
                return [float(byte) for byte in data]
            if schema.items.type in _LARGE:
                return [placeholder(schema.items, text)]
            return []
    raise ValueError(f"a value of type {schema.type} is never out of line")


def _uuid(data: bytes) -> str:
    # java.util.UUID.nameUUIDFromBytes: MD5 of the name alone, marked as version 3.
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest, version=3))


def _found(struct: Struct) -> Iterator[tuple[Path, list[int]]]:
    """The cells that hold UNAVAILABLE: path of the column, and its rows."""
    present = struct.present
    for field, column in zip(struct.schema.fields, struct.columns, strict=True):
        cells: Iterator[tuple[Path, list[int]]]
        if isinstance(column, Struct):
            cells = _found(column)
        elif field.schema.type in _LARGE and _holds(column):
            cells = iter([((), [row for row, v in enumerate(column) if v is UNAVAILABLE])])
        else:
            continue
        for path, rows in cells:
            known = rows if present is None else [row for row in rows if present[row]]
            if known:
                yield (field.name, *path), known


def _holds(column: Sequence[Any]) -> bool:
    if isinstance(column, Constant):
        return column.value is UNAVAILABLE
    return Unavailable in set(map(type, column))  # faster than comparing with each value


def _replaced(struct: Struct, path: Path, rows: Sequence[int], text: str) -> Struct:
    place = struct.index(path[0])
    column = struct.columns[place]
    changed: Column
    if isinstance(column, Struct):
        changed = _replaced(column, path[1:], rows, text)
    else:
        value = placeholder(struct.schema.fields[place].schema, text)
        changed = _with(column, rows, value)
    return struct.with_column(path[0], changed)


def _revealed(values: Data | None, path: Path, rows: Sequence[int]) -> Data | None:
    if isinstance(values, Struct):
        return _revealed_struct(values, path, rows)
    if values is None or values.schema is not None:
        return values
    column = list(values.column)
    for row in rows:
        column[row] = _revealed_dict(column[row], path)
    return Plain(None, column)


def _revealed_struct(struct: Struct, path: Path, rows: Sequence[int]) -> Struct:
    if path[0] not in struct:
        return struct
    column = struct[path[0]]
    if isinstance(column, Struct):
        if len(path) == 1:
            return struct
        return struct.with_column(path[0], _revealed_struct(column, path[1:], rows))
    return struct.with_column(path[0], _with(column, rows, UNAVAILABLE))


def _revealed_dict(value: Any, path: Path) -> Any:
    if not isinstance(value, Mapping) or path[0] not in value:
        return value
    inner = _revealed_dict(value[path[0]], path[1:]) if path[1:] else UNAVAILABLE
    return {**value, path[0]: inner}


def _with(column: Sequence[Any], rows: Sequence[int], value: Any) -> Sequence[Any]:
    if len(rows) == len(column):
        return Constant(value, len(column))
    changed = list(column)
    for row in rows:
        changed[row] = value
    return changed


def _join(path: Path) -> str:
    return ".".join(quote(name, safe=" $-_/:").replace(".", "%2E") for name in path)


def _split(path: str) -> Path:
    return tuple(unquote(name) for name in path.split("."))
