"""Rows reduced to the few steps that leave a table in the right state. Pure.

The order of operations on one key is kept: a step deletes first and writes then, and a row that
may not change places with an earlier one of its key starts the next step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from connectors.sinks.rows import Op, Rows

Mode = Literal["insert", "upsert", "update"]


@dataclass(frozen=True, slots=True)
class Write:
    """Delete the keys of ``deletes``, then write the rows ``writes``."""

    deletes: Sequence[int]
    writes: Sequence[int]


@dataclass(frozen=True, slots=True)
class Move:
    """Give the row with the key of ``row`` the key ``new``; nothing is left under the old one."""

    row: int
    new: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Truncate:
    """Empty the table."""

    row: int


Step: TypeAlias = Write | Move | Truncate


class Incomplete(ValueError):
    """A row lacks a value that nothing can supply; ``row`` is its index."""

    def __init__(self, row: int) -> None:
        super().__init__("an unavailable value of a row that the target does not have")
        self.row = row


def steps(rows: Rows, mode: Mode) -> list[Step]:
    """What to do, in order. Upserts are reduced to the newest row of each key, values the newest
    lacks being carried over from the row before; plain inserts are never reduced."""
    done: list[Step] = []
    open_ = _Open(rows, mode)
    for row, op in enumerate(rows.ops):
        if op is Op.SKIP:
            continue
        if op is Op.TRUNCATE:
            done, open_ = [Truncate(row)], _Open(rows, mode)
        elif op is Op.MOVE and not _is_complete(rows, row):
            done += [*open_.close(), Move(row, rows.moves[row])]
            open_ = _Open(rows, mode)
        elif op is Op.WRITE:
            if not open_.takes_write(row):
                done += open_.close()
                open_ = _Open(rows, mode)
            open_.write(row)
        else:
            if not open_.takes_delete(row):
                done += open_.close()
                open_ = _Open(rows, mode)
            open_.delete(row)
    return [*done, *open_.close()]


def _is_complete(rows: Rows, row: int) -> bool:
    """Whether the row that follows a key change under its new key brings every value."""
    new = rows.moves[row]
    for later in range(row + 1, min(row + 3, len(rows.ops))):
        if rows.ops[later] is Op.WRITE:
            return rows.keys[later] == new and later not in rows.holes
    return False


class _Open:
    """The step being built."""

    def __init__(self, rows: Rows, mode: Mode) -> None:
        self.rows = rows
        self.mode = mode
        self.deletes: dict[Any, int] = {}
        self.writes: dict[Any, int] = {}

    def _key(self, row: int) -> Any:
        return self.rows.keys[row] if self.rows.keys else row

    def takes_write(self, row: int) -> bool:
        """An update of a row deleted before must find nothing."""
        return self.mode != "update" or self._key(row) not in self.deletes

    def takes_delete(self, row: int) -> bool:
        """Only an upsert may forget a write because its row is deleted later."""
        return self.mode == "upsert" or self._key(row) not in self.writes

    def write(self, row: int) -> None:
        key = self._key(row)
        if self.mode == "insert":
            if row in self.rows.holes:
                raise Incomplete(row)
            self.writes[(key, row)] = row
            self.writes.setdefault(key, row)
            return
        earlier = self.writes.pop(key, None)
        if row in self.rows.holes:
            if earlier is not None:
                _carry(self.rows, earlier, row)
            elif key in self.deletes and self.mode == "upsert":
                raise Incomplete(row)
        self.writes[key] = row

    def delete(self, row: int) -> None:
        key = self._key(row)
        self.writes.pop(key, None)
        self.deletes[key] = row

    def close(self) -> list[Step]:
        writes = sorted(set(self.writes.values()))
        deletes = list(self.deletes.values())
        return [Write(deletes, writes)] if writes or deletes else []


def _carry(rows: Rows, earlier: int, row: int) -> None:
    """Fill the unavailable cells of ``row`` with those of the same key's row before it."""
    unknown = rows.holes.get(earlier, frozenset())
    for place in rows.holes[row] - unknown:
        rows.cells[place][row] = rows.cells[place][earlier]
    left = rows.holes[row] & unknown
    if left:
        rows.holes[row] = left
    else:
        del rows.holes[row]
