"""Putting rows of several batches back into the order in which they happened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from operator import itemgetter
from typing import NamedTuple

from connect.data import Batch, Column, Constant, Data, Headers, Plain, Struct


class Encoded(NamedTuple):
    """A batch as bytes; every sequence has one entry per row, ``headers`` may be None."""

    positions: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    timestamps: Sequence[int]
    headers: Sequence[Headers] | None
    partition: int | None = None


def merge(parts: Sequence[Encoded]) -> Encoded:
    """One part with the rows of all, ordered by position; the parts have one partition (or None).

    Parts that do not interleave are only concatenated.
    """
    if len(parts) == 1:
        return parts[0]
    parts = sorted(parts, key=lambda part: part.positions[0])
    positions = [position for part in parts for position in part.positions]
    keys: Sequence[bytes | None] = [key for part in parts for key in part.keys]
    values: Sequence[bytes | None] = [value for part in parts for value in part.values]
    timestamps: Sequence[int] = [at for part in parts for at in part.timestamps]
    headers: Sequence[Headers] | None = None
    if any(part.headers is not None for part in parts):
        headers = list(
            chain.from_iterable(part.headers or Constant((), len(part.positions)) for part in parts)
        )
    if any(a.positions[-1] > b.positions[0] for a, b in pairwise(parts)):
        of = itemgetter(*sorted(range(len(positions)), key=positions.__getitem__))
        positions, keys, values, timestamps = map(of, (positions, keys, values, timestamps))
        headers = None if headers is None else of(headers)
    return Encoded(positions, keys, values, timestamps, headers, parts[0].partition)


def pick(part: Encoded, rows: Sequence[int]) -> Encoded:
    """The given rows of a part."""
    if len(rows) == 1:
        row = rows[0]
        headers = None if part.headers is None else [part.headers[row]]
        return Encoded(
            [part.positions[row]], [part.keys[row]], [part.values[row]], [part.timestamps[row]],
            headers, part.partition,
        )  # fmt: skip
    of = itemgetter(*rows)
    return Encoded(
        of(part.positions), of(part.keys), of(part.values), of(part.timestamps),
        None if part.headers is None else of(part.headers), part.partition,
    )  # fmt: skip


def in_order(batches: Sequence[Batch]) -> Iterator[Batch]:
    """The same rows as batches that follow each other by position: where batches of unlike shape
    interleave they are cut, those of one topic and one schema are joined."""
    if len(batches) < 2:
        yield from batches
        return
    batches = sorted(batches, key=lambda batch: batch.positions[0])
    if all(a.positions[-1] < b.positions[0] for a, b in pairwise(batches)):
        yield from batches
        return
    joined = [_join(alike) for alike in _by_shape(batches)]
    places = sorted(
        (position, number, row)
        for number, batch in enumerate(joined)
        for row, position in enumerate(batch.positions)
    )
    run: list[int] = []
    for place, (_, number, row) in enumerate(places):
        run.append(row)
        if place + 1 == len(places) or places[place + 1][1] != number:
            yield joined[number].take(run)
            run = []


def _by_shape(batches: Sequence[Batch]) -> list[list[Batch]]:
    shapes: dict[object, list[Batch]] = {}
    for batch in batches:
        shape = (batch.topic, batch.partition, _shape(batch.keys), _shape(batch.values))
        shapes.setdefault(shape, []).append(batch)
    return list(shapes.values())


def _shape(data: Data | None) -> object:
    return None if data is None else (type(data), data.schema)


def _join(batches: Sequence[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    first = batches[0]
    headers: list[Headers] | None = None
    if any(batch.headers is not None for batch in batches):
        headers = list(
            chain.from_iterable(batch.headers or Constant((), len(batch)) for batch in batches)
        )
    return Batch(
        first.topic,
        _join_data([batch.keys for batch in batches]),
        _join_data([batch.values for batch in batches]),
        list(chain.from_iterable(batch.timestamps for batch in batches)),
        list(chain.from_iterable(batch.positions for batch in batches)),
        headers,
        first.partition,
    )


def _join_data(parts: Sequence[Data | None]) -> Data | None:
    first = parts[0]
    if first is None:
        return None
    if isinstance(first, Plain):
        rows = chain.from_iterable(part.column for part in parts if isinstance(part, Plain))
        return Plain(first.schema, list(rows))
    return _join_structs([part for part in parts if isinstance(part, Struct)])


def _join_structs(parts: Sequence[Struct]) -> Struct:
    columns: list[Column] = []
    for place in range(len(parts[0].columns)):
        column = [part.columns[place] for part in parts]
        nested = [c for c in column if isinstance(c, Struct)]
        columns.append(_join_structs(nested) if nested else list(chain.from_iterable(column)))  # type: ignore[arg-type]
    present: list[bool] | None = None
    if any(part.present is not None for part in parts):
        present = list(
            chain.from_iterable(
                Constant(True, len(part)) if part.present is None else part.present
                for part in parts
            )
        )
    return Struct(parts[0].schema, columns, sum(map(len, parts)), present)
