"""A running sink is given new topics once no more of them come."""

from types import SimpleNamespace
from typing import Any

from connect.log import TopicPartition
from connect.runtime.planner import TaskId, TaskSpec
from connect.runtime.worker import SETTLE_SECONDS, Slot


def spec(*topics: str, generation: int = 1) -> TaskSpec:
    partitions = tuple(TopicPartition(topic, 0) for topic in topics)
    return TaskSpec(TaskId("sink", 0), "sink", {"name": "sink"}, generation, partitions)


def running(*topics: str) -> Slot:
    slot = Slot()
    slot.want(spec(*topics), now=0.0)
    run: Any = SimpleNamespace(spec=slot.wanted)
    slot.run = run
    return slot


def test_first_partitions_are_taken_at_once() -> None:
    slot = Slot()
    slot.want(spec("a"), now=0.0)
    assert slot.wanted == spec("a")


def test_new_topics_wait_until_no_more_come() -> None:
    slot = running("a")
    slot.want(spec("a", "b"), now=10.0)
    assert slot.wanted == spec("a")
    slot.want(spec("a", "b", "c"), now=10.0 + SETTLE_SECONDS)  # another one: wait anew
    assert slot.wanted == spec("a")
    slot.want(spec("a", "b", "c"), now=10.0 + 2 * SETTLE_SECONDS)
    assert slot.wanted == spec("a", "b", "c")


def test_topics_that_go_again_change_nothing() -> None:
    slot = running("a")
    slot.want(spec("a", "b"), now=10.0)
    slot.want(spec("a"), now=11.0)
    slot.want(spec("a", "b"), now=11.0 + SETTLE_SECONDS)
    assert slot.wanted == spec("a")


def test_another_configuration_never_waits() -> None:
    slot = running("a")
    slot.want(spec("a", "b", generation=2), now=10.0)
    assert slot.wanted == spec("a", "b", generation=2)
