"""Which segments have expired."""

from __future__ import annotations

from collections.abc import Sequence

from log_core.metadata import SegmentRow
from log_core.topics import Policy


def expired(rows: Sequence[SegmentRow], policy: Policy, now_ms: int) -> int:
    """How many of the oldest segments may be deleted.

    Age counts from the last append to a segment, by the log's clock: timestamps of records come
    from databases and may be of any age. Of the size only closed segments are taken, and only as
    long as ``retention.bytes`` remain.
    """
    if not policy.delete:
        return 0
    count = 0
    if policy.retention_ms is not None:
        while count < len(rows) and now_ms - rows[count].appended_ms > policy.retention_ms:
            count += 1
    if policy.retention_bytes is not None:
        left = sum(row.size for row in rows[count:])
        while count < len(rows) - 1 and left - rows[count].size >= policy.retention_bytes:
            left -= rows[count].size
            count += 1
    return count
