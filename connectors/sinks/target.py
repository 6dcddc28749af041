"""What the table sinks ask of a database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from connect.config import Problem
from connectors.sinks.naming import TableName
from connectors.sinks.types import ColumnType


class Found(NamedTuple):
    """A column as the database has it; ``type`` is None when it is none of ours."""

    type: ColumnType | None
    generated: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the database has it; ``uniques`` are its unique keys, the primary key first."""

    name: TableName
    columns: Mapping[str, Found]
    uniques: Sequence[frozenset[str]]


class Wanted(NamedTuple):
    """A column to be made; a key column is part of the primary key."""

    name: str
    type: ColumnType
    key: bool = False
    default: Any = None  # a value of the column's schema; None: no default


@dataclass(frozen=True, slots=True)
class Staged:
    """Rows to write, by column; the names of ``keys`` are among ``names``."""

    names: Sequence[str]
    types: Sequence[ColumnType]
    keys: Sequence[str]
    cells: Sequence[Sequence[Any]]
    count: int

    @property
    def others(self) -> list[str]:
        """The columns that are not part of the key."""
        return [name for name in self.names if name not in self.keys]


class Verdict(NamedTuple):
    """What a driver's error means: bad rows, a fault that may pass, or one for a person, such as
    a user that is "denied" a connection."""

    kind: Literal["row", "retry", "lost", "denied", "fatal"]
    reason: str
    column: str | None = None
    hint: str | None = None


class Target(ABC):
    """One connection to one database, in one transaction at a time.

    Methods raise the driver's exceptions (ValueError for a value without a form in this target);
    ``classify`` says what they mean. Writing methods return the number of rows the database says
    it wrote, None where it doesn't tell.
    """

    product: str
    mark: str  # how a statement names its parameters
    savepoints: bool = True  # False: a failed statement costs the whole transaction
    transactional_ddl: bool = True  # False: DDL commits what was written before it
    folds_case: bool = False  # names that differ in case only are the same
    name_bytes: int = 1 << 20  # longest identifier, in UTF-8
    positions_options: str = ""

    @abstractmethod
    def open(self) -> None:
        """Connect."""

    @abstractmethod
    def close(self) -> None:
        """Disconnect; what is not committed is undone."""

    def release(self) -> None:  # noqa: B027  most targets take many connections
        """Nothing is open and nothing waits: let others in. ``begin`` comes back."""

    @abstractmethod
    def begin(self) -> None:
        """Start a transaction."""

    @abstractmethod
    def commit(self) -> None:
        """Make the transaction durable."""

    @abstractmethod
    def rollback(self) -> None:
        """Undo the transaction."""

    @abstractmethod
    def savepoint(self) -> AbstractContextManager[object]:
        """A part of the transaction that an exception undoes (if ``savepoints``)."""

    @abstractmethod
    def quote(self, name: str) -> str:
        """An identifier, quoted."""

    @abstractmethod
    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; the number of rows it touched."""

    @abstractmethod
    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query."""

    @abstractmethod
    def describe(self, name: TableName) -> Table | None:
        """The table, or None if there is none."""

    @abstractmethod
    def column_sql(self, type_: ColumnType, key: bool) -> str:
        """The type of a new column in the database's words."""

    @abstractmethod
    def default_sql(self, wanted: Wanted) -> str:
        """The default clause of a new column, with a leading space, or nothing."""

    @abstractmethod
    def widen(self, name: TableName, wanted: Wanted) -> None:
        """Give a column a wider type."""

    @abstractmethod
    def insert(self, table: Table, staged: Staged) -> int | None:
        """Add rows."""

    @abstractmethod
    def upsert(self, table: Table, staged: Staged) -> int | None:
        """Add rows, or replace the cells of the rows that have their keys."""

    @abstractmethod
    def update(self, table: Table, staged: Staged) -> int:
        """Replace cells of the rows that have these keys; the number of rows found."""

    @abstractmethod
    def delete(self, table: Table, staged: Staged) -> None:
        """Remove the rows that have these keys; only key columns are staged."""

    @abstractmethod
    def move(self, table: Table, old: Staged, new: Staged) -> None:
        """Give the row of key ``old`` the key ``new``, unless there is one; ``old`` is gone."""

    @abstractmethod
    def classify(self, error: Exception) -> Verdict | None:
        """What an error means; None: a bug."""

    def check(self, key: str, creates: bool) -> list[Problem]:
        """Problems of the open connection: privileges, settings. Read-only."""
        return []

    def stored(self, type_: ColumnType) -> ColumnType:
        """The type as this database would describe a column made for it."""
        return type_

    def truncate(self, table: Table) -> None:
        """Remove every row, inside the transaction."""
        self.execute(f"DELETE FROM {self.table_sql(table.name)}")

    def create(self, name: TableName, wanted: Sequence[Wanted]) -> None:
        """Create a table. Only key columns are NOT NULL: a column dropped at the source, or one
        whose NOT NULL was, must not stop the rows that follow."""
        parts = [
            f"{self.quote(w.name)} {self.column_sql(w.type, w.key)}"
            + self.default_sql(w)
            + (" NOT NULL" if w.key else "")
            for w in wanted
        ]
        keys = [self.quote(w.name) for w in wanted if w.key]
        if keys:
            parts.append(f"PRIMARY KEY ({', '.join(keys)})")
        self.execute(f"CREATE TABLE {self.table_sql(name)} ({', '.join(parts)})")

    def add_column(self, name: TableName, wanted: Wanted) -> None:
        """Add a column; rows that are there get its default."""
        column = f"{self.quote(wanted.name)} {self.column_sql(wanted.type, False)}"
        self.execute(
            f"ALTER TABLE {self.table_sql(name)} ADD COLUMN {column}{self.default_sql(wanted)}"
        )

    def table_sql(self, name: TableName) -> str:
        """A table's name, quoted."""
        table = self.quote(name.name)
        return table if name.schema is None else f"{self.quote(name.schema)}.{table}"

    def columns_sql(self, names: Sequence[str], prefix: str = "") -> str:
        """Quoted names with commas between."""
        return ", ".join(prefix + self.quote(name) for name in names)
