from __future__ import annotations

import threading

import pytest

from log_core import Append, Log, errors, records
from tests.unit.log_core.conftest import batch, put, values


def test_fetch_returns_whole_batches_up_to_the_limit(log: Log):
    log.create_topic("a")
    for n in range(10):
        put(log, "a", bytes(100), b"%d" % n)
    size = len(log.fetch("a", 0, 0, 1))
    assert [d.offsets for d in records.decode(log.fetch("a", 0, 0, 1))] == [[0, 1]]
    assert len(log.fetch("a", 0, 0, 3 * size)) == 3 * size
    assert len(log.fetch("a", 0, 0, 3 * size + size // 2)) == 3 * size
    assert records.decode(log.fetch("a", 0, 7, 1))[0].offsets == [6, 7]
    assert log.fetch("a", 0, 20) == b""


def test_fetch_outside_the_partition(log: Log):
    log.create_topic("a")
    put(log, "a", b"0")
    for offset in (-1, 2):
        with pytest.raises(errors.OffsetOutOfRange) as caught:
            log.fetch("a", 0, offset)
        assert (caught.value.start, caught.value.end) == (0, 1)
    for place in (("a", 1), ("b", 0)):
        with pytest.raises(errors.UnknownTopic):
            log.fetch(*place, 0)


@pytest.mark.parametrize("rows", [1, 7])
def test_every_offset_is_found_over_segments_and_indexes(reopen, rows: int):
    log = reopen()
    log.create_topic("a", 1, {"segment.bytes": "20000"})
    batches = [[b"%d" % (n * rows + i) + bytes(150) for i in range(rows)] for n in range(300)]
    log.append([Append("a", 0, batch(*batch_rows)) for batch_rows in batches[:200]])
    for batch_rows in batches[200:]:
        put(log, "a", *batch_rows)
    for again in (False, True):
        log = reopen() if again else log
        for offset in range(log.end_offset("a", 0)):
            first = records.decode(log.fetch("a", 0, offset, 1))[0]
            assert first.offsets[0] <= offset <= first.offsets[-1]
            assert first.values[offset - first.offsets[0]].startswith(b"%d\0" % offset)


def test_offset_at_a_time(log: Log):
    log.create_topic("a", 1, {"segment.bytes": "5000"})
    pairs = [batch(bytes(100), bytes(100), timestamp=n * 10) for n in range(300)]
    log.append([Append("a", 0, pair) for pair in pairs])
    for n in range(300):
        assert log.offset_at("a", 0, n * 10) == n * 2
        assert log.offset_at("a", 0, n * 10 - 9) == n * 2
    assert log.offset_at("a", 0, 2991) == 600


def test_offset_at_a_time_inside_a_batch(log: Log):
    log.create_topic("a")
    log.append([Append("a", 0, records.encode([None] * 3, [b"v"] * 3, [5, 9, 7]))])
    assert [log.offset_at("a", 0, t) for t in (0, 5, 6, 9, 10)] == [0, 0, 1, 1, 3]


def test_wait_returns_at_once_when_there_is_data(log: Log):
    log.create_topic("a", 2)
    put(log, "a", b"0")
    assert log.wait({("a", 0): 0, ("a", 1): 0}, 0)
    assert not log.wait({("a", 0): 1, ("a", 1): 0}, 0)


def test_wait_misses_no_append(log: Log):
    """A tailer that only ever waits sees every append; a lost wake-up would hang it."""
    log.create_topic("a")
    seen: list[bytes | None] = []

    def tail() -> None:
        offset = 0
        while len(seen) < 200:
            assert log.wait({("a", 0): offset}, 60)
            for decoded in records.decode(log.fetch("a", 0, offset)):
                seen.extend(decoded.values)
                offset = decoded.next_offset

    thread = threading.Thread(target=tail)
    thread.start()
    for n in range(200):
        put(log, "a", b"%d" % n)
    thread.join(60)
    assert seen == [b"%d" % n for n in range(200)]


@pytest.mark.parametrize("end", ["close", "delete_topic"])
def test_wait_ends_with_the_log_or_the_topic(log: Log, end: str):
    log.create_topic("a")
    waiting = threading.Event()
    outcome: list[BaseException] = []

    class Watched(dict):  # type: ignore[type-arg]
        def items(self):
            waiting.set()
            return super().items()

    def wait() -> None:
        try:
            log.wait(Watched({("a", 0): 0}), 60)
        except errors.LogError as error:
            outcome.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    waiting.wait(60)
    log.close() if end == "close" else log.delete_topic("a")
    thread.join(60)
    assert isinstance(outcome[0], errors.LogClosed if end == "close" else errors.UnknownTopic)


def test_nothing_uncommitted_is_readable(log: Log, monkeypatch: pytest.MonkeyPatch):
    log.create_topic("a")
    put(log, "a", b"0")
    commit = log._store._metadata.commit
    inside: list[object] = []

    def look(change):
        inside.extend([values(log, "a"), log.end_offset("a", 0), log.wait({("a", 0): 1}, 0)])
        commit(change)

    monkeypatch.setattr(log._store._metadata, "commit", look)
    put(log, "a", b"1")
    assert inside == [[b"0"], 1, False]
    assert values(log, "a") == [b"0", b"1"]


def test_batch_larger_than_the_limit_and_the_segment(log: Log):
    log.create_topic("a", 1, {"segment.bytes": "1000"})
    big = batch(bytes(3_000_000))
    for _ in range(3):
        log.append([Append("a", 0, big)])
    assert [len(v or b"") for v in values(log, "a")] == [3_000_000] * 3
