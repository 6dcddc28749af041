"""One partition: its committed view for readers, its draft of the next commit for the log.

Readers take ``view``, one immutable value, and need no lock. The log alone drafts, writes and
publishes, one commit after another.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from log_core import records
from log_core.errors import OffsetOutOfRange
from log_core.files import Files, OpenFiles, write_all
from log_core.metadata import Range, SegmentRow
from log_core.records import Header
from log_core.segment import Segment, parse_name
from log_core.topics import Policy

_RELATIVE_OFFSETS = (1 << 31) - 1  # an index holds i32 offsets and positions
_INDEXES_KEPT = 8


class View(NamedTuple):
    """What is committed: offsets ``start`` up to ``end``, in these segments."""

    start: int
    end: int
    rows: tuple[SegmentRow, ...]

    def row_at(self, offset: int) -> int:
        """Place of the segment that may hold the offset."""
        return max(0, bisect_right(self.rows, offset, key=lambda row: row.base) - 1)


class Partition:
    """A partition's files."""

    def __init__(
        self,
        files: Files,
        directory: str,
        name: tuple[str, int],
        span: Range,
        rows: Sequence[SegmentRow],
    ) -> None:
        self.files = files
        self.directory = directory
        self.name = name
        self.view = View(*span, tuple(rows))
        self.segments = {row.base: self._segment(row) for row in rows}
        self.directory_durable = bool(rows)  # no commit named a segment before its names were
        self._indexed: deque[Segment] = deque()

    def _segment(self, row: SegmentRow) -> Segment:
        return Segment(self.files, self.directory, row.base, row.version)

    # Reading

    def fetch(self, offset: int, max_bytes: int) -> bytes:
        """Whole committed batches of one segment; see ``Log.fetch``."""
        while True:
            view = self.view
            self._check_offset(view, offset)
            try:
                for place in range(view.row_at(offset), len(view.rows)):
                    row = view.rows[place]
                    data = self.segment(row, view).read(row, offset, max_bytes)
                    if data:
                        return data
                return b""
            except FileNotFoundError:
                if self.view is view:
                    raise
            # Retention or compaction removed the file meanwhile: look again.

    def offset_at(self, timestamp: int) -> int:
        """Offset of the first record that is not older than ``timestamp``; the end if all are."""
        view = self.view
        for row in view.rows:
            if row.max_timestamp >= timestamp:
                found = self.segment(row, view).offset_at(row, timestamp)
                if found is not None:
                    return max(found, view.start)
        return view.end

    def segment(self, row: SegmentRow, view: View) -> Segment:
        """The segment of a committed row; few closed ones keep their index in memory."""
        segment = self.segments.get(row.base)
        if segment is None or segment.version != row.version:
            segment = self._segment(row)  # replaced meanwhile: for this reader alone
        elif row is not view.rows[-1] and segment not in self._indexed:
            self._indexed.append(segment)
            if len(self._indexed) > _INDEXES_KEPT:
                self._indexed.popleft().forget_index()
        return segment

    def _check_offset(self, view: View, offset: int) -> None:
        if not view.start <= offset <= view.end:
            raise OffsetOutOfRange(*self.name, offset, view.start, view.end)

    # Opening

    def recover(self) -> None:
        """Bring the files to the committed state: cut tails, remove what no commit names."""
        if not self.view.rows:
            self.clear()
            return
        for row in self.view.rows:
            self.segments[row.base].recover(row, active=row is self.view.rows[-1])
        named = {(row.base, row.version) for row in self.view.rows}
        self._remove_others(named)

    def clear(self) -> None:
        """Remove every segment file there may be."""
        if self.files.exists(self.directory):
            self._remove_others(set())

    def _remove_others(self, named: set[tuple[int, int]]) -> None:
        for name in self.files.list(self.directory):
            found = parse_name(name)
            if found is not None and found not in named:
                self.files.unlink(os.path.join(self.directory, name))

    # Committing

    def draft(self, policy: Policy, now_ms: int) -> Draft:
        """An empty draft on top of what is committed."""
        return Draft(self, policy, now_ms)

    def publish(self, draft: Draft) -> None:
        """Show readers what was committed."""
        for piece in draft.pieces:
            if piece.new:
                segment = self.segments[piece.row.base] = self._segment(piece.row)
                segment.start_index()
        rows = {row.base: row for row in self.view.rows} | {
            piece.row.base: piece.row for piece in draft.pieces
        }
        self.view = View(self.view.start, draft.end, tuple(rows.values()))
        for piece in draft.pieces:
            closed = piece is not draft.pieces[-1]
            self.segments[piece.row.base].note(piece.row, piece.marks, closed=closed)

    def replace(self, view: View) -> list[Segment]:
        """Show readers other segments; returns those that no longer count, to be removed."""
        kept = {(row.base, row.version) for row in view.rows}
        gone = [s for s in self.segments.values() if (s.base, s.version) not in kept]
        known = {(s.base, s.version): s for s in self.segments.values()}
        self.segments = {
            row.base: known.get((row.base, row.version)) or self._segment(row) for row in view.rows
        }
        self.view = view
        return gone


