"""States of connectors and tasks: records of the status topic, in Kafka Connect's form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from connect.errors import CdcError
from connect.log import Log, Records
from connect.runtime.planner import TaskId, TaskSpec
from connect.runtime.tables import (
    STATUSES,
    CompactedTable,
    Entry,
    Intent,
    Json,
    active_topics,
    encode,
    topic_key,
)

State = Literal["UNASSIGNED", "RUNNING", "PAUSED", "STOPPED", "FAILED", "RESTARTING"]

CONNECTOR = "status-connector-"
TASK = "status-task-"
TOPIC = "status-topic-"


@dataclass(frozen=True, slots=True)
class Status:
    """A state and, for FAILED and RESTARTING, its cause.

    ``generation`` names the configuration it is about (see ``tables.Intent``).
    """

    state: State
    worker_id: str
    generation: int
    trace: str | None = None

    def record(self) -> Json:
        """The value of the status record."""
        return {
            "state": self.state,
            "trace": self.trace,
            "worker_id": self.worker_id,
            "generation": self.generation,
        }


def connector_status(table: CompactedTable, name: str) -> Status | None:
    """A connector's status as of the table's last refresh."""
    return _status(table.get(CONNECTOR + name))


def task_statuses(table: CompactedTable, connector: str) -> dict[int, Status]:
    """The statuses of a connector's tasks by task number."""
    found = {}
    for name, entry in table.entries(TASK).items():
        owner, _, number = name.rpartition("-")
        status = _status(entry)
        if owner == connector and number.isdecimal() and status is not None:
            found[int(number)] = status
    return dict(sorted(found.items()))


def _status(entry: Entry | None) -> Status | None:
    if entry is None:
        return None
    value: Any = entry.value
    return Status(value["state"], value["worker_id"], value["generation"], value.get("trace"))


class StatusBoard:
    """What a worker says of its connectors and tasks. What was ``set`` is public once ``append``
    returned; one append carries all that was set since the last.

    Used by the worker's control thread; ``tasks`` and ``connectors`` by any.
    """

    def __init__(self, log: Log, worker_id: str) -> None:
        self._worker_id = worker_id
        self._table = CompactedTable(log, STATUSES)
        self._writer = log.writer("worker")
        self.failure: str | None = None  # why the last ``append`` failed
        self._shown: dict[str, Status] = {}
        self._waiting: dict[str, Json | None] = {}

    def open(self) -> None:
        """Withdraw what earlier workers said; the topics that connectors used stay."""
        self._table.refresh()
        for key in self._table.entries():
            if not key.startswith(TOPIC):
                self._waiting[key] = None

    def close(self) -> None:
        """Release the writer."""
        self._writer.close()

    def set_connector(self, intent: Intent, state: State, trace: str | None = None) -> None:
        """A connector is in this state."""
        self._set(CONNECTOR + intent.name, state, intent.generation, trace)

    def set_task(self, spec: TaskSpec, state: State, trace: str | None = None) -> None:
        """A task is in this state."""
        self._set(TASK + str(spec.id), state, spec.generation, trace)

    def task(self, task: TaskId) -> Status | None:
        """What was last set for a task."""
        return self._shown.get(TASK + str(task))

    def tasks(self) -> Mapping[str, Status]:
        """What was last set, by the tasks' names."""
        return self._under(TASK)

    def connectors(self) -> Mapping[str, Status]:
        """What was last set, by the connectors' names."""
        return self._under(CONNECTOR)

    def remove_task(self, task: TaskId) -> None:
        """The task is no more."""
        self._remove(TASK + str(task))

    def remove_connector(self, name: str) -> None:
        """The connector is no more, nor are its tasks and the record of the topics it used."""
        self._remove(CONNECTOR + name)
        self._table.refresh()
        for topic in active_topics(self._table, name):
            self._waiting[topic_key(topic, name)] = None

    def use_topic(self, task: TaskId, topic: str, now_ms: int) -> None:
        """The task wrote to this topic, or read from it."""
        key = topic_key(topic, task.connector)
        self._table.refresh()  # somebody may have reset the connector's topics
        if self._table.get(key) is None:
            seen = {"name": topic, "connector": task.connector, "task": task.task}
            self._waiting[key] = {"topic": {**seen, "discoverTimestamp": now_ms}}

    def append(self, *others: Records) -> None:
        """Make what was set public, and ``others`` with it, in one commit."""
        if self._waiting or others:
            records = [encode(STATUSES, self._waiting)] if self._waiting else []
            try:
                self._writer.append([*records, *others])
            except CdcError as error:
                self.failure = error.message
                raise
            self._waiting = {}
            self.failure = None

    def unpublished(self, task: TaskId) -> Status | None:
        """What is known of a task and could not be written to the log; any thread."""
        key = TASK + str(task)
        return self._shown.get(key) if self.failure and key in self._waiting else None

    def _set(self, key: str, state: State, generation: int, trace: str | None) -> None:
        status = Status(state, self._worker_id, generation, trace)
        if self._shown.get(key) != status:
            self._shown[key] = status
            self._waiting[key] = status.record()

    def _remove(self, key: str) -> None:
        if self._shown.pop(key, None) is not None or key in self._waiting:
            self._waiting[key] = None

    def _under(self, prefix: str) -> Mapping[str, Status]:
        shown = list(self._shown.items())
        return {key[len(prefix) :]: s for key, s in shown if key.startswith(prefix)}
