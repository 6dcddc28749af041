"""A disk that may lose power: what the process sees and what is durable are two things.

``SimFiles`` is a ``log_core.files.Files``. Writes count as durable only once synced; at a power
loss any subset of the others survives, torn at 512-byte sectors or as a length without bytes.
Names survive only up to a random point of the directory's unsynced changes. A failed sync drops the
dirty data, as Linux does: the next sync "succeeds". ``SimMetadata`` commits atomically and
durably, or dies before or after it.
"""

from __future__ import annotations

import copy
import errno
import os
import random
from dataclasses import dataclass, field

from log_core.metadata import Change, State

SECTOR = 512
ROOT = "/disk"


class PowerLoss(BaseException):
    """The machine is off: nothing may catch this."""


@dataclass
class Disk:
    """What survives, and the chances of what goes wrong."""

    random: random.Random
    contents: dict[int, bytearray] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=lambda: {ROOT: 0})  # 0: a directory
    state: State = field(default_factory=State)
    inodes: int = 0
    calls_left: int | None = None  # until the power fails
    at_work: bool = False  # whether they count work, else recovery
    sync_fails: float = 0.0
    commit_fails: float = 0.0

    def tick(self) -> None:
        if self.calls_left is not None:
            self.calls_left -= 1
            if self.calls_left < 0:
                raise PowerLoss


class SimFiles:
    """The file calls of one life of the machine."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.cache = {inode: bytearray(data) for inode, data in disk.contents.items()}
        self.tree = dict(disk.names)
        self.dirty: list[tuple[int, int | None, bytes | int]] = []
        self.renamed: list[tuple[str, int | None]] = []  # path -> inode, None: removed
        self.handles: dict[int, int] = {}

    def open(self, path: str, *, create: bool = False) -> int:
        if create:
            self.disk.tick()
            if path in self.tree:
                raise FileExistsError(errno.EEXIST, "exists", path)
            self.disk.inodes += 1
            inode = self.disk.inodes
            self.cache[inode] = bytearray()
            self.disk.contents[inode] = bytearray()
            self._name(path, inode)
        if path not in self.tree:
            raise FileNotFoundError(errno.ENOENT, "missing", path)
        handle = len(self.handles) + 1
        self.handles[handle] = self.tree[path]
        return handle

    def close(self, handle: int) -> None:
        assert handle in self.handles

    def size(self, handle: int) -> int:
        return len(self.cache[self.handles[handle]])

    def pread(self, handle: int, size: int, position: int) -> bytes:
        return bytes(self.cache[self.handles[handle]][position : position + size])

    def pwrite(self, handle: int, parts: list[bytes], position: int) -> int:
        self.disk.tick()
        data = b"".join(parts)
        if len(data) > 1 and self.disk.random.random() < 0.05:
            data = data[: self.disk.random.randrange(1, len(data))]  # a short write
        inode = self.handles[handle]
        _put(self.cache[inode], position, data)
        self.dirty.append((inode, position, data))
        return len(data)

    def truncate(self, handle: int, size: int) -> None:
        self.disk.tick()
        inode = self.handles[handle]
        del self.cache[inode][size:]
        self.dirty.append((inode, None, size))

    def fdatasync(self, handle: int) -> None:
        self.disk.tick()
        inode = self.handles[handle]
        mine = [write for write in self.dirty if write[0] == inode]
        self.dirty = [write for write in self.dirty if write[0] != inode]
        if self.disk.random.random() < self.disk.sync_fails:
            raise OSError(errno.EIO, "sync failed")
        for write in mine:
            self._make_durable(write)

    def fsync_dir(self, path: str) -> None:
        self.disk.tick()
        if path not in self.tree:
            raise FileNotFoundError(errno.ENOENT, "missing", path)
        for name, inode in self.renamed:
            if os.path.dirname(name) == path:
                self._make_name_durable(name, inode)
        self.renamed = [c for c in self.renamed if os.path.dirname(c[0]) != path]

    def mkdir(self, path: str) -> None:
        self.disk.tick()
        assert path not in self.tree
        self._name(path, 0)

    def rmdir(self, path: str) -> None:
        self.disk.tick()
        assert not self.list(path)
        self._name(path, None)

    def unlink(self, path: str) -> None:
        self.disk.tick()
        self._name(path, None)

    def list(self, path: str) -> list[str]:
        return [os.path.basename(name) for name in self.tree if os.path.dirname(name) == path]

    def exists(self, path: str) -> bool:
        return path in self.tree or path == os.path.dirname(ROOT)

    def lock(self, path: str) -> int | None:
        if path not in self.tree:
            self.tree[path] = self.disk.inodes = self.disk.inodes + 1
            self.cache[self.tree[path]] = bytearray()
        return self.open(path)

    def lose_power(self) -> None:
        """Leave on the disk one legal image of what it may hold."""
        chance = self.disk.random
        for write in self.dirty:
            self._survive(write)
        for directory in sorted({os.path.dirname(name) for name, _ in self.renamed}):
            changes = [c for c in self.renamed if os.path.dirname(c[0]) == directory]
            for name, inode in changes[: chance.randint(0, len(changes))]:
                self._make_name_durable(name, inode)
        names = self.disk.names
        for name in sorted(names):  # what lies in a lost directory is lost
            if os.path.dirname(name) not in names and name != ROOT:
                del names[name]

    def _survive(self, write: tuple[int, int | None, bytes | int]) -> None:
        inode, position, data = write
        chance = self.disk.random
        fate = chance.random()
        disk = self.disk.contents[inode]
        if position is None or fate < 0.3:
            if fate < 0.5 and position is None:
                self._make_durable(write)
            return
        assert isinstance(data, bytes)
        if fate < 0.6:
            self._make_durable(write)
        elif fate < 0.7:  # the length grew, the bytes did not arrive
            _put(disk, max(len(disk), position + len(data)), b"")
        else:
            at = 0
            while at < len(data):
                step = min(SECTOR - (position + at) % SECTOR, len(data) - at)
                if chance.random() < 0.5:
                    _put(disk, position + at, data[at : at + step])
                at += step

    def _name(self, path: str, inode: int | None) -> None:
        if inode is None:
            del self.tree[path]
        else:
            self.tree[path] = inode
        self.renamed.append((path, inode))

    def _make_durable(self, write: tuple[int, int | None, bytes | int]) -> None:
        inode, position, data = write
        if position is None:
            assert isinstance(data, int)
            del self.disk.contents[inode][data:]
        else:
            assert isinstance(data, bytes)
            _put(self.disk.contents[inode], position, data)

    def _make_name_durable(self, name: str, inode: int | None) -> None:
        if inode is None:
            self.disk.names.pop(name, None)
        else:
            self.disk.names[name] = inode


class SimMetadata:
    """The commit point, durable by construction."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    def load(self) -> State:
        return copy.deepcopy(self.disk.state)

    def commit(self, change: Change) -> None:
        self.disk.tick()
        fails = self.disk.random.random() < self.disk.commit_fails
        if fails and self.disk.random.random() < 0.5:
            raise OSError(errno.EIO, "commit failed before it was made")
        self.disk.state.apply(copy.deepcopy(change))
        if fails:
            raise OSError(errno.EIO, "commit was made, but failed to say so")
        self.disk.tick()

    def close(self) -> None:
        pass


def _put(content: bytearray, position: int, data: bytes) -> None:
    if len(content) < position:
        content.extend(bytes(position - len(content)))
    content[position : position + len(data)] = data
