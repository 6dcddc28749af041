"""A table's rows to Debezium's change events. Pure.

One ``TableEvents`` serves one version of a table, for snapshot and stream alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from connect.data import (
    UNAVAILABLE,
    Batch,
    Constant,
    Headers,
    Struct,
    take,
)
from connect.data import Column as Values
from connect.errors import FatalError
from connectors.cdc.envelope import (
    Envelope,
    Operation,
    Rows,
)
from connectors.postgres.pgoutput import Changes, Kind, Relation, Transaction, lsn_text
from connectors.postgres.source_block import (
    SOURCE,
    Origin,
    read_places,
    source_block,
    streamed_places,
)
from connectors.postgres.table import Column, Table
from connectors.postgres.tuples import Texts, split

OPERATIONS: Final[dict[Kind, Operation]] = {
    "I": "c", "U": "u", "UK": "u", "UO": "u", "DK": "d", "DO": "d", "T": "t",
}  # fmt: skip
STEPS: Final = 3  # records of one change at most: delete, tombstone, create


class NullFound(Exception):
    """Columns that are NOT NULL by the catalog hold NULL: the stream is older than the catalog."""

    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__(", ".join(columns))
        self.columns = tuple(columns)


@dataclass(frozen=True, slots=True)
class Moment:
    """The transactions of a poll (see ``pgoutput.Feed``) and the time of processing in ns."""

    runs: Sequence[tuple[int, Transaction]]
    now: int


@dataclass(frozen=True, slots=True)
class SnapshotRows:
    """Rows read by a snapshot: their markers, the snapshot's place and time (microseconds), and
    the time of processing in ns."""

    texts: Texts
    markers: Sequence[str]
    lsn: int
    xid: int
    timestamp: int
    now: int


class TableEvents:
    """Makes the batches of one version of a table."""

    def __init__(self, table: Table, origin: Origin) -> None:
        self.table = table
        self._origin = origin
        fields = [column.field for column in table.columns]
        self.envelope = Envelope(
            origin.naming.topic(table.id),
            [fields[i] for i in table.value],
            [fields[i] for i in table.key],
            SOURCE,
        )

    # -- from the snapshot ---------------------------------------------------------------------

    def read(self, rows: SnapshotRows) -> Batch:
        """Events ``r``: rows as they were when the snapshot was taken."""
        count = len(rows.markers)
        places = read_places(rows.markers, rows.timestamp, rows.lsn, rows.xid)
        source = source_block(self._origin, self.table.id, places)
        image = self._image(rows.texts, count, rows.lsn)
        parts = Rows(source, range(0, count * STEPS, STEPS), rows.now, self._headers(count))
        return self.envelope.events(
            "r", parts, keys=self._keys(image), after=self._row(image, count)
        )

    def truncation(self, lsn: int, timestamp: int, now: int) -> Batch:
        """The event ``t`` before a table without a key is read for a second time."""
        places = read_places(["true"], timestamp, lsn, None)
        source = source_block(self._origin, self.table.id, places)
        return self.envelope.events("t", Rows(source, [0], now, self._headers(1)))

    # -- from the stream -----------------------------------------------------------------------

    def changes(self, changes: Changes, moment: Moment) -> list[Batch]:
        """The events of changes of one kind, tombstones included."""
        lsns = changes.lsns()
        count = len(lsns)
        places = streamed_places(changes.places, lsns, moment.runs)
        source = source_block(self._origin, self.table.id, places)
        positions = [place * STEPS for place in changes.places]
        rows = Rows(source, positions, moment.now, self._headers(count))
        operation = OPERATIONS[changes.kind]
        if changes.kind == "T":
            return [self.envelope.events("t", rows)]
        images = split(changes.kind, self.table.width, self.table.places, changes.frames)
        old, new = images.old, images.new
        if old is not None and changes.kind in ("UK", "DK"):
            old = self._identified(old, changes.relation)
        if new is None:
            assert old is not None
            return self._deleted(self._image(old, count, lsns[0]), rows)
        moved: list[int] = []
        if old is not None:
            new = _filled(new, old)
            moved = [
                row
                for row in range(count)
                if any(old.columns[i][row] != new.columns[i][row] for i in self.table.key)
            ]
        after = self._image(new, count, lsns[0])
        if old is None or (changes.kind == "UK" and not moved):
            return [self._changed(operation, rows, None, after)]
        before = self._image(old, count, lsns[0])
        if not moved:
            return [self._changed(operation, rows, before, after)]
        stayed = sorted(set(range(count)) - set(moved))
        batches = self._moved(_rows(rows, moved), _take(before, moved), _take(after, moved))
        if stayed:
            full = changes.kind == "UO"
            kept = _take(before, stayed) if full else None
            batches.append(self._changed("u", _rows(rows, stayed), kept, _take(after, stayed)))
        return batches

    def _changed(
        self, operation: Operation, rows: Rows, before: list[Values] | None, after: list[Values]
    ) -> Batch:
        count = len(rows.positions)
        return self.envelope.events(
            operation,
            rows,
            keys=self._keys(after),
            before=None if before is None else self._row(before, count),
            after=self._row(after, count),
        )

    def _deleted(self, before: list[Values], rows: Rows) -> list[Batch]:
        keys = self._keys(before)
        image = self._row(before, len(rows.positions))
        batches = [self.envelope.events("d", rows, keys=keys, before=image)]
        if self._origin.tombstones and keys is not None:
            positions = [position + 1 for position in rows.positions]
            batches.append(self.envelope.tombstones(keys, rows.now, positions, rows.headers))
        return batches

    def _moved(self, rows: Rows, before: list[Values], after: list[Values]) -> list[Batch]:
        """Changes of the key: a delete of the old, its tombstone, a create of the new."""
        old_keys, new_keys = self._keys(before), self._keys(after)
        assert old_keys is not None
        assert new_keys is not None
        to_new = self._key_headers("__debezium.newkey", new_keys)
        to_old = self._key_headers("__debezium.oldkey", old_keys)
        batches = self._deleted(before, Rows(rows.source, rows.positions, rows.now, to_new))
        created = [position + 2 for position in rows.positions]
        batches.append(
            self._changed("c", Rows(rows.source, created, rows.now, to_old), None, after)
        )
        return batches

    # -- parts ---------------------------------------------------------------------------------

    def _image(self, texts: Texts, count: int, lsn: int) -> list[Values]:
        """The captured columns' values."""
        image = []
        nulls = []
        for index, column in enumerate(self.table.columns):
            raw = texts.columns[index]
            odd = index in texts.odd
            if odd and not column.field.schema.optional and None in raw:
                nulls.append(column.name)
                continue
            try:
                image.append(_values(column, raw, odd))
            except (ValueError, ArithmeticError) as error:
                raise self._unreadable(column, lsn, error) from None
        if nulls:
            raise NullFound(nulls)
        return image

    def _unreadable(self, column: Column, lsn: int, error: Exception) -> FatalError:
        shown = error.args[0] if isinstance(error, ValueError) and error.args else "unreadable"
        if "invalid literal" in str(shown) or "could not convert" in str(shown):
            shown = "the text is not a number"  # Python's message would quote the value
        return FatalError(
            f"A value of column {self.table.id}.{column.name} at or after {lsn_text(lsn)} can't "
            f"be represented: {shown}.",
            code="postgres.value.not_representable",
            hint="Choose another handling mode (decimal.handling.mode=string for NaN and "
            "Infinity, time.precision.mode for temporal values), or name the column in "
            "column.exclude.list.",
        )

    def _identified(self, texts: Texts, relation: Relation) -> Texts:
        """The old row of a message that carries only its identity: the rest is not NULL but
        missing, and stands as the column's default or zero where it may not be NULL."""
        columns = list(texts.columns)
        for index, column in enumerate(self.table.columns):
            if not relation.columns[column.place].key:
                columns[index] = [_MISSING] * len(columns[index])
        return Texts(columns, frozenset(range(len(columns))))

    def _row(self, image: list[Values], count: int) -> Struct:
        return Struct(self.envelope.row, [image[i] for i in self.table.value], count)

    def _keys(self, image: list[Values]) -> Struct | None:
        schema = self.envelope.key
        if schema is None:
            return None
        columns = [image[i] for i in self.table.key]
        for column in columns:
            if UNAVAILABLE in column or None in column:
                raise FatalError(
                    f"The stream does not carry the whole key of a row of {self.table.id}.",
                    code="postgres.key.incomplete",
                    hint="Set REPLICA IDENTITY DEFAULT (with a primary key) or FULL on the table.",
                )
        return Struct(schema, columns, len(columns[0]))

    def _headers(self, count: int) -> Sequence[Headers] | None:
        return Constant(self._origin.headers, count) if self._origin.headers else None

    def _key_headers(self, name: str, keys: Struct) -> list[Headers]:
        assert keys.schema is not None
        names = [field.name for field in keys.schema.fields]
        payloads = [
            orjson.dumps(dict(zip(names, row or (), strict=True)), default=_plain)
            for row in keys.rows()
        ]
        return [((name, payload), *self._origin.headers) for payload in payloads]


