"""Names on disk, as Kafka gives them: ``<topic>-<partition>/<base offset, 20 digits>.log``."""

from __future__ import annotations

import re

from log_core.files import Files

_SEGMENT = re.compile(r"(\d{20})(?:\.(\d{1,9}))?\.(?:log|index|timeindex)")
_PARTITION = re.compile(r"[a-zA-Z0-9._-]{1,249}-\d{1,5}")


def partition_directory(topic: str, partition: int) -> str:
    """The directory's name."""
    return f"{topic}-{partition}"


def segment_stem(base: int, version: int) -> str:
    """A segment's file names without their endings: Kafka's, and the version once compacted."""
    return f"{base:020d}.{version}" if version else f"{base:020d}"


def parse_segment(name: str) -> tuple[int, int] | None:
    """Base and version in the name of a segment's file; None for other people's files."""
    match = _SEGMENT.fullmatch(name)
    if match is None:
        return None
    base, version = int(match[1]), int(match[2] or 0)
    return (base, version) if name.startswith(segment_stem(base, version) + ".") else None


def holds_segments(files: Files, directory: str) -> bool:
    """Whether there are segment files in the directory, which need not exist."""
    if not files.exists(directory):
        return False
    return any(parse_segment(name) is not None for name in files.list(directory))


def is_partition(name: str) -> bool:
    """Whether a directory may be a partition's."""
    return _PARTITION.fullmatch(name) is not None
