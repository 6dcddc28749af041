"""The herder: everything REST may ask, in Kafka Connect's words.

It writes intent to the config topic and reads the status topic; it never touches a task. It is
the one writer of intent: what it read under its lock is what there is until its append, so of two
who create one name one wins. A change is one append, there as a whole or not at all.
"""

from __future__ import annotations

import threading
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from connect.errors import CdcError
from connect.log import Records
from connect.logs.embedded import EmbeddedLog
from connect.runtime import tables
from connect.runtime.herder_errors import BadRequest, Conflict, HerderError, NotFound
from connect.runtime.levels import LEVELS, ROOT
from connect.runtime.offset_desk import NEEDED, STOP_FIRST, OffsetDesk
from connect.runtime.planner import TaskId
from connect.runtime.plugin_desk import PluginDesk
from connect.runtime.sealing import Values, masked, sealed
from connect.runtime.tables import CONFIGS, STATUSES, CompactedTable, Intent, Json, TargetState
from connect.runtime.validation import Verdict
from connect.runtime.views import Views
from connect.runtime.worker import Worker

if TYPE_CHECKING:
    from log_core import Log

__all__ = ["BadRequest", "Conflict", "Herder", "HerderError", "NotFound"]

LONGEST_NAME: Final = 200
TRIES: Final = 5
PATIENCE: Final = 3.0  # seconds to wait, beyond their grace, for tasks that are stopping
_STATES: Final[Mapping[str, TargetState]] = {
    "RUNNING": "STARTED",
    "PAUSED": "PAUSED",
    "STOPPED": "STOPPED",
}

Body = dict[str, Any]


