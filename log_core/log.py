"""The log: topics of partitions in one directory, owned by one process.

``append`` is the heart: partition files are written and synced first, then one transaction of the
metadata moves the end of every touched partition. That transaction is the commit; whatever the
files hold beyond it never happened.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from log_core.appender import Append, Appender, Group, Syncs, Totals
from log_core.cleaner import Cleaner
from log_core.errors import TopicExists
from log_core.files import Files, OsFiles
from log_core.metadata import Change, Metadata, SqliteMetadata, TopicPartition
from log_core.store import NO_RECORDS, Store
from log_core.topics import Topic, check_topic


class Log:
    """A partitioned log of committed record batches. Every method may be called by any thread.

    Args:
        path: the directory; made if missing. One process at a time may own it.
        files: file access, for tests.
        metadata: what keeps the truth, given the directory and ``files``; for tests.
        clock: seconds since 1970.
        segment_bytes: size at which segments are closed, where the topic does not say.

    Raises LogLocked if another process owns the directory, CorruptLog if its files contradict what
    was committed. Any method raises LogFailed once a write or sync went wrong, and LogClosed.
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
        self.path = Path(path).absolute()
        self._store = Store(self.path, files or OsFiles(), metadata, segment_bytes)
        self._appender = Appender(self._store, clock)
        self._cleaner = Cleaner(self._store)

    def close(self) -> None:
        """Let the directory go. Later calls raise LogClosed."""
        with self._cleaner.pausing:
            self._store.close()

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def failure(self) -> BaseException | None:
        """What stopped the log; None while it works."""
        return self._store.failure

    # Topics

    def create_topic(
        self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None
    ) -> None:
        """Create the topic. If it exists with as many partitions nothing happens, whatever its
        configuration; with another number TopicExists is raised."""
        check_topic(name, partitions)
        store = self._store
        topic = Topic(name, partitions, dict(config or {}))
        policy = store.policy(topic.config)
        with store.committing:
            store.check_open()
            known = store.state.topics.get(name)
            if known is not None:
                if known.partitions != partitions:
                    found = known.partitions
                    raise TopicExists(f"topic {name} has {found} partitions, not {partitions}")
                return
            keys = [(name, number) for number in range(partitions)]
            fresh = {key: store.partition(key, NO_RECORDS, ()) for key in keys}
            store.remove_doomed()
            for partition in fresh.values():
                store.check_unused(partition.directory)
            store.commit(Change(topics={name: topic}))
            store.policies[name] = policy
            store.partitions.update(fresh)

    def alter_topic(self, name: str, config: Mapping[str, str]) -> None:
        """Replace the topic's configuration."""
        store = self._store
        policy = store.policy(config)
        with store.committing:
            store.check_open()
            topic = Topic(name, store.topic(name).partitions, dict(config))
            store.commit(Change(topics={name: topic}))
            store.policies[name] = policy

    def delete_topic(self, name: str) -> None:
        """Delete the topic with its records and the groups' offsets in it."""
        store = self._store
        with self._cleaner.pausing, store.committing:
            store.check_open()
            keys = [(name, number) for number in range(store.topic(name).partitions)]
            directories = [store.partitions[key].directory for key in keys]
            doomed = {os.path.basename(directory): True for directory in directories}
            store.commit(Change(topics={name: None}, doomed=doomed))
            del store.policies[name]
            for key in keys:
                partition = store.partitions.pop(key)
                partition.deleted = True
                for segment in partition.segments.values():
                    store.handles.drop(segment.path)
            store.remove_doomed()
        store.wake()

    def topics(self) -> Mapping[str, Topic]:
        """Every topic by name."""
        return dict(self._store.state.topics)

    # Appending

    def open_writer(self, name: str) -> int:
        """A new epoch for the writer of this name; every earlier epoch is fenced from now on."""
        store = self._store
        with store.committing:
            store.check_open()
            epoch = store.state.writers.get(name, -1) + 1
            store.commit(Change(writers={name: epoch}))
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
        alone. Raises UnknownTopic, InvalidBatch, Fenced, LogFull (nothing was appended), and
        LogFailed: then it is unknown whether the append happened until the log is opened anew.
        """
        return self._appender.append(appends, writer, group)

    def appended(self) -> Mapping[str, Totals]:
        """What was appended to each topic since the log was opened."""
        return dict(self._appender.totals)

    def syncs(self) -> Syncs:
        """How long syncs took since the log was opened; it goes on counting."""
        return self._appender.syncs

    # Reading

    def fetch(self, topic: str, partition: int, offset: int, max_bytes: int = 1 << 20) -> bytes:
        """Whole committed batches from ``offset`` on; b"" at the end.

        At least one batch, beyond it at most ``max_bytes``. The first may begin before ``offset``;
        after compaction it may begin behind it. Raises OffsetOutOfRange, UnknownTopic, CorruptLog.
        """
        self._store.check_open()
        return self._store.find(topic, partition).fetch(offset, max_bytes)

    def wait(self, positions: Mapping[TopicPartition, int], timeout: float) -> bool:
        """Whether any of the partitions has committed data at or past its position, waiting for
        that up to ``timeout`` seconds. Deleted data counts: fetch tells."""
        store = self._store
        deadline = time.monotonic() + timeout
        with store.changed:
            while True:
                store.check_open()
                if any(store.find(*key).view.end > at for key, at in positions.items()):
                    return True
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                store.changed.wait(left)

    def start_offset(self, topic: str, partition: int) -> int:
        """The first offset that can be read."""
        return self._store.find(topic, partition).view.start

    def end_offset(self, topic: str, partition: int) -> int:
        """The offset after the last committed record."""
        return self._store.find(topic, partition).view.end

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """Offset of the first record that is not older; the end offset if all are."""
        self._store.check_open()
        return self._store.find(topic, partition).offset_at(timestamp_ms)

    def size(self, topic: str, partition: int) -> int:
        """Bytes of the partition's segments."""
        return sum(row.size for row in self._store.find(topic, partition).view.rows)

    # Groups

    def groups(self) -> list[str]:
        """Names of the groups that have offsets."""
        return sorted({group for group, _, _ in self._group_offsets()})

    def group_offsets(self, group: str) -> dict[TopicPartition, int]:
        """The next offsets the group will read."""
        offsets = self._group_offsets()
        return {(topic, p): at for (name, topic, p), at in offsets.items() if name == group}

    def _group_offsets(self) -> dict[tuple[str, str, int], int]:
        return self._store.state.groups.copy()  # one step: other threads commit meanwhile

    def forget_group(self, group: str, partitions: Sequence[TopicPartition] | None = None) -> None:
        """Drop the group's offsets: all, or those of some partitions."""
        store = self._store
        with store.committing:
            store.check_open()
            known = self.group_offsets(group)
            gone = known if partitions is None else [key for key in partitions if key in known]
            if gone:
                store.commit(Change(groups={(group, *key): None for key in gone}))

    # Cleaning

    def clean(self, now: float) -> None:
        """Delete expired segments and compact where the topics ask for it; ``now`` in seconds
        since 1970. Slow work: call it from a thread of its own, every few minutes."""
        self._cleaner.clean(int(now * 1000))
