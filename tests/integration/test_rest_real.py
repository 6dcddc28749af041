"""Kafka Connect's REST table on the real server: log, worker, herder, task processes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from api.demo.postgres import free_port
from tests.integration.test_cli_server import environment
from tests.kit.fakes import FAKE_PLUGINS
from tests.kit.server import Server
from tests.unit.api.serving import Caller, Reply

SECRET = "hunter2canary"
SOURCE = {"connector.class": "fake_source", "fake.topic": "numbers", "fake.rows": "7"}
SINK = {"connector.class": "fake_sink", "topics": "numbers"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    assert FAKE_PLUGINS.is_dir()
    directory = Path(tmp_path_factory.mktemp("rest"))
    server = Server(directory / "data", free_port())
    server.start(environment())
    try:
        yield server
        kept = [p for p in (*server.data_dir.rglob("*"), server.output) if p.is_file()]
        holders = [p.name for p in kept if SECRET.encode() in p.read_bytes()]
        assert holders in ([], ["secrets.json"])
        assert server.stop() == 0
        assert "Traceback" not in server.output.read_text()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def call(server: Server) -> Caller:
    return Caller(server.port)


@pytest.fixture
def name(request: pytest.FixtureRequest, call: Caller) -> Iterator[str]:
    """A connector's name that is gone after the test."""
    name = f"c/{abs(hash(request.node.name))}"
    yield name
    call("DELETE", path(name))


def path(name: str, rest: str = "") -> str:
    return f"/connectors/{quote(name, safe='')}{rest}"


def create(call: Caller, name: str, config: dict[str, Any], **more: Any) -> Reply:
    return call("POST", "/connectors", {"name": name, "config": config, **more})


def until(ask: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + 60
    while True:
        answer = ask()
        if wanted(answer):
            return answer
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)


def states(call: Caller, name: str, connector: str, *tasks: str) -> Any:
    def wanted(status: Any) -> bool:
        found = (status["connector"]["state"], *(t["state"] for t in status["tasks"]))
        return found == (connector, *tasks)

    return until(lambda: call("GET", path(name, "/status")).json, wanted)


def test_life_of_a_connector(call: Caller, name: str) -> None:
    made = create(call, name, SOURCE)
    assert made.status == 201
    assert made.json == {
        "name": name, "config": {**SOURCE, "name": name},
        "tasks": [{"connector": name, "task": 0}], "type": "source",
    }  # fmt: skip
    status = states(call, name, "RUNNING", "RUNNING")
    assert (status["type"], status["tasks"][0]["version"]) == ("source", "1.0")
    assert status["connector"]["worker_id"] == f"127.0.0.1:{call.port}"
    assert name in call("GET", "/connectors").json
    entry = call("GET", "/connectors?expand=info&expand=status").json[name]
    assert (entry["info"]["name"], entry["status"]["name"]) == (name, name)
    until(
        lambda: call("GET", path(name, "/topics")).json, lambda t: t[name]["topics"] == ["numbers"]
    )
    task = call("GET", path(name, "/tasks")).json[0]
    assert task["id"] == {"connector": name, "task": 0}
    assert call("GET", path(name, "/tasks/0/status")).json["state"] == "RUNNING"
    assert call("GET", path(name, "/tasks/5/status")).status == 404

    assert call("PUT", path(name, "/pause")).status == 202
    states(call, name, "PAUSED", "PAUSED")
    assert call("PUT", path(name, "/resume")).status == 202
    states(call, name, "RUNNING", "RUNNING")
    restarted = call("POST", path(name, "/restart?includeTasks=true"))
    assert (restarted.status, restarted.json["connector"]["state"]) == (202, "RESTARTING")
    states(call, name, "RUNNING", "RUNNING")
    assert call("POST", path(name, "/tasks/0/restart")).status == 204
    states(call, name, "RUNNING", "RUNNING")
    assert call("PUT", path(name, "/stop")).status == 204
    states(call, name, "STOPPED")
    assert call("GET", path(name)).json["tasks"] == []

    assert call("DELETE", path(name)).status == 204
    for rest in ("", "/config", "/tasks", "/offsets"):
        assert call("GET", path(name, rest)).message == f"Connector {name} not found"
    assert call("GET", path(name, "/status")).message == f"No status found for connector {name}"
    assert call("PUT", path(name, "/pause")).message == f"Unknown connector {name}"
    assert call("POST", path(name, "/restart")).message == f"Unknown connector: {name}"


