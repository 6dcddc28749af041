"""A fixed workload in which the Nth call to the disk fails, for every N until none does."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable

import pytest

from log_core import Append, Log, errors, records
from tests.kit.power import ROOT, Disk, SimFiles, SimMetadata

pytestmark = pytest.mark.fault
SMALL = {"segment.bytes": "1024", "cleanup.policy": "compact"}
CALLS = ("open", "size", "pread", "pwrite", "truncate", "fdatasync", "fsync_dir")
MORE_CALLS = ("mkdir", "rmdir", "unlink", "list")


class FailsOnce(SimFiles):
    """Raises, or writes one byte only, at the Nth call."""

    def __init__(self, disk: Disk, nth: int, fault: Callable[[], BaseException] | None) -> None:
        super().__init__(disk)
        self.left = nth
        self.fault = fault
        self.hit = ""

    def close(self, handle: int) -> None:
        super().close(handle)

    def due(self, name: str) -> bool:
        self.left -= 1
        if self.left == 0:
            self.hit = name
            if self.fault is not None:
                raise self.fault()
            return True
        return False


def _failing(name: str):
    def call(self: FailsOnce, *args, **kwargs):
        if self.due(name) and name == "pwrite":
            handle, parts, position = args
            return SimFiles.pwrite(self, handle, [b"".join(parts)[:1]], position)
        return getattr(SimFiles, name)(self, *args, **kwargs)

    return call


for _name in (*CALLS, *MORE_CALLS):
    setattr(FailsOnce, _name, _failing(_name))


def open_log(disk: Disk, files: SimFiles) -> Log:
    return Log(
        ROOT + "/log",
        files=files,  # type: ignore[arg-type]
        metadata=lambda _path, _files: SimMetadata(disk),
        clock=lambda: 1_000.0,
    )


def work(log: Log, acked: list[int], doubtful: list[int]) -> list[str]:
    """Thirty operations; each goes on after a failure. Returns the failures."""
    failed = []

    def attempt(operation: Callable[[], object]) -> bool:
        try:
            operation()
        except (errors.LogError, OSError, MemoryError) as error:
            failed.append(type(error).__name__)
            return False
        return True

    attempt(lambda: log.create_topic("a", 2, SMALL))
    for n in range(12):
        row = records.encode([b"%d" % (n % 3)], [b"%d:" % n + bytes(300)], [n])
        if attempt(lambda row=row: log.append([Append("a", 0, row), Append("a", 1, row)])):
            acked.append(n)
        elif failed[-1] != "LogFull":
            doubtful.append(n)
        attempt(lambda n=n: log.fetch("a", 0, 0) if n else None)
        if n == 5:
            attempt(lambda: log.clean(1_000.0))
        if n == 7:
            attempt(lambda: log.create_topic("b"))
            attempt(lambda row=row: log.append([Append("b", 0, row)]))
            attempt(lambda: log.delete_topic("b"))
            attempt(lambda: log.create_topic("b"))
    attempt(log.close)
    return failed


def values(log: Log, partition: int) -> list[int]:
    found: list[int] = []
    offset = log.start_offset("a", partition)
    while data := log.fetch("a", partition, offset):
        for batch in records.decode(data):
            found += [int(v.split(b":")[0]) for v in batch.values if v is not None]
            offset = batch.next_offset
    return found


def newest(rows: list[int]) -> set[int]:
    return set({n % 3: n for n in rows}.values())


FAULTS = {
    "ENOSPC": lambda: OSError(errno.ENOSPC, "no space"),
    "EIO": lambda: OSError(errno.EIO, "input/output error"),
    "EMFILE": lambda: OSError(errno.EMFILE, "too many open files"),
    "MemoryError": MemoryError,
    "short write": None,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_nth_call_fails(fault: str):
    nth = 0
    failed_calls = set()
    while True:
        nth += 1
        disk = Disk(random.Random(nth))
        files = FailsOnce(disk, nth, FAULTS[fault])
        acked: list[int] = []
        doubtful: list[int] = []
        try:
            log = open_log(disk, files)
        except (errors.LogError, OSError, MemoryError):
            pass
        else:
            failed = work(log, acked, doubtful)
            if not files.hit:
                assert (acked, failed) == (list(range(12)), [])
                break
            if fault == "short write":
                assert failed == []
        failed_calls.add(files.hit)
        files.lose_power()
        check_after_restart(disk, acked, doubtful)
    assert nth > 100
    assert {"open", "pwrite", "fdatasync", "fsync_dir", "mkdir", "unlink"} <= failed_calls


def check_after_restart(disk: Disk, acked: list[int], doubtful: list[int]) -> None:
    log = open_log(disk, SimFiles(disk))
    if "a" in log.topics():
        first, second = values(log, 0), values(log, 1)
        assert first == sorted(first)
        assert newest(acked) <= set(first) | set(doubtful)
        assert set(first) - set(doubtful[:1]) <= set(acked)
        assert newest(first) == newest(second)
        last = log.end_offset("a", 0)
        assert log.append([Append("a", 0, records.encode([b"k"], [b"9:"], [1]))]) == [last]
    log.close()


def test_a_full_disk_refuses_and_goes_on_once_there_is_room():
    disk = Disk(random.Random(1))
    files = FailsOnce(disk, 0, FAULTS["ENOSPC"])
    log = open_log(disk, files)
    log.create_topic("a", 1, SMALL)
    row = records.encode([b"k"], [bytes(900)], [1])
    log.append([Append("a", 0, row)])
    for call_of_append in (1, 2):  # making the next segment, then writing to it
        files.left = call_of_append
        with pytest.raises(errors.LogFull):
            log.append([Append("a", 0, row)])
    assert log.append([Append("a", 0, row)]) == [1]
    assert log.failure is None


def test_a_failed_sync_stops_the_log():
    disk = Disk(random.Random(1))
    files = SimFiles(disk)
    log = open_log(disk, files)
    log.create_topic("a")
    row = records.encode([b"k"], [b"v"], [1])
    disk.sync_fails = 1.0
    with pytest.raises(errors.LogFailed):
        log.append([Append("a", 0, row)])
    disk.sync_fails = 0.0
    for later in (
        lambda: log.append([Append("a", 0, row)]),
        lambda: log.open_writer("w"),
        lambda: log.fetch("a", 0, 0),
        lambda: log.wait({("a", 0): 0}, 60),
    ):
        with pytest.raises(errors.LogFailed):
            later()
