"""The exceptions of the log.

LogError
├── InvalidTopic           a name, partition count or configuration that can't be
├── TopicExists            it exists with another number of partitions
├── UnknownTopic           no such topic or partition
├── InvalidBatch           bytes that are no RecordBatch v2, or one that may not be appended
├── OffsetOutOfRange       the offset was deleted or is not there yet
├── Fenced                 a newer writer of that name exists
├── CorruptLog             the files contradict what was committed
├── LogUnreadable          the operating system refused to read
├── LogLocked              another process owns the directory
├── LogFull                the disk is full: nothing was appended, a later try may pass
├── LogFailed              a write or sync failed: only opening the log anew leads on
└── LogClosed              it was closed
"""

from __future__ import annotations


class LogError(Exception):
    """Anything the log refuses or cannot do."""


class InvalidTopic(LogError):
    """A topic name, partition count or configuration that can't be."""


class TopicExists(LogError):
    """The topic exists with another number of partitions."""


class UnknownTopic(LogError):
    """There is no such topic or partition."""


class InvalidBatch(LogError):
    """Bytes that are no RecordBatch v2, or a batch that may not be appended."""


class OffsetOutOfRange(LogError):
    """The offset is outside ``start``..``end`` of its partition."""

    def __init__(self, topic: str, partition: int, offset: int, start: int, end: int) -> None:
        super().__init__(f"offset {offset} of {topic}-{partition} is outside {start}..{end}")
        self.start = start
        self.end = end


class Fenced(LogError):
    """A newer writer of the same name exists."""


class CorruptLog(LogError):
    """Committed bytes are missing or damaged; ``path`` and ``position`` say where."""

    def __init__(self, path: str, position: int, reason: str) -> None:
        super().__init__(f"{path} is corrupt at byte {position}: {reason}")
        self.path = path
        self.position = position


class LogUnreadable(LogError):
    """The operating system refused to read; nothing is known to be damaged."""


class LogLocked(LogError):
    """Another process owns the directory."""


class LogFull(LogError):
    """The disk is full. Nothing was appended; the log goes on once there is space."""


class LogFailed(LogError):
    """A write or sync failed, so what the disk holds is unknown until the log is opened anew."""


class LogClosed(LogError):
    """The log was closed."""
