"""The ``source`` block of events: which server, table, transaction and place. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Final, NamedTuple

from connect.data import Column as Values
from connect.data import Constant, Field, Headers, Struct
from connectors.cdc.envelope import OPTIONAL_INT64, OPTIONAL_STRING, STRING, source_schema
from connectors.cdc.naming import Naming
from connectors.cdc.tables import TableId
from connectors.postgres.pgoutput import Transaction

SOURCE: Final = source_schema(
    "io.debezium.connector.postgresql.Source",
    (
        Field("schema", STRING),
        Field("table", STRING),
        Field("txId", OPTIONAL_INT64),
        Field("lsn", OPTIONAL_INT64),
        Field("xmin", OPTIONAL_INT64),
        Field("origin", OPTIONAL_STRING),
        Field("origin_lsn", OPTIONAL_INT64),
    ),
)


@dataclass(frozen=True, slots=True)
class Origin:
    """What is the same in every event of a connector."""

    version: str
    database: str
    naming: Naming
    tombstones: bool
    headers: Headers


class Places(NamedTuple):
    """Where rows come from; every column has one entry per row, ``timestamps`` are microseconds."""

    timestamps: Sequence[int]
    snapshot: Sequence[str]
    sequence: Sequence[str]
    xids: Sequence[int | None]
    lsns: Sequence[int]
    origins: Sequence[str | None]
    origin_lsns: Sequence[int | None]


def read_places(markers: Sequence[str], timestamp: int, lsn: int, xid: int | None) -> Places:
    """The places of rows that a snapshot read at ``lsn``."""
    count = len(markers)
    nothing = Constant(None, count)
    sequence = Constant(f'[null,"{lsn}"]', count)
    return Places(
        Constant(timestamp, count), markers, sequence, Constant(xid, count), Constant(lsn, count),
        nothing, nothing,
    )  # fmt: skip


def streamed_places(
    places: Sequence[int], lsns: Sequence[int], runs: Sequence[tuple[int, Transaction]]
) -> Places:
    """The places of changes; ``runs`` has the place of each transaction's first change."""
    spans = _spans(places, runs)

    def of_each(values: Sequence[Any]) -> Sequence[Any]:
        if len(values) == 1:
            return Constant(values[0], len(lsns))
        return list(chain.from_iterable(map(repeat, values, counts)))

    transactions = [one for one, _ in spans]
    counts = [count for _, count in spans]
    befores = of_each(["null" if t.before is None else f'"{t.before}"' for t in transactions])
    return Places(
        of_each([one.timestamp for one in transactions]),
        Constant("false", len(lsns)),
        [f'[{before},"{lsn}"]' for before, lsn in zip(befores, lsns, strict=True)],
        of_each([one.xid for one in transactions]),
        lsns,
        of_each([one.origin for one in transactions]),
        of_each([one.origin_lsn for one in transactions]),
    )


def source_block(origin: Origin, table: TableId, places: Places) -> Struct:
    """The block as a struct."""
    count = len(places.lsns)
    stamps = places.timestamps
    columns: list[Values] = [
        Constant(origin.version, count),
        Constant("postgresql", count),
        Constant(origin.naming.prefix, count),
        _scaled(stamps, lambda stamp: stamp // 1000),
        places.snapshot,
        Constant(origin.database, count),
        places.sequence,
        stamps,
        _scaled(stamps, lambda stamp: stamp * 1000),
        Constant(table.schema, count),
        Constant(table.name, count),
        places.xids,
        places.lsns,
        Constant(None, count),  # xmin
        places.origins,
        places.origin_lsns,
    ]
    return Struct(SOURCE, columns, count)


def _spans(
    places: Sequence[int], runs: Sequence[tuple[int, Transaction]]
) -> list[tuple[Transaction, int]]:
    """The transactions of the changes in order, each with how many of them it has."""
    starts = [start for start, _ in runs]
    first = bisect_right(starts, places[0]) - 1
    last = bisect_right(starts, places[-1]) - 1
    borders = [bisect_left(places, start) for start in starts[first + 1 : last + 1]]
    ends = [*borders, len(places)]
    begins = [0, *borders]
    return [
        (transaction, end - begin)
        for (_, transaction), begin, end in zip(runs[first : last + 1], begins, ends, strict=True)
        if end > begin
    ]


def _scaled(stamps: Sequence[int], scale: Callable[[int], int]) -> Sequence[int]:
    if isinstance(stamps, Constant):
        return Constant(scale(stamps.value), len(stamps))
    return list(map(scale, stamps))
