"""The worker: obeys the plan, a process per task, and says what is.

One control thread does everything. It waits for an event (the config topic changed, a task spoke,
a process ended, a clock ran out), takes it in, appends the statuses that follow from it, and only
then starts and stops processes. So a dead task's status changes before anything else happens.

    wanted, no process          start it, unless it has FAILED or its back-off lasts
    process, not wanted so      ask it to stop, kill it when its time is over
    process died or retriable   RESTARTING with the cause, again after 1 s, 2 s, 4 s ... 60 s
    any other end               FAILED with the cause, until a person acts
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from connect.errors import CdcError
from connect.logs.embedded import EmbeddedLog
from connect.runtime import forgetting, plugins, tables
from connect.runtime.levels import Levels
from connect.runtime.metrics import WorkerMetrics
from connect.runtime.planner import Assignment, Planned, TaskId, TaskSpec, plan, planned
from connect.runtime.secret_store import SecretStore
from connect.runtime.settings import WorkerSettings, cluster_id
from connect.runtime.statuses import State, StatusBoard
from connect.runtime.supervisor import COMMAND, Backoff, Exited, Said, TaskRun, last_word
from connect.runtime.tables import CONFIGS, OFFSETS, CompactedTable, Intent, TargetState

if TYPE_CHECKING:
    from log_core import Log

logger = logging.getLogger(__name__)

REACHED: Final[Mapping[TargetState, State]] = {
    "STARTED": "RUNNING",
    "PAUSED": "PAUSED",
    "STOPPED": "STOPPED",
}
SETTLE_SECONDS: Final = 2.0  # without a new topic before a running sink is given those there are
TICK: Final = 1.0  # seconds between looks at the topics there are


class ConfigsChanged(NamedTuple):
    """The config topic has records not read yet."""


class Closing(NamedTuple):
    """The worker was asked to end."""


@dataclass(slots=True)
class Slot:
    """A task's place in the worker, over all its runs."""

    wanted: TaskSpec | None = None
    run: TaskRun | None = None
    backoff: Backoff = field(default_factory=Backoff)
    retry_at: float = 0.0  # on the monotonic clock
    resting: bool = False  # FAILED or fenced: waits for a person
    restart: bool = False  # a person asked for it
    coming: TaskSpec | None = None  # other partitions, while it is not sure that they are all
    settled_at: float = 0.0

    def want(self, spec: TaskSpec, now: float) -> None:
        """A new spec starts with a clean sheet. If it only reads other partitions it waits until
        no more come: a snapshot makes topic after topic, and each would restart the sink."""
        if spec == self.wanted:
            self.coming = None
        elif self._reads_on(spec) and not self._settled(spec, now):
            return
        else:
            self.wanted, self.coming = spec, None
            self.backoff, self.retry_at, self.resting = Backoff(), 0.0, False

    def _reads_on(self, spec: TaskSpec) -> bool:
        if self.run is None or self.run.spec != self.wanted:
            return False
        return replace(spec, partitions=self.wanted.partitions) == self.wanted

    def _settled(self, spec: TaskSpec, now: float) -> bool:
        if spec != self.coming:
            self.coming, self.settled_at = spec, now + SETTLE_SECONDS
        return self.settled_at <= now

    def may_start(self, now: float) -> bool:
        """Whether nothing holds the next run back."""
        return self.restart or (not self.resting and self.retry_at <= now)


