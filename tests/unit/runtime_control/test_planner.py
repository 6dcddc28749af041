"""The plan is a pure function: who reads what."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connect.log import TopicPartition
from connect.runtime.planner import Planned, TaskId, partitions, plan, tasks
from connect.runtime.tables import Intent, TargetState


def connector(name: str, kind: str = "source", target: TargetState = "STARTED", **config: str):  # type: ignore[no-untyped-def]
    keys = {key.replace("_", "."): value for key, value in config.items()}
    exclusive = keys.pop("exclusive", "") == "yes"
    return Planned(Intent(name, keys, target, 7), kind, exclusive)  # type: ignore[arg-type]


def test_a_source_has_one_task_whatever_tasks_max_says() -> None:
    [spec] = tasks(connector("s", tasks_max="4"), {})
    assert (spec.id, spec.kind, spec.generation, spec.runs) == (TaskId("s", 0), "source", 7, True)


def test_a_sinks_partitions_are_dealt_in_turn() -> None:
    specs = tasks(connector("k", "sink", topics="a,b", tasks_max="2"), {"a": 3, "b": 2, "c": 1})
    assert [spec.partitions for spec in specs] == [
        (("a", 0), ("a", 2), ("b", 1)),
        (("a", 1), ("b", 0)),
    ]


def test_an_exclusive_sink_has_one_task() -> None:
    specs = tasks(connector("k", "sink", topics="a", tasks_max="5", exclusive="yes"), {"a": 3})
    assert [len(spec.partitions) for spec in specs] == [3]


def test_a_task_without_partitions_is_listed_but_does_not_run() -> None:
    first, second = tasks(connector("k", "sink", topics="a", tasks_max="2"), {"a": 1})
    assert first.runs
    assert not second.runs


def test_a_topic_that_does_not_exist_is_not_read_yet() -> None:
    [spec] = tasks(connector("k", "sink", topics="later"), {})
    assert (spec.partitions, spec.runs) == ((), False)


def test_paused_tasks_are_listed_and_stopped_ones_are_not() -> None:
    [paused] = tasks(connector("s", target="PAUSED"), {})
    assert paused.paused
    assert not paused.runs
    assert tasks(connector("s", target="STOPPED"), {}) == []


def test_a_regex_matches_whole_names_and_never_internal_topics() -> None:
    topics = {"shop.a": 1, "shop.ab": 1, "x.shop.a": 1, "connect-offsets": 1, "__tailrace": 1}
    assert partitions({"topics.regex": "shop\\.a"}, topics) == [("shop.a", 0)]
    assert [p.topic for p in partitions({"topics.regex": ".*"}, topics)] == [
        "shop.a", "shop.ab", "x.shop.a",
    ]  # fmt: skip


def test_a_topic_more_changes_only_the_sinks_that_read_it() -> None:
    connectors = [
        connector("named", "sink", topics="a"),
        connector("regex", "sink", topics_regex="a|b"),
        connector("s"),
    ]
    before, after = plan(connectors, {"a": 1}), plan(connectors, {"a": 1, "b": 1})
    assert [task for task in after if after[task] != before[task]] == [TaskId("regex", 0)]


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9)),
    st.integers(1, 8),
)
def test_every_partition_is_read_by_one_task(topics: dict[str, int], count: int) -> None:
    sink = connector("k", "sink", topics_regex=".*", tasks_max=str(count))
    dealt = [name for spec in tasks(sink, topics) for name in spec.partitions]
    everything = [TopicPartition(t, p) for t, number in topics.items() for p in range(number)]
    assert sorted(dealt) == sorted(everything)
    sizes = [len(spec.partitions) for spec in tasks(sink, topics)]
    assert max(sizes) - min(sizes) <= 1
