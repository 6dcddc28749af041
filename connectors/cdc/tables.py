"""Tables by name, and the include and exclude lists that choose them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from connect.errors import ConfigError


class TableId(NamedTuple):
    """A table's name in its database."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


class Patterns:
    """A list of regular expressions of which one must match a whole name, in any case."""

    def __init__(self, key: str, expressions: Sequence[str]) -> None:
        self.expressions = tuple(expressions)
        self._compiled = []
        for expression in self.expressions:
            try:
                self._compiled.append(re.compile(expression, re.IGNORECASE))
            except re.error as error:
                raise ConfigError(
                    key, f"Invalid value {expression} for configuration {key}: {error}"
                ) from None

    def __bool__(self) -> bool:
        return bool(self._compiled)

    def match(self, name: str) -> bool:
        """Whether one of the expressions matches the whole name."""
        return any(pattern.fullmatch(name) for pattern in self._compiled)


class Filters:
    """Which tables are captured and which of their columns are kept, by Debezium's rules.

    Of each pair of lists (include, exclude) at most one may be given; names are ``schema``,
    ``schema.table`` and ``schema.table.column``.
    """

    def __init__(
        self,
        *,
        schema_include: Sequence[str] = (),
        schema_exclude: Sequence[str] = (),
        table_include: Sequence[str] = (),
        table_exclude: Sequence[str] = (),
        column_include: Sequence[str] = (),
        column_exclude: Sequence[str] = (),
    ) -> None:
        self._schemas = _pair("schema", schema_include, schema_exclude)
        self._tables = _pair("table", table_include, table_exclude)
        self._columns = _pair("column", column_include, column_exclude)

    def table(self, table: TableId) -> bool:
        """Whether the table is captured."""
        return _passes(self._schemas, table.schema) and _passes(self._tables, str(table))

    def column(self, table: TableId, column: str) -> bool:
        """Whether the column is part of the row's value (key columns always are part of keys)."""
        return _passes(self._columns, f"{table}.{column}")

    def unmatched(self, tables: Sequence[TableId]) -> list[str]:
        """The entries of table.include.list that match none of these tables."""
        include = self._tables[0]
        return [
            expression
            for expression in include.expressions
            if not any(re.fullmatch(expression, str(t), re.IGNORECASE) for t in tables)
        ]


def _pair(level: str, include: Sequence[str], exclude: Sequence[str]) -> tuple[Patterns, Patterns]:
    if include and exclude:
        raise ConfigError(
            f"{level}.exclude.list",
            f'"{level}.include.list" and "{level}.exclude.list" can\'t both be set.',
        )
    return Patterns(f"{level}.include.list", include), Patterns(f"{level}.exclude.list", exclude)


def _passes(pair: tuple[Patterns, Patterns], name: str) -> bool:
    include, exclude = pair
    return include.match(name) if include else not exclude.match(name)
