"""The herder's answers and refusals, in Kafka Connect's words; no task runs here."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connect.config import Problem
from connect.log import Records, TopicPartition
from connect.logs.embedded import EmbeddedLog
from connect.runtime import tables, validation
from connect.runtime.herder import BadRequest, Conflict, Herder, HerderError, NotFound
from connect.runtime.offset_table import writer_name
from connect.runtime.providers import MASK
from connect.runtime.settings import WorkerSettings
from connect.runtime.worker import Worker
from log_core import Log
from tests.kit.control import REPR, sink, source

STOPPED = "Connectors must be in the STOPPED state before their offsets can be modified."


class Parts:
    """A herder whose worker was never started."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = Log(path / "log")
        self.settings = WorkerSettings(path, "w:1", REPR, {"env": ["FAKE_.*"]})
        self.worker = Worker(self.log, self.settings)
        self.herder = Herder(self.log, self.worker)

    def raw(self) -> str:
        """Every byte of the config topic."""
        return self.log.fetch("connect-configs", 0, 0, 1 << 24).decode("latin-1")

    def again(self) -> Herder:
        """Another herder over the same log, as after a restart."""
        return Herder(self.log, Worker(self.log, self.settings))


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(tmp_path)
    yield made
    made.log.close()


@pytest.fixture
def herder(parts: Parts) -> Herder:
    return parts.herder


def refused(error: type[HerderError], call: Any, *arguments: Any) -> HerderError:
    with pytest.raises(error) as caught:
        call(*arguments)
    return caught.value


def test_create_and_read(herder: Herder) -> None:
    info = herder.create("a", {k: v for k, v in source("a").items() if k != "name"})
    assert info == {
        "name": "a",
        "config": source("a"),
        "tasks": [{"connector": "a", "task": 0}],
        "type": "source",
    }
    assert herder.connectors() == ["a"]
    assert herder.info("a") == info
    assert herder.config("a") == source("a")
    [task] = herder.tasks("a")
    assert task["id"] == {"connector": "a", "task": 0}
    assert task["config"]["task.class"] == "com.example.CountingSource"
    nothing = {"state": "UNASSIGNED", "worker_id": "w:1", "version": None}
    assert herder.status("a") == {
        "name": "a", "connector": nothing, "tasks": [{"id": 0, **nothing}], "type": "source",
    }  # fmt: skip
    assert herder.task_status("a", 0) == {"id": 0, **nothing}


def test_what_is_not_there(herder: Herder) -> None:
    assert refused(NotFound, herder.info, "x").message == "Connector x not found"
    for call in (herder.config, herder.tasks, herder.delete, herder.offsets):
        assert refused(NotFound, call, "x").message == "Connector x not found"
    assert refused(NotFound, herder.patch_config, "x", {}).message == "Connector x not found"
    for call in (herder.pause, herder.resume, herder.stop):
        assert refused(NotFound, call, "x").message == "Unknown connector x"
    unknown = refused(NotFound, herder.restart, "x", False, False)
    assert (unknown.status, unknown.message) == (404, "Unknown connector: x")
    assert refused(NotFound, herder.status, "x").message == "No status found for connector x"
    herder.create("a", source("a"))
    assert refused(NotFound, herder.restart_task, "a", 1).message == "Unknown task: a-1"
    assert refused(NotFound, herder.task_status, "a", 1).message == "No status found for task a-1"


def test_a_name_is_taken_once(herder: Herder) -> None:
    herder.create("a", source("a"))
    taken = refused(Conflict, herder.create, "a", source("a"))
    assert (taken.status, taken.message) == (409, "Connector a already exists")


@pytest.mark.parametrize("name", ["", "a\nb", "\x00a", "a\x7f", "x" * 201])
def test_dangerous_names(herder: Herder, name: str) -> None:
    assert refused(BadRequest, herder.create, name, source(name)).status == 400
    assert refused(BadRequest, herder.put_config, name, source(name)).key == "name"