def test_secrets_are_masked_and_kept(call: Caller, name: str) -> None:
    config = {**SOURCE, "fake.password": SECRET}
    create(call, name, config)
    for reply in (
        call("GET", path(name)),
        call("GET", path(name, "/config")),
        call("GET", path(name, "/tasks")),
        call("GET", "/connectors?expand=info&expand=status"),
        call("PUT", "/connector-plugins/fake_source/config/validate", config),
        call("PUT", path(name, "/config"), {**SOURCE, "fake.password": "********"}),
        call("PATCH", path(name, "/config"), {"fake.rows": "8"}),
    ):
        assert reply.status == 200
        assert SECRET.encode() not in reply.raw
    assert call("GET", path(name, "/config")).json["fake.password"] == "********"


def test_a_bad_value_is_named(call: Caller, name: str) -> None:
    create(call, name, SOURCE)
    reply = call("PUT", path(name, "/config"), {**SOURCE, "fake.rows": "many", "fake.oops": "1"})
    assert reply.status == 400
    first, *errors, last = reply.message.splitlines()
    assert first == "Connector configuration is invalid and contains the following 2 error(s):"
    assert errors == [
        "Invalid value many for configuration fake.rows: Not a number of type INT",
        next(e for e in errors if e.startswith('Unknown configuration "fake.oops".')),
    ]
    assert last == (
        "You can also find the above list of errors at the endpoint "
        "`/connector-plugins/{connectorType}/config/validate`"
    )
    assert call("GET", path(name, "/config")).json["fake.rows"] == "7"


def test_what_the_world_refuses_is_not_created(call: Caller, name: str) -> None:
    reply = create(call, name, {**SOURCE, "fake.check": "config.no"})
    assert (reply.status, "the check says no." in reply.message) == (400, True)
    assert call("GET", path(name)).status == 404


def test_validate(call: Caller) -> None:
    url = "/connector-plugins/fake_source/config/validate"
    found = call("PUT", url, {**SOURCE, "name": "x", "fake.rows": "many"}).json
    assert (found["name"], found["error_count"]) == ("fake_source", 1)
    entry = next(c for c in found["configs"] if c["value"]["name"] == "fake.rows")
    assert sorted(entry["definition"]) == [
        "default_value", "dependents", "display_name", "documentation", "group", "importance",
        "name", "order_in_group", "required", "type", "width",
    ]  # fmt: skip
    assert sorted(entry["value"]) == ["errors", "name", "recommended_values", "value", "visible"]
    assert "Common" in found["groups"]
    assert call("PUT", url, {**SOURCE, "name": "x"}).json["error_count"] == 0
    nameless = call("PUT", url, SOURCE).json
    assert nameless["error_count"] == 1
    assert call("PUT", url, {"name": "x"}).status == 400
    assert call("PUT", "/connector-plugins/Other/config/validate", SOURCE).status == 400
    alias = "/connector-plugins/com.example.CountingSource/config/validate"
    config = {**SOURCE, "name": "x", "connector.class": "com.example.CountingSource"}
    assert call("PUT", alias, config).json["error_count"] == 0


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({}, "contains no connector type"),
        ({"connector.class": "org.example.NoSuchConnector"}, "NoSuchConnector"),
        ({**SOURCE, "tasks.max": "x"}, "Not a number of type INT"),
        ({**SOURCE, "value.converter": "nothing"}, "value.converter"),
        ({**SOURCE, "transforms": "t"}, "transforms.t.type"),
        ({**SOURCE, "producer.override.acks": "1"}, "producer.override.acks"),
        ({"connector.class": "fake_sink", "fake.path": "/tmp/x"}, "topics"),
    ],
)
def test_refused_configurations(call: Caller, config: dict[str, str], text: str) -> None:
    reply = create(call, "x", config)
    assert reply.status == 400
    assert text in reply.message + str(reply.json.get("key"))
    assert "x" not in call("GET", "/connectors").json


