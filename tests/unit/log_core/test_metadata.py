from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from log_core import Topic
from log_core.files import OsFiles
from log_core.metadata import Change, Range, SegmentRow, SqliteMetadata, State


def random_change(chance: random.Random) -> Change:
    topic = chance.choice("ab")
    partition = chance.randrange(2)
    row = SegmentRow(chance.randrange(3) * 10, *(chance.randrange(100) for _ in range(6)))
    change = Change()
    if chance.random() < 0.3:
        change.topics[topic] = chance.choice([None, Topic(topic, 2, {"k": str(row.end)})])
    if chance.random() < 0.6:
        change.ranges[topic, partition] = Range(1, chance.randrange(100))
    if chance.random() < 0.6:
        change.segments[topic, partition, row.base] = chance.choice([None, row, row])
    if chance.random() < 0.3:
        change.writers[chance.choice("vw")] = chance.randrange(100)
    if chance.random() < 0.6:
        change.groups[chance.choice("gh"), topic, partition] = chance.choice([None, 5, 6])
    if chance.random() < 0.3:
        change.doomed[topic] = chance.random() < 0.5
    return change


@pytest.mark.parametrize("seed", range(5))
def test_sqlite_means_what_state_means(tmp_path: Path, seed: int):
    chance = random.Random(seed)
    metadata, state = SqliteMetadata(str(tmp_path), OsFiles()), State()
    for n in range(60):
        change = random_change(chance)
        metadata.commit(change)
        state.apply(change)
        if n % 10 == 0:
            metadata.close()
            metadata = SqliteMetadata(str(tmp_path), OsFiles())
        assert metadata.load() == state
    metadata.close()


def test_a_commit_is_durable_when_it_returns(tmp_path: Path):
    """The settings that make it so; power loss itself is SQLite's own, tested promise."""
    metadata = SqliteMetadata(str(tmp_path), OsFiles())
    pragmas = {
        name: metadata._db.execute(f"pragma {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "fullfsync", "checkpoint_fullfsync")
    }
    metadata.close()
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "fullfsync": 1,
        "checkpoint_fullfsync": 1,
    }


def test_a_failed_commit_changes_nothing(tmp_path: Path):
    metadata = SqliteMetadata(str(tmp_path), OsFiles())
    metadata.commit(Change(writers={"w": 1}))
    bad = Change(writers={"w": 2}, groups={("g", "t", 0): object()})  # type: ignore[dict-item]
    with pytest.raises(sqlite3.Error):
        metadata.commit(bad)
    assert metadata.load() == State(writers={"w": 1})
    metadata.close()