class Herder:
    """Synchronous and thread-safe; every method answers with the body that REST sends."""

    def __init__(self, log: Log, worker: Worker) -> None:
        embedded = EmbeddedLog(log)
        self._worker = worker
        self._log = log
        self._configs = CompactedTable(embedded, CONFIGS)
        self._views = Views(log, worker)
        self._offsets = OffsetDesk(log, worker.log_id)
        self._desk = PluginDesk(worker.settings, worker.secrets)
        self._writer = embedded.writer("herder")
        self._lock = threading.RLock()  # one writer of intent; never held during a live check
        worker.secrets.collect(self._kept())

    # -- what there is -------------------------------------------------------------------------

    def root(self) -> Body:
        """Version and identity of this worker's log."""
        return {
            "version": version("tailrace"),
            "commit": "unknown",
            "kafka_cluster_id": self._worker.log_id,
        }

    def connectors(self) -> list[str]:
        """Names of all connectors."""
        return sorted(self._intents())

    def info(self, name: str) -> Body:
        """Name, configuration, tasks and type."""
        return self._views.info(self._intent(name))

    def config(self, name: str) -> Body:
        """The configuration, secrets masked."""
        return masked(self._intent(name).config)

    def tasks(self, name: str) -> list[Body]:
        """The tasks and their configurations, secrets masked."""
        return self._views.tasks(self._intent(name))

    def status(self, name: str) -> Body:
        """The states of a connector and its tasks."""
        intent = self._find(name)
        if intent is None:
            raise NotFound(f"No status found for connector {name}")
        return self._views.status(intent, self._views.shown(intent))

    def task_status(self, name: str, task: int) -> Body:
        """The state of a task."""
        intent = self._find(name)
        shown = self._views.shown(intent).tasks if intent else {}
        if intent is None or task not in shown:
            raise NotFound(f"No status found for task {TaskId(name, task)}")
        return self._views.state(intent, shown[task], task)

    # -- changes of configuration --------------------------------------------------------------

    def create(
        self,
        name: str,
        config: Values,
        initial_state: str | None = None,
        initial_offsets: Sequence[Mapping[str, Any]] | None = None,
    ) -> Body:
        """Create a connector; Conflict when the name is taken, BadRequest for what is wrong."""
        _check_name(name)
        config = _named(name, config)
        if initial_state is not None and initial_state not in _STATES:
            raise BadRequest(f"initial_state must be one of {', '.join(_STATES)}.")
        config = self._desk.opened(config, {})
        verdict = self._desk.judged(config)
        if self._find(name) is not None:
            raise Conflict(f"Connector {name} already exists")
        self._desk.check(verdict)
        with self._lock:
            if self._find(name) is not None:
                raise Conflict(f"Connector {name} already exists")
            others = self._initial_offsets(verdict, name, initial_offsets)
            target = tables.target_state(_STATES[initial_state or "RUNNING"])
            others.append(self._configs.records({tables.TARGET_STATE + name: target}))
            self._write_config(name, config, others)
            return self.info(name)

    def put_config(self, name: str, config: Values) -> tuple[bool, Body]:
        """Create a connector or replace its configuration; whether it was created, and its info."""
        _check_name(name)
        config = _named(name, config)
        return self._change(name, lambda _: config)

    def patch_config(self, name: str, patch: Values) -> Body:
        """Set some keys; None removes one."""
        if patch.get("name", name) != name:
            _named(name, patch)

        def change(stored: Intent | None) -> Values:
            if stored is None:
                raise NotFound(f"Connector {name} not found")
            changed = {**masked(stored.config), **patch}
            return _named(name, {key: v for key, v in changed.items() if v is not None})

        return self._change(name, change)[1]

    def delete(self, name: str) -> None:
        """Delete a connector; its tasks end and its source is cleaned up afterwards."""
        with self._lock:
            intent = self._intent(name)
            keys = (tables.CONNECTOR, tables.TARGET_STATE, tables.RESTART)
            values: dict[str, Json | None] = {key + name: None for key in keys}
            values[tables.FORGET + name] = {"properties": dict(intent.config)}
            self._write(values)

    # -- changes of state ----------------------------------------------------------------------

    def pause(self, name: str) -> None:
        """Stop moving data, keep the tasks listed."""
        self._aim(name, "PAUSED")

    def resume(self, name: str) -> None:
        """Go on after a pause or a stop."""
        self._aim(name, "STARTED")

    def stop(self, name: str) -> None:
        """End the tasks; only then may offsets be changed."""
        self._aim(name, "STOPPED")

    def restart(self, name: str, include_tasks: bool, only_failed: bool) -> Body | None:
        """Restart the connector and, if asked, its tasks; the states to come, unless both flags
        are false."""
        with self._lock:
            intent = self._find(name)
            if intent is None:
                raise NotFound(f"Unknown connector: {name}")
            shown = self._views.shown(intent)
            self._ask_restart(name, include_tasks, only_failed)
        if not include_tasks and not only_failed:
            return None
        return self._views.status(intent, shown.restarting(include_tasks, only_failed))

    def restart_task(self, name: str, task: int) -> None:
        """Restart one task."""
        with self._lock:
            intent = self._find(name)
            if intent is None:
                raise NotFound(f"Unknown connector: {name}")
            if not 0 <= task < self._views.task_count(intent):
                raise NotFound(f"Unknown task: {TaskId(name, task)}")
            self._ask_restart(name, True, False, task=task)

    # -- offsets and topics --------------------------------------------------------------------

    def offsets(self, name: str) -> Body:
        """The committed offsets of a connector."""
        planned = self._views.planned(self._intent(name))
        return {"offsets": self._offsets.show(name, planned[0].kind if planned else "source")}

    def alter_offsets(self, name: str, offsets: Sequence[Mapping[str, Any]]) -> str:
        """Set offsets of a stopped connector (None forgets one); the message for the user."""
        if not offsets:
            raise BadRequest(NEEDED)
        with self._lock:
            verdict = self._stopped(name)
            if verdict.plugin.kind == "source":
                self._offsets.alter_source(verdict, name, offsets)
            else:
                self._offsets.alter_sink(verdict, name, offsets)
        return "The offsets for this connector have been altered successfully"

    def reset_offsets(self, name: str) -> str:
        """Forget all offsets of a stopped connector; the message for the user."""
        with self._lock:
            verdict = self._stopped(name)
            if verdict.plugin.kind == "source":
                self._offsets.reset_source(name)
            else:
                self._offsets.reset_sink(verdict, name)
        return "The offsets for this connector have been reset successfully"

    def active_topics(self, name: str) -> Body:
        """The topics the connector has used."""
        self._intent(name)
        self._views.statuses.refresh()
        return {name: {"topics": tables.active_topics(self._views.statuses, name)}}

    def reset_topics(self, name: str) -> None:
        """Forget which topics the connector has used."""
        with self._lock:
            self._intent(name)
            self._views.statuses.refresh()
            topics = tables.active_topics(self._views.statuses, name)
            keys = [tables.topic_key(topic, name) for topic in topics]
            if keys:
                self._append([self._views.statuses.records(dict.fromkeys(keys))])

    # -- plugins and loggers -------------------------------------------------------------------

    def plugins(self, connectors_only: bool) -> list[Body]:
        """The installed plugins that can be used."""
        return self._desk.plugins(connectors_only)

    def plugin_config(self, plugin: str) -> list[Body]:
        """The configuration keys of a plugin."""
        return self._desk.keys(plugin)

    def validate(self, plugin: str, config: Values) -> Body:
        """Judge a configuration, live checks included; Kafka Connect's ConfigInfos."""
        stored = self._find(config.get("name") or "")
        return self._desk.validate(plugin, config, stored.config if stored else {})

    def loggers(self) -> Body:
        """Level and last change of every logger."""
        return {name: _level(*it) for name, it in self._worker.levels.all().items()}

    def logger(self, name: str) -> Body:
        """Level and last change of one logger."""
        found = self._worker.levels.get(name)
        if found is None:
            raise NotFound(f"Logger {name} not found.")
        return _level(*found)

    def set_logger(self, name: str, level: str, scope: str) -> list[str]:
        """Set a level in this worker and its tasks, or in all workers (``cluster``)."""
        if level.upper() not in LEVELS:
            raise NotFound(f"invalid log level '{level}'.")
        if scope == "cluster":
            with self._lock:
                self._write({tables.LOGGER + (name or ROOT): {"level": level.upper()}})
            return []
        changed = self._worker.levels.set(name, level)
        self._worker.send_levels()
        return changed

    # -- reading -------------------------------------------------------------------------------

    def _intents(self) -> Mapping[str, Intent]:
        self._configs.refresh()
        return tables.intents(self._configs)

    def _find(self, name: str) -> Intent | None:
        self._configs.refresh()
        return tables.intent(self._configs, name)

    def _intent(self, name: str) -> Intent:
        intent = self._find(name)
        if intent is None:
            raise NotFound(f"Connector {name} not found")
        return intent

    def _initial_offsets(
        self, verdict: Verdict, name: str, offsets: Sequence[Mapping[str, Any]] | None
    ) -> list[Records]:
        if offsets is None:
            return []
        if verdict.plugin.kind == "source":
            return [self._offsets.initial_source(verdict, name, offsets)]
        # A sink's group and target move before there is a connector that could use them.
        self._offsets.initial_sink(verdict, name, offsets)
        return []

    # -- writing -------------------------------------------------------------------------------

    def _change(self, name: str, change: Callable[[Intent | None], Values]) -> tuple[bool, Body]:
        """Write what ``change`` makes of the stored intent, unless it is there already."""
        for _ in range(TRIES):
            stored = self._find(name)
            old = stored.config if stored else {}
            config = self._desk.opened(change(stored), old)
            if stored is not None and config == old:
                return False, self._views.info(stored)
            self._desk.approve(config)
            with self._lock:
                now = self._find(name)
                if (now and now.generation) == (stored and stored.generation):
                    self._write_config(name, config)
                    return stored is None, self.info(name)
        raise Conflict(f"The configuration of connector {name} is being changed by others as well")

    def _write_config(self, name: str, config: Values, others: Sequence[Records] = ()) -> None:
        properties = dict(sealed(config, self._worker.secrets, self._kept()))
        self._write({tables.CONNECTOR + name: {"properties": properties}}, others)

    def _kept(self) -> list[str | None]:
        """Every value that may refer to a stored secret."""
        self._configs.refresh()
        entries = [
            *self._configs.entries(tables.CONNECTOR).values(),
            *self._configs.entries(tables.FORGET).values(),
        ]
        return [value for entry in entries for value in entry.value["properties"].values()]

    def _aim(self, name: str, target: TargetState) -> None:
        with self._lock:
            intent = self._find(name)
            if intent is None:
                raise NotFound(f"Unknown connector {name}")
            if intent.target != target:
                self._write({tables.TARGET_STATE + name: tables.target_state(target)})

    def _ask_restart(self, name: str, tasks: bool, failed: bool, **more: int) -> None:
        request = {"include-tasks": tasks, "only-failed": failed, **more}
        self._write({tables.RESTART + name: request})

    def _write(self, values: Mapping[str, Json | None], others: Sequence[Records] = ()) -> None:
        self._append([self._configs.records(values), *others])

    def _append(self, records: Sequence[Records]) -> None:
        try:
            self._writer.append(records)
        except CdcError as error:
            raise HerderError(500, error.message, code=error.code, hint=error.hint) from error

    def _stopped(self, name: str) -> Verdict:
        """A stopped connector none of whose tasks is left; BadRequest for any other."""
        intent = self._intent(name)
        deadline = time.monotonic() + self._worker.settings.shutdown_seconds + PATIENCE
        while intent.target == "STOPPED":
            if not self._views.shown(intent).tasks:
                return self._desk.judged(intent.config)
            if time.monotonic() > deadline:
                raise Conflict(f"The tasks of connector {name} have not stopped yet; try again")
            self._log.wait({(STATUSES, 0): self._views.statuses.position}, 0.2)
            intent = self._intent(name)
        raise BadRequest(STOP_FIRST.format(name))


def _check_name(name: str) -> None:
    if not name or len(name) > LONGEST_NAME or any(unicodedata.category(c) == "Cc" for c in name):
        raise BadRequest(
            f"A connector's name has 1 to {LONGEST_NAME} characters, none of them a control "
            "character.",
            key="name",
        )


def _named(name: str, config: Values) -> Values:
    included = config.get("name", name)
    if included != name:
        raise BadRequest(
            f"Connector name configuration ({included}) doesn't match connector name in the URL "
            f"({name})",
            key="name",
        )
    return {**config, "name": name}


def _level(level: str, modified: int | None) -> Body:
    return {"level": level, "last_modified": modified}
