"""Rows by column: schemas, structs and batches.

A batch has one topic and one schema, so decisions are taken once a batch and rows are data. The
schema model is Kafka Connect's. A column's values by schema type: ``int``, ``float``, ``bool``,
``str``, ``bytes``; ``list`` for an array; ``dict`` for a map; ``decimal.Decimal`` for the logical
type Decimal; everything else logical (dates, times, uuid, json ...) is the plain value of its
underlying type. A struct inside an array or map is a ``tuple`` in field order; a struct field of
a struct is a nested ``Struct`` column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, repeat
from operator import itemgetter
from typing import Any, Final, Literal, TypeAlias, overload

TypeName = Literal[
    "int8", "int16", "int32", "int64", "float", "double", "boolean", "string", "bytes",
    "array", "map", "struct",
]  # fmt: skip

DECIMAL: Final = "org.apache.kafka.connect.data.Decimal"


class _NoDefault:
    def __repr__(self) -> str:
        return "NO_DEFAULT"


NO_DEFAULT: Final = _NoDefault()


class Unavailable:
    """The value of a cell the database did not send: an unchanged out-of-line (TOAST) value.

    Neither NULL nor any value of the user's. The pipeline writes it as a placeholder and a header
    that names the cell; reading turns it back into this object.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNAVAILABLE"

    def __reduce__(self) -> str:
        return "UNAVAILABLE"


UNAVAILABLE: Final = Unavailable()


@dataclass(frozen=True, slots=True, eq=True)
class Schema:
    """A Connect schema. Compare with ``==``; build once per table version and keep it."""

    type: TypeName
    optional: bool = False
    name: str | None = None
    version: int | None = None
    doc: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    default: Any = NO_DEFAULT
    fields: tuple[Field, ...] = ()
    keys: Schema | None = None
    items: Schema | None = None
    _hash: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        shape = (self.type, self.optional, self.name, self.version, self.parameters, self.fields)
        object.__setattr__(self, "_hash", hash((shape, self.keys, self.items)))

    def __hash__(self) -> int:
        return self._hash

    def field(self, name: str) -> Field | None:
        """The field of that name, or None."""
        return next((f for f in self.fields if f.name == name), None)

    def as_optional(self, optional: bool = True) -> Schema:
        """This schema with another optionality."""
        return self if self.optional is optional else replace(self, optional=optional)

    @property
    def scale(self) -> int:
        """The scale of a Decimal schema."""
        return int(dict(self.parameters)["scale"])


@dataclass(frozen=True, slots=True)
class Field:
    """A named schema inside a struct schema."""

    name: str
    schema: Schema


