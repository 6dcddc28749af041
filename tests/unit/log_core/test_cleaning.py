from __future__ import annotations

import threading

import pytest

from log_core import Append, Log, errors, records
from log_core.metadata import SegmentRow
from log_core.retention import expired
from log_core.topics import parse_policy
from tests.unit.log_core.conftest import batch, put, rows, values

DAY = 24 * 3600
COMPACT = {"cleanup.policy": "compact", "segment.bytes": "14"}


def segments(log: Log, topic: str) -> list[SegmentRow]:
    return list(log._store.partitions[topic, 0].view.rows)


def names(log: Log, topic: str) -> set[str]:
    return {path.name for path in (log.path / f"{topic}-0").glob("*.log")}


def row(appended_ms: int, size: int = 10) -> SegmentRow:
    return SegmentRow(0, 0, 1, size, 0, appended_ms, 0)


@pytest.mark.parametrize(
    ("config", "ages", "gone"),
    [
        ({}, [8 * DAY, 6 * DAY, 0], 1),
        ({}, [8 * DAY, 8 * DAY], 2),
        ({"retention.ms": "-1"}, [1000 * DAY, 0], 0),
        ({"retention.ms": "1000"}, [2, 2, 1], 2),
        ({"retention.bytes": "20"}, [0, 0, 0, 0], 2),
        ({"retention.bytes": "21"}, [0, 0, 0, 0], 1),
        ({"retention.bytes": "0"}, [0, 0, 0, 0], 3),
        ({"cleanup.policy": "compact"}, [1000 * DAY, 0], 0),
        ({"cleanup.policy": "compact,delete"}, [1000 * DAY, 0], 1),
    ],
)
def test_expired_segments(config: dict[str, str], ages: list[int], gone: int):
    now = 2000 * DAY * 1000
    rows = [row(now - age * 1000) for age in ages]
    assert expired(rows, parse_policy(config, 1 << 20), now) == gone


def test_retention_moves_the_start_and_removes_the_files(reopen, clock):
    log = reopen()
    log.create_topic("a", 1, {"retention.ms": "10000", "segment.bytes": "14"})
    for n in range(4):
        put(log, "a", b"%d" % n)
        clock.now += 4
    log.clean(clock.now)
    assert log.start_offset("a", 0) == 2
    assert rows(log, "a") == [(2, b"2"), (3, b"3")]
    assert len(names(log, "a")) == 2
    with pytest.raises(errors.OffsetOutOfRange):
        log.fetch("a", 0, 1)
    clock.now += 60
    log.clean(clock.now)
    assert names(log, "a") == set()
    for again in (False, True):
        log = reopen() if again else log
        assert (log.start_offset("a", 0), log.end_offset("a", 0)) == (4, 4)
        assert log.fetch("a", 0, 4) == b""
    assert put(log, "a", b"4") == 4
    assert rows(reopen(), "a") == [(4, b"4")]


def compacted(log: Log, topic: str) -> list[tuple[bytes | None, bytes | None]]:
    found = []
    offset = log.start_offset(topic, 0)
    while data := log.fetch(topic, 0, offset):
        for decoded in records.decode(data):
            found += zip(decoded.keys, decoded.values, strict=True)
            offset = decoded.next_offset
    return found


def test_compaction_keeps_the_newest_row_of_a_key_at_its_offset(reopen):
    log = reopen()
    log.create_topic("a", 1, COMPACT)
    for n in range(30):
        data = records.encode([b"x", b"%d" % (n % 3)], [b"x%d" % n, b"%d" % n], [n, n])
        log.append([Append("a", 0, data)])
    log.clean(0)
    for again in (False, True):
        log = reopen() if again else log
        assert len(names(log, "a")) == len(segments(log, "a")) < 30
        found = dict(rows(log, "a"))
        assert found == {53: b"26", 55: b"27", 56: b"x28", 57: b"28", 58: b"x29", 59: b"29"}
        assert log.start_offset("a", 0) == 0
        for offset in range(60):
            assert log.fetch("a", 0, offset)
    assert put(log, "a", b"end") == 60


def test_compaction_of_compacted_segments(log: Log):
    log.create_topic("a", 1, COMPACT)
    model: dict[bytes, bytes] = {}
    for n in range(0, 120, 10):
        fresh = {b"%d" % (m * m % 11): b"%d" % m for m in range(n, n + 10)}
        model |= fresh
        batches = [batch(value, key=key) for key, value in fresh.items()]
        log.append([Append("a", 0, data) for data in batches])
        log.clean(0)
    put(log, "a", b"", key=b"end")
    log.clean(0)
    found = compacted(log, "a")
    assert dict(found) == {**model, b"end": b""}
    assert len(found) < 30
    assert {segment.version > 1 for segment in segments(log, "a")} == {True, False}


