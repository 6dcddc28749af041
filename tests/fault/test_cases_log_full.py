"""No room for the commit itself: SQLite's own file can't grow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from log_core import Append, Log, errors, records

pytestmark = pytest.mark.fault


def batch(number: int) -> bytes:
    return records.encode([b"k"], [b"%d" % number], [1])


def values(log: Log) -> list[int]:
    found: list[int] = []
    while data := log.fetch("rows", 0, len(found)):
        found += [int(value or b"") for part in records.decode(data) for value in part.values]
    return found


def fill(log: Log) -> None:
    """Groups until the database is full."""
    for n in range(1000):
        log.append([], group=(f"a group with a long name, number {n}" * 10, {("rows", 0): 1}))


def test_a_commit_without_room_is_refused_and_a_later_one_passes(tmp_path: Path) -> None:
    """Nothing of the refused appends stays, and the log isn't stopped."""
    with Log(tmp_path / "log") as log:
        log.create_topic("rows")
        log.append([Append("rows", 0, batch(0))], group=("g", {("rows", 0): 1}))
        database: Any = log._store._metadata._db  # type: ignore[attr-defined]
        (pages,) = database.execute("pragma page_count").fetchone()
        database.execute(f"pragma max_page_count = {pages}")
        with pytest.raises(errors.LogFull):
            fill(log)
        with pytest.raises(errors.LogFull):
            log.append([Append("rows", 0, batch(-1))], group=("another" * 500, {("rows", 0): 1}))
        assert log.failure is None
        assert values(log) == [0]
        database.execute("pragma max_page_count = 1000000")
        assert log.append([Append("rows", 0, batch(1))]) == [1]
    with Log(tmp_path / "log") as log:
        assert values(log) == [0, 1]