@pytest.mark.parametrize("name", ["a/b", "100%", "..", "ä b?#", "a:connector-b", "connector-x-0"])
def test_usable_names(herder: Herder, name: str) -> None:
    herder.create(name, source(name))
    assert herder.connectors() == [name]
    assert herder.status(name)["name"] == name
    herder.delete(name)
    assert herder.connectors() == []


def test_the_name_within_the_configuration(herder: Herder) -> None:
    for call in (herder.create, herder.put_config):
        wrong = refused(BadRequest, call, "a", source("b"))
        assert wrong.message == (
            "Connector name configuration (b) doesn't match connector name in the URL (a)"
        )


def test_invalid_configurations(herder: Herder) -> None:
    bad = refused(BadRequest, herder.create, "a", source("a", fake_batch_rows="x", fake_nme="1"))
    assert bad.message == (
        "Connector configuration is invalid and contains the following 2 error(s):\n"
        "Invalid value x for configuration fake.batch.rows: Not a number of type INT\n"
        'Unknown configuration "fake.nme". Remove it, or see the reference.\n'
        "You can also find the above list of errors at the endpoint "
        "`/connector-plugins/{connectorType}/config/validate`"
    )
    assert bad.key == "fake.batch.rows"
    assert herder.connectors() == []
    none = refused(BadRequest, herder.create, "a", {"name": "a", "fake.password": "canary"})
    assert "contains no connector type" in none.message
    assert "canary" not in none.message
    unknown = refused(BadRequest, herder.create, "a", {"connector.class": "no.such.Klass"})
    assert unknown.message.startswith(
        "Failed to find any class that implements Connector and which name matches no.such.Klass"
    )


def test_a_live_check_that_fails_creates_nothing(herder: Herder) -> None:
    config = source("a", fake_check="fake.down")
    bad = refused(BadRequest, herder.create, "a", config)
    assert "the following 1 error(s):\nthe check says no.\n" in bad.message
    assert (bad.code, bad.key) == ("fake.down", "fake.topic")
    assert herder.connectors() == []


def test_sinks_need_topics(herder: Herder, tmp_path: Path) -> None:
    def message(**config: str) -> str:
        given = {k: v for k, v in sink("k", tmp_path, **config).items() if v}
        return refused(BadRequest, herder.create, "k", given).message

    assert "Must configure one of topics or topics.regex" in message(topics="")
    assert "mutually exclusive" in message(topics_regex="a")
    assert "Invalid value ( for configuration topics.regex" in message(topics="", topics_regex="(")
    assert "internal topic" in message(topics="connect-offsets")
    assert "DLQ topic 'numbers'" in message(errors_deadletterqueue_topic_name="numbers")


def test_put_creates_then_replaces(herder: Herder) -> None:
    created, info = herder.put_config("a", source("a", 1))
    assert (created, info["config"]["fake.rows"]) == (True, "1")
    created, info = herder.put_config("a", source("a", 2))
    assert (created, info["config"]["fake.rows"]) == (False, "2")


def test_the_same_configuration_is_written_once(parts: Parts) -> None:
    config = source("a", fake_password="canary")
    parts.herder.put_config("a", config)
    end = parts.log.end_offset("connect-configs", 0)
    assert parts.herder.put_config("a", config)[0] is False
    assert parts.herder.put_config("a", {**config, "fake.password": MASK})[0] is False
    assert parts.log.end_offset("connect-configs", 0) == end


def test_patch(herder: Herder) -> None:
    herder.create("a", source("a", 1, fake_topic="t", fake_password="canary"))
    info = herder.patch_config("a", {"fake.rows": "2", "fake.topic": None})
    assert info["config"] == source("a", 2, fake_password=MASK)
    wrong = refused(BadRequest, herder.patch_config, "a", {"name": "b"})
    assert "doesn't match" in wrong.message
    refused(BadRequest, herder.patch_config, "a", {"connector.class": None})


