"""One segment: a ``.log`` file of RecordBatches and its indexes.

A segment does not know its own length: what is committed of it comes with each call as its
``SegmentRow``. Bytes beyond ``row.size`` are never looked at.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator

from log_core import index as indexes
from log_core import records
from log_core.errors import CorruptLog, InvalidBatch
from log_core.files import Files, opened, write_all
from log_core.index import Index, Place
from log_core.metadata import SegmentRow
from log_core.names import segment_stem
from log_core.records import HEADER_BYTES, Header

logger = logging.getLogger(__name__)

_SCAN_BYTES = 1 << 20
_SAVE_ENTRIES = 64


class Segment:
    """The files of one segment; any thread may read."""

    def __init__(self, files: Files, directory: str, base: int, version: int) -> None:
        self._files = files
        self._stem = os.path.join(directory, segment_stem(base, version))
        self.path = self._stem + ".log"
        self.base = base
        self.version = version
        self._index: Index | None = None
        self._saving = threading.Lock()

    # Reading

    def read(self, row: SegmentRow, offset: int, max_bytes: int) -> bytes:
        """Whole batches from the one that holds ``offset`` (or the next after it) on; at least
        one, b"" if there is none so late. Raises CorruptLog."""
        with opened(self._files, self.path) as handle:
            found = self._find(handle, row, offset)
            if found is None:
                return b""
            position, header = found
            length = min(max(max_bytes, header.size), row.size - position)
            data = self._files.pread(handle, length, position)
        end = 0
        while end < len(data):
            size = self._sound(data, end, position + end, row)
            if size is None or (end and end + size > max_bytes):
                break
            end += size
        if not end:
            raise CorruptLog(self.path, position, "the file ends inside a batch")
        return data[:end]

    def offset_at(self, row: SegmentRow, timestamp: int) -> int | None:
        """Offset of the first record that is not older; None if all are."""
        with opened(self._files, self.path) as handle:
            start = self._start(handle, row, self.index(row).locate_time(timestamp))
        for position, header, data in self.scan(row, start):
            if header.max_timestamp >= timestamp:
                decoded = self._decode(data, position)
                for at, offset in zip(decoded.timestamps, decoded.offsets, strict=True):
                    if at >= timestamp:
                        return offset
        return None

    def scan(self, row: SegmentRow, start: int = 0) -> Iterator[tuple[int, Header, bytes]]:
        """Position, header and bytes of every committed batch from byte ``start`` on, checked.

        Raises CorruptLog at the first that is damaged.
        """
        position, chunk, chunk_at = start, b"", start
        with opened(self._files, self.path) as handle:
            while position < row.size:
                at = position - chunk_at
                size = self._sound(chunk, at, position, row)
                if size is None:
                    wanted = max(_SCAN_BYTES, self._header(handle, position, row).size)
                    chunk = self._files.pread(handle, min(wanted, row.size - position), position)
                    chunk_at, at = position, 0
                    size = self._sound(chunk, 0, position, row)
                    if size is None:
                        raise CorruptLog(self.path, position, "the file ends inside a batch")
                data = chunk[at : at + size]
                yield position, records.read_header(data), data
                position += size

    def _find(self, handle: int, row: SegmentRow, offset: int) -> tuple[int, Header] | None:
        position = self._start(handle, row, self.index(row).locate(offset))
        while position < row.size:
            header = self._header(handle, position, row)
            if header.last_offset >= offset:
                return position, header
            position += header.size
        return None

    def _sound(self, data: bytes, at: int, position: int, row: SegmentRow) -> int | None:
        """Size of the batch at ``data[at:]`` after checking it; None if ``data`` cuts it."""
        if len(data) - at < HEADER_BYTES:
            return None
        header = records.read_header(data, at)
        self._plausible(header, position, row)
        if at + header.size > len(data):
            return None
        try:
            records.check(data, at)
        except InvalidBatch as error:
            raise CorruptLog(self.path, position, str(error)) from error
        return header.size

    def _header(self, handle: int, position: int, row: SegmentRow) -> Header:
        data = self._files.pread(handle, HEADER_BYTES, position)
        if len(data) < HEADER_BYTES or position + HEADER_BYTES > row.size:
            raise CorruptLog(self.path, position, "the file ends inside a batch's header")
        header = records.read_header(data)
        self._plausible(header, position, row)
        return header

    def _plausible(self, header: Header, position: int, row: SegmentRow) -> None:
        if header.magic != 2 or not HEADER_BYTES <= header.size <= row.size - position:
            raise CorruptLog(self.path, position, "there is no batch header")
        if not row.base <= header.base_offset <= header.last_offset < row.end:
            offsets = f"{header.base_offset}..{header.last_offset}"
            raise CorruptLog(self.path, position, f"offsets {offsets} do not belong here")

    def _decode(self, data: bytes, position: int) -> records.Decoded:
        try:
            return records.decode(data)[0]
        except InvalidBatch as error:
            raise CorruptLog(self.path, position, str(error)) from error

    # Opening and removing

    def recover(self, row: SegmentRow, *, active: bool) -> None:
        """Cut the file to its committed size; of the active segment check the last batches too.

        Raises CorruptLog if committed bytes are missing or damaged.
        """
        try:
            handle = self._files.open(self.path)
        except FileNotFoundError:
            raise CorruptLog(self.path, 0, "the segment is missing") from None
        try:
            size = self._files.size(handle)
            if size < row.size:
                raise CorruptLog(self.path, size, f"the file ends; {row.size} bytes were committed")
            if size > row.size:
                self._files.truncate(handle, row.size)
        finally:
            self._files.close(handle)
        if active:
            self.index(row)

    def remove(self) -> None:
        """Unlink the files that are there."""
        for path in (self.path, *self._index_paths()):
            if self._files.exists(path):
                self._files.unlink(path)

    # The index

    def index(self, row: SegmentRow) -> Index:
        """The index, read from its files and brought up to the committed end."""
        index = self._index
        if index is None:
            index = self._load_index(row) or Index(self.base)
            self._extend(row, index)
            if not index.saved:
                self.save_index(index)
            self._index = index
        return index

    def forget_index(self) -> None:
        """Free its memory; it can be loaded again."""
        self._index = None

    def start_index(self) -> None:
        """A new segment's index is empty."""
        self._index = Index(self.base)

    def note(self, row: SegmentRow, marks: list[tuple[int, int, int]], *, closed: bool) -> None:
        """Index freshly committed batches: (last offset, position, greatest timestamp so far)."""
        index = self.index(row)
        for mark in marks:
            index.add(*mark)
        if len(index) - index.saved >= _SAVE_ENTRIES or closed:
            self.save_index(index)

    def save_index(self, index: Index) -> None:
        """Write new entries; a failure costs time at a later start, nothing else."""
        with self._saving:
            try:
                for path, data, at in zip(
                    self._index_paths(), index.encode(index.saved), index.saved_bytes, strict=True
                ):
                    self._write_index(path, data, at)
            except OSError as error:
                logger.warning("index of %s not written: %s", self.path, error)
            else:
                index.saved = len(index)

    def _write_index(self, path: str, data: bytes, at: int) -> None:
        create = not self._files.exists(path)
        with opened(self._files, path, create=create) as handle:
            if not create and self._files.size(handle) > at:
                self._files.truncate(handle, at)
            if data:
                write_all(self._files, handle, [data], at)

    def _index_paths(self) -> tuple[str, str]:
        return self._stem + ".index", self._stem + ".timeindex"

    def _load_index(self, row: SegmentRow) -> Index | None:
        parts = []
        try:
            for path in self._index_paths():
                with opened(self._files, path) as handle:
                    parts.append(self._files.pread(handle, self._files.size(handle), 0))
        except OSError:
            return None
        index = indexes.decode(self.base, *parts)
        if index is not None:
            index.cut(row.size)
        return index

    def _extend(self, row: SegmentRow, index: Index) -> None:
        """Read on from the index's last entry to the committed end."""
        with opened(self._files, self.path) as handle:
            start = self._start(handle, row, index.locate(row.end))
        if not start:
            index.cut(0)
        newest = index.times[-1] if len(index) else -(1 << 63)
        end = row.base
        for position, header, _ in self.scan(row, start):
            newest = max(newest, header.max_timestamp)
            index.add(header.last_offset, position, newest)
            end = header.next_offset
        if end != row.end and not row.version:  # compaction may remove the last batch
            raise CorruptLog(self.path, row.size, f"it ends at offset {end}, not {row.end}")

    def _start(self, handle: int, row: SegmentRow, place: Place) -> int:
        """The position an index names, if the batch there is the one it means; else 0."""
        if place.last_offset is None:
            return 0
        try:
            header = self._header(handle, place.position, row)
            if header.last_offset == place.last_offset and header.max_timestamp <= place.newest:
                return place.position
        except CorruptLog:
            pass  # of the index or of the segment: reading from its start tells
        logger.warning("index of %s is wrong: making it anew", self.path)
        self._index = None
        for path in self._index_paths():
            if self._files.exists(path):
                self._files.unlink(path)
        return 0
