"""Connectors as REST shows them: what people want, read together with what workers say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from connect.errors import ConfigError
from connect.logs.embedded import EmbeddedLog
from connect.runtime import planner, plugins
from connect.runtime.planner import Planned, TaskId
from connect.runtime.plugin_desk import shown_class
from connect.runtime.plugins import Plugin
from connect.runtime.sealing import masked
from connect.runtime.statuses import Status, connector_status, task_statuses
from connect.runtime.tables import STATUSES, CompactedTable, Intent
from connect.runtime.worker import Worker

if TYPE_CHECKING:
    from log_core import Log

Body = dict[str, Any]


class Shown(NamedTuple):
    """A connector's states as they are shown."""

    connector: Status
    tasks: Mapping[int, Status]

    def restarting(self, include_tasks: bool, only_failed: bool) -> Shown:
        """The states a restart leads to at once."""
        tasks = self.tasks
        if include_tasks:
            tasks = {task: _restarting(status, only_failed) for task, status in tasks.items()}
        return Shown(_restarting(self.connector, only_failed), tasks)


class Views:
    """Bodies about connectors; any thread."""

    def __init__(self, log: Log, worker: Worker) -> None:
        self._worker = worker
        self.statuses = CompactedTable(EmbeddedLog(log), STATUSES)

    def planned(self, intent: Intent) -> tuple[Planned, Plugin] | None:
        """The connector with its plugin; None for a plugin that is no longer installed."""
        try:
            plugin = plugins.find(intent.config.get("connector.class") or "", "source", "sink")
        except ConfigError:
            return None
        return planner.planned(intent, plugin), plugin

    def task_count(self, intent: Intent) -> int:
        """How many tasks are listed."""
        planned = self.planned(intent)
        return planner.task_count(planned[0]) if planned else 0

    def shown(self, intent: Intent) -> Shown:
        """The states as the status topic has them, but nothing older than the configuration, and
        no RUNNING for a process that has died this instant."""
        self.statuses.refresh()
        stored = task_statuses(self.statuses, intent.name)
        nothing = Status("UNASSIGNED", self._worker.settings.worker_id, intent.generation)
        connector = connector_status(self.statuses, intent.name)
        if connector is None or connector.generation != intent.generation:
            connector = nothing
        tasks = {}
        listed = range(self.task_count(intent))
        for task in sorted({*listed, *stored}):
            known = self._worker.board.unpublished(TaskId(intent.name, task))
            status = known or stored.get(task, nothing)
            old = task in listed and status.generation != intent.generation
            running = status.state != "RUNNING" or self._worker.alive(TaskId(intent.name, task))
            tasks[task] = nothing if old or not running else status
        return Shown(connector, tasks)

    def status(self, intent: Intent, shown: Shown) -> Body:
        """Kafka Connect's ConnectorStateInfo."""
        planned = self.planned(intent)
        return {
            "name": intent.name,
            "connector": self.state(intent, shown.connector),
            "tasks": [self.state(intent, status, task) for task, status in shown.tasks.items()],
            "type": planned[0].kind if planned else "unknown",
        }

    def state(self, intent: Intent, status: Status, task: int | None = None) -> Body:
        """The state of a connector, or of a task."""
        planned = self.planned(intent)
        assigned = planned is not None and status.state != "UNASSIGNED"
        body: Body = {} if task is None else {"id": task}
        body.update(state=status.state, worker_id=status.worker_id)
        body["version"] = planned[1].version if planned and assigned else None
        if status.trace is not None:
            body["trace"] = status.trace
        return body

    def info(self, intent: Intent) -> Body:
        """Kafka Connect's ConnectorInfo."""
        planned = self.planned(intent)
        tasks = range(self.task_count(intent))
        return {
            "name": intent.name,
            "config": masked(intent.config),
            "tasks": [{"connector": intent.name, "task": task} for task in tasks],
            "type": planned[0].kind if planned else "unknown",
        }

    def tasks(self, intent: Intent) -> list[Body]:
        """Kafka Connect's TaskInfos: every task with its configuration."""
        planned = self.planned(intent)
        config = masked(intent.config)
        config["task.class"] = shown_class(planned[1]) if planned else ""
        return [
            {"id": {"connector": intent.name, "task": task}, "config": config}
            for task in range(self.task_count(intent))
        ]


def _restarting(status: Status, only_failed: bool) -> Status:
    if only_failed and status.state not in ("FAILED", "RESTARTING"):
        return status
    return replace(status, state="RESTARTING", trace=None)
