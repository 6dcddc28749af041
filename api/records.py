"""Records of the log as JSON, one record a line.

A payload that is JSON is passed on byte for byte (numbers keep their digits), other text becomes a
JSON string, and bytes that are no text become ``{"$base64": "..."}``.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import orjson

from log_core import Log
from log_core.records import Decoded, decode

FETCH_BYTES = 1 << 20
FETCHES = 64
LOOK_SECONDS = 1.0


class Page(NamedTuple):
    """Records as JSON lines, and for each partition the offset to ask for next."""

    lines: list[bytes]
    next: dict[int, int]

    def encode(self) -> bytes:
        """``{"next": {...}, "records": [`` record lines ``]}``: JSON, and readable by line."""
        following = {str(partition): offset for partition, offset in self.next.items()}
        head = b'{"next":' + orjson.dumps(following) + b',"records":[\n'
        return head + b",\n".join(self.lines) + b"\n]}\n"


def start_offsets(log: Log, topic: str, partitions: Sequence[int], origin: str) -> dict[int, int]:
    """Where to begin: ``beginning``, ``end``, ``-N`` (the last N offsets of each partition), an
    offset, or ``@milliseconds``; clamped to what the log holds. ValueError for anything else."""
    result = {}
    for partition in partitions:
        first, end = log.start_offset(topic, partition), log.end_offset(topic, partition)
        if origin == "beginning":
            offset = first
        elif origin == "end":
            offset = end
        elif origin.startswith("@"):
            offset = log.offset_at(topic, partition, int(origin[1:]))
        else:
            offset = int(origin)
            offset = end + offset if origin.startswith("-") else offset
        result[partition] = min(max(offset, first), end)
    return result


def read_page(
    log: Log,
    topic: str,
    positions: Mapping[int, int],
    limit: int,
    wait: float,
    stopping: Callable[[], bool] = lambda: False,
) -> Page:
    """At most ``limit`` records from ``positions`` on, waiting up to ``wait`` seconds for one, or
    until the server is ``stopping``."""
    deadline = time.monotonic() + wait
    page = _read_now(log, topic, positions, limit)
    while not page.lines:
        left = deadline - time.monotonic()
        if left <= 0 or stopping():
            break
        sought = {(topic, partition): offset for partition, offset in page.next.items()}
        if log.wait(sought, min(left, LOOK_SECONDS)):
            page = _read_now(log, topic, page.next, limit)
    return page


def _read_now(log: Log, topic: str, positions: Mapping[int, int], limit: int) -> Page:
    page = Page([], dict(positions))
    for partition in positions:
        for _ in range(FETCHES):
            data = log.fetch(topic, partition, page.next[partition], FETCH_BYTES)
            for batch in decode(data):
                _add(page, topic, partition, batch, limit)
                if len(page.lines) == limit:
                    return page
            if not data:
                break
    return page


def _add(page: Page, topic: str, partition: int, batch: Decoded, limit: int) -> None:
    """Add the batch's records that are wanted, and move the position behind them."""
    start = page.next[partition]
    headers = batch.headers or [()] * len(batch.offsets)
    rows = zip(batch.offsets, batch.timestamps, batch.keys, batch.values, headers, strict=True)
    for offset, timestamp, key, value, pairs in rows:
        if offset < start:
            continue
        if len(page.lines) == limit:
            return
        record = {
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "timestamp": timestamp,
            "key": payload(key),
            "value": payload(value),
            "headers": [[name, payload(header)] for name, header in pairs],
        }
        page.lines.append(orjson.dumps(record))
        page.next[partition] = offset + 1
    page.next[partition] = batch.next_offset


def payload(data: bytes | None) -> object:
    """A key, value or header for orjson: null, a JSON fragment, text, or marked base64."""
    if data is None:
        return None
    try:
        orjson.loads(data)
        # A line break in JSON stands only between tokens, so a space says the same.
        return orjson.Fragment(data.replace(b"\n", b" ").replace(b"\r", b" "))
    except orjson.JSONDecodeError:
        pass
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return {"$base64": base64.b64encode(data).decode("ascii")}
