"""Appending: everything that waits becomes one commit.

There is no thread of its own: one of the callers leads and commits for all that wait; what comes
meanwhile waits for the next. An append that may not be is refused alone.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from log_core import records
from log_core.errors import Fenced, InvalidBatch, LogError, LogFull
from log_core.files import FULL
from log_core.metadata import Change, TopicPartition
from log_core.partition import Draft
from log_core.records import Header
from log_core.store import Store

Group: TypeAlias = "tuple[str, Mapping[TopicPartition, int]]"


class Append(NamedTuple):
    """One RecordBatch v2 for a partition; its base offset is ignored."""

    topic: str
    partition: int
    batch: bytes


@dataclass(slots=True)
class Totals:
    """What was appended since the log was opened."""

    commits: int = 0
    records: int = 0
    bytes: int = 0


SYNC_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


@dataclass(slots=True)
class Syncs:
    """How long the commits' syncs of segment files took since the log was opened: seconds in all,
    and how many ended within each of ``bounds``, one more entry for those above."""

    seconds: float = 0.0
    bounds: tuple[float, ...] = SYNC_BOUNDS
    counts: list[int] = field(default_factory=lambda: [0] * (len(SYNC_BOUNDS) + 1))

    def add(self, seconds: float) -> None:
        """Count one."""
        self.seconds += seconds
        self.counts[bisect_left(self.bounds, seconds)] += 1


@dataclass(slots=True)
class _Request:
    appends: Sequence[Append]
    headers: Sequence[Header]
    writer: tuple[str, int] | None
    group: Group | None
    offsets: list[int] = field(default_factory=list)
    error: BaseException | None = None
    done: bool = False


class Appender:
    """The one place where records get into the log."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._turn = threading.Condition()
        self._leading = False
        self._waiting: deque[_Request] = deque()
        self.totals: dict[str, Totals] = {}
        self.syncs = Syncs()

    def append(
        self, appends: Sequence[Append], writer: tuple[str, int] | None, group: Group | None
    ) -> list[int]:
        """See ``Log.append``."""
        headers = [_check_batch(append) for append in appends]
        request = _Request(appends, headers, writer, group)
        with self._turn:
            self._waiting.append(request)
            self._turn.wait_for(lambda: request.done or not self._leading)
            leads = not request.done
            self._leading = self._leading or leads
        if leads:
            self._lead()
        if request.error is not None:
            raise request.error
        return request.offsets

    def _lead(self) -> None:
        try:
            with self._store.committing:
                self._commit_waiting()
        finally:
            with self._turn:
                self._leading = False
                self._turn.notify_all()

    def _commit_waiting(self) -> None:
        requests = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            self._store.check_open()
            drafts: dict[TopicPartition, Draft] = {}
            change = Change()
            admitted = [r for r in requests if self._admit(r, drafts, change)]
            if drafts or change.groups:
                self._commit(drafts, change)
            self._count(admitted)
        except LogError as error:
            _refuse(requests, error)
        except BaseException as error:  # who knows how far it came
            _refuse(requests, self._store.fail(error))
            if not isinstance(error, Exception):
                raise
        finally:
            for request in requests:
                request.done = True

    def _admit(
        self, request: _Request, drafts: dict[TopicPartition, Draft], change: Change
    ) -> bool:
        """Take a request into this commit, or refuse it alone."""
        try:
            self._check_request(request)
        except LogError as error:
            request.error = error
            return False
        store, now_ms = self._store, int(self._clock() * 1000)
        for append, header in zip(request.appends, request.headers, strict=True):
            key = (append.topic, append.partition)
            if key not in drafts:
                drafts[key] = store.partitions[key].draft(store.policies[append.topic], now_ms)
            request.offsets.append(drafts[key].append(append.batch, header))
        if request.group is not None:
            group, positions = request.group
            change.groups.update({(group, *key): offset for key, offset in positions.items()})
        return True

    def _check_request(self, request: _Request) -> None:
        if request.writer is not None:
            name, epoch = request.writer
            newest = self._store.state.writers.get(name)
            if newest != epoch:
                raise Fenced(f"writer {name} of epoch {epoch} is fenced: the newest is {newest}")
        for append in request.appends:
            self._store.find(append.topic, append.partition)
        if request.group is not None:
            for (topic, partition), offset in request.group[1].items():
                self._store.find(topic, partition)
                if offset < 0:
                    raise LogError(f"group {request.group[0]}: offset {offset} of {topic}")

    def _commit(self, drafts: Mapping[TopicPartition, Draft], change: Change) -> None:
        store = self._store
        self._write(drafts.values())
        for key, draft in drafts.items():
            change.ranges[key] = draft.range
            change.segments.update({(*key, row.base): row for row in draft.rows})
        try:
            store.commit(change)
        except LogFull:
            for draft in drafts.values():
                draft.undo(store.handles)
            raise
        try:
            for draft in drafts.values():
                draft.partition.publish(draft)
            store.handles.trim()
        except Exception as error:  # it was committed: nobody may be told that it was refused
            raise store.fail(error) from error
        if drafts:
            store.wake()

    def _write(self, drafts: Collection[Draft]) -> None:
        """Bytes first: written and synced before the commit names them."""
        handles = self._store.handles
        try:
            for draft in drafts:
                draft.write(handles)
        except OSError as error:
            if error.errno not in FULL:
                raise self._store.fail(error) from error
            for draft in drafts:
                draft.undo(handles)
            raise LogFull(f"the disk is full: {error}") from error
        started = time.perf_counter()
        try:
            for draft in drafts:
                draft.sync(handles)
            self.syncs.add(time.perf_counter() - started)
        except OSError as error:  # what a failed sync left on disk is unknown: never try again
            raise self._store.fail(error) from error

    def _count(self, requests: Sequence[_Request]) -> None:
        for request in requests:
            for append, header in zip(request.appends, request.headers, strict=True):
                totals = self.totals.setdefault(append.topic, Totals())
                totals.commits += 1
                totals.records += header.records
                totals.bytes += len(append.batch)


def _refuse(requests: Sequence[_Request], error: LogError) -> None:
    for request in requests:
        request.error = request.error or error


def _check_batch(append: Append) -> Header:
    try:
        header = records.check(append.batch)
        if header.size != len(append.batch):
            raise InvalidBatch(f"{len(append.batch) - header.size} bytes follow the batch")
        if not header.records or header.records != header.last_offset_delta + 1:
            raise InvalidBatch(
                f"{header.records} records with last offset delta {header.last_offset_delta}"
            )
        if header.attributes & (records.TRANSACTIONAL | records.CONTROL):
            raise InvalidBatch("transactional batches are not supported")
    except InvalidBatch as error:
        raise InvalidBatch(f"batch for {append.topic}-{append.partition}: {error}") from None
    return header