class Worker:
    """Runs the tasks that the config topic asks for. ``start`` and ``close`` once each."""

    def __init__(
        self, log: Log, settings: WorkerSettings, *, command: tuple[str, ...] = COMMAND
    ) -> None:
        self.settings = settings
        self.log_id = cluster_id(settings.data_dir)
        self.levels = Levels()
        self.secrets = SecretStore(settings.data_dir / "secrets.json")
        self._log = log
        self._command = command
        embedded = EmbeddedLog(log)
        self._configs = CompactedTable(embedded, CONFIGS)
        self._offsets = CompactedTable(embedded, OFFSETS)
        self.board = StatusBoard(embedded, settings.worker_id)
        self.metrics = WorkerMetrics(log, self.board)
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._slots: dict[TaskId, Slot] = {}
        self._intents: dict[str, Intent] = {}
        self._planned: list[Planned] = []
        self._forgetting: dict[str, float] = {}  # deleted connectors, and when patience ends
        self._closing = False
        self._thread = threading.Thread(target=self._control, name="worker", daemon=True)
        self._watcher = threading.Thread(target=self._watch, name="config-watch", daemon=True)

    def start(self) -> None:
        """Take over what an earlier worker left: nothing is RUNNING until its task says so."""
        self.board.open()
        self._configs.refresh()
        self._intents = tables.intents(self._configs)
        for intent in self._intents.values():
            self.board.set_connector(intent, "UNASSIGNED")
        for name, entry in self._configs.entries(tables.LOGGER).items():
            self.levels.set(name, entry.value["level"])
        self.board.append()
        self._thread.start()
        self._watcher.start()

    def close(self) -> None:
        """Stop every task and wait until all are gone; a task gets its graceful time."""
        self._events.put(Closing())
        self._thread.join()
        self._watcher.join()
        self.board.close()

    def alive(self, task: TaskId) -> bool:
        """Whether what is said of a RUNNING task is true at this moment; any thread may ask."""
        slot = self._slots.get(task)
        run, wanted = (slot.run, slot.wanted) if slot else (None, None)
        if run is not None:
            return run.alive()
        # A sink task without partitions runs no process: there is nothing that could be dead.
        return wanted is not None and not wanted.runs

    def pids(self) -> Mapping[TaskId, int]:
        """The process id of every task that has a process."""
        runs = [(task, slot.run) for task, slot in list(self._slots.items())]
        return {task: run.pid for task, run in runs if run is not None}

    def send_levels(self) -> None:
        """Tell every task the loggers' levels."""
        for slot in list(self._slots.values()):
            if slot.run is not None:
                slot.run.send({"command": "loggers", "loggers": self.levels.for_tasks()})

    # -- the control thread --------------------------------------------------------------------

    def _watch(self) -> None:
        position = 0
        try:
            while not self._closing:
                if self._log.wait({(CONFIGS, 0): position}, TICK):
                    position = self._log.end_offset(CONFIGS, 0)
                    self._events.put(ConfigsChanged())
        except Exception:  # there will be no more configurations from this log
            logger.exception("the config topic can't be watched any more")

    def _control(self) -> None:
        while not (self._closing and not self._slots):
            try:
                event = self._events.get(timeout=self._patience())
            except queue.Empty:
                event = None
            try:
                self._take(event)
                self._plan()
                self._publish()
                self._obey()
                self._publish()
            except Exception:  # running tasks go on; the next event tries again
                logger.exception("the worker could not act")
                time.sleep(TICK)

    def _publish(self) -> None:
        try:
            self.board.append()
        except CdcError as error:  # a log that failed must not keep tasks from being stopped
            logger.error("statuses could not be written: %s", error)

    def _patience(self) -> float:
        now = time.monotonic()
        due = [slot.retry_at for slot in self._slots.values() if slot.retry_at > now]
        due += [s.run.kill_at for s in self._slots.values() if s.run and s.run.kill_at is not None]
        return max(0.0, min([now + TICK, *due]) - now)

    def _take(self, event: object) -> None:
        match event:
            case ConfigsChanged():
                self._read_configs()
            case Said(run, line):
                self._hear(run, line)
            case Exited(run, code):
                self._bury(run, code)
            case forgetting.Forgotten():
                self._forgot(event)
            case Closing():
                self._closing = True

    def _read_configs(self) -> None:
        for change in self._configs.refresh():
            if change.value is None:
                continue
            if change.key.startswith(tables.RESTART):
                self._restart(change.key.removeprefix(tables.RESTART), change.value)
            elif change.key.startswith(tables.LOGGER):
                self.levels.set(change.key.removeprefix(tables.LOGGER), change.value["level"])
                self.send_levels()
        known = self._intents
        self._intents = tables.intents(self._configs)
        for name in known.keys() - self._intents.keys():
            self.board.remove_connector(name)

    def _restart(self, name: str, request: tables.Json) -> None:
        for task, slot in self._slots.items():
            if task.connector != name or slot.wanted is None or not request["include-tasks"]:
                continue
            chosen = request.get("task", task.task) == task.task
            failed = slot.run is None and slot.wanted.runs
            if chosen and slot.wanted.runs and (failed or not request["only-failed"]):
                slot.restart = True
                self.board.set_task(slot.wanted, "RESTARTING")
                self.metrics.restarted(task, "manual")

    def _plan(self) -> None:
        now = time.monotonic()
        assignment: Assignment = {}
        if not self._closing:
            topics = {name: topic.partitions for name, topic in self._log.topics().items()}
            found = map(self._find_plugin, self._intents.values())
            self._planned = [each for each in found if each is not None]
            names = {p.intent.name: p.intent.config["connector.class"] or "" for p in self._planned}
            self.metrics.name_connectors(
                {p.intent.name: (p.kind, names[p.intent.name]) for p in self._planned}
            )
            assignment = plan(self._planned, topics)
        for task, spec in assignment.items():
            self._slots.setdefault(task, Slot()).want(spec, now)
        for task, slot in self._slots.items():
            if task not in assignment:
                slot.wanted = None

    def _find_plugin(self, intent: Intent) -> Planned | None:
        if self._configs.get(tables.FORGET + intent.name) is not None:
            return None  # first its deleted namesake is cleaned up
        try:
            plugin = plugins.find(intent.config.get("connector.class") or "", "source", "sink")
        except CdcError as error:
            self.board.set_connector(intent, "FAILED", str(error))
            return None
        return planned(intent, plugin)

    def _show_connectors(self) -> None:
        """A connector is PAUSED or STOPPED once all its tasks are."""
        busy = {task.connector for task, s in self._slots.items() if s.run or not s.wanted}
        for intent in (each.intent for each in self._planned):
            target = "STARTED" if intent.name in busy else intent.target
            self.board.set_connector(intent, REACHED[target])

    def _hear(self, run: TaskRun, line: Mapping[str, Any]) -> None:
        task = run.spec.id
        if self._slots[task].run is not run:
            return  # said too late: its end is known already
        if line.get("state") == "RUNNING" and not run.stopping:
            self.board.set_task(run.spec, "RUNNING")
        if "metrics" in line:
            self.metrics.report(task, run.id, line["metrics"])
            if self.metrics.progressed(task):
                self._slots[task].backoff.reset()
        for topic in line.get("topics", ()):
            self.board.use_topic(task, topic, int(time.time() * 1000))
        if "ended" in line:
            run.ended = line["ended"]

    def _bury(self, run: TaskRun, code: int) -> None:
        slot, task = self._slots[run.spec.id], run.spec.id
        slot.run = None
        self.metrics.ended(task)
        word = last_word(run, code)
        kind, message = word["kind"], word["message"]
        if kind not in ("stopped", "fenced") and not run.stopping:
            self.metrics.failed(task, kind)
        if run.stopping:
            if kind != "stopped" and run.ended is not None:
                logger.warning("task %s failed while it stopped: %s", task, message)
            if slot.wanted is not None:
                self.board.set_task(slot.wanted, "RESTARTING" if slot.restart else "UNASSIGNED")
        elif kind in ("retriable", "stopped"):
            wait = max(slot.backoff.next(), float(word.get("after") or 0))
            slot.retry_at = time.monotonic() + wait
            self.board.set_task(run.spec, "RESTARTING", trace_of(word))
            self.metrics.restarted(task, "auto")
            logger.warning("task %s restarts in %.1f s: %s", task, wait, message)
        else:
            slot.resting = True
            state: State = "UNASSIGNED" if kind == "fenced" else "FAILED"
            self.board.set_task(run.spec, state, trace_of(word))
            logger.error("task %s stays %s (%s): %s", task, state, kind, message)

    def _obey(self) -> None:
        now = time.monotonic()
        for task, slot in list(self._slots.items()):
            wanted, run = slot.wanted, slot.run
            if run is not None:
                if not run.stopping and (wanted != run.spec or not wanted.runs or slot.restart):
                    run.stop(self.settings.shutdown_seconds)
                elif run.kill_at is not None and run.kill_at <= now:
                    logger.warning("task %s did not stop in time and is killed", task)
                    run.kill()
            elif wanted is None:
                del self._slots[task]
                self.board.remove_task(task)
                self.metrics.forget(task)
            elif not wanted.runs:
                self.board.set_task(wanted, "PAUSED" if wanted.paused else "RUNNING")
            elif slot.may_start(now):
                self._run(slot, wanted)
        self._show_connectors()
        self._start_forgetting(now)

    def _run(self, slot: Slot, spec: TaskSpec) -> None:
        slot.restart, slot.resting, slot.retry_at = False, False, 0.0
        shown = self.board.task(spec.id)
        if shown is None or shown.state != "RESTARTING":
            self.board.set_task(spec, "UNASSIGNED")
            self._publish()
        try:
            slot.run = TaskRun(spec, self._setup(spec), self._log, self._events, self._command)
        except OSError as error:  # no memory or no file descriptors: that may pass
            slot.retry_at = time.monotonic() + slot.backoff.next()
            self.board.set_task(spec, "RESTARTING", f"Its process could not be started: {error}")

    def _setup(self, spec: TaskSpec) -> Mapping[str, Any]:
        return {
            "connector": spec.id.connector,
            "task": spec.id.task,
            "log_id": self.log_id,
            "kind": spec.kind,
            "plugin": plugins.find(spec.config["connector.class"] or "", spec.kind).name,
            "config": spec.config,
            "defaults": self.settings.defaults,
            "partitions": spec.partitions,
            "providers": self.settings.providers,
            "secrets": self.secrets.behind(spec.config),
            "loggers": self.levels.for_tasks(),
        }

    # -- deleted connectors --------------------------------------------------------------------

    def _start_forgetting(self, now: float) -> None:
        busy = {task.connector for task, slot in self._slots.items() if slot.run}
        for name, entry in self._configs.entries(tables.FORGET).items():
            if name in self._forgetting:
                if self._forgetting[name] <= now:
                    late = f"Its source did not answer within {forgetting.SECONDS:.0f} s."
                    self._events.put(forgetting.Forgotten(name, entry.offset, False, [late]))
                    self._forgetting[name] = now + forgetting.SECONDS
            elif name not in busy:
                self._forgetting[name] = now + forgetting.SECONDS
                config = entry.value["properties"]
                allowed, secrets = self.settings.providers, self.secrets.behind(config)
                forgetting.start(name, entry.offset, config, allowed, secrets, self._events)

    def _forgot(self, done: forgetting.Forgotten) -> None:
        entry = self._configs.get(tables.FORGET + done.connector)
        if entry is None or entry.offset != done.request:
            return  # its time was over before
        for sentence in done.sentences:
            logger.warning("connector %s was deleted. %s", done.connector, sentence)
        removal = [self._configs.records({tables.FORGET + done.connector: None})]
        if done.clean:
            self._offsets.refresh()
            mine = tables.source_offsets(self._offsets, done.connector)
            removal.append(self._offsets.records(dict.fromkeys(mine)))
        self.board.append(*removal)
        self._configs.refresh()
        self._forgetting.pop(done.connector, None)


def trace_of(word: Mapping[str, Any]) -> str:
    """The trace shown for a task's end: cause, code and remedy first, then where it happened."""
    code = f"[{word['code']}]" if word.get("code") else None
    first = " ".join(part for part in (word["message"], code, word.get("hint")) if part)
    return f"{first}\n\n{word['trace']}" if word.get("trace") else first
