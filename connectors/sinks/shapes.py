"""Tables and records brought together: what is missing in a table, and what changes it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from connect.data import NO_DEFAULT
from connect.errors import FatalError
from connectors.sinks.config import TableSinkConfig
from connectors.sinks.naming import TableName
from connectors.sinks.rows import Column
from connectors.sinks.target import Table, Target, Wanted
from connectors.sinks.types import (
    ColumnType,
    Kind,
    UnsupportedSchema,
    column_type,
    is_wider,
    rounds,
)

logger = logging.getLogger(__name__)


class Shapes:
    """The tables of a target as far as they are known, checked once per record schema."""

    def __init__(self, config: TableSinkConfig, target: Target) -> None:
        self._config = config
        self._target = target
        self._tables: dict[TableName, Table] = {}
        self._fitting: dict[TableName, set[tuple[Column, ...]]] = {}
        self._topics: dict[str, tuple[str, TableName]] = {}

    def forget(self) -> None:
        """The tables may have changed: look again."""
        self._tables.clear()
        self._fitting.clear()

    def read(self, name: TableName) -> Table:
        """The table as it is now."""
        table = self._target.describe(name)
        assert table is not None
        self._tables[name] = table
        return table

    def fit(
        self, name: TableName, topic: str, columns: tuple[Column, ...]
    ) -> tuple[list[Callable[[], None]], Table | None]:
        """The DDL that makes the table fit these columns, or nothing and the table.

        FatalError when the configuration doesn't allow it, or no DDL would do.
        """
        if name in self._tables and columns in self._fitting.get(name, ()):
            return [], self._tables[name]
        self._check_names(name, topic, columns)
        table = self._tables.get(name) or self._target.describe(name)
        if table is None:
            changes = [self._creation(name, columns)]
        else:
            self._check_key(table, columns)
            changes = self._changes(table, columns)
            self._tables[name] = table
        if changes:
            self._fitting.pop(name, None)
            return changes, None
        self._fitting.setdefault(name, set()).add(columns)
        return [], table

    def _creation(self, name: TableName, columns: Sequence[Column]) -> Callable[[], None]:
        if not self._config.creates:
            raise FatalError(
                f'Table "{name}" does not exist.',
                code="sink.table_missing",
                hint="Create it, or set schema.evolution=basic.",
            )
        logger.info("creating table %s with %d columns", name, len(columns))
        return partial(self._target.create, name, [_wanted(name, c) for c in columns])

    def _changes(self, table: Table, columns: Sequence[Column]) -> list[Callable[[], None]]:
        changes: list[Callable[[], None]] = []
        for column in columns:
            wanted = _wanted(table.name, column)
            found = table.columns.get(column.name)
            if found is None:
                self._refuse_unless_evolving(table, column)
                logger.info("adding column %s to table %s", column.name, table.name)
                changes.append(partial(self._target.add_column, table.name, wanted))
            elif found.type is not None:
                changes.extend(self._growth(table, wanted, found.type))
        return changes

    def _growth(self, table: Table, wanted: Wanted, found: ColumnType) -> list[Callable[[], None]]:
        """DDL that widens the column, if it must hold more than it can."""
        stored = self._target.stored(wanted.type)
        if self._config.evolves and is_wider(stored, found):
            logger.info("widening column %s of table %s", wanted.name, table.name)
            joined = wanted._replace(type=_join(wanted.type, found))
            return [partial(self._target.widen, table.name, joined)]
        if rounds(stored, found):
            raise FatalError(
                f'Column "{wanted.name}" of table "{table.name}" would round its values.',
                code="sink.column_narrow",
                hint=f"Make it {self._target.column_sql(wanted.type, wanted.key)}.",
            )
        return []

    def _refuse_unless_evolving(self, table: Table, column: Column) -> None:
        if column.key:
            raise FatalError(
                f'Table "{table.name}" has no column "{column.name}", which is part of the key.',
                code="sink.key_missing",
                hint="Rebuild the table: a key column can't be added to rows that are there.",
            )
        if not self._config.evolves:
            raise FatalError(
                f'Table "{table.name}" has no column "{column.name}".',
                code="sink.column_missing",
                hint="Add it, drop the field with a transform, or set schema.evolution=basic.",
            )

    def _check_key(self, table: Table, columns: Sequence[Column]) -> None:
        """Without a unique key of exactly these columns an upsert would pile up rows."""
        key = frozenset(column.name for column in columns if column.key)
        if self._config.insert_mode == "upsert" and key not in table.uniques:
            raise FatalError(
                f'Table "{table.name}" has no primary or unique key ({", ".join(sorted(key))}).',
                code="sink.key_missing",
                hint="Add it: insert.mode=upsert finds rows by it.",
            )

    def _check_names(self, name: TableName, topic: str, columns: Sequence[Column]) -> None:
        for text in (*filter(None, name), *(column.name for column in columns)):
            if len(text.encode()) > self._target.name_bytes or not text or "\0" in text:
                raise FatalError(
                    f'"{text[:80]}" (topic "{topic}") can\'t be a name in {self._target.product}.',
                    code="sink.name_invalid",
                    hint=f"Names have 1 to {self._target.name_bytes} bytes; see "
                    "table.name.format, or rename with transforms.",
                )
        folded = [self._fold(column.name) for column in columns]
        if len(set(folded)) < len(folded):
            raise FatalError(
                f'Columns of topic "{topic}" differ in case only, which {self._target.product} '
                "does not tell apart.",
                code="sink.name_collision",
                hint="Rename one with a transform.",
            )
        if self._config.naming.varies:
            first, table = self._topics.setdefault(self._fold(str(name)), (topic, name))
            if (first, table) != (topic, name):
                raise FatalError(
                    f'Topics "{first}" and "{topic}" would both be written to table "{name}".',
                    code="sink.name_collision",
                    hint="Tell them apart with table.name.format or a RegexRouter.",
                )

    def _fold(self, name: str) -> str:
        return name.casefold() if self._target.folds_case else name


def _wanted(table: TableName, column: Column) -> Wanted:
    try:
        type_ = column_type(column.schema)
    except UnsupportedSchema as error:
        raise FatalError(
            f'Column "{column.name}" of table "{table}": {error}.',
            code="sink.type_unsupported",
            hint="Leave the field out, or flatten it, with a transform.",
        ) from error
    default = None if column.schema.default is NO_DEFAULT else column.schema.default
    return Wanted(column.name, type_, column.key, default)


def _join(wanted: ColumnType, found: ColumnType) -> ColumnType:
    """The narrowest type that holds the values of both."""
    if wanted.kind is Kind.DECIMAL and found.kind is Kind.DECIMAL:
        if wanted.length is None or found.length is None:
            return ColumnType(Kind.DECIMAL, scale=max(wanted.scale, found.scale))
        scale = max(wanted.scale, found.scale)
        whole = max(wanted.length - wanted.scale, found.length - found.scale)
        return ColumnType(Kind.DECIMAL, length=whole + scale, scale=scale)
    return wanted
