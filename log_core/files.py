"""The one place that opens files: every byte on disk passes through a ``Files``.

Tests give the log another ``Files`` that forgets, tears or fails; nothing else in ``log_core`` may
call ``open``. SQLite alone keeps its own file access (see ``metadata.py``).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeAlias

Bytes: TypeAlias = "bytes | memoryview"
_PARTS = 512  # below IOV_MAX everywhere

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Error numbers that say the disk has no room."""


class Files(Protocol):
    """File calls as the operating system offers them; every method may raise OSError."""

    def open(self, path: str, *, create: bool = False) -> int:
        """A handle on the file; ``create``: it must not exist yet. Mode 0600."""

    def close(self, handle: int) -> None:
        """Give the handle back."""

    def size(self, handle: int) -> int:
        """Length in bytes."""

    def pread(self, handle: int, size: int, position: int) -> bytes:
        """At most ``size`` bytes; fewer only at the end of the file."""

    def pwrite(self, handle: int, parts: Sequence[Bytes], position: int) -> int:
        """Write some of the parts' bytes, one part after the other; returns how many bytes."""

    def truncate(self, handle: int, size: int) -> None:
        """Cut the file."""

    def fdatasync(self, handle: int) -> None:
        """Make the file's bytes and length durable."""

    def fsync_dir(self, path: str) -> None:
        """Make the directory's names durable."""

    def mkdir(self, path: str) -> None:
        """Make a directory, mode 0700."""

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""

    def unlink(self, path: str) -> None:
        """Remove a file."""

    def list(self, path: str) -> Sequence[str]:
        """Names in a directory, in no order."""

    def exists(self, path: str) -> bool:
        """Whether there is a file or directory of that name."""

    def lock(self, path: str) -> int | None:
        """Take the file for this process alone; None: another process holds it."""


class OsFiles:
    """The operating system's files."""

    def open(self, path: str, *, create: bool = False) -> int:
        """Open for reading and writing."""
        if not create:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_CREAT | os.O_EXCL, 0o600)
        os.fchmod(handle, 0o600)  # whatever the umask
        return handle

    def close(self, handle: int) -> None:
        """Close the descriptor."""
        os.close(handle)

    def size(self, handle: int) -> int:
        """Length by fstat."""
        return os.fstat(handle).st_size

    def pread(self, handle: int, size: int, position: int) -> bytes:
        """Read until ``size`` bytes or the end."""
        data = os.pread(handle, size, position)
        while len(data) < size and (
            more := os.pread(handle, size - len(data), position + len(data))
        ):
            data += more
        return data

    def pwrite(self, handle: int, parts: Sequence[Bytes], position: int) -> int:
        """One pwritev call."""
        return os.pwritev(handle, parts[:_PARTS], position)

    def truncate(self, handle: int, size: int) -> None:
        """One ftruncate call."""
        os.ftruncate(handle, size)

    def fdatasync(self, handle: int) -> None:
        """Sync the data; on macOS through the drive's cache too."""
        if sys.platform == "darwin":
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(handle)

    def fsync_dir(self, path: str) -> None:
        """Sync a directory."""
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def mkdir(self, path: str) -> None:
        """Make one directory."""
        os.mkdir(path, 0o700)
        os.chmod(path, 0o700)  # whatever the umask

    def rmdir(self, path: str) -> None:
        """Remove one directory."""
        os.rmdir(path)

    def unlink(self, path: str) -> None:
        """Remove one name."""
        os.unlink(path)

    def list(self, path: str) -> Sequence[str]:
        """All names."""
        return os.listdir(path)

    def exists(self, path: str) -> bool:
        """By lstat."""
        return os.path.lexists(path)

    def lock(self, path: str) -> int | None:
        """An flock: the kernel drops it with the process, however that dies."""
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_CREAT, 0o600)
        try:
            os.fchmod(handle, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except BaseException:
            os.close(handle)
            raise
        os.ftruncate(handle, 0)
        os.pwrite(handle, b"%d\n" % os.getpid(), 0)  # for people; the lock is what counts
        return handle


def make_directory(files: Files, path: str) -> None:
    """Make the directory and its missing parents, durably."""
    parent = os.path.dirname(path)
    if not files.exists(parent):
        make_directory(files, parent)
    files.mkdir(path)
    files.fsync_dir(parent)


@contextlib.contextmanager
def opened(files: Files, path: str, *, create: bool = False) -> Iterator[int]:
    """A handle for the time of a ``with`` block."""
    handle = files.open(path, create=create)
    try:
        yield handle
    finally:
        files.close(handle)


def write_all(files: Files, handle: int, parts: Sequence[Bytes], position: int) -> None:
    """Write every byte, however short the single writes are."""
    rest = list(parts)
    while rest:
        written = files.pwrite(handle, rest, position)
        if written <= 0:
            raise OSError(errno.EIO, "a write made no progress")
        position += written
        done = 0
        while done < len(rest) and len(rest[done]) <= written:
            written -= len(rest[done])
            done += 1
        del rest[:done]
        if written:
            rest[0] = memoryview(rest[0])[written:]


class OpenFiles:
    """Handles kept open between commits, the least recently used closed first.

    Only synced files may be closed, so ``trim`` is called between commits.
    """

    def __init__(self, files: Files, limit: int = 256) -> None:
        self._files = files
        self._limit = limit
        self._handles: OrderedDict[str, int] = OrderedDict()

    def get(self, path: str, *, create: bool = False) -> int:
        """The handle of the file, opened if it is not."""
        handle = self._handles.get(path)
        if handle is None:
            handle = self._handles[path] = self._files.open(path, create=create)
        else:
            self._handles.move_to_end(path)
        return handle

    def drop(self, path: str) -> None:
        """Close the file if it is open."""
        handle = self._handles.pop(path, None)
        if handle is not None:
            self._files.close(handle)

    def trim(self) -> None:
        """Close what is beyond the limit."""
        while len(self._handles) > self._limit:
            self._files.close(self._handles.popitem(last=False)[1])

    def close(self) -> None:
        """Close all."""
        while self._handles:
            self._files.close(self._handles.popitem()[1])
