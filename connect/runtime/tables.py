"""Compacted topics read as dicts: what people want (configs), what is (statuses), offsets.

Keys and values are those of Kafka Connect's internal topics (KIP-26, KIP-980, KIP-875), so
its tools read ours and a move to Apache Kafka keeps them:

    connect-configs   connector-NAME            {"properties": {...}}
                      target-state-NAME         {"state": "STARTED", "state.v2": "STOPPED"}
                      restart-connector-NAME    {"include-tasks": true, "only-failed": false}
                      logger-cluster-LOGGER     {"level": "DEBUG"}
                      forget-connector-NAME     {"properties": {...}}        (ours: see forgetting)
    connect-status    status-connector-NAME     {"state", "trace", "worker_id", "generation"}
                      status-task-NAME-0        the same
                      status-topic-TOPIC:connector-NAME
    connect-offsets   ["NAME",{partition}]      {offset}
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, cast

from connect.errors import FatalError
from connect.log import Log, Records, TopicPartition, TopicSpec

CONFIGS: Final = "connect-configs"
OFFSETS: Final = "connect-offsets"
STATUSES: Final = "connect-status"
INTERNAL: Final = frozenset((CONFIGS, OFFSETS, STATUSES))
SEGMENT_BYTES: Final = 1 << 20

CONNECTOR: Final = "connector-"
TARGET_STATE: Final = "target-state-"
RESTART: Final = "restart-connector-"
FORGET: Final = "forget-connector-"
LOGGER: Final = "logger-cluster-"

TargetState = Literal["STARTED", "PAUSED", "STOPPED"]
Json = Mapping[str, Any]


def is_internal(topic: str) -> bool:
    """Whether a topic is the worker's own: no regex matches it, no sink reads it."""
    return topic in INTERNAL or topic.startswith("__")


class Entry(NamedTuple):
    """The newest value of a key, and the offset of its record."""

    value: Json
    offset: int


class Change(NamedTuple):
    """One record read by ``refresh``: ``value`` is None for a deletion."""

    key: str
    value: Json | None
    offset: int


class CompactedTable:
    """A compacted topic of JSON objects by text key, as fresh as its last ``refresh``.

    Many threads may use one table. A record that is no JSON object is corruption and raises
    FatalError (code ``table.corrupt``).
    """

    def __init__(self, log: Log, topic: str) -> None:
        # Small segments: only closed ones are compacted, and a table is read whole.
        config = {"cleanup.policy": "compact", "segment.bytes": str(SEGMENT_BYTES)}
        log.create_topic(TopicSpec(topic, 1, config))
        self._log = log
        self._partition = TopicPartition(topic, 0)
        self._entries: dict[str, Entry] = {}
        self._position = 0
        self._lock = threading.Lock()

    @property
    def position(self) -> int:
        """The offset of the first record not read yet."""
        return self._position

    def refresh(self) -> list[Change]:
        """Read on to the committed end; the records read, in order."""
        changes: list[Change] = []
        with self._lock:
            end = self._log.ends([self._partition]).get(self._partition, 0)
            while self._position < end:
                position = self._position
                for records in self._log.read(self._partition, position):
                    changes.extend(self._apply(records))
                if self._position == position:
                    break
        return changes

    def get(self, key: str) -> Entry | None:
        """The newest entry of a key, as of the last refresh."""
        return self._entries.get(key)

    def entries(self, prefix: str = "") -> dict[str, Entry]:
        """The entries whose keys begin with ``prefix``, by the rest of the key."""
        cut = len(prefix)
        with self._lock:
            return {k[cut:]: e for k, e in self._entries.items() if k.startswith(prefix)}

    def records(self, values: Mapping[str, Json | None]) -> Records:
        """The records that set these keys (None deletes), to be appended by a writer."""
        return encode(self._partition.topic, values)

    def _apply(self, records: Records) -> list[Change]:
        changes = []
        assert records.offsets is not None
        for key, value, offset in zip(records.keys, records.values, records.offsets, strict=True):
            if offset < self._position:
                continue
            self._position = offset + 1
            text, decoded = self._decode(key, value, offset)
            if decoded is None:
                self._entries.pop(text, None)
            else:
                self._entries[text] = Entry(decoded, offset)
            changes.append(Change(text, decoded, offset))
        return changes

    def _decode(self, key: bytes | None, value: bytes | None, offset: int) -> tuple[str, Any]:
        try:
            decoded = None if value is None else json.loads(value)
            if key is not None and (decoded is None or isinstance(decoded, dict)):
                return key.decode(), decoded
        except ValueError:
            pass
        raise FatalError(
            f"{self._partition.topic} holds a record at offset {offset} that is no JSON object.",
            code="table.corrupt",
            hint="Only the worker writes its internal topics; restore the data directory.",
        )


def encode(topic: str, values: Mapping[str, Json | None]) -> Records:
    """Records for partition 0 of an internal topic; None is a deletion."""
    now = int(time.time() * 1000)
    return Records(
        TopicPartition(topic, 0),
        [key.encode() for key in values],
        [None if value is None else _dumps(value).encode() for value in values.values()],
        [now] * len(values),
    )


@dataclass(frozen=True, slots=True)
class Intent:
    """What people want of one connector. ``generation`` is the offset of its config record, so a
    newer configuration has a higher one."""

    name: str
    config: Mapping[str, str | None]
    target: TargetState
    generation: int


def intent(table: CompactedTable, name: str) -> Intent | None:
    """The intent for one connector; None when it does not exist."""
    entry = table.get(CONNECTOR + name)
    if entry is None:
        return None
    target = table.get(TARGET_STATE + name)
    return Intent(name, entry.value["properties"], _target(target), entry.offset)


def intents(table: CompactedTable) -> dict[str, Intent]:
    """The intents for all connectors, by name."""
    found = {}
    for name in table.entries(CONNECTOR):
        wanted = intent(table, name)
        if wanted is not None:
            found[name] = wanted
    return found


def target_state(target: TargetState) -> Json:
    """The value of a ``target-state-`` record: v1 readers know no STOPPED."""
    return {"state": "PAUSED" if target == "STOPPED" else target, "state.v2": target}


def _target(entry: Entry | None) -> TargetState:
    if entry is None:
        return "STARTED"
    state = entry.value.get("state.v2") or entry.value.get("state")
    return cast(TargetState, state) if state in ("PAUSED", "STOPPED") else "STARTED"


def offset_key(connector: str, partition: Mapping[str, Any] | None) -> str:
    """The key of a source offset: ``["<connector>",{partition}]``."""
    return _dumps([connector, partition])


def source_offsets(
    table: CompactedTable, connector: str
) -> dict[str, tuple[Mapping[str, Any] | None, Json]]:
    """A connector's source partitions and offsets, by their keys in the offsets topic."""
    found = {}
    for key, entry in table.entries().items():
        owner, partition = json.loads(key)
        if owner == connector:
            found[key] = (partition, entry.value)
    return found


_TOPIC_STATUS = re.compile(r"status-topic-(?P<topic>[^:]*):connector-(?P<connector>.*)", re.DOTALL)


def topic_key(topic: str, connector: str) -> str:
    """The key under which a connector's use of a topic is recorded."""
    return f"status-topic-{topic}:connector-{connector}"


def active_topics(table: CompactedTable, connector: str) -> Sequence[str]:
    """The topics a connector has used, sorted."""
    found = (_TOPIC_STATUS.fullmatch(key) for key in table.entries())
    return sorted(m["topic"] for m in found if m is not None and m["connector"] == connector)


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