@pytest.mark.parametrize("bad", ["", "   ", "a\x00b", "a\nb", "x" * 5000])
def test_dangerous_names(call: Caller, bad: str) -> None:
    assert create(call, bad, SOURCE).status == 400


@pytest.mark.parametrize("odd", ["a%b", "a\\b", "ä ö", "..", "a;b", "?", "日本", "a%2Fb"])
def test_odd_names_are_usable(call: Caller, odd: str) -> None:
    assert create(call, odd, SOURCE, initial_state="STOPPED").status == 201
    states(call, odd, "STOPPED")
    assert call("GET", path(odd)).json["name"] == odd
    assert call("DELETE", path(odd)).status == 204
    assert call("GET", path(odd)).status == 404


def test_one_of_many_creators_wins(call: Caller, name: str) -> None:
    replies: list[Reply] = []
    config = {**SOURCE, "fake.rows": "0"}
    together = threading.Barrier(12)

    def post() -> None:
        together.wait()
        replies.append(create(call, name, config, initial_state="STOPPED"))

    posts = [threading.Thread(target=post) for _ in range(12)]
    for thread in posts:
        thread.start()
    for thread in posts:
        thread.join()
    assert sorted(reply.status for reply in replies) == [201] + [409] * 11
    loser = next(reply for reply in replies if reply.status == 409)
    assert loser.message == f"Connector {name} already exists"


def test_initial_state_and_offsets(call: Caller, name: str) -> None:
    partition = {"server": name}
    offsets = [{"partition": partition, "offset": {"next": 4}}]
    bad = [{"partition": {"nonsense": 1}, "offset": {"next": 4}}]
    assert create(call, name, SOURCE, initial_offsets=bad).status == 400
    assert call("GET", path(name)).status == 404
    made = create(call, name, SOURCE, initial_state="STOPPED", initial_offsets=offsets)
    assert made.status == 201
    states(call, name, "STOPPED")
    assert call("GET", path(name, "/offsets")).json == {"offsets": offsets}
    call("PUT", path(name, "/resume"))
    until(
        lambda: call("GET", path(name, "/offsets")).json["offsets"],
        lambda found: found == [{"partition": partition, "offset": {"next": 7}}],
    )


def test_offsets_are_changed_while_stopped_only(call: Caller, name: str) -> None:
    create(call, name, SOURCE)
    states(call, name, "RUNNING", "RUNNING")
    partition = {"server": name}
    body = {"offsets": [{"partition": partition, "offset": {"next": 2}}]}
    refused = call("PATCH", path(name, "/offsets"), body)
    assert (refused.status, refused.message) == (
        400,
        "Connectors must be in the STOPPED state before their offsets can be modified. This can "
        "be done for the specified connector by issuing a 'PUT' request to the "
        f"'/connectors/{name}/stop' endpoint",
    )
    assert call("DELETE", path(name, "/offsets")).status == 400
    call("PUT", path(name, "/stop"))
    states(call, name, "STOPPED")
    altered = call("PATCH", path(name, "/offsets"), body)
    assert (altered.status, "altered successfully" in altered.json["message"]) == (200, True)
    assert call("GET", path(name, "/offsets")).json == body
    body["offsets"][0]["offset"] = None  # type: ignore[assignment]
    assert call("PATCH", path(name, "/offsets"), body).status == 200
    assert call("GET", path(name, "/offsets")).json == {"offsets": []}
    assert "reset successfully" in call("DELETE", path(name, "/offsets")).json["message"]


