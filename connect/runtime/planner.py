"""Which tasks there should be, and what each reads: a pure function of what people want.

A source has one task. A sink's partitions are dealt over its tasks in turn; a sink whose target
takes one writer only has one task. Tasks never rebalance while they run: a new plan is a new task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from connect.log import TopicPartition
from connect.runtime.plugins import Plugin
from connect.runtime.tables import Intent, is_internal
from connect.transforms.java_regex import java_pattern

Kind = Literal["source", "sink"]


class TaskId(NamedTuple):
    """A task's name; its text is Kafka Connect's."""

    connector: str
    task: int

    def __str__(self) -> str:
        return f"{self.connector}-{self.task}"


@dataclass(frozen=True, slots=True)
class Planned:
    """A connector to plan: its intent and what its plugin says of itself."""

    intent: Intent
    kind: Kind
    exclusive: bool = False


def planned(intent: Intent, plugin: Plugin) -> Planned:
    """The connector of this intent, whose class is ``plugin``: a source or a sink."""
    kind: Kind = "source" if plugin.kind == "source" else "sink"
    return Planned(intent, kind, bool(getattr(plugin.cls, "exclusive", False)))


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """All that makes one run of a task what it is: a different spec is a different run.

    The tasks of a paused connector and sink tasks that have no partition to read are listed, but
    no process runs for them.
    """

    id: TaskId
    kind: Kind
    config: Mapping[str, str | None]
    generation: int
    partitions: tuple[TopicPartition, ...] = ()
    paused: bool = False

    @property
    def runs(self) -> bool:
        """Whether there should be a process."""
        return not self.paused and (self.kind == "source" or bool(self.partitions))


Assignment = Mapping[TaskId, TaskSpec]


def plan(connectors: Sequence[Planned], topics: Mapping[str, int]) -> Assignment:
    """The tasks of all connectors. ``topics`` maps each existing topic to its partition count."""
    return {spec.id: spec for connector in connectors for spec in tasks(connector, topics)}


def tasks(connector: Planned, topics: Mapping[str, int]) -> list[TaskSpec]:
    """The tasks of one connector; none for a stopped one."""
    intent = connector.intent
    count = task_count(connector)
    dealt: Sequence[tuple[TopicPartition, ...]] = [()] * count
    if connector.kind == "sink":
        wanted = partitions(intent.config, topics)
        dealt = [tuple(wanted[task::count]) for task in range(count)]
    return [
        TaskSpec(
            TaskId(intent.name, task),
            connector.kind,
            intent.config,
            intent.generation,
            mine,
            paused=intent.target != "STARTED",
        )
        for task, mine in enumerate(dealt)
    ]


def task_count(connector: Planned) -> int:
    """How many tasks are listed: tasks.max for a sink, whatever it has to read."""
    if connector.intent.target == "STOPPED":
        return 0
    if connector.kind == "source" or connector.exclusive:
        return 1
    try:
        return max(1, int(connector.intent.config.get("tasks.max") or 1))
    except ValueError:
        return 1


def partitions(config: Mapping[str, str | None], topics: Mapping[str, int]) -> list[TopicPartition]:
    """The existing partitions a sink's ``topics`` or ``topics.regex`` names, in order.

    The expression is in Java's syntax. A topic that is made later is part of a later plan.
    """
    names = {name.strip() for name in (config.get("topics") or "").split(",")} & topics.keys()
    regex = config.get("topics.regex")
    if regex:
        pattern = java_pattern(regex)
        names |= {name for name in topics if pattern.fullmatch(name)}
    return [
        TopicPartition(name, partition)
        for name in sorted(names)
        if not is_internal(name)
        for partition in range(topics[name])
    ]
