"""How long a change takes from its commit in the source to its commit in the second Postgres.

Both databases live in one server with one clock and `track_commit_timestamp = on`, so Postgres
itself says when the transaction that wrote a row's current version committed, here and there. For
every row changed since the sinks were through with the snapshot, the difference is exact: no
polling, no clock of ours. Changes overwritten later and deletes leave no version to look at.
"""

import datetime as dt
from typing import Final, NamedTuple

import psycopg

from api.demo.shop import TABLES

Postgres = psycopg.Connection[tuple[object, ...]]
COMMITTED: Final = "pg_xact_commit_timestamp(xmin)"


class Latency(NamedTuple):
    """Milliseconds over this many rows; None where nothing was measured."""

    p50: float | None
    p99: float | None
    rows: int


def measure(source: Postgres, target: Postgres, since: dt.datetime) -> Latency:
    """Compare commit times of every row of the shop that was last changed after `since`."""
    waits: list[float] = []
    for table in TABLES:
        key = ", ".join(table.key)
        changed = source.execute(
            f"SELECT {COMMITTED}, {key} FROM shop.{table.name} WHERE {COMMITTED} > %s", [since]
        )
        here = {row[1:]: row[0] for row in changed}
        arrived = target.execute(
            f"SELECT {COMMITTED}, {key} FROM {table.name} WHERE {COMMITTED} > %s", [since]
        )
        for there, *values in arrived:
            began = here.get(tuple(values))
            if isinstance(there, dt.datetime) and isinstance(began, dt.datetime):
                waits.append((there - began).total_seconds() * 1000)
    waits.sort()
    return Latency(_quantile(waits, 0.50), _quantile(waits, 0.99), len(waits))


def first_arrival(target: Postgres, since: dt.datetime | None = None) -> dt.datetime | None:
    """When the oldest row of the second Postgres (of those written after `since`) committed."""
    found = []
    for table in TABLES:
        (oldest,) = target.execute(
            f"SELECT min({COMMITTED}) FROM {table.name} WHERE {COMMITTED} > %s",
            [since or dt.datetime(2000, 1, 1, tzinfo=dt.UTC)],
        ).fetchone() or (None,)
        if isinstance(oldest, dt.datetime):
            found.append(oldest)
    return min(found, default=None)


def _quantile(ordered: list[float], share: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)
