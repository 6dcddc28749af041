from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from log_core import Append, Log, records


class Clock:
    """Seconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reopen(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Log]]:
    """Opens the log; a second call closes the one before."""
    opened: list[Log] = []

    def reopen(**options: object) -> Log:
        if opened:
            opened.pop().close()
        opened.append(Log(tmp_path / "log", clock=clock, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield reopen
    for log in opened:
        log.close()


@pytest.fixture
def log(reopen: Callable[..., Log]) -> Log:
    return reopen()


def batch(*rows: bytes | None, key: bytes | None = b"k", timestamp: int = 0) -> bytes:
    return records.encode([key] * len(rows), rows, [timestamp] * len(rows))


def put(log: Log, topic: str, *rows: bytes, key: bytes | None = b"k", timestamp: int = 0) -> int:
    data = batch(*rows, key=key, timestamp=timestamp)
    return log.append([Append(topic, 0, data)])[0]


def fill(log: Log, topic: str, rows: list[bytes]) -> None:
    """A batch for each row, all in one commit."""
    log.append([Append(topic, 0, batch(row, timestamp=n)) for n, row in enumerate(rows)])


def rows(log: Log, topic: str, partition: int = 0) -> list[tuple[int, bytes | None]]:
    """(offset, value) of everything in the partition."""
    found: list[tuple[int, bytes | None]] = []
    offset = log.start_offset(topic, partition)
    while data := log.fetch(topic, partition, offset, 1000):
        for decoded in records.decode(data):
            found += zip(decoded.offsets, decoded.values, strict=True)
            offset = decoded.next_offset
    return found


def values(log: Log, topic: str, partition: int = 0) -> list[bytes | None]:
    return [value for _, value in rows(log, topic, partition)]