def test_secrets_are_nowhere_but_in_their_file(parts: Parts) -> None:
    config = source("a", fake_password="canary-1", fake_fail="http://u:canary-2@h")
    herder = parts.herder
    shown: list[Any] = [
        herder.create("a", config),
        herder.put_config("a", {**config, "fake.password": MASK, "fake.rows": "3"}),
        herder.patch_config("a", {"fake.rows": "4"}),
        herder.info("a"), herder.config("a"), herder.tasks("a"), herder.status("a"),
        herder.validate("fake_source", {**config, "fake.rows": "x"}),
    ]  # fmt: skip
    assert "canary" not in json.dumps(shown)
    assert "canary" not in parts.raw()
    stored = parts.again()
    intent = tables.intent(stored._configs, "a")
    assert intent is not None
    behind = parts.worker.secrets.behind(intent.config)
    assert sorted(behind.values()) == ["canary-1", "canary-2"]
    stored.delete("a")
    again = parts.again()  # the clean-up of its source still needs them
    assert "canary" in (parts.path / "secrets.json").read_text()
    again._writer.append([again._configs.records({"forget-connector-a": None})])
    parts.again()
    assert "canary" not in (parts.path / "secrets.json").read_text()


def test_secrets_in_messages_are_masked(herder: Herder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_TEXT", "canary-3")
    config = source("a", fake_password="canary-1", fake_rows="${env:FAKE_TEXT}")
    bad = refused(BadRequest, herder.create, "a", config)
    assert "fake.rows" in bad.message
    assert "canary" not in bad.message


def test_references_pass_unresolved_and_bad_ones_are_named(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PW", "canary")
    config = source("a", fake_password="${env:FAKE_PW}")
    assert parts.herder.create("a", config)["config"] == config
    assert "canary" not in parts.raw()
    bad = refused(BadRequest, parts.herder.create, "b", source("b", fake_password="${env:PATH}"))
    assert bad.key == "fake.password"
    assert bad.code == "config.provider_refused"


def test_validate(herder: Herder) -> None:
    config = source("a", fake_batch_rows="0", fake_password="canary", odd_key="1")
    infos = herder.validate("com.example.CountingSource", config)
    assert infos["name"] == "fake_source"
    assert infos["error_count"] == 2
    assert infos["groups"][:2] == ["Common", "Transforms"]
    by_name = {c["value"]["name"]: c for c in infos["configs"]}
    assert by_name["fake.batch.rows"] == {
        "definition": {
            "name": "fake.batch.rows", "type": "INT", "required": False, "default_value": "3",
            "importance": "MEDIUM", "documentation": "Rows a poll.", "group": "Fake",
            "width": "MEDIUM", "display_name": "fake.batch.rows", "dependents": [],
            "order_in_group": 3,
        },
        "value": {
            "name": "fake.batch.rows", "value": "0", "recommended_values": [],
            "errors": by_name["fake.batch.rows"]["value"]["errors"], "visible": True,
        },
    }  # fmt: skip
    assert len(by_name["fake.batch.rows"]["value"]["errors"]) == 1
    assert by_name["odd.key"]["definition"] is None
    assert by_name["fake.password"]["value"]["value"] == MASK
    assert by_name["fake.topic"]["value"]["value"] == "numbers"


def test_validate_transforms_and_converters(herder: Herder) -> None:
    config = {
        "connector.class": "fake_source", "transforms": "r, s, gone", "predicates": "p",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "transforms.r.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.s.type": "RegexRouter", "transforms.s.regex": "(",
        "transforms.s.replacement": "x", "transforms.s.negate": "true",
        "transforms.r.regex": "a", "transforms.r.odd": "1", "predicates.p.type": "no.such.Thing",
        "value.converter.schemas.enable": "perhaps",
    }  # fmt: skip
    infos = herder.validate("fake_source", config)
    errors = {c["value"]["name"] for c in infos["configs"] if c["value"]["errors"]}
    assert errors == {
        "name", "transforms.s.regex", "transforms.r.replacement", "transforms.r.odd",
        "transforms.gone.type", "predicates.p.type", "value.converter.schemas.enable",
    }  # fmt: skip
    assert "Transforms: r" in infos["groups"]


def test_validate_asks_for_the_right_plugin(herder: Herder) -> None:
    assert refused(BadRequest, herder.validate, "fake_source", {}).status == 400
    wrong = refused(BadRequest, herder.validate, "fake_sink", source("a"))
    assert (
        wrong.message == "Included connector type fake_source does not match request type fake_sink"
    )


def test_a_check_that_hangs_is_ended(herder: Herder, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(validation, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(validation, "_ask", lambda verdict: release.wait() and [])
    late = refused(BadRequest, herder.create, "a", source("a"))
    assert late.code == "check.timeout"
    release.set()


def test_few_checks_at_once(herder: Herder, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, lock, go = 0, 0, threading.Lock(), threading.Event()

    def ask(verdict: validation.Verdict) -> list[Problem]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == validation.CHECKS_AT_ONCE:
                go.set()
        go.wait()
        with lock:
            running -= 1
        return []

    monkeypatch.setattr(validation, "_ask", ask)
    threads = [
        threading.Thread(target=herder.create, args=(f"c{n}", source(f"c{n}"))) for n in range(9)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == validation.CHECKS_AT_ONCE
    assert len(herder.connectors()) == 9


def test_a_plugin_whose_check_breaks(herder: Herder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace_fakes.CountingSource.check", lambda *_: 1 / 0)
    bad = refused(BadRequest, herder.create, "a", source("a"))
    assert bad.code == "plugin.check_failed"


def test_two_patches_at_once_both_count(herder: Herder, monkeypatch: pytest.MonkeyPatch) -> None:
    herder.create("a", source("a", 1))
    both = threading.Barrier(2, timeout=30)
    asked: list[int] = []

    def ask(verdict: validation.Verdict) -> list[Problem]:
        asked.append(1)
        if len(asked) <= 2:
            both.wait()  # neither writes before both have read
        return []

    monkeypatch.setattr(validation, "_ask", ask)
    patches = [{"fake.topic": "t"}, {"fake.rows": "7"}]
    threads = [threading.Thread(target=herder.patch_config, args=("a", p)) for p in patches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert herder.config("a") == source("a", 7, fake_topic="t")


def test_target_states(parts: Parts) -> None:
    herder = parts.herder
    herder.create("a", source("a"), "PAUSED")
    herder.create("b", source("b"), "STOPPED")
    configs = tables.CompactedTable(EmbeddedLog(parts.log), tables.CONFIGS)
    configs.refresh()
    targets = {name: it.target for name, it in tables.intents(configs).items()}
    assert targets == {"a": "PAUSED", "b": "STOPPED"}
    assert herder.tasks("b") == []
    herder.resume("a")
    herder.pause("b")
    herder.put_config("b", source("b", 3))
    configs.refresh()
    targets = {name: it.target for name, it in tables.intents(configs).items()}
    assert targets == {"a": "STARTED", "b": "PAUSED"}
    assert refused(BadRequest, herder.create, "c", source("c"), "ASLEEP").status == 400


def test_intent_survives_a_restart_and_a_delete_is_whole(parts: Parts) -> None:
    parts.herder.create("a", source("a"), "PAUSED")
    parts.herder.create("b", source("b"))
    parts.herder.delete("b")
    again = parts.again()
    assert again.connectors() == ["a"]
    assert refused(NotFound, again.info, "b").status == 404


def test_an_older_herder_is_fenced(parts: Parts) -> None:
    parts.again()
    assert refused(HerderError, parts.herder.create, "a", source("a")).code == "task.fenced"


# -- offsets -------------------------------------------------------------------------------------

SOURCE = [{"partition": {"server": "a"}, "offset": {"next": 5}}]


def test_source_offsets(herder: Herder) -> None:
    herder.create("a", source("a"))
    assert herder.offsets("a") == {"offsets": []}
    running = refused(BadRequest, herder.alter_offsets, "a", SOURCE)
    assert running.message == (
        f"{STOPPED} This can be done for the specified connector by issuing a 'PUT' request to the "
        "'/connectors/a/stop' endpoint"
    )
    assert refused(BadRequest, herder.reset_offsets, "a").message.startswith(STOPPED)
    herder.stop("a")
    done = herder.alter_offsets("a", SOURCE)
    assert done == "The offsets for this connector have been altered successfully"
    assert herder.offsets("a") == {"offsets": SOURCE}
    herder.alter_offsets("a", [{"partition": {"server": "a"}, "offset": None}])
    assert herder.offsets("a") == {"offsets": []}
    herder.alter_offsets("a", SOURCE)
    done = herder.reset_offsets("a")
    assert done == "The offsets for this connector have been reset successfully"
    assert herder.offsets("a") == {"offsets": []}


def test_a_change_of_offsets_fences_the_task(parts: Parts) -> None:
    parts.herder.create("a", source("a"), "STOPPED")
    writer = EmbeddedLog(parts.log).writer(writer_name("a"))
    parts.herder.alter_offsets("a", SOURCE)
    stale = Records(TopicPartition("connect-offsets", 0), [b'["a",{"server":"a"}]'], [b"{}"], [0])
    with pytest.raises(Exception, match="is fenced"):
        writer.append([stale])
    assert parts.herder.offsets("a") == {"offsets": SOURCE}


def test_offsets_that_make_no_sense(herder: Herder) -> None:
    needed = "Partitions / offsets need to be provided for an alter offsets request"
    assert refused(BadRequest, herder.alter_offsets, "nobody", []).message == needed
    herder.create("a", source("a"), "STOPPED")
    for partition in (None, {"server": "b"}):
        entry = [{"partition": partition, "offset": {"next": 1}}]
        assert refused(BadRequest, herder.alter_offsets, "a", entry).status == 400


def test_sink_offsets(parts: Parts) -> None:
    herder = parts.herder
    log = EmbeddedLog(parts.log)
    at = TopicPartition("numbers", 0)
    log.writer("w").append([Records(at, [None] * 4, [b"x"] * 4, [0] * 4)])
    herder.create("k", sink("k", parts.path / "t"), "STOPPED")

    def entry(offset: Any, partition: Any = None) -> list[dict[str, Any]]:
        known = {"kafka_topic": "numbers", "kafka_partition": 0}
        return [{"partition": known if partition is None else partition, "offset": offset}]

    herder.alter_offsets("k", entry({"kafka_offset": "3"}))
    assert herder.offsets("k") == {"offsets": entry({"kafka_offset": 3})}
    reader = log.reader("connect-k", [at])
    herder.alter_offsets("k", entry({"kafka_offset": 2}))
    with pytest.raises(Exception, match="is fenced"):
        reader.commit({at: 4})
    herder.alter_offsets("k", entry(None))
    assert herder.offsets("k") == {"offsets": []}
    herder.alter_offsets("k", entry({"kafka_offset": 4}))
    herder.reset_offsets("k")
    assert herder.offsets("k") == {"offsets": []}
    for offset, partition, text in (
        ({}, None, "should either be null or contain the key 'kafka_offset'"),
        ({"kafka_offset": "x"}, None, "'x'. Offset values for sink connectors need to be integers"),
        ({"kafka_offset": -1}, None, "'-1'. Offset values"),
        ({"kafka_offset": 5}, None, "Offset 5 of numbers-0 does not exist"),
        ({"kafka_offset": 1}, {}, "must contain the keys 'kafka_topic' and 'kafka_partition'"),
        (
            {"kafka_offset": 1},
            {"kafka_topic": "numbers", "kafka_partition": "y"},
            "Partition values",
        ),
        ({"kafka_offset": 1}, {"kafka_topic": "no", "kafka_partition": 0}, "does not exist"),
    ):
        assert (
            text in refused(BadRequest, herder.alter_offsets, "k", entry(offset, partition)).message
        )
    null = [{"partition": None, "offset": None}]
    text = "The partition for a sink connector offset cannot be null or missing"
    assert refused(BadRequest, herder.alter_offsets, "k", null).message == text


def test_initial_offsets(parts: Parts) -> None:
    herder = parts.herder
    bad = [{"partition": {"server": "other"}, "offset": {"next": 1}}]
    refused(BadRequest, herder.create, "a", source("a"), None, bad)
    assert herder.connectors() == []
    herder.create("a", source("a"), "STOPPED", SOURCE)
    assert herder.offsets("a") == {"offsets": SOURCE}
    herder.delete("a")
    newer = [{"partition": {"server": "a"}, "offset": {"next": 9}}]
    herder.create("a", source("a"), "STOPPED", newer)
    assert herder.offsets("a") == {"offsets": newer}


# -- topics, plugins, loggers, root --------------------------------------------------------------


def test_active_topics(parts: Parts) -> None:
    parts.herder.create("a", source("a"))
    log = EmbeddedLog(parts.log)
    value = {"topic": {"name": "t", "connector": "a", "task": 0, "discoverTimestamp": 1}}
    log.writer("w").append([tables.encode(tables.STATUSES, {tables.topic_key("t", "a"): value})])
    assert parts.herder.active_topics("a") == {"a": {"topics": ["t"]}}
    parts.herder.reset_topics("a")
    assert parts.herder.active_topics("a") == {"a": {"topics": []}}


def test_plugins(herder: Herder) -> None:
    connectors = herder.plugins(True)
    assert {"class": "com.example.FileSink", "type": "sink", "version": "1.0"} in connectors
    assert {plugin["type"] for plugin in connectors} == {"source", "sink"}
    assert {"transformation", "predicate", "converter"} <= {
        p["type"] for p in herder.plugins(False)
    }
    keys = {key["name"] for key in herder.plugin_config("com.example.CountingSource")}
    assert {"name", "connector.class", "fake.topic"} <= keys
    assert herder.plugin_config("repr") == []
    assert refused(NotFound, herder.plugin_config, "nope").message.startswith(
        "Unknown plugin nope."
    )


def test_loggers(herder: Herder) -> None:
    assert "root" in herder.loggers()
    assert refused(NotFound, herder.logger, "no.such").message == "Logger no.such not found."
    text = refused(NotFound, herder.set_logger, "x", "LOUD", "worker").message
    assert text == "invalid log level 'LOUD'."
    assert herder.set_logger("tailrace.test", "debug", "worker") == ["tailrace.test"]
    assert herder.set_logger("tailrace.test", "DEBUG", "worker") == []
    assert herder.logger("tailrace.test")["level"] == "DEBUG"
    assert herder.logger("tailrace.test")["last_modified"] <= time.time() * 1000


def test_root_keeps_its_id(parts: Parts) -> None:
    root = parts.herder.root()
    assert set(root) == {"version", "commit", "kafka_cluster_id"}
    assert parts.again().root() == root


def test_restart_answers(herder: Herder) -> None:
    herder.create("a", source("a"))
    assert herder.restart("a", False, False) is None
    both = herder.restart("a", True, False)
    assert both is not None
    assert both["connector"]["state"] == both["tasks"][0]["state"] == "RESTARTING"
    only = herder.restart("a", False, True)
    assert only is not None
    assert only["connector"]["state"] == "UNASSIGNED"


def test_a_password_in_a_url_is_in_no_message(
    herder: Herder, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://u:canary@h/"
    monkeypatch.setattr(
        "tailrace_fakes.CountingSource.check",
        lambda _, config: [Problem("fake.fail", f"can't reach {config.fail}")],
    )
    bad = refused(BadRequest, herder.create, "a", source("a", fake_fail=url))
    assert "http://u:********@h/" in bad.message


def test_a_reference_that_fails_is_one_error(herder: Herder) -> None:
    bad = refused(BadRequest, herder.create, "a", source("a", fake_batch_rows="${env:FAKE_NOT}"))
    assert "following 1 error(s)" in bad.message
