"""Source offsets: records of the compacted topic ``connect-offsets``, appended with the rows.

Also the names under which the log knows a connector's tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from connect.log import Log, Records
from connect.runtime.tables import OFFSETS, CompactedTable, offset_key, source_offsets
from connect.source import Offset

GROUP_PREFIX: Final = "connect-"


def group_name(connector: str) -> str:
    """The consumer group of a sink, Kafka Connect's."""
    return GROUP_PREFIX + connector


def writer_name(connector: str, task: int = 0) -> str:
    """The log's name for the writer of a source task; no sink's reader has such a one. Whoever
    opens a writer of this name fences the task."""
    return f"{connector}-{task} (source)"


class SourceOffsets:
    """The offset of one source partition of one connector."""

    def __init__(self, log: Log, connector: str, partition: Mapping[str, Any]) -> None:
        self._table = CompactedTable(log, OFFSETS)
        self._connector = connector
        self._partition = partition
        self._key = offset_key(connector, partition)

    def load(self) -> Offset | None:
        """The newest committed offset; None: nothing was ever committed, or it was reset."""
        self._table.refresh()
        for key, (partition, offset) in source_offsets(self._table, self._connector).items():
            if partition == self._partition:
                self._key = key  # a person's record may spell the same partition differently
                return offset
        return None

    def record(self, offset: Offset) -> Records:
        """The record that makes ``offset`` the newest, to be appended together with the rows."""
        return self._table.records({self._key: offset})
