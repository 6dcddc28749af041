"""Cleaning: removes expired segments and swaps compacted ones in, each by one commit."""

from __future__ import annotations

import logging
import threading

from log_core.compaction import Swap, compact, is_due
from log_core.errors import LogFull
from log_core.metadata import Change, Range, TopicPartition
from log_core.partition import Partition, View
from log_core.retention import expired
from log_core.segment import Segment
from log_core.store import Store

logger = logging.getLogger(__name__)


class Cleaner:
    """Retention and compaction; one run at a time. ``pausing`` keeps it from running."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.pausing = threading.Lock()

    def clean(self, now_ms: int) -> None:
        """See ``Log.clean``."""
        for key, partition in list(self._store.partitions.items()):
            with self.pausing:
                self._store.check_open()
                if self._store.partitions.get(key) is partition:
                    self._clean(key, partition, now_ms)

    def _clean(self, key: TopicPartition, partition: Partition, now_ms: int) -> None:
        policy = self._store.policies[key[0]]
        with self._store.committing:
            view = partition.view
            count = expired(view.rows, policy, now_ms)
            if count:
                rows = view.rows[count:]
                start = rows[0].base if rows else view.end
                self._replace(key, partition, View(start, view.end, rows))
        if policy.compact and is_due(partition.view.rows):
            try:
                swap = compact(partition, policy, now_ms)
            except OSError as error:  # nothing was lost: the old segments still stand
                logger.warning("compaction of %s-%s failed: %s", *key, error)
            else:
                self._swap(key, partition, swap)

    def _swap(self, key: TopicPartition, partition: Partition, swap: Swap) -> None:
        with self._store.committing:
            view = partition.view
            rows = (*swap.new, *view.rows[len(swap.old) :])
            try:
                self._replace(key, partition, view._replace(rows=rows))
            except LogFull as error:  # the new segments are on disk, and nothing names them
                raise self._store.fail(error) from error

    def _replace(self, key: TopicPartition, partition: Partition, view: View) -> None:
        """Commit other segments for the partition, then remove the files of those that go."""
        kept = {row.base for row in view.rows}
        change = Change(ranges={key: Range(view.start, view.end)})
        for row in partition.view.rows:
            if row.base not in kept:
                change.segments[*key, row.base] = None
        change.segments.update({(*key, row.base): row for row in view.rows})
        self._store.commit(change)
        for segment in partition.replace(view):
            self._store.handles.drop(segment.path)
            _remove(segment)
        self._store.wake()


def _remove(segment: Segment) -> None:
    try:
        segment.remove()
    except OSError as error:  # the next start removes what no commit names
        logger.warning("%s not removed: %s", segment.path, error)
