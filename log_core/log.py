"""The log: topics of partitions in one directory, owned by one process.

``append`` is the heart: partition files are written and synced first, then one transaction of the
metadata moves the end of every touched partition. That transaction is the commit; whatever the
files hold beyond it never happened.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

from log_core import records
from log_core.errors import (
    Fenced,
    InvalidBatch,
    LogClosed,
    LogError,
    LogFailed,
    LogLocked,
    TopicExists,
    UnknownTopic,
)
from log_core.files import Files, OpenFiles, OsFiles
from log_core.metadata import Change, Metadata, Range, SegmentRow, SqliteMetadata, TopicPartition
from log_core.partition import Draft, Partition
from log_core.records import Header
from log_core.topics import Policy, Topic, check_topic, parse_policy

Group: TypeAlias = "tuple[str, Mapping[TopicPartition, int]]"
_NO_RANGE = Range(0, 0)


class Append(NamedTuple):
    """One RecordBatch v2 for a partition; its base offset is ignored."""

    topic: str
    partition: int
    batch: bytes


@dataclass(slots=True)
class _Request:
    appends: Sequence[Append]
    headers: Sequence[Header]
    writer: tuple[str, int] | None
    group: Group | None
    offsets: list[int] = field(default_factory=list)
    error: BaseException | None = None
    done: bool = False


class Log:
    """A partitioned log of committed record batches. Every method may be called by any thread.

    Args:
        path: the directory; made if missing. One process at a time may own it.
        files: file access, for tests.
        metadata: what keeps the truth, given the directory and ``files``; for tests.
        clock: seconds since 1970.
        segment_bytes: size at which segments are closed, where the topic does not say.

    Raises LogLocked if another process owns the directory, CorruptLog if its files contradict what
    was committed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        files: Files | None = None,
        metadata: Callable[[str, Files], Metadata] = SqliteMetadata,
        clock: Callable[[], float] = time.time,
        segment_bytes: int = 128 << 20,
    ) -> None:
        self.path = Path(path)
        self._files: Files = files or OsFiles()
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._handles = OpenFiles(self._files)
        self._waiting: deque[_Request] = deque()
        self._committing = threading.Lock()
        self._changed = threading.Condition()
        self._failure: BaseException | None = None
        self._closed = False
        self._lock = self._own_directory()
        try:
            self._metadata = metadata(str(self.path), self._files)
            try:
                self._recover()
            except BaseException:
                self._metadata.close()
                raise
        except BaseException:
            self._files.close(self._lock)
            raise

    def _own_directory(self) -> int:
        directory = str(self.path)
        if not self._files.exists(directory):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._files.mkdir(directory)
            self._files.fsync_dir(str(self.path.parent))
        lock = self._files.lock(os.path.join(directory, "lock"))
        if lock is None:
            raise LogLocked(f"{directory} is in use by another process ({self._owner()})")
        return lock

    def _owner(self) -> str:
        with suppress(OSError):
            return f"pid {(self.path / 'lock').read_text().strip()}"
        return "unknown"

    def _recover(self) -> None:
        self._state = self._metadata.load()
        self._policies: dict[str, Policy] = {
            name: parse_policy(topic.config, self._segment_bytes)
            for name, topic in self._state.topics.items()
        }
        rows: dict[TopicPartition, list[SegmentRow]] = {}
        for (name, number, _), row in sorted(self._state.segments.items()):
            rows.setdefault((name, number), []).append(row)
        self._remove_doomed()
        self._partitions: dict[TopicPartition, Partition] = {}
        for name, topic in self._state.topics.items():
            for number in range(topic.partitions):
                key = (name, number)
                span = self._state.ranges.get(key, _NO_RANGE)
                partition = self._partition(key, span, rows.get(key, []))
                partition.recover()
                self._partitions[key] = partition

    def _partition(self, key: TopicPartition, span: Range, rows: list[SegmentRow]) -> Partition:
        directory = str(self.path / f"{key[0]}-{key[1]}")
        return Partition(self._files, directory, key, span, rows)

    def close(self) -> None:
        """Let the directory go. Appends that wait are refused with LogClosed."""
        with self._committing:
            if self._closed:
                return
            self._closed = True
            self._handles.close()
            self._metadata.close()
            self._files.close(self._lock)
        with self._changed:
            self._changed.notify_all()

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Topics

    def create_topic(
        self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None
    ) -> None:
        """Create the topic. If it exists with as many partitions nothing happens, whatever its
        configuration; with another number TopicExists is raised."""
        check_topic(name, partitions)
        topic = Topic(name, partitions, dict(config or {}))
        policy = parse_policy(topic.config, self._segment_bytes)
        with self._committing:
            self._check_open()
            known = self._state.topics.get(name)
            if known is not None:
                if known.partitions != partitions:
                    raise TopicExists(
                        f"topic {name} has {known.partitions} partitions, not {partitions}"
                    )
                return
            fresh = {
                (name, n): self._partition((name, n), _NO_RANGE, []) for n in range(partitions)
            }
            self._commit(Change(topics={name: topic}))
            self._policies[name] = policy
            self._partitions.update(fresh)

    def alter_topic(self, name: str, config: Mapping[str, str]) -> None:
        """Replace the topic's configuration."""
        policy = parse_policy(config, self._segment_bytes)
        with self._committing:
            self._check_open()
            topic = self._topic(name)
            self._commit(Change(topics={name: Topic(name, topic.partitions, dict(config))}))
            self._policies[name] = policy

    def delete_topic(self, name: str) -> None:
        """Delete the topic with its records and the groups' offsets in it."""
        with self._committing:
            self._check_open()
            topic = self._topic(name)
            keys = [(name, number) for number in range(topic.partitions)]
            doomed = {f"{name}-{number}": True for _, number in keys}
            self._commit(Change(topics={name: None}, doomed=doomed))
            del self._policies[name]
            for key in keys:
                partition = self._partitions.pop(key)
                for segment in partition.segments.values():
                    self._handles.drop(segment.path)
            self._remove_doomed()
        with self._changed:
            self._changed.notify_all()

    def _remove_doomed(self) -> None:
        """Remove directories of deleted topics; a crash on the way leaves the rest for the next
        start."""
        if not self._state.doomed:
            return
        doomed = sorted(self._state.doomed)
        for name in doomed:
            directory = str(self.path / name)
            if self._files.exists(directory):
                for inner in self._files.list(directory):
                    self._files.unlink(os.path.join(directory, inner))
                self._files.rmdir(directory)
        self._files.fsync_dir(str(self.path))
        self._commit(Change(doomed=dict.fromkeys(doomed, False)))

    def topics(self) -> Mapping[str, Topic]:
        """Every topic by name."""
        return dict(self._state.topics)

    def _topic(self, name: str) -> Topic:
        topic = self._state.topics.get(name)
        if topic is None:
            raise UnknownTopic(f"topic {name} does not exist")
        return topic

    def _find(self, topic: str, partition: int) -> Partition:
        found = self._partitions.get((topic, partition))
        if found is None:
            raise UnknownTopic(f"partition {topic}-{partition} does not exist")
        return found

    # Appending

    def open_writer(self, name: str) -> int:
        """A new epoch for the writer of this name; every earlier epoch is fenced from now on."""
        with self._committing:
            self._check_open()
            epoch = self._state.writers.get(name, -1) + 1
            self._commit(Change(writers={name: epoch}))
            return epoch

    def append(
        self,
        appends: Sequence[Append],
        *,
        writer: tuple[str, int] | None = None,
        group: Group | None = None,
    ) -> list[int]:
        """Append all batches or none; returns their base offsets when they are durable.

        Args:
            appends: one RecordBatch v2 each; may be empty.
            writer: name and epoch; Fenced is raised once a newer epoch was opened.
            group: a group and the next offsets it will read, kept by the same commit.

        Whatever waits while another thread commits becomes one commit; what is refused is refused
        alone. Raises UnknownTopic, InvalidBatch, Fenced, and LogFailed when the log has stopped:
        then it is unknown whether the append happened until the log is opened anew.
        """
        headers = [_check_batch(append) for append in appends]
        request = _Request(appends, headers, writer, group)
        self._waiting.append(request)
        with self._committing:  # whoever comes first commits for all that wait
            if not request.done:
                self._commit_waiting()
        if request.error is not None:
            raise request.error
        return request.offsets

    def _commit_waiting(self) -> None:
        requests = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            self._check_open()
            drafts: dict[TopicPartition, Draft] = {}
            change = Change()
            admitted = [r for r in requests if self._admit(r, drafts, change)]
            try:
                self._commit_drafts(drafts, change)
            except BaseException:
                for request in admitted:
                    request.error = self._failed("the append is in doubt")
                raise
        except Exception as error:
            for request in requests:
                request.error = request.error or error
        except BaseException:
            self._fail_rest(requests)
            raise
        finally:
            for request in requests:
                request.done = True

    def _fail_rest(self, requests: Sequence[_Request]) -> None:
        for request in requests:
            request.error = request.error or self._failed("the append is in doubt")

    def _admit(
        self, request: _Request, drafts: dict[TopicPartition, Draft], change: Change
    ) -> bool:
        """Take a request into this commit, or refuse it alone."""
        try:
            self._check_request(request)
        except LogError as error:
            request.error = error
            return False
        now_ms = int(self._clock() * 1000)
        for append, header in zip(request.appends, request.headers, strict=True):
            key = (append.topic, append.partition)
            if key not in drafts:
                drafts[key] = self._partitions[key].draft(self._policies[append.topic], now_ms)
            request.offsets.append(drafts[key].append(append.batch, header))
        if request.group is not None:
            group, positions = request.group
            change.groups.update({(group, t, p): at for (t, p), at in positions.items()})
        return True

    def _check_request(self, request: _Request) -> None:
        if request.writer is not None:
            name, epoch = request.writer
            newest = self._state.writers.get(name)
            if newest != epoch:
                raise Fenced(f"writer {name} of epoch {epoch} is fenced: the newest is {newest}")
        for append in request.appends:
            self._find(append.topic, append.partition)
        if request.group is not None:
            for (topic, partition), offset in request.group[1].items():
                self._find(topic, partition)
                if offset < 0:
                    raise LogError(f"group {request.group[0]}: offset {offset} of {topic}")

    def _commit_drafts(self, drafts: Mapping[TopicPartition, Draft], change: Change) -> None:
        if not drafts and not change.groups:
            return
        try:
            for draft in drafts.values():
                draft.write(self._handles)
        except BaseException as error:
            self._fail(error)
            raise
        for (topic, number), draft in drafts.items():
            change.ranges[topic, number] = draft.range
            for piece in draft.pieces:
                if piece.parts:
                    change.segments[topic, number, piece.row.base] = piece.row
        self._commit(change)
        for draft in drafts.values():
            draft.partition.publish(draft)
        self._handles.trim()
        if drafts:
            with self._changed:
                self._changed.notify_all()

    def _commit(self, change: Change) -> None:
        """The commit point. Any exception stops the log for good."""
        try:
            self._metadata.commit(change)
        except BaseException as error:
            self._fail(error)
            raise self._failed("the commit is in doubt") from error
        self._state.apply(change)

    def _fail(self, cause: BaseException) -> None:
        self._failure = self._failure or cause
        with self._changed:
            self._changed.notify_all()

    def _failed(self, what: str) -> LogFailed:
        return LogFailed(f"the log has stopped: {what}: {self._failure!r}")

    def _check_open(self) -> None:
        if self._failure is not None:
            raise self._failed("it must be opened anew") from self._failure
        if self._closed:
            raise LogClosed("the log is closed")

    @property
    def failure(self) -> BaseException | None:
        """What stopped the log; None while it works."""
        return self._failure

    # Reading

    def fetch(self, topic: str, partition: int, offset: int, max_bytes: int = 1 << 20) -> bytes:
        """Whole committed batches from ``offset`` on; b"" at the end.

        At least one batch, beyond it at most ``max_bytes``. The first may begin before ``offset``;
        after compaction it may begin behind it. Raises OffsetOutOfRange, UnknownTopic, CorruptLog.
        """
        self._check_open()
        return self._find(topic, partition).fetch(offset, max_bytes)

    def wait(self, positions: Mapping[TopicPartition, int], timeout: float) -> bool:
        """Whether any of the partitions has committed data at or past its position, waiting for
        that up to ``timeout`` seconds. A position whose data was deleted counts: fetch tells."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                self._check_open()
                if any(self._find(*key).view.end > at for key, at in positions.items()):
                    return True
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)

    def start_offset(self, topic: str, partition: int) -> int:
        """The first offset that can be read."""
        return self._find(topic, partition).view.start

    def end_offset(self, topic: str, partition: int) -> int:
        """The offset after the last committed record."""
        return self._find(topic, partition).view.end

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """Offset of the first record that is not older; the end offset if all are."""
        self._check_open()
        return self._find(topic, partition).offset_at(timestamp_ms)

    def size(self, topic: str, partition: int) -> int:
        """Bytes of the partition's segments."""
        return sum(row.size for row in self._find(topic, partition).view.rows)

    # Groups

    def groups(self) -> list[str]:
        """Names of the groups that have offsets."""
        return sorted({group for group, _, _ in list(self._state.groups)})

    def group_offsets(self, group: str) -> dict[TopicPartition, int]:
        """The next offsets the group will read."""
        offsets = list(self._state.groups.items())
        return {(topic, p): at for (name, topic, p), at in offsets if name == group}

    def forget_group(self, group: str, partitions: Sequence[TopicPartition] | None = None) -> None:
        """Drop the group's offsets: all, or those of some partitions."""
        with self._committing:
            self._check_open()
            known = self.group_offsets(group)
            gone = known if partitions is None else [key for key in partitions if key in known]
            if gone:
                self._commit(Change(groups={(group, *key): None for key in gone}))


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