def test_tombstones_stay_for_their_time(log: Log):
    log.create_topic("a", 1, {**COMPACT, "delete.retention.ms": "10000"})
    put(log, "a", b"0", key=b"gone")
    log.append([Append("a", 0, batch(None, key=b"gone"))])
    put(log, "a", b"2", key=b"kept")
    log.clean(100)
    assert compacted(log, "a") == [(b"gone", None), (b"kept", b"2")]
    timestamps = [t for d in records.decode(log.fetch("a", 0, 0)) for t in d.timestamps]
    assert timestamps[0] == 0  # the horizon in the header does not change the record's own
    for now, stays in ((109, True), (111, False)):
        put(log, "a", b"3" + bytes(200))
        put(log, "a", b"4" + bytes(200))
        log.clean(now)
        assert ((b"gone", None) in compacted(log, "a")) is stays
        assert (b"kept", b"2") in compacted(log, "a")


def test_rows_without_a_key_and_headers_survive_compaction(log: Log):
    log.create_topic("a", 1, COMPACT)
    headers = [(("h", b"1"),), (), (("h", None), ("h", b""))]
    data = records.encode([None, b"k", None], [b"0", b"old", b"2"], [5, -3, 9], headers)
    log.append([Append("a", 0, data)])
    put(log, "a", b"new")
    put(log, "a", b"newer")
    log.clean(0)
    first = records.decode(log.fetch("a", 0, 0))[0]
    assert (first.keys, first.values, first.offsets) == ([None, None], [b"0", b"2"], [0, 2])
    assert (first.timestamps, first.headers) == ([5, 9], [headers[0], headers[2]])
    assert first.next_offset == 3


def test_a_partition_of_more_keys_than_are_remembered(log: Log, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("log_core.compaction._KEYS", 2)
    log.create_topic("a", 1, COMPACT)
    for n in range(40):
        put(log, "a", b"%d" % n, key=b"%d" % (n % 7))
    for _ in range(40):
        log.clean(0)
    assert dict(compacted(log, "a")) == {b"%d" % (n % 7): b"%d" % n for n in range(40)}


def test_a_failed_compaction_changes_nothing(log: Log, monkeypatch: pytest.MonkeyPatch):
    log.create_topic("a", 1, COMPACT)
    for n in range(5):
        put(log, "a", b"%d" % n)
    before = names(log, "a")
    with monkeypatch.context() as patch:

        def fdatasync(handle: int) -> None:
            raise OSError(5, "input/output error")

        patch.setattr(log._store.files, "fdatasync", fdatasync)
        log.clean(0)
    assert names(log, "a") == before
    assert log.failure is None
    log.clean(0)
    assert values(log, "a") == [b"3", b"4"]


def test_a_crash_before_the_swap_leaves_the_old_segments(reopen, monkeypatch: pytest.MonkeyPatch):
    log = reopen()
    log.create_topic("a", 1, COMPACT)
    for n in range(5):
        put(log, "a", b"%d" % n)
    monkeypatch.setattr(log._cleaner, "_swap", lambda *_: None)
    log.clean(0)
    assert any(".1.log" in name for name in names(log, "a"))
    log = reopen()
    assert values(log, "a") == [b"0", b"1", b"2", b"3", b"4"]
    assert not any(".1.log" in name for name in names(log, "a"))


def test_a_reader_is_not_broken_by_cleaning(log: Log):
    """It sees each key's newest row, in order, while segments are swapped beneath it."""
    log.create_topic("a", 1, COMPACT)
    done = threading.Event()
    problems: list[object] = []

    def read() -> None:
        while not done.is_set():
            try:
                found = rows(log, "a")
            except errors.LogError as error:
                problems.append(error)
                return
            offsets = [offset for offset, _ in found]
            if offsets != sorted(set(offsets)):
                problems.append(offsets)

    thread = threading.Thread(target=read)
    thread.start()
    for n in range(100):
        put(log, "a", b"%d" % n, key=b"%d" % (n % 4))
        if n % 3 == 0:
            log.clean(0)
    done.set()
    thread.join()
    assert problems == []
    assert sorted(values(log, "a"))[-4:] == [b"96", b"97", b"98", b"99"]
