"""The sparse indexes of a segment, in Kafka's formats.

``.index``: (offset relative to the segment's base i32, byte position i32) of a batch, the offset
being the batch's last. ``.timeindex``: (greatest timestamp so far i64, relative offset i32).
Both can be made from the segment at any time, so they are written without a sync and read with
suspicion: whoever uses an entry checks it against the batch it points at.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from typing import NamedTuple

INTERVAL_BYTES = 4096  # of segment between two entries
_OFFSET_ENTRY = struct.Struct(">ii")
_TIME_ENTRY = struct.Struct(">qi")


class Place(NamedTuple):
    """Where to start reading, and what the index says of the batch there: its last offset, and
    the greatest timestamp up to it. None: it says nothing, this is the segment's start."""

    position: int
    last_offset: int | None
    newest: int


START = Place(0, None, 0)


class Index:
    """Both indexes of one segment. One thread adds, any thread looks up."""

    def __init__(self, base: int) -> None:
        self.base = base
        self.offsets = array("q")
        self.positions = array("q")
        self.times = array("q")
        self.saved = 0  # entries already in the files

    def __len__(self) -> int:
        return len(self.positions)

    def add(self, last_offset: int, position: int, max_timestamp: int) -> None:
        """Note a batch, unless the last entry is near. ``max_timestamp`` is the segment's so
        far, this batch included."""
        if position - (self.positions[-1] if self.positions else 0) < INTERVAL_BYTES:
            return
        self.times.append(max_timestamp)
        self.offsets.append(last_offset)
        self.positions.append(position)  # last: readers count entries by it

    def locate(self, offset: int) -> Place:
        """The nearest indexed batch that ends at or before ``offset``."""
        return self._place(bisect_right(self.offsets, offset, 0, len(self.positions)) - 1)

    def locate_time(self, timestamp: int) -> Place:
        """The nearest indexed batch up to which every record is older than ``timestamp``."""
        return self._place(bisect_left(self.times, timestamp, 0, len(self.positions)) - 1)

    def _place(self, entry: int) -> Place:
        if entry < 0:
            return START
        return Place(self.positions[entry], self.offsets[entry], self.times[entry])

    def cut(self, size: int) -> None:
        """Forget entries at or beyond ``size`` bytes."""
        keep = bisect_left(self.positions, size)
        del self.offsets[keep:], self.positions[keep:], self.times[keep:]
        self.saved = min(self.saved, keep)

    def encode(self, first: int = 0) -> tuple[bytes, bytes]:
        """The files' bytes from entry ``first`` on."""
        base = self.base
        entries = zip(self.offsets[first:], self.positions[first:], self.times[first:], strict=True)
        offsets, times = bytearray(), bytearray()
        for offset, position, time in entries:
            offsets += _OFFSET_ENTRY.pack(offset - base, position)
            times += _TIME_ENTRY.pack(time, offset - base)
        return bytes(offsets), bytes(times)

    @property
    def saved_bytes(self) -> tuple[int, int]:
        """Lengths of the files up to what is saved."""
        return self.saved * _OFFSET_ENTRY.size, self.saved * _TIME_ENTRY.size


def decode(base: int, offsets: bytes, times: bytes) -> Index | None:
    """The index in the files' bytes; None if they can't be one of a sane segment."""
    count = min(len(offsets) // _OFFSET_ENTRY.size, len(times) // _TIME_ENTRY.size)
    index = Index(base)
    last = (-1, 0, -(1 << 63))
    for entry in range(count):
        offset, position = _OFFSET_ENTRY.unpack_from(offsets, entry * _OFFSET_ENTRY.size)
        time, same = _TIME_ENTRY.unpack_from(times, entry * _TIME_ENTRY.size)
        if same != offset or offset <= last[0] or position <= last[1] or time < last[2]:
            return None
        last = (offset, position, time)
        index.offsets.append(base + offset)
        index.positions.append(position)
        index.times.append(time)
    index.saved = count
    return index
