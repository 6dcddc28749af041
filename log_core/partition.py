"""One partition: its committed view for readers, its draft of the next commit for the log.

Readers take ``view``, one immutable value, and need no lock. The log alone drafts, writes and
publishes, one commit after another.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from log_core import records
from log_core.errors import CorruptLog, LogUnreadable, OffsetOutOfRange, UnknownTopic
from log_core.files import Files, OpenFiles, write_all
from log_core.metadata import Range, SegmentRow
from log_core.names import parse_segment, segment_stem
from log_core.records import Header
from log_core.segment import Segment
from log_core.topics import Policy

_RELATIVE_OFFSETS = (1 << 31) - 1  # an index holds i32 offsets and positions
_INDEXES_KEPT = 8

_T = TypeVar("_T")


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
        self.deleted = False
        self.directory_durable = bool(rows)  # no commit named a segment before its names were
        self._indexed: deque[Segment] = deque()

    def _segment(self, row: SegmentRow) -> Segment:
        return Segment(self.files, self.directory, row.base, row.version)

    # Reading

    def fetch(self, offset: int, max_bytes: int) -> bytes:
        """Whole committed batches of one segment; see ``Log.fetch``."""

        def read(view: View) -> bytes:
            if not view.start <= offset <= view.end:
                raise OffsetOutOfRange(*self.name, offset, view.start, view.end)
            for row in view.rows[view.row_at(offset) :]:
                data = self.segment(row, view).read(row, offset, max_bytes)
                if data:
                    return data
            return b""

        return self._read(read)

    def offset_at(self, timestamp: int) -> int:
        """Offset of the first record that is not older than ``timestamp``; the end if all are."""

        def read(view: View) -> int:
            for row in view.rows:
                if row.max_timestamp >= timestamp:
                    found = self.segment(row, view).offset_at(row, timestamp)
                    if found is not None:
                        return found
            return view.end

        return self._read(read)

    def _read(self, read: Callable[[View], _T]) -> _T:
        """Read from the view, and again from the next one if files were removed meanwhile."""
        while True:
            view = self.view
            try:
                return read(view)
            except FileNotFoundError as error:
                if self.deleted:
                    raise UnknownTopic(f"topic {self.name[0]} was deleted") from None
                if self.view is view:
                    raise CorruptLog(error.filename, 0, "the segment is missing") from None
            except OSError as error:
                name, number = self.name
                raise LogUnreadable(f"can't read {name}-{number}: {error}") from error

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
            found = parse_segment(name)
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
        untouched = self.view.rows[:-1]  # the last is the draft's first piece
        rows = (*untouched, *(piece.row for piece in draft.pieces))
        self.view = View(self.view.start, draft.end, rows)
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

    @property
    def rows(self) -> list[SegmentRow]:
        """The segments as they are after the commit, those it touches."""
        return [piece.row for piece in self._written]

    @property
    def _written(self) -> list[Piece]:
        return [piece for piece in self.pieces if piece.parts]

    def _path(self, piece: Piece) -> str:
        row = piece.row
        return os.path.join(self.partition.directory, segment_stem(row.base, row.version) + ".log")

    def write(self, handles: OpenFiles) -> None:
        """Put the bytes into the files."""
        files, directory = self.partition.files, self.partition.directory
        if not self.partition.directory_durable and not files.exists(directory):
            files.mkdir(directory)
        for piece in self._written:
            handle = handles.get(self._path(piece), create=piece.new)
            write_all(files, handle, piece.parts, piece.position)

    def sync(self, handles: OpenFiles) -> None:
        """Make bytes and names durable."""
        partition, files = self.partition, self.partition.files
        for piece in self._written:
            files.fdatasync(handles.get(self._path(piece)))
        if any(piece.new for piece in self._written):
            files.fsync_dir(partition.directory)
        if not partition.directory_durable:
            files.fsync_dir(os.path.dirname(partition.directory))
            partition.directory_durable = True

    def undo(self, handles: OpenFiles) -> None:
        """Give back the room of a draft that did not fit on the disk."""
        files = self.partition.files
        for piece in self._written:
            path = self._path(piece)
            if not piece.new:
                files.truncate(handles.get(path), piece.position)
            elif files.exists(path):
                handles.drop(path)
                files.unlink(path)
