"""What a table is to the source: its columns, their types, its key. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connect.config import Problem
from connect.data import NO_DEFAULT, Field
from connectors.cdc.tables import Filters, TableId
from connectors.postgres import defaults
from connectors.postgres.pgoutput import Relation
from connectors.postgres.types import ColumnType, TypeInfo, UnsupportedType, ValueOptions
from connectors.postgres.values import column_type


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    """A column as the catalog has it; ``default`` is the expression of its default."""

    name: str
    oid: int
    typmod: int
    required: bool
    default: str | None


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table as the catalog has it now.

    Args:
        identity: pg_class.relreplident: d, n, f or i.
        columns: those that are published, in their order.
        primary: names of the primary key's columns, in the key's order.
        index: names of the columns of the replica identity's index, if there is one.
        row_filter: of the publication; None: all rows are published.
        rows: the planner's estimate; -1: never analyzed.
    """

    oid: int
    table: TableId
    identity: str
    columns: tuple[CatalogColumn, ...]
    primary: tuple[str, ...]
    index: tuple[str, ...]
    row_filter: str | None = None
    rows: float = -1

    def key(self) -> tuple[str, ...]:
        """The columns that name a row: the primary key, or the replica identity's index where
        deletes carry no more than that."""
        if self.identity == "i" and not set(self.primary) <= set(self.index):
            return self.index
        return self.primary or self.index


@dataclass(frozen=True, slots=True)
class Column:
    """A captured column; ``place`` is its index in the rows that are read."""

    name: str
    place: int
    type: ColumnType
    field: Field
    missing: Any  # stands in an image that does not have the column: NULL, the default or zero


@dataclass(frozen=True, slots=True)
class Table:
    """One version of a captured table.

    Args:
        width: columns of a row that is read.
        columns: the captured columns by place; ``value`` and ``key`` are indices into it.
    """

    id: TableId
    width: int
    columns: tuple[Column, ...]
    value: tuple[int, ...]
    key: tuple[int, ...]

    @property
    def places(self) -> list[int]:
        """Which columns of a row are read."""
        return [column.place for column in self.columns]


def from_catalog(
    found: CatalogTable, types: Mapping[int, TypeInfo], filters: Filters, options: ValueOptions
) -> Table:
    """The table whose rows are the catalog's columns. UnsupportedType names every column that
    can't be captured."""
    return _table(found.table, found.columns, found.key(), types, filters, options)


def from_relation(
    relation: Relation,
    found: CatalogTable | None,
    types: Mapping[int, TypeInfo],
    filters: Filters,
    options: ValueOptions,
    nullable: Collection[str] = (),
) -> Table:
    """The table whose rows are a Relation message's columns.

    The stream names columns and their types; whether they take NULL, their defaults and the key's
    order only the catalog knows, as it is now (None: the table is gone). ``nullable``: columns
    that were seen to hold NULL, whatever the catalog says.
    """
    known = {} if found is None else {column.name: column for column in found.columns}
    columns = []
    for column in relation.columns:
        now = known.get(column.name)
        same = now is not None and now.oid == column.oid
        required = now.required if now is not None else column.key and relation.identity != "f"
        columns.append(
            CatalogColumn(
                column.name,
                column.oid,
                column.typmod,
                required and column.name not in nullable,
                now.default if now is not None and same else None,
            )
        )
    id = TableId(relation.schema, relation.name)
    return _table(id, columns, _key(relation, found), types, filters, options)


def _key(relation: Relation, found: CatalogTable | None) -> tuple[str, ...]:
    flagged = tuple(column.name for column in relation.columns if column.key)
    names = {column.name for column in relation.columns}
    now = found.key() if found is not None else ()
    if relation.identity in ("d", "i"):
        # Deletes carry the flagged columns: they rule when the catalog is ahead of the stream.
        if set(now) <= set(flagged) and bool(now) == bool(flagged):
            return now
        return flagged
    return now if set(now) <= names else ()


def _table(
    id: TableId,
    columns: Sequence[CatalogColumn],
    key: Sequence[str],
    types: Mapping[int, TypeInfo],
    filters: Filters,
    options: ValueOptions,
) -> Table:
    captured: list[Column] = []
    value = []
    refused = []
    for place, column in enumerate(columns):
        kept = filters.column(id, column.name)
        if not kept and column.name not in key:
            continue
        try:
            captured.append(_column(place, column, column.name in key, types, options))
        except UnsupportedType as error:
            refused.append(f"{column.name} ({error})")
            continue
        if kept:
            value.append(len(captured) - 1)
    if refused:
        raise UnsupportedType(f"table {id}: " + ", ".join(refused))
    by_name = {column.name: index for index, column in enumerate(captured)}
    places = tuple(by_name[name] for name in key)
    return Table(id, len(columns), tuple(captured), tuple(value), places)


def _column(
    place: int,
    column: CatalogColumn,
    in_key: bool,
    types: Mapping[int, TypeInfo],
    options: ValueOptions,
) -> Column:
    type = column_type(column.oid, column.typmod, types, options)
    required = column.required or in_key
    default = defaults.value(column.default, type, required)
    schema = replace(type.schema, optional=not required, default=default)
    missing = None
    if required:
        missing = type.zero if default is NO_DEFAULT else default
    return Column(column.name, place, type, Field(column.name, schema), missing)


def unsupported(error: UnsupportedType) -> Problem:
    """What to tell a person about columns whose types can't be captured."""
    return Problem(
        "column.exclude.list",
        f"Columns of unsupported types would be lost: {error}.",
        "postgres.type.unsupported",
        "Name them in column.exclude.list, or exclude the table.",
    )