def test_sink_offsets(call: Caller, name: str, tmp_path: Path) -> None:
    source = f"{name}-source"
    create(call, source, {**SOURCE, "fake.topic": "for-sink"})
    target = tmp_path / "target"
    create(call, name, {**SINK, "topics": "for-sink", "fake.path": str(target)})
    where = {"kafka_topic": "for-sink", "kafka_partition": 0}
    end = [{"partition": where, "offset": {"kafka_offset": 7}}]
    until(lambda: call("GET", path(name, "/offsets")).json["offsets"], lambda o: o == end)
    call("PUT", path(name, "/stop"))
    states(call, name, "STOPPED")
    wrong = [{"partition": {"topic": "x"}, "offset": {"kafka_offset": 1}}]
    assert call("PATCH", path(name, "/offsets"), {"offsets": wrong}).status == 400
    moved = [{"partition": where, "offset": {"kafka_offset": 3}}]
    assert call("PATCH", path(name, "/offsets"), {"offsets": moved}).status == 200
    assert call("GET", path(name, "/offsets")).json == {"offsets": moved}
    assert call("DELETE", path(source)).status == 204


def test_a_failed_task_shows_its_cause(call: Caller, name: str) -> None:
    failing = {"fake.topic": "failing", "fake.fail.at": "2", "fake.password": SECRET}
    create(call, name, {**SOURCE, **failing, "fake.fail": "config"})
    status = until(
        lambda: call("GET", path(name, "/status")).json,
        lambda s: [t["state"] for t in s["tasks"]] == ["FAILED"],
    )
    assert "Mend it." in status["tasks"][0]["trace"]
    assert SECRET not in status["tasks"][0]["trace"]
    text = call("GET", "/metrics").raw.decode()
    assert f'tailrace_task_state{{connector="{name}",state="failed",task="0"}} 1.0' in text


def test_no_task_runs_after_delete(call: Caller, name: str, server: Server) -> None:
    create(call, name, SOURCE)
    states(call, name, "RUNNING", "RUNNING")
    before = {task.pid for task in server.tasks()}
    assert call("DELETE", path(name)).status == 204
    until(lambda: {task.pid for task in server.tasks()}, lambda now: now != before)


def test_loggers(call: Caller) -> None:
    assert call("GET", "/admin/loggers").json["root"]["level"] == "INFO"
    body = {"level": "DEBUG"}
    assert (
        "connect.runtime.worker" in call("PUT", "/admin/loggers/connect.runtime.worker", body).json
    )
    assert call("PUT", "/admin/loggers/connect.runtime.worker", body).json == []
    found = call("GET", "/admin/loggers/connect.runtime.worker").json
    assert (found["level"], isinstance(found["last_modified"], int)) == ("DEBUG", True)
    assert call("PUT", "/admin/loggers/x?scope=cluster", {"level": "INFO"}).status == 204
    bad = call("PUT", "/admin/loggers/x", {"level": "LOUD"})
    assert (bad.status, bad.message) == (404, "invalid log level 'LOUD'.")
    missing = call("PUT", "/admin/loggers/x", {})
    assert missing.message == "Desired 'level' parameter was not specified in request."


def test_plugins(call: Caller) -> None:
    only = call("GET", "/connector-plugins").json
    assert {p["type"] for p in only} == {"source", "sink"}
    everything = call("GET", "/connector-plugins?connectorsOnly=false").json
    assert {"converter", "transformation", "predicate"} <= {p["type"] for p in everything}
    for alias in ("JsonConverter", "Json", "org.apache.kafka.connect.json.JsonConverter"):
        keys = call("GET", f"/connector-plugins/{alias}/config").json
        assert "schemas.enable" in [key["name"] for key in keys]
    assert call("GET", "/connector-plugins/Nobody/config").status == 404


def test_what_was_written_is_there_after_a_kill(call: Caller, name: str, server: Server) -> None:
    create(call, name, {**SOURCE, "fake.topic": "kill"})
    call("PUT", path(name, "/pause"))
    server.kill9()
    server.start(environment())
    status = call("GET", path(name, "/status")).json
    assert status["connector"]["state"] in ("PAUSED", "UNASSIGNED")
    states(call, name, "PAUSED", "PAUSED")
    call("PUT", path(name, "/resume"))
    states(call, name, "RUNNING", "RUNNING")
    assert os.path.exists(server.data_dir)
