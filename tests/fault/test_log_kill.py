"""SIGKILL of a process that appends: whatever it acknowledged is there, once, whole."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from log_core import Log, records

pytestmark = pytest.mark.fault
KILLS = 30
WRITER = Path(__file__).with_name("log_writer.py")


def read(log: Log, partition: int) -> list[int]:
    numbers: list[int] = []
    offset = 0
    while data := log.fetch("rows", partition, offset):
        for batch in records.decode(data):
            numbers += [int((value or b"").rstrip(b"\0")) for value in batch.values]
            offset = batch.next_offset
    return numbers


def test_acknowledged_rows_survive_kills(tmp_path: Path):
    chance = random.Random(7)
    acknowledged = -1
    in_flight = 0
    for _ in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, str(WRITER), str(tmp_path / "log")], stdout=subprocess.PIPE
        )
        with child:
            assert child.stdout is not None
            for _ in range(chance.randint(1, 60)):  # killed amid the next append
                acknowledged = int(child.stdout.readline())
            child.kill()
            rest = child.stdout.read().split()
            acknowledged = int(rest[-1]) if rest else acknowledged
        with Log(tmp_path / "log") as log:
            numbers = read(log, 0)
            assert numbers == list(range(len(numbers)))
            assert numbers[-1] in (acknowledged, acknowledged + 1)
            assert read(log, 1) == numbers
            assert log.group_offsets("g") == {("rows", 0): len(numbers)}
            in_flight += numbers[-1] == acknowledged + 1
    assert acknowledged > KILLS
