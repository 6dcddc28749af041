"""Compaction: of closed segments keep the newest record of each key, at its offset.

As in Kafka, records without a value (tombstones) stay for ``delete.retention.ms`` after they were
first compacted, so that a reader who has seen the value sees the deletion too; the batch's base
timestamp holds that horizon (KIP-534). Records without a key are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

from log_core import records
from log_core.files import Files, opened, write_all
from log_core.metadata import SegmentRow
from log_core.partition import Partition, View
from log_core.records import Header
from log_core.segment import Segment
from log_core.topics import Policy

_KEYS = 2_000_000  # remembered in one run; a partition of more keys takes several


class Swap(NamedTuple):
    """Segments ``old`` of the partition may be replaced by ``new``, which are on disk."""

    old: tuple[SegmentRow, ...]
    new: tuple[SegmentRow, ...]


def is_due(rows: Sequence[SegmentRow]) -> bool:
    """Whether enough of the closed segments was never compacted: as many bytes as were."""
    closed = rows[:-1]
    fresh = sum(row.size for row in closed if not row.version)
    return fresh > 0 and fresh * 2 >= sum(row.size for row in closed)


def compact(partition: Partition, policy: Policy, now_ms: int) -> Swap:
    """Write the compacted segments beside the old ones, synced. Raises OSError, CorruptLog."""
    view = partition.view
    closed = view.rows[:-1]
    newest, count = _newest(partition, view, closed)
    old = closed[:count]
    writer = _Writer(partition, policy, 1 + max(row.version for row in old))
    try:
        for row in old:
            for header, data in _batches(partition, view, row):
                kept = _keep(header, data, newest, policy, now_ms)
                if kept:
                    writer.add(kept, row, header.base_offset)
        return Swap(old, writer.finish(old[-1].end))
    except BaseException:
        writer.abandon()
        raise


def _batches(partition: Partition, view: View, row: SegmentRow) -> Iterator[tuple[Header, bytes]]:
    for _, header, data in partition.segment(row, view).scan(row):
        yield header, data


def _newest(
    partition: Partition, view: View, closed: Sequence[SegmentRow]
) -> tuple[dict[bytes | None, int], int]:
    """The newest offset of each key in segments not compacted yet, and how many segments, from
    the oldest on, that knowledge covers."""
    newest: dict[bytes | None, int] = {}
    count = sum(1 for _ in takewhile(lambda row: row.version, closed))
    for row in closed[count:]:
        if len(newest) >= _KEYS:
            break
        for _, data in _batches(partition, view, row):
            for batch in records.decode(data):
                newest.update(zip(batch.keys, batch.offsets, strict=True))
        count += 1
    return newest, count


def _keep(
    header: Header, data: bytes, newest: dict[bytes | None, int], policy: Policy, now_ms: int
) -> bytes:
    """The batch with what remains of it; b"" if nothing does."""
    if header.attributes & records.CONTROL:
        return data
    horizon = header.base_timestamp if header.attributes & records.HAS_DELETE_HORIZON else None
    batch = records.decode(data)[0]
    rows, tombstones = [], False
    for row, (key, offset) in enumerate(zip(batch.keys, batch.offsets, strict=True)):
        if key is not None:
            if newest.get(key, offset) > offset:
                continue
            if batch.values[row] is None:
                if horizon is not None and now_ms > horizon:
                    continue
                tombstones = True
        rows.append(row)
    if not rows:
        return b""
    if tombstones and horizon is None:
        horizon = now_ms + policy.delete_retention_ms
    elif len(rows) == len(batch.offsets):
        return data
    return records.rewrite(header, batch, rows, horizon if tombstones else None)


@dataclass(slots=True)
class _Writer:
    """Writes batches to new segments, each no larger than the topic's."""

    partition: Partition
    policy: Policy
    version: int
    rows: list[SegmentRow] = field(default_factory=list)
    _parts: list[bytes] = field(default_factory=list)
    _marks: list[tuple[int, int, int]] = field(default_factory=list)

    def add(self, batch: bytes, source: SegmentRow, base_offset: int) -> None:
        """Append a batch that came from the segment ``source``."""
        header = records.read_header(batch)
        if self.rows and self.rows[-1].size + len(batch) > self.policy.segment_bytes:
            self._close(base_offset)
        if not self._parts:
            base = base_offset if self.rows else source.base
            created = source.created_ms
            self.rows.append(SegmentRow(base, self.version, base, 0, created, 0, -1))
        row = self.rows[-1]
        newest = max(row.max_timestamp, header.max_timestamp)
        self._marks.append((header.last_offset, row.size, newest))
        self._parts.append(batch)
        self.rows[-1] = row._replace(
            size=row.size + len(batch), appended_ms=source.appended_ms, max_timestamp=newest
        )

    def finish(self, end: int) -> tuple[SegmentRow, ...]:
        """Close the last segment, which ends where its sources ended; make the names durable."""
        if self._parts:
            self._close(end)
            self.partition.files.fsync_dir(self.partition.directory)
        return tuple(self.rows)

    def abandon(self) -> None:
        """Remove what was written."""
        for row in self.rows:
            self._segment(row).remove()

    def _segment(self, row: SegmentRow) -> Segment:
        return Segment(self.partition.files, self.partition.directory, row.base, row.version)

    def _close(self, end: int) -> None:
        row = self.rows[-1] = self.rows[-1]._replace(end=end)
        segment = self._segment(row)
        segment.remove()  # of an attempt that failed
        _write_synced(self.partition.files, segment.path, self._parts)
        segment.start_index()
        segment.note(row, self._marks, closed=True)
        self._parts, self._marks = [], []


def _write_synced(files: Files, path: str, parts: Sequence[bytes]) -> None:
    with opened(files, path, create=True) as handle:
        write_all(files, handle, parts, 0)
        files.fdatasync(handle)
