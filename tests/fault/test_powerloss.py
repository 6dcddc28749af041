"""Power loss at random moments of the real log's life, on a simulated disk.

The invariants are checked after every restart; each planted mistake must be found, else the search
proves nothing.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from log_core import Append, Log, errors, records
from tests.kit.power import ROOT, Disk, PowerLoss, SimFiles, SimMetadata

pytestmark = pytest.mark.fault

SEEDS = int(os.environ.get("TAILRACE_POWERLOSS_SEEDS", "2000"))
PLANTED_SEEDS = 120
LIVES = 4
DATA = [("rows", 0), ("rows", 1), ("more", 0)]
POSITIONS = ("positions", 0)
COMPACTED = ("state", 0)
SMALL = {"segment.bytes": "2048"}


@dataclass
class History:
    """What was acknowledged and what was only tried."""

    acked: list[int] = field(default_factory=list)
    wrote: dict[int, dict[tuple[str, int], bytes]] = field(default_factory=dict)
    trying: int | None = None
    seen: dict[tuple[str, int], int] = field(default_factory=dict)
    scrap: int = 0  # newest generation of the topic that is deleted and made again


@dataclass
class Machine:
    """The log's world; a mistake is planted by giving it other files or other metadata."""

    files: Callable[[Disk], SimFiles] = SimFiles
    metadata: Callable[[Disk], SimMetadata] = SimMetadata
    sync_fails: float = 0.02
    commit_fails: float = 0.01
    rot: bool = False
    hits: Counter[str] = field(default_factory=Counter)


def live(machine: Machine, seed: int) -> str | None:
    """Some lives of a log; returns what went wrong, None if nothing did."""
    chance = random.Random(seed)
    disk = Disk(chance)
    history = History()
    files = machine.files(disk)
    for life in range(LIVES):
        try:
            problem = one_life(machine, disk, files, history, life)
            return f"life {life}: {problem}"
        except PowerLoss:
            machine.hits["power lost" if disk.at_work else "lost in recovery"] += 1
        except errors.LogFailed:
            machine.hits["log stopped"] += 1
        except errors.LogError as error:
            return None if machine.rot else f"life {life}: {error!r}"
        disk.calls_left = None
        if chance.random() < 0.8:  # else only the process died: the cache lives on
            files.lose_power()
            if machine.rot:
                rot(disk, chance)
            files = machine.files(disk)
    return None


def one_life(
    machine: Machine, disk: Disk, files: SimFiles, history: History, life: int
) -> str | None:
    """Recover, check, work until the end. Returns only if a check fails."""
    chance = disk.random
    disk.sync_fails = disk.commit_fails = 0.0
    disk.at_work = False
    disk.calls_left = chance.randint(0, 60) if life else None
    log = open_log(machine, disk, files)
    problem = check(log, history)
    if problem is None and chance.random() < 0.2:
        log.close()
        log = open_log(machine, disk, files)  # recovering twice is recovering once
        problem = check(log, history)
    if problem:
        return problem
    disk.at_work = True
    disk.calls_left = chance.randint(3, 120)
    disk.sync_fails, disk.commit_fails = machine.sync_fails, machine.commit_fails
    try:
        work(log, history, chance)
    finally:
        machine.hits["compacted"] += any(".1.log" in name for name in files.tree)
        machine.hits["recreated a topic"] += history.scrap > 1
        machine.hits["rolled"] += sum("rows-0/" in n and n.endswith(".log") for n in files.tree) > 1
    raise AssertionError("work goes on until something stops it")


def open_log(machine: Machine, disk: Disk, files: SimFiles) -> Log:
    log = Log(
        ROOT + "/log",
        files=files,  # type: ignore[arg-type]
        metadata=lambda _path, _files: machine.metadata(disk),
        clock=lambda: 1_000.0,
    )
    log.create_topic("rows", 2, SMALL)
    log.create_topic("more", 1, SMALL)
    log.create_topic("positions", 1, SMALL)
    log.create_topic("state", 1, {"segment.bytes": "300", "cleanup.policy": "compact"})
    return log


def work(log: Log, history: History, chance: random.Random) -> None:
    """Append until the power fails."""
    epoch = log.open_writer("w")
    while True:
        n = len(history.wrote)
        touched = chance.sample(DATA, chance.randint(1, 3))
        row = b"%d:" % n + chance.randbytes(chance.randint(0, 700))
        history.wrote[n] = dict.fromkeys(touched, row)
        history.trying = n
        appends = [Append(t, p, batch(b"k", row, chance.randint(1, 3))) for t, p in touched]
        appends.append(Append(*POSITIONS, batch(b"p", b"%d" % n)))
        appends.append(Append(*COMPACTED, batch(b"%d" % (n % 5), b"%d" % n)))
        log.append(appends, writer=("w", epoch), group=("g", {POSITIONS: n}))
        history.acked.append(n)
        history.trying = None
        action = chance.random()
        if action < 0.2:
            for key in DATA:
                history.seen[key] = log.end_offset(*key)
        elif action < 0.3:
            log.clean(1_000.0)
        elif action < 0.35:
            replace_scrap(log, history)


