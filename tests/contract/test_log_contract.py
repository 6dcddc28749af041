"""What every log promises, whoever keeps it: one suite, many subjects."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from connect.errors import FatalError, FencedError, LogUnavailable
from connect.log import Log, Records, TopicPartition, TopicSpec
from connect.logs.embedded import EmbeddedLog
from connect.logs.socket import SocketLog, serve
from log_core import Log as CoreLog

A, B, DEAD = TopicPartition("a", 0), TopicPartition("b", 0), TopicPartition("dead", 0)


@pytest.fixture
def core(tmp_path: Path) -> Iterator[CoreLog]:
    log = CoreLog(tmp_path / "log")
    yield log
    log.close()


@pytest.fixture(params=["embedded", "socket"])
def log(request: pytest.FixtureRequest, core: CoreLog) -> Iterator[Log]:
    if request.param == "embedded":
        yield EmbeddedLog(core)
        return
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=serve, args=(core, theirs))
    thread.start()
    subject = SocketLog(ours)
    yield subject
    subject.close()
    thread.join(10)
    assert not thread.is_alive()


def records(partition: TopicPartition, *values: str, key: str | None = "k") -> Records:
    payloads = [value.encode() for value in values]
    keys = [None if key is None else key.encode()] * len(values)
    return Records(partition, keys, payloads, [1000 + n for n in range(len(values))])


def values(log: Log, partition: TopicPartition, offset: int = 0) -> list[str]:
    found: list[str] = []
    while fetched := log.read(partition, offset):
        for each in fetched:
            assert each.offsets is not None
            offset = each.offsets[-1] + 1
            found += [value.decode() for value in each.values if value is not None]
    return found


def test_an_append_over_partitions_is_read_back_in_order(log: Log) -> None:
    writer = log.writer("w")
    writer.append([records(A, "1", "2"), records(B, "3"), records(A, "4")])
    writer.append([records(A, "5")])
    assert values(log, A) == ["1", "2", "4", "5"]
    assert values(log, B) == ["3"]
    assert log.ends([A, B]) == {A: 4, B: 1}
    [first] = log.read(A, 1)
    assert first.offsets is not None
    assert (first.partition, first.offsets[0], first.timestamps[0]) == (A, 1, 1001)


def test_every_part_of_a_record_survives(log: Log) -> None:
    headers = [(("h", b"\x00\xff"), ("n", None)), (), (("h", b""),)]
    before = Records(A, [None, b"", b"k"], [b"v", None, b""], [5, 3, -1], headers)
    log.writer("w").append([before])
    [after] = log.read(A, 0)
    assert [list(column) for column in after[1:4]] == [list(column) for column in before[1:4]]
    assert after.headers is not None
    assert list(after.headers) == headers
    assert list(after.offsets or ()) == [0, 1, 2]


def test_a_large_append_crosses_whole(log: Log) -> None:
    large = [bytes([n]) * 300_000 for n in range(12)]
    log.writer("w").append([Records(A, [None] * 12, large, [0] * 12), records(B, "x")])
    [found] = log.read(A, 0)
    assert list(found.values) == large


def test_a_newer_writer_of_a_name_fences_the_older_and_nothing_of_it_is_appended(log: Log) -> None:
    older, other = log.writer("w"), log.writer("other")
    newer = log.writer("w")
    assert newer.epoch > older.epoch
    newer.append([records(A, "1")])
    with pytest.raises(FencedError):
        older.append([records(A, "2"), records(B, "3")])
    other.append([records(A, "4")])
    newer.append([records(A, "5")])
    assert values(log, A) == ["1", "4", "5"]
    assert log.ends([B]) == {}


def test_a_reader_goes_on_where_its_group_committed(log: Log) -> None:
    log.writer("w").append([records(A, "1", "2", "3"), records(B, "4")])
    reader = log.reader("g", [A, B])
    fetched = {each.partition: each for each in reader.fetch(5)}
    assert {name: list(each.values) for name, each in fetched.items()} == {
        A: [b"1", b"2", b"3"],
        B: [b"4"],
    }
    assert list(reader.fetch(0)) == []
    reader.commit({A: 2})
    again = {each.partition: each for each in log.reader("g", [A, B]).fetch(5)}
    assert list(again[A].offsets or ()) == [2]
    assert list(again[B].offsets or ()) == [0]
    assert [e.partition for e in log.reader("another", [A]).fetch(5)] == [A]


def test_seek_overrules_the_group_for_the_partitions_it_names(log: Log) -> None:
    log.writer("w").append([records(A, "1", "2", "3"), records(B, "4", "5")])
    first = log.reader("g", [A, B])
    first.commit({A: 3, B: 1})
    reader = log.reader("g", [A, B])
    reader.seek({A: 1})
    assert {e.partition: list(e.values) for e in reader.fetch(5)} == {A: [b"2", b"3"], B: [b"5"]}


@pytest.mark.parametrize("position", [7, 1_000_000])
def test_a_position_beyond_the_end_is_an_error_and_no_silent_wait(log: Log, position: int) -> None:
    log.writer("w").append([records(A, "1", "2", "3")])
    with pytest.raises(FatalError) as caught:
        log.reader("g", [A]).seek({A: position})
    assert caught.value.code == "log.offset_out_of_range"
    assert "a-0" in str(caught.value)


def test_a_fetch_waits_for_the_next_commit(log: Log, core: CoreLog) -> None:
    log.create_topic(TopicSpec("a"))
    reader = log.reader("g", [A])
    assert list(reader.fetch(0.01)) == []
    elsewhere = EmbeddedLog(core).writer("w")
    thread = threading.Thread(target=elsewhere.append, args=([records(A, "1")],))
    thread.start()
    [found] = reader.fetch(30)
    thread.join()
    assert list(found.values) == [b"1"]


def test_dead_letters_and_positions_are_one_commit(log: Log) -> None:
    log.writer("w").append([records(A, "1", "2")])
    older = log.reader("g", [A])
    newer = log.reader("g", [A])
    assert newer.epoch > older.epoch
    with pytest.raises(FencedError):
        older.commit({A: 2}, [records(DEAD, "2")])
    assert log.ends([DEAD]) == {}
    assert [list(e.offsets or ()) for e in log.reader("g", [A]).fetch(5)] == [[0, 1]]
    latest = log.reader("g", [A])
    latest.commit({A: 2}, [records(DEAD, "2")])
    assert values(log, DEAD) == ["2"]
    assert list(log.reader("g", [A]).fetch(0)) == []


def test_members_of_a_group_fence_only_themselves_but_epochs_rise_over_all(log: Log) -> None:
    log.writer("w").append([records(A, "1"), records(B, "2")])
    first = log.reader("g", [A], "0")
    second = log.reader("g", [B], "1")
    first.commit({A: 1})
    second.commit({B: 1})
    third = log.reader("g", [A], "0")
    assert first.epoch < second.epoch < third.epoch
    with pytest.raises(FencedError):
        first.commit({A: 0})
    second.commit({B: 1})


def test_topics_are_as_they_were_created(log: Log) -> None:
    log.create_topic(TopicSpec("t", 3, {"cleanup.policy": "compact"}))
    log.create_topic(TopicSpec("t", 3, {"cleanup.policy": "compact"}))
    log.create_topic(TopicSpec("t", 5))
    found = log.topics()["t"]
    assert (found.name, found.partitions) == ("t", 3)
    assert found.config["cleanup.policy"] == "compact"
    log.writer("w").append([records(TopicPartition("t", 2), "1")])
    assert log.ends([TopicPartition("t", 2), TopicPartition("t", 9)]) == {TopicPartition("t", 2): 1}


def test_no_partition_starves_another(log: Log) -> None:
    names = [TopicPartition("many", n) for n in range(9)]
    log.create_topic(TopicSpec("many", 9))
    writer = log.writer("w")
    for _ in range(4):
        writer.append([Records(name, [None], [bytes(900_000)], [0]) for name in names])
    reader = log.reader("g", names)
    served = {each.partition for _ in range(3) for each in reader.fetch(0)}
    assert sorted(served) == names


def test_a_log_that_stopped_is_unavailable(log: Log, core: CoreLog) -> None:
    writer = log.writer("w")
    writer.append([records(A, "1")])
    core.close()
    with pytest.raises(LogUnavailable):
        writer.append([records(A, "2")])


def test_a_topic_name_the_log_refuses_is_fatal(log: Log) -> None:
    with pytest.raises(FatalError) as caught:
        log.create_topic(TopicSpec("no/name"))
    assert caught.value.code == "log.invalid_topic"
    assert caught.value.hint


def test_the_task_side_sees_a_worker_that_died_as_unavailable() -> None:
    ours, theirs = socket.socketpair()
    log = SocketLog(ours)
    theirs.close()
    with pytest.raises(LogUnavailable):
        log.writer("w")
    log.close()
