"""Random lives of the log against a dict: appends, fences, kills, retention, compaction."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from log_core import Append, Log, errors, records
from tests.kit.power import ROOT, Disk, SimFiles, SimMetadata

PLAIN = [("plain", 0), ("plain", 1)]
COMPACT = ("compact", 0)
ALL = [*PLAIN, COMPACT]
CELLS = st.none() | st.binary(max_size=60)
ROWS = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), CELLS), min_size=1, max_size=4)
PLACES = st.lists(st.sampled_from(ALL), max_size=4)


class LogLives(RuleBasedStateMachine):
    """``rows`` holds everything ever appended; the list's index is the offset."""

    @initialize(seed=st.integers(0, 1 << 30))
    def make(self, seed: int) -> None:
        self.disk = Disk(random.Random(seed))
        self.files = SimFiles(self.disk)
        self.now = 1_000.0
        self.rows: dict[tuple[str, int], list[tuple[bytes, bytes | None]]]
        self.rows = {key: [] for key in ALL}
        self.group: dict[tuple[str, int], int] = {}
        self.open()
        self.log.create_topic("plain", 2, {"segment.bytes": "300", "retention.ms": "20000"})
        self.log.create_topic("compact", 1, {"segment.bytes": "300", "cleanup.policy": "compact"})
        self.epoch = self.log.open_writer("w")

    def open(self) -> None:
        self.log = Log(
            ROOT + "/log",
            files=self.files,  # type: ignore[arg-type]
            metadata=lambda _path, _files: SimMetadata(self.disk),
            clock=lambda: self.now,
        )

    @rule(rows=ROWS, places=PLACES, position=st.none() | st.integers(0, 99))
    def append(self, rows, places, position) -> None:
        keys, values = zip(*rows, strict=True)
        data = records.encode(keys, values, [int(self.now)] * len(rows))
        group = None if position is None else ("g", {PLAIN[0]: position})
        writer = ("w", self.epoch)
        bases = self.log.append([Append(*key, data) for key in places], writer=writer, group=group)
        for key, base in zip(places, bases, strict=True):
            assert base == len(self.rows[key])
            self.rows[key] += rows
        if group is not None:
            self.group.update(group[1])

    @rule(places=PLACES)
    def append_as_a_zombie(self, places) -> None:
        old, self.epoch = self.epoch, self.log.open_writer("w")
        assert self.epoch > old
        data = records.encode([b"a"], [b"zombie"], [0])
        with pytest.raises(errors.Fenced):
            self.log.append([Append(*key, data) for key in places], writer=("w", old))

    @rule(bad=st.sampled_from([("plain", 2), ("nowhere", 0)]))
    def append_partly_nowhere(self, bad) -> None:
        data = records.encode([b"a"], [b"lost"], [0])
        with pytest.raises(errors.UnknownTopic):
            self.log.append([Append(*PLAIN[0], data), Append(*bad, data)])

    @rule()
    def kill(self) -> None:
        """The process dies: what it wrote is in the kernel's cache."""
        self.open()

    @rule()
    def lose_power(self) -> None:
        self.files.lose_power()
        self.files = SimFiles(self.disk)
        self.open()

    @rule(seconds=st.integers(1, 30))
    def clean(self, seconds) -> None:
        self.now += seconds
        self.log.clean(self.now)

    @invariant()
    def reads_what_was_appended(self) -> None:
        for key in PLAIN:
            start, end = self.log.start_offset(*key), self.log.end_offset(*key)
            assert end == len(self.rows[key])
            assert self.read(key) == dict(enumerate(self.rows[key][start:], start))
            if start:
                with pytest.raises(errors.OffsetOutOfRange):
                    self.log.fetch(*key, start - 1)

    @invariant()
    def compaction_keeps_the_newest(self) -> None:
        written = dict(enumerate(self.rows[COMPACT]))
        found = self.read(COMPACT)
        assert found.items() <= written.items()
        newest = {key: offset for offset, (key, _) in written.items()}
        assert set(newest.values()) <= set(found)

    @invariant()
    def group_stands_where_it_was_put(self) -> None:
        assert self.log.group_offsets("g") == self.group

    def read(self, key: tuple[str, int]) -> dict[int, tuple[bytes, bytes | None]]:
        found: dict[int, tuple[bytes, bytes | None]] = {}
        offset = self.log.start_offset(*key)
        while data := self.log.fetch(*key, offset, 200):
            for decoded in records.decode(data):
                rows = zip(decoded.keys, decoded.values, strict=True)
                found.update(zip(decoded.offsets, rows, strict=True))
                offset = decoded.next_offset
        assert offset == self.log.end_offset(*key)
        return found


LogLives.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLogLives = LogLives.TestCase