def replace_scrap(log: Log, history: History) -> None:
    if "scrap" in log.topics():
        log.delete_topic("scrap")
    history.scrap += 1
    log.create_topic("scrap", 1, SMALL)
    log.append([Append("scrap", 0, batch(b"s", b"%d" % history.scrap))])


def batch(key: bytes, value: bytes, count: int = 1) -> bytes:
    return records.encode([key] * count, [value] * count, [1] * count)


def check(log: Log, history: History) -> str | None:
    """The invariants; brings the history up to what was found."""
    found = {key: read(log, key) for key in [*DATA, POSITIONS, COMPACTED]}
    for key in DATA:
        if log.end_offset(*key) < history.seen.get(key, 0):
            return f"{key}: rows vanished that a reader could see"
    positions = [int(value) for value in found[POSITIONS]]
    if positions[: len(history.acked)] != history.acked:
        return "an acknowledged position is lost"
    extra = positions[len(history.acked) :]
    if extra not in ([], [history.trying]):
        return f"phantom appends {extra[:5]}"
    for key in DATA:
        wrote = [(n, history.wrote[n][key]) for n in positions if key in history.wrote[n]]
        values = list(dict.fromkeys(found[key]))  # an append may hold its row several times
        if values != [row for _, row in wrote]:
            return f"{key}: rows lost, torn, changed or out of order"
    newest = {n % 5: n for n in positions}
    state = {int(value) % 5: int(value) for value in found[COMPACTED]}
    if state != newest:
        return "compaction lost a key's newest value"
    group = log.group_offsets("g").get(POSITIONS)
    if group != (positions[-1] if positions else None):
        return f"the group stands at {group}, the rows at {positions[-1:]}"
    if "scrap" in log.topics():
        values = read(log, ("scrap", 0))
        if values not in ([], [b"%d" % history.scrap]):
            return "rows of a deleted topic came back"
    history.acked, history.trying = positions, None
    return None


def read(log: Log, key: tuple[str, int]) -> list[bytes]:
    values: list[bytes] = []
    offset = log.start_offset(*key)
    while data := log.fetch(*key, offset, 4096):
        for decoded in records.decode(data):
            values += [
                v for v, at in zip(decoded.values, decoded.offsets, strict=True) if at >= offset
            ]
            offset = decoded.next_offset
    return values


def rot(disk: Disk, chance: random.Random) -> None:
    """Flip one bit of one segment."""
    segments = [i for name, i in disk.names.items() if name.endswith(".log") and disk.contents[i]]
    if segments:
        content = disk.contents[chance.choice(segments)]
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def failures(machine: Machine, seeds: int) -> list[tuple[int, str]]:
    found = ((seed, live(machine, seed)) for seed in range(seeds))
    return [(seed, problem) for seed, problem in found if problem]


def test_nothing_is_lost_or_torn_by_power_loss():
    machine = Machine()
    assert failures(machine, SEEDS) == []
    wanted = ["power lost", "lost in recovery", "log stopped"]
    wanted += ["compacted", "recreated a topic", "rolled"]
    assert [what for what in wanted if machine.hits[what] < SEEDS // 50] == []


def test_a_flipped_bit_is_reported_and_never_read_as_data():
    assert failures(Machine(rot=True), max(SEEDS // 8, PLANTED_SEEDS)) == []


class AcknowledgesBeforeSync(SimFiles):
    def fdatasync(self, handle: int) -> None:
        self.disk.tick()


class NeverSyncsDirectories(SimFiles):
    def fsync_dir(self, path: str) -> None:
        self.disk.tick()


class RetriesFailedSync(SimFiles):
    def fdatasync(self, handle: int) -> None:
        try:
            super().fdatasync(handle)
        except OSError:
            super().fdatasync(handle)


class LeavesTornTail(SimFiles):
    """Does not cut at recovery and appends to whatever is there."""

    def truncate(self, handle: int, size: int) -> None:
        self.disk.tick()

    def pwrite(self, handle: int, parts: list[bytes], position: int) -> int:
        return super().pwrite(handle, parts, max(position, self.size(handle)))


class CommitsPositionsApart(SimMetadata):
    def commit(self, change):
        groups, change.groups = change.groups, {}
        super().commit(change)
        change.groups = groups
        if groups:
            self.disk.tick()
            self.disk.state.groups.update(groups)


@pytest.mark.parametrize(
    "machine",
    [
        Machine(files=AcknowledgesBeforeSync, sync_fails=0),
        Machine(files=NeverSyncsDirectories, sync_fails=0),
        Machine(files=RetriesFailedSync),
        Machine(files=LeavesTornTail, sync_fails=0),
        Machine(metadata=CommitsPositionsApart, sync_fails=0),
    ],
    ids=["ack_before_sync", "no_directory_sync", "retried_sync", "torn_tail", "split_checkpoint"],
)
def test_planted_mistake_is_found(machine: Machine):
    assert failures(machine, PLANTED_SEEDS)


def test_planted_mistake_no_crc_is_found(monkeypatch: pytest.MonkeyPatch):
    def unchecked(data: bytes, position: int = 0) -> records.Header:
        return records.read_header(data, position)

    monkeypatch.setattr(records, "check", unchecked)
    assert failures(Machine(rot=True), PLANTED_SEEDS)
