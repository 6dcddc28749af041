"""Compacted topics as dicts, in Kafka Connect's formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connect.errors import FatalError
from connect.log import Records, TopicPartition
from connect.logs.embedded import EmbeddedLog
from connect.runtime import tables
from connect.runtime.tables import CONFIGS, CompactedTable
from log_core import Log


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    with Log(tmp_path / "log") as core:
        yield EmbeddedLog(core)


def test_the_newest_value_wins_and_none_deletes(log: EmbeddedLog) -> None:
    table = CompactedTable(log, CONFIGS)
    writer = log.writer("w")
    writer.append([table.records({"connector-a": {"properties": {"x": "1"}}, "b": {}})])
    writer.append([table.records({"connector-a": {"properties": {"x": "2"}}, "b": None})])
    changes = table.refresh()
    assert [(c.key, c.value, c.offset) for c in changes][-1] == ("b", None, 3)
    assert table.entries() == {"connector-a": ({"properties": {"x": "2"}}, 2)}
    assert table.refresh() == []


def test_a_late_reader_sees_what_an_early_one_sees(log: EmbeddedLog) -> None:
    early = CompactedTable(log, CONFIGS)
    writer = log.writer("w")
    for number in range(5):
        writer.append([early.records({f"k{number % 2}": {"n": number}})])
        early.refresh()
    late = CompactedTable(log, CONFIGS)
    late.refresh()
    assert late.entries() == early.entries()
    assert late.position == 5


@pytest.mark.parametrize("value", [b"{", b"[1]", b"\xff"])
def test_a_record_that_is_no_object_is_corruption(log: EmbeddedLog, value: bytes) -> None:
    table = CompactedTable(log, CONFIGS)
    log.writer("w").append([Records(TopicPartition(CONFIGS, 0), [b"k"], [value], [0])])
    with pytest.raises(FatalError, match="no JSON object") as caught:
        table.refresh()
    assert caught.value.code == "table.corrupt"


def test_intents_in_kafka_connects_format(log: EmbeddedLog) -> None:
    table = CompactedTable(log, CONFIGS)
    values: dict[str, tables.Json | None] = {
        "connector-a": {"properties": {"name": "a"}},
        "target-state-a": tables.target_state("STOPPED"),
        "connector-b": {"properties": {"name": "b"}},
        "connector-old": {"properties": {}},
        "target-state-old": {"state": "PAUSED"},
        "restart-connector-a": {"include-tasks": True, "only-failed": False},
        "forget-connector-gone": {"properties": {}},
    }
    log.writer("w").append([table.records(values)])
    table.refresh()
    assert tables.target_state("STOPPED") == {"state": "PAUSED", "state.v2": "STOPPED"}
    found = tables.intents(table)
    assert {n: (i.target, i.generation) for n, i in found.items()} == {
        "a": ("STOPPED", 0), "b": ("STARTED", 2), "old": ("PAUSED", 3),
    }  # fmt: skip


def test_offset_keys_are_kafka_connects() -> None:
    assert tables.offset_key("a", {"server": "ä"}) == '["a",{"server":"ä"}]'


def test_active_topics_of_names_with_separators(log: EmbeddedLog) -> None:
    table = CompactedTable(log, tables.STATUSES)
    keys = [tables.topic_key("t", "a"), tables.topic_key("u", "b:connector-a")]
    assert keys[0] == "status-topic-t:connector-a"
    log.writer("w").append([table.records({key: {} for key in keys})])
    table.refresh()
    assert tables.active_topics(table, "a") == ["t"]
    assert tables.active_topics(table, "b:connector-a") == ["u"]