@dataclass(slots=True)
class Piece:
    """What one commit adds to one segment."""

    row: SegmentRow
    new: bool
    position: int
    parts: list[bytes | memoryview] = field(default_factory=list)
    marks: list[tuple[int, int, int]] = field(default_factory=list)


class Draft:
    """What one commit adds to one partition. Nothing of it counts before the commit."""

    def __init__(self, partition: Partition, policy: Policy, now_ms: int) -> None:
        self.partition = partition
        self.end = partition.view.end
        self.pieces: list[Piece] = []
        self._policy = policy
        self._now_ms = now_ms
        if partition.view.rows:
            active = partition.view.rows[-1]
            self.pieces.append(Piece(active, False, active.size))

    @property
    def range(self) -> Range:
        """The partition's offsets after the commit."""
        return Range(self.partition.view.start, self.end)

    def append(self, batch: bytes, header: Header) -> int:
        """Add a batch; returns the offset of its first record."""
        if not self.pieces or self._is_full(self.pieces[-1].row, len(batch), header):
            self._roll()
        piece = self.pieces[-1]
        row, base = piece.row, self.end
        self.end = base + header.records
        newest = max(row.max_timestamp, header.max_timestamp)
        piece.parts += records.with_offset(batch, base)
        piece.marks.append((self.end - 1, row.size, newest))
        piece.row = row._replace(
            end=self.end,
            size=row.size + len(batch),
            appended_ms=self._now_ms,
            max_timestamp=newest,
        )
        return base

    def _is_full(self, row: SegmentRow, more: int, header: Header) -> bool:
        return (
            row.size + more > min(self._policy.segment_bytes, _RELATIVE_OFFSETS)
            or self._now_ms - row.created_ms >= self._policy.segment_ms
            or self.end + header.records - row.base > _RELATIVE_OFFSETS
        )

    def _roll(self) -> None:
        now = self._now_ms
        row = SegmentRow(self.end, 0, self.end, 0, now, now, -1)
        self.pieces.append(Piece(row, True, 0))

    def path(self, piece: Piece) -> str:
        """The segment file of a piece."""
        segment = Segment(
            self.partition.files, self.partition.directory, piece.row.base, piece.row.version
        )
        return segment.path

    def write(self, handles: OpenFiles) -> None:
        """Write and sync the files, then the directory if it has new names."""
        files = self.partition.files
        written = [piece for piece in self.pieces if piece.parts]
        if any(piece.new for piece in written):
            self._make_directory()
        for piece in written:
            handle = handles.get(self.path(piece), create=piece.new)
            write_all(files, handle, b"".join(piece.parts), piece.position)
        for piece in written:
            files.fdatasync(handles.get(self.path(piece)))
        if any(piece.new for piece in written):
            files.fsync_dir(self.partition.directory)

    def _make_directory(self) -> None:
        partition, files = self.partition, self.partition.files
        if partition.directory_durable:
            return
        if not files.exists(partition.directory):
            files.mkdir(partition.directory)
        files.fsync_dir(os.path.dirname(partition.directory))
        partition.directory_durable = True
