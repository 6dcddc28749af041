"""Topics: their names and Kafka's topic configuration keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from log_core.errors import InvalidTopic

_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_SEGMENT_OF_COMPACTED_BYTES = 16 << 20
_DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: its partition count and the configuration it was given."""

    name: str
    partitions: int = 1
    config: Mapping[str, str] = field(default_factory=dict)


class Policy(NamedTuple):
    """A topic's configuration, parsed. Times in ms, sizes in bytes; None: without limit."""

    delete: bool
    compact: bool
    retention_ms: int | None
    retention_bytes: int | None
    segment_bytes: int
    segment_ms: int
    delete_retention_ms: int


_NUMBERS = {
    "retention.ms": -1,
    "retention.bytes": -1,
    "segment.bytes": 14,
    "segment.ms": 1,
    "delete.retention.ms": 0,
}


def check_topic(name: str, partitions: int) -> None:
    """Raise InvalidTopic unless Kafka would take this name and count."""
    if not _NAME.fullmatch(name) or name in {".", ".."}:
        raise InvalidTopic(f"{name[:260]!r} is no topic name: 1 to 249 of a-z A-Z 0-9 . _ -")
    if not 1 <= partitions <= 10_000:
        raise InvalidTopic(f"topic {name}: {partitions} partitions")


def parse_policy(config: Mapping[str, str], segment_bytes: int) -> Policy:
    """What the configuration means. Raises InvalidTopic for keys and values not supported.

    Retention defaults to 7 days as Kafka's does; a topic that is only compacted is never expired.
    Segments of compacted topics default to 16 MiB: only closed segments can be compacted.
    """
    numbers = {}
    for key, text in config.items():
        if key in _NUMBERS:
            numbers[key] = _number(key, text)
        elif key != "cleanup.policy":
            known = ", ".join(sorted([*_NUMBERS, "cleanup.policy"]))
            raise InvalidTopic(f"topic configuration {key} is not supported; known are {known}")
    policies = {part.strip() for part in config.get("cleanup.policy", "delete").split(",")}
    if not policies or not policies <= {"delete", "compact"}:
        raise InvalidTopic(f"cleanup.policy {config['cleanup.policy']!r} is not supported")
    compact = "compact" in policies
    default_bytes = min(segment_bytes, _SEGMENT_OF_COMPACTED_BYTES) if compact else segment_bytes
    return Policy(
        delete="delete" in policies,
        compact=compact,
        retention_ms=_limit(numbers.get("retention.ms", 7 * _DAY_MS)),
        retention_bytes=_limit(numbers.get("retention.bytes", -1)),
        segment_bytes=numbers.get("segment.bytes", default_bytes),
        segment_ms=numbers.get("segment.ms", 7 * _DAY_MS),
        delete_retention_ms=numbers.get("delete.retention.ms", _DAY_MS),
    )


def _number(key: str, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise InvalidTopic(f"topic configuration {key}: {text!r} is no whole number") from None
    if number < _NUMBERS[key]:
        raise InvalidTopic(f"topic configuration {key}: {number} is below {_NUMBERS[key]}")
    return number


def _limit(number: int) -> int | None:
    return None if number < 0 else number