class Constant(Sequence[Any]):
    """A column whose rows all hold one value."""

    __slots__ = ("length", "value")

    def __init__(self, value: Any, length: int) -> None:
        self.value = value
        self.length = length

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Constant: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Constant(self.value, len(range(*index.indices(self.length))))
        if not -self.length <= index < self.length:
            raise IndexError(index)
        return self.value

    def __iter__(self) -> Iterator[Any]:
        return repeat(self.value, self.length)

    def __contains__(self, item: object) -> bool:
        return self.length > 0 and (item is self.value or item == self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and (self.value, self.length) == (
            other.value,
            other.length,
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Constant({self.value!r}, {self.length})"


Column: TypeAlias = "Sequence[Any] | Struct"


def take(column: Column, rows: Sequence[int]) -> Column:
    """The given rows of a column, in the given order."""
    if isinstance(column, Constant):
        return Constant(column.value, len(rows))
    if isinstance(column, Struct):
        return column.take(rows)
    if len(rows) > 1:
        picked: tuple[Any, ...] = itemgetter(*rows)(column)
        return picked
    return [column[row] for row in rows]


class Struct:
    """Many rows of one struct schema, by column.

    ``columns`` has one entry per field and each column one entry per row. ``present`` is None when
    every row holds a struct; else its False entries mark null rows, whose cells are ignored.
    """

    __slots__ = ("columns", "count", "present", "schema")

    def __init__(
        self,
        schema: Schema,
        columns: Sequence[Column],
        count: int,
        present: Sequence[bool] | None = None,
    ) -> None:
        self.schema = schema
        self.columns = tuple(columns)
        self.count = count
        self.present = present

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, name: str) -> Column:
        return self.columns[self.index(name)]

    def __contains__(self, name: object) -> bool:
        return any(f.name == name for f in self.schema.fields)

    def __repr__(self) -> str:
        names = ", ".join(f.name for f in self.schema.fields)
        return f"Struct({self.schema.name or ''}({names}), {self.count} rows)"

    def index(self, name: str) -> int:
        """Place of the field ``name``; KeyError if there is none."""
        for place, candidate in enumerate(self.schema.fields):
            if candidate.name == name:
                return place
        raise KeyError(name)

    def rows(self) -> Iterator[tuple[Any, ...] | None]:
        """The rows as tuples in field order (nested structs too), None for null rows."""
        if not self.columns:
            rows: Iterator[tuple[Any, ...]] = (() for _ in range(self.count))
        else:
            rows = zip(
                *(c.rows() if isinstance(c, Struct) else c for c in self.columns), strict=True
            )
        if self.present is None:
            return rows
        return (row if here else None for row, here in zip(rows, self.present, strict=True))

    def with_columns(self, schema: Schema, columns: Sequence[Column]) -> Struct:
        """The same rows with another schema and other columns."""
        return Struct(schema, columns, self.count, self.present)

    def with_column(self, name: str, column: Column, schema: Schema | None = None) -> Struct:
        """This struct with one column replaced, or added at the end (then with its schema)."""
        columns = list(self.columns)
        fields = list(self.schema.fields)
        if name in self:
            place = self.index(name)
            columns[place] = column
            if schema is None:
                return self.with_columns(self.schema, columns)
            fields[place] = Field(name, schema)
        else:
            if schema is None:
                raise KeyError(name)
            columns.append(column)
            fields.append(Field(name, schema))
        return self.with_columns(replace(self.schema, fields=tuple(fields)), columns)

    def without(self, *names: str) -> Struct:
        """This struct less the named columns."""
        kept = [f.name not in names for f in self.schema.fields]
        fields = tuple(compress(self.schema.fields, kept))
        return self.with_columns(
            replace(self.schema, fields=fields), tuple(compress(self.columns, kept))
        )

    def take(self, rows: Sequence[int]) -> Struct:
        """The given rows, in the given order."""
        present = None if self.present is None else [self.present[row] for row in rows]
        return Struct(self.schema, [take(c, rows) for c in self.columns], len(rows), present)


class Plain:
    """Many rows that are no structs: primitives, arrays, maps, or schemaless JSON (schema None)."""

    __slots__ = ("column", "schema")

    def __init__(self, schema: Schema | None, column: Sequence[Any]) -> None:
        self.schema = schema
        self.column = column

    def __len__(self) -> int:
        return len(self.column)

    def __repr__(self) -> str:
        return f"Plain({self.schema.type if self.schema else 'schemaless'}, {len(self)} rows)"

    def rows(self) -> Iterator[Any]:
        """The values, None for null."""
        return iter(self.column)

    def take(self, rows: Sequence[int]) -> Plain:
        """The given rows, in the given order."""
        column = take(self.column, rows)
        assert not isinstance(column, Struct)
        return Plain(self.schema, column)


Data: TypeAlias = Struct | Plain

Headers: TypeAlias = tuple[tuple[str, bytes | None], ...]
"""One record's headers, as bytes on the wire."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows bound for, or read from, one topic.

    Args:
        topic: where the rows go (source) or came from (sink).
        keys: one key per row; None: every key is null.
        values: one value per row; None: every row is a tombstone. A null row of a Struct is a
            tombstone too.
        timestamps: milliseconds since 1970 UTC, one per row.
        positions: a source's: place of each row in the poll, ascending, unique over the poll's
            batches; a sink's: the offset of each record.
        headers: one entry per row (often a ``Constant``); None: no headers.
        partition: a sink's: where the rows came from; a source's: None lets the key decide.
    """

    topic: str
    keys: Data | None
    values: Data | None
    timestamps: Sequence[int]
    positions: Sequence[int]
    headers: Sequence[Headers] | None = None
    partition: int | None = None

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, rows: Sequence[int]) -> Batch:
        """The given rows, in the given order."""
        if list(rows) == list(range(len(self))):
            return self
        return Batch(
            self.topic,
            None if self.keys is None else self.keys.take(rows),
            None if self.values is None else self.values.take(rows),
            [self.timestamps[row] for row in rows],
            [self.positions[row] for row in rows],
            None if self.headers is None else [self.headers[row] for row in rows],
            self.partition,
        )


def parameters(values: Mapping[str, str] | None = None, **more: str) -> tuple[tuple[str, str], ...]:
    """Schema parameters in the form ``Schema`` keeps them."""
    return tuple({**(values or {}), **more}.items())
