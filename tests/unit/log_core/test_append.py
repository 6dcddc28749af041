from __future__ import annotations

import threading
from pathlib import Path

import pytest

from log_core import Append, Log, errors, records
from tests.unit.log_core.conftest import batch, put, rows, values


def test_offsets_run_on_over_batches(log: Log):
    log.create_topic("a")
    assert put(log, "a", b"0", b"1") == 0
    assert put(log, "a", b"2") == 2
    assert rows(log, "a") == [(0, b"0"), (1, b"1"), (2, b"2")]
    assert (log.start_offset("a", 0), log.end_offset("a", 0)) == (0, 3)


def test_several_batches_of_one_partition_in_one_append(log: Log):
    log.create_topic("a")
    appends = [Append("a", 0, batch(b"0")), Append("a", 0, batch(b"1", b"2"))]
    assert log.append(appends) == [0, 1]
    assert values(log, "a") == [b"0", b"1", b"2"]


def test_append_is_all_or_nothing(log: Log):
    log.create_topic("a")
    with pytest.raises(errors.UnknownTopic):
        log.append([Append("a", 0, batch(b"0")), Append("a", 1, batch(b"0"))])
    with pytest.raises(errors.UnknownTopic):
        log.append([Append("a", 0, batch(b"0"))], group=("g", {("b", 0): 1}))
    assert log.end_offset("a", 0) == 0


def test_a_refused_append_fails_alone(log: Log):
    """One commit for three that wait: the fenced one in the middle does not harm the others."""
    log.create_topic("a")
    old = log.open_writer("w")
    new = log.open_writer("w")
    outcomes: dict[int, object] = {}

    def append(n: int, epoch: int) -> None:
        try:
            outcomes[n] = log.append([Append("a", 0, batch(b"%d" % n))], writer=("w", epoch))
        except errors.Fenced as error:
            outcomes[n] = error

    appender = log._appender
    threads = [
        threading.Thread(target=append, args=(n, epoch)) for n, epoch in enumerate((new, old, new))
    ]
    with log._store.committing:
        for count, thread in enumerate(threads, 1):
            thread.start()
            while len(appender._waiting) < count:
                pass
    for thread in threads:
        thread.join()
    assert isinstance(outcomes[1], errors.Fenced)
    assert [outcomes[0], outcomes[2]] == [[0], [1]]
    assert values(log, "a") == [b"0", b"2"]


def test_many_threads_lose_nothing(log: Log):
    log.create_topic("a", 2)

    def work(n: int) -> None:
        for i in range(20):
            data = batch(b"%d:%d" % (n, i))
            log.append([Append("a", 0, data), Append("a", 1, data)])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values(log, "a", 0) == values(log, "a", 1)  # one order everywhere
    for n in range(8):
        mine = [v for v in values(log, "a") if v and v.startswith(b"%d:" % n)]
        assert mine == [b"%d:%d" % (n, i) for i in range(20)]


def test_a_newer_writer_fences_the_older(reopen):
    log = reopen()
    log.create_topic("a")
    first = log.open_writer("w")
    log.append([Append("a", 0, batch(b"0"))], writer=("w", first))
    log = reopen()
    second = log.open_writer("w")
    assert second > first
    with pytest.raises(errors.Fenced):
        log.append([Append("a", 0, batch(b"1"))], writer=("w", first))
    with pytest.raises(errors.Fenced):
        log.append([], writer=("w", first), group=("g", {("a", 0): 1}))
    with pytest.raises(errors.Fenced):
        log.append([Append("a", 0, batch(b"1"))], writer=("stranger", 0))
    log.append([Append("a", 0, batch(b"2"))], writer=("w", second))
    assert values(log, "a") == [b"0", b"2"]
    assert log.group_offsets("g") == {}


def test_group_offsets_are_kept_by_the_same_commit(reopen):
    log = reopen()
    log.create_topic("a", 2)
    log.append([Append("a", 0, batch(b"0"))], group=("g", {("a", 0): 7, ("a", 1): 1}))
    log.append([], group=("g", {("a", 0): 8}))
    log.append([], group=("other", {("a", 0): 1}))
    log = reopen()
    assert log.group_offsets("g") == {("a", 0): 8, ("a", 1): 1}
    assert log.groups() == ["g", "other"]
    log.forget_group("g", [("a", 1), ("a", 9)])
    assert log.group_offsets("g") == {("a", 0): 8}
    log.forget_group("g")
    assert log.groups() == ["other"]


def with_field(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def reseal(data: bytes) -> bytes:
    import google_crc32c

    return with_field(data, 17, google_crc32c.value(data[21:]).to_bytes(4, "big"))


GOOD = batch(b"x", b"y")


@pytest.mark.parametrize(
    "bad",
    {
        "nothing": b"",
        "a header's beginning": GOOD[:60],
        "cut": GOOD[:-1],
        "more than a batch": GOOD + b"\0",
        "two batches": GOOD + GOOD,
        "magic 1": with_field(GOOD, 16, b"\1"),
        "flipped bit": with_field(GOOD, 70, bytes([GOOD[70] ^ 1])),
        "wrong length": with_field(GOOD, 8, b"\x7f\xff\xff\xff"),
        "negative length": with_field(GOOD, 8, b"\xff\xff\xff\xff"),
        "no records": reseal(with_field(GOOD, 57, bytes(4))),
        "fewer records than offsets": reseal(with_field(GOOD, 57, b"\0\0\0\1")),
        "transactional": reseal(with_field(GOOD, 21, b"\0\x10")),
        "control": reseal(with_field(GOOD, 21, b"\0\x20")),
    }.items(),
    ids=lambda case: case[0],
)
def test_a_bad_batch_is_refused(log: Log, bad: tuple[str, bytes]):
    log.create_topic("a")
    with pytest.raises(errors.InvalidBatch, match="a-0"):
        log.append([Append("a", 0, bad[1])])
    assert log.end_offset("a", 0) == 0
    assert log.failure is None


def test_encoding_no_rows_is_refused():
    with pytest.raises(errors.InvalidBatch):
        records.encode([], [], [])


def test_bytes_on_disk_are_the_batches(log: Log, tmp_path: Path):
    """So fetch is a slice of a file, and Kafka's own tools read it."""
    log.create_topic("a")
    put(log, "a", b"0", b"1")
    put(log, "a", b"2")
    file = tmp_path / "log" / "a-0" / f"{0:020d}.log"
    assert file.read_bytes() == log.fetch("a", 0, 0)
    assert [h.base_offset for _, h in records.batches(file.read_bytes())] == [0, 2]


def test_closed_log_refuses(log: Log):
    log.create_topic("a")
    log.close()
    log.close()
    for call in (
        lambda: put(log, "a", b"0"),
        lambda: log.fetch("a", 0, 0),
        lambda: log.create_topic("b"),
        lambda: log.wait({("a", 0): 0}, 60),
    ):
        with pytest.raises(errors.LogClosed):
            call()


def test_totals_count_what_was_committed(log: Log):
    log.create_topic("a")
    data = batch(b"0", b"1")
    log.append([Append("a", 0, data)])
    with pytest.raises(errors.Fenced):
        log.append([Append("a", 0, data)], writer=("w", 3))
    totals = log.appended()["a"]
    assert (totals.commits, totals.records, totals.bytes) == (1, 2, len(data))
