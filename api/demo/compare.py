"""Whether two databases hold the same rows: counts and a checksum of every row, table by table."""

import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from api.demo.shop import Table


class Cursor(Protocol):
    """What psycopg and DuckDB have in common."""

    def fetchmany(self, size: int, /) -> Sequence[tuple[Any, ...]]:
        """The next rows; none at the end."""


class Digest(NamedTuple):
    """A table's content: how many rows, and one number over all of them in any order."""

    rows: int
    checksum: str


def _instant(value: str) -> str:
    return dt.datetime.fromisoformat(value).astimezone(dt.UTC).isoformat(timespec="microseconds")


def _exact(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _json(value: str) -> str:
    # Numbers stay the digits they were: 1.10 and 1.1 differ, and nothing becomes a float.
    parsed = json.loads(value, parse_float=lambda digits: ("number", digits))
    return json.dumps(parsed, sort_keys=True)


def _array(value: Any) -> str:
    return json.dumps(json.loads(value) if isinstance(value, str) else list(value))


# One text for a value, whichever database it comes from.
CANONICAL: Final[Mapping[str, Callable[[Any], str]]] = {
    "exact": _exact,
    "decimal": lambda value: format(value, "f"),  # keeps its scale: 1.50 and 1.5 differ
    "uuid": lambda value: str(uuid.UUID(str(value))),
    "instant": _instant,
    "json": _json,
    "array": _array,
    "bytes": lambda value: bytes(value).hex(),
}
AS_TEXT: Final = ("instant", "json")  # read as text: drivers differ in what they make of these


def row_text(table: Table, row: Sequence[Any]) -> str:
    """One row as text: a JSON array of canonical texts and nulls."""
    kinds = table.columns.values()
    return json.dumps(
        [None if v is None else CANONICAL[k](v) for k, v in zip(kinds, row, strict=True)]
    )


def digest(table: Table, cursor: Cursor) -> Digest:
    """The digest of a result that has the table's columns in their order."""
    return _sum(row_text(table, row) for row in _rows(cursor))


def first_difference(table: Table, source: Cursor, target: Cursor) -> str:
    """Say which key differs first between two results and how; for a person to read."""
    wanted = {_key(table, row): row_text(table, row) for row in _rows(source)}
    for row in _rows(target):
        expected = wanted.pop(_key(table, row), None)
        if expected is None:
            return f"key {_key(table, row)} is in the target only, or twice"
        if expected != (found := row_text(table, row)):
            return f"key {_key(table, row)}: source {expected[:300]} target {found[:300]}"
    return f"key {min(wanted)} is in the source only" if wanted else "none"


def query(table: Table, name: str) -> str:
    """The statement that reads a table for `digest`; `name` is how the database calls it."""
    columns = [
        f"CAST({column} AS VARCHAR)" if kind in AS_TEXT else column
        for column, kind in table.columns.items()
    ]
    return f"SELECT {', '.join(columns)} FROM {name}"


def _key(table: Table, row: Sequence[Any]) -> str:
    return json.dumps([_exact(value) for value in row[: len(table.key)]])


def _rows(cursor: Cursor) -> Iterable[tuple[Any, ...]]:
    while rows := cursor.fetchmany(5000):
        yield from rows


def _sum(texts: Iterable[str]) -> Digest:
    # Adding the rows' hashes makes the order of rows irrelevant and still counts each duplicate.
    count, total = 0, 0
    for text in texts:
        count += 1
        total += int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")
    return Digest(count, f"{total % 2**128:032x}")
