"""What the log is made of, and the one way to change it.

A ``Store`` owns the directory, the metadata and the partitions. Its ``commit`` is the only caller
of ``Metadata.commit``; whoever changes anything holds ``committing`` meanwhile.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from log_core.errors import InvalidTopic, LogClosed, LogFailed, LogFull, LogLocked, UnknownTopic
from log_core.files import Files, OpenFiles, make_directory, opened
from log_core.metadata import Change, Metadata, Range, SegmentRow, TopicPartition
from log_core.names import holds_segments, parse_segment, partition_directory
from log_core.partition import Partition
from log_core.topics import Policy, Topic, parse_policy

logger = logging.getLogger(__name__)

NO_RECORDS = Range(0, 0)


class Store:
    """The committed state and the files that hold it."""

    def __init__(
        self,
        path: Path,
        files: Files,
        metadata: Callable[[str, Files], Metadata],
        segment_bytes: int,
    ) -> None:
        self.path = path
        self.files = files
        self.handles = OpenFiles(files)
        self.committing = threading.Lock()
        self.changed = threading.Condition()  # notified when there is more to read, or never again
        self.failure: BaseException | None = None
        self._segment_bytes = segment_bytes
        self._closed = False
        self._lock = self._own_directory()
        try:
            self._metadata = metadata(str(path), files)
            try:
                self._recover()
            except BaseException:
                self._metadata.close()
                raise
        except BaseException:
            files.close(self._lock)
            raise

    # Opening and closing

    def _own_directory(self) -> int:
        directory = str(self.path)
        if not self.files.exists(directory):
            make_directory(self.files, directory)
        path = os.path.join(directory, "lock")
        lock = self.files.lock(path)
        if lock is None:
            with opened(self.files, path) as handle:
                owner = self.files.pread(handle, 32, 0).decode(errors="replace").strip()
            raise LogLocked(f"{directory} is in use by another process (pid {owner or 'unknown'})")
        return lock

    def _recover(self) -> None:
        self.state = self._metadata.load()
        self.policies = {
            name: self.policy(topic.config) for name, topic in self.state.topics.items()
        }
        self.remove_doomed()
        rows: dict[TopicPartition, list[SegmentRow]] = {}
        for (name, number, _), row in sorted(self.state.segments.items()):
            rows.setdefault((name, number), []).append(row)
        self.partitions: dict[TopicPartition, Partition] = {}
        for topic in self.state.topics.values():
            for number in range(topic.partitions):
                key = (topic.name, number)
                span = self.state.ranges.get(key, NO_RECORDS)
                partition = self.partition(key, span, rows.get(key, []))
                partition.recover()
                self.partitions[key] = partition

    def close(self) -> None:
        """Let the directory go."""
        with self.committing:
            if self._closed:
                return
            self._closed = True
            self.handles.close()
            self._metadata.close()
            self.files.close(self._lock)
        self.wake()

    # Changing

    def commit(self, change: Change) -> None:
        """The commit point: durable and applied on return. LogFull: nothing was changed. Any other
        exception stops the log for good, since nobody knows whether the change was made."""
        try:
            self._metadata.commit(change)
        except LogFull:
            raise
        except BaseException as error:
            raise self.fail(error) from error
        self.state.apply(change)

    def fail(self, cause: BaseException) -> LogFailed:
        """Stop the log; returns the exception to raise."""
        self.failure = self.failure or cause
        self.wake()
        return LogFailed(f"the log has stopped and must be opened anew: {self.failure!r}")

    def wake(self) -> None:
        """Let everyone who waits look again."""
        with self.changed:
            self.changed.notify_all()

    def remove_doomed(self) -> None:
        """Remove the segments of deleted topics. What fails is left to a later call: the names
        stay doomed. A directory with other people's files in it is not removed."""
        doomed = sorted(self.state.doomed)
        if not doomed:
            return
        try:
            for name in doomed:
                self._remove_segments(str(self.path / name))
            self.files.fsync_dir(str(self.path))
        except OSError as error:
            logger.warning("segments of a deleted topic remain: %s", error)
        else:
            self.commit(Change(doomed=dict.fromkeys(doomed, False)))

    def _remove_segments(self, directory: str) -> None:
        if not self.files.exists(directory):
            return
        for name in self.files.list(directory):
            if parse_segment(name) is not None:
                self.files.unlink(os.path.join(directory, name))
        self.files.fsync_dir(directory)
        if not self.files.list(directory):
            self.files.rmdir(directory)

    # Looking up

    def check_open(self) -> None:
        """Raise LogFailed or LogClosed unless the log works."""
        if self.failure is not None:
            raise self.fail(self.failure) from self.failure
        if self._closed:
            raise LogClosed("the log is closed")

    def topic(self, name: str) -> Topic:
        """The topic, or UnknownTopic."""
        topic = self.state.topics.get(name)
        if topic is None:
            raise UnknownTopic(f"topic {name} does not exist")
        return topic

    def find(self, topic: str, partition: int) -> Partition:
        """The partition, or UnknownTopic."""
        found = self.partitions.get((topic, partition))
        if found is None:
            raise UnknownTopic(f"partition {topic}-{partition} does not exist")
        return found

    def check_unused(self, directory: str) -> None:
        """Raise InvalidTopic if a new topic would find segments of somebody else there."""
        doomed = os.path.basename(directory) in self.state.doomed
        if doomed or holds_segments(self.files, directory):
            raise InvalidTopic(f"{directory} still holds segments of another topic")

    def policy(self, config: Mapping[str, str]) -> Policy:
        """A topic's configuration with this log's defaults."""
        return parse_policy(config, self._segment_bytes)

    def partition(self, key: TopicPartition, span: Range, rows: Iterable[SegmentRow]) -> Partition:
        """A partition of these segments."""
        directory = str(self.path / partition_directory(*key))
        return Partition(self.files, directory, key, span, tuple(rows))