_MISSING: Final = object()


def _values(column: Column, raw: list[Any], odd: bool) -> Values:
    """A column's texts to values; ``odd``: some are NULL, unavailable or missing."""
    schema = column.field.schema
    if not odd:
        found: Sequence[Any] = column.type.decode(raw)
    else:
        decoded = iter(column.type.decode([text for text in raw if type(text) is bytes]))
        found = [
            next(decoded) if type(text) is bytes else column.missing if text is _MISSING else text
            for text in raw
        ]
    if schema.type != "struct":
        return found
    if UNAVAILABLE in found:
        raise ValueError(
            "an unchanged out-of-line value has no place in a struct; set REPLICA IDENTITY FULL"
        )
    empty = (None,) * len(schema.fields)
    columns = zip(*[row if row is not None else empty for row in found], strict=True)
    present = [row is not None for row in found] if odd else None
    return Struct(schema, [list(c) for c in columns], len(found), present)


def _filled(new: Texts, old: Texts) -> Texts:
    """The new rows with what was not sent taken from the old ones, where these have it."""
    columns = list(new.columns)
    for index in new.odd:
        if UNAVAILABLE in columns[index]:
            columns[index] = [
                before if after is UNAVAILABLE and before is not _MISSING else after
                for after, before in zip(columns[index], old.columns[index], strict=True)
            ]
    return Texts(columns, new.odd)


def _take(image: list[Values], rows: Sequence[int]) -> list[Values]:
    return [take(column, rows) for column in image]


def _rows(rows: Rows, chosen: Sequence[int]) -> Rows:
    headers = None if rows.headers is None else [rows.headers[row] for row in chosen]
    positions = [rows.positions[row] for row in chosen]
    return Rows(rows.source.take(chosen), positions, rows.now, headers)


def _plain(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
