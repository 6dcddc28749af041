"""Every row of Kafka Connect's REST table, as its 4.3 answers where that is sane."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest

from api.app import create_app
from api.services import Health, Services
from connect.runtime.herder import Herder
from log_core import Log
from tests.unit.api.fake_herder import ALTERED, PLUGIN, RESET, FakeHerder
from tests.unit.api.serving import Caller, serving

CONFIG = {"connector.class": "fake.Source", "topic": "t"}
STRANGE_NAMES = ["a/b", "100%", "a\\b", "ä ö", "..", "a;b", "a?b#c", "+", "日本", "a%2Fb", "{x}"]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    with Log(Path(tmp_path_factory.mktemp("log")) / "data") as log:
        yield log


@pytest.fixture(scope="module")
def herder() -> FakeHerder:
    return FakeHerder()


@pytest.fixture(scope="module")
def health() -> dict[str, Health]:
    return {"now": Health("healthy", "ready")}


@pytest.fixture(scope="module")
def server(log: Log, herder: FakeHerder, health: dict[str, Health]) -> Iterator[Caller]:
    services = Services(
        cast(Herder, herder), log, lambda: b"tailrace_build_info 1.0\n", lambda: health["now"]
    )
    with serving(create_app(services)) as caller:
        yield caller


@pytest.fixture
def call(server: Caller, herder: FakeHerder) -> Caller:
    herder.__init__()  # type: ignore[misc]
    herder.create("a", {**CONFIG, "name": "a"})
    herder.calls.clear()
    return server


def test_root(call: Caller) -> None:
    reply = call("GET", "/")
    assert (reply.status, sorted(reply.json)) == (200, ["commit", "kafka_cluster_id", "version"])
    assert reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize(("state", "status"), [("healthy", 200), ("starting", 503)])
def test_health(call: Caller, health: dict[str, Health], state: str, status: int) -> None:
    health["now"] = Health(state, "text")
    reply = call("GET", "/health")
    assert (reply.status, reply.json) == (status, {"status": state, "message": "text"})


def test_metrics_are_prometheus_text(call: Caller) -> None:
    reply = call("GET", "/metrics", headers={"Accept": "application/openmetrics-text"})
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert reply.raw == b"tailrace_build_info 1.0\n"


class TestListing:
    def test_names(self, call: Caller) -> None:
        assert call("GET", "/connectors").json == ["a"]

    def test_expand_both(self, call: Caller) -> None:
        entry = call("GET", "/connectors?expand=info&expand=status").json["a"]
        assert sorted(entry) == ["info", "status"]
        assert entry["info"]["name"] == entry["status"]["name"] == "a"

    def test_expand_one(self, call: Caller) -> None:
        assert list(call("GET", "/connectors?expand=status").json["a"]) == ["status"]

    @pytest.mark.parametrize("query", ["expand=nothing", "expand="])
    def test_unknown_expansion_is_ignored(self, call: Caller, query: str) -> None:
        assert call("GET", f"/connectors?{query}").json == ["a"]

    def test_deleted_while_listing(self, call: Caller, herder: FakeHerder) -> None:
        herder.connectors = lambda: ["a", "gone"]  # type: ignore[method-assign]
        try:
            assert list(call("GET", "/connectors?expand=info").json) == ["a"]
        finally:
            del herder.connectors  # type: ignore[method-assign]


class TestCreation:
    def test_created(self, call: Caller, herder: FakeHerder) -> None:
        reply = call("POST", "/connectors", {"name": "b", "config": CONFIG})
        assert reply.status == 201
        assert reply.headers["location"] == f"http://127.0.0.1:{call.port}/connectors/b"
        assert reply.json["config"] == {**CONFIG, "name": "b"}
        assert herder.calls == [("create", "b", {**CONFIG, "name": "b"}, None, None)]

    def test_exists(self, call: Caller) -> None:
        reply = call("POST", "/connectors", {"name": "a", "config": CONFIG})
        assert (reply.status, reply.message) == (409, "Connector a already exists")

    def test_name_is_trimmed(self, call: Caller) -> None:
        assert call("POST", "/connectors", {"name": " b ", "config": CONFIG}).json["name"] == "b"

    def test_name_may_be_a_number(self, call: Caller) -> None:
        assert call("POST", "/connectors", {"name": 7, "config": CONFIG}).json["name"] == "7"

    def test_scalars_of_a_config_become_text(self, call: Caller) -> None:
        config = {**CONFIG, "tasks.max": 2, "flag": True}
        made = call("POST", "/connectors", {"name": "b", "config": config}).json["config"]
        assert (made["tasks.max"], made["flag"]) == ("2", "true")

    def test_names_must_agree(self, call: Caller) -> None:
        config = {**CONFIG, "name": "other"}
        reply = call("POST", "/connectors", {"name": "b", "config": config})
        assert reply.status == 400
        assert reply.message == (
            "Connector name configuration (other) doesn't match connector name in the URL (b)"
        )

    @pytest.mark.parametrize("state", ["STOPPED", "paused"])
    def test_initial_state(self, call: Caller, herder: FakeHerder, state: str) -> None:
        body = {"name": "b", "config": CONFIG, "initial_state": state}
        assert call("POST", "/connectors", body).status == 201
        assert herder.calls[-1][3] == state.upper()

    def test_initial_offsets(self, call: Caller, herder: FakeHerder) -> None:
        offsets = [{"partition": {"server": "s"}, "offset": {"lsn": 1}}]
        body = {"name": "b", "config": CONFIG, "initial_offsets": offsets}
        assert call("POST", "/connectors", body).status == 201
        assert herder.calls[-1][4] == offsets

    @pytest.mark.parametrize(
        ("body", "text"),
        [
            ({"name": "b"}, "The request needs a config object."),
            ({"name": "b", "config": None}, "The request needs a config object."),
            ({"name": "b", "config": []}, "must be a JSON object"),
            ({"name": "b", "config": {}}, "contains no connector type"),
            ({"name": ["b"], "config": CONFIG}, '"name" must be a string, got an array'),
            ({"name": "b", "config": CONFIG, "x": 1}, 'Unrecognized field "x"'),
            ({"name": "b", "config": CONFIG, "initial_state": "UP"}, "initial_state must be one"),
            ({"name": "b", "config": CONFIG, "initial_offsets": {}}, "must be a JSON array"),
            ({"name": "b", "config": CONFIG, "initial_offsets": [1]}, "must be a JSON object"),
            (
                {"name": "b", "config": {**CONFIG, "x": None}},
                "Null value can not be supplied as the configuration value.",
            ),
            ({"name": "b", "config": {**CONFIG, "x": {}}}, 'The value of "x" must be a string'),
        ],
    )
    def test_refused(self, call: Caller, herder: FakeHerder, body: Any, text: str) -> None:
        reply = call("POST", "/connectors", body)
        assert reply.status == 400
        assert text in reply.message
        assert list(herder.configs) == ["a"]


class TestReading:
    def test_info(self, call: Caller) -> None:
        assert sorted(call("GET", "/connectors/a").json) == ["config", "name", "tasks", "type"]

    def test_config(self, call: Caller) -> None:
        assert call("GET", "/connectors/a/config").json == {**CONFIG, "name": "a"}

    def test_status(self, call: Caller) -> None:
        assert call("GET", "/connectors/a/status").json["connector"]["version"] == "1.0"

    def test_tasks(self, call: Caller) -> None:
        assert call("GET", "/connectors/a/tasks").json[0]["id"] == {"connector": "a", "task": 0}

    def test_task_status(self, call: Caller) -> None:
        assert call("GET", "/connectors/a/tasks/0/status").json["id"] == 0

    @pytest.mark.parametrize("task", ["x", "-1", "1e3", "²"])
    def test_task_that_is_no_number(self, call: Caller, task: str) -> None:
        reply = call("GET", f"/connectors/a/tasks/{quote(task)}/status")
        assert (reply.status, reply.message) == (404, "HTTP 404 Not Found")

    @pytest.mark.parametrize("path", ["", "/config", "/status", "/tasks", "/offsets"])
    def test_unknown(self, call: Caller, path: str) -> None:
        reply = call("GET", f"/connectors/x{path}")
        assert (reply.status, reply.message) == (404, "Connector x not found")


class TestChanging:
    def test_put_updates(self, call: Caller) -> None:
        reply = call("PUT", "/connectors/a/config", CONFIG)
        assert (reply.status, "location" in reply.headers) == (200, False)

    def test_put_creates(self, call: Caller) -> None:
        reply = call("PUT", "/connectors/n%2Fm/config", CONFIG)
        assert reply.status == 201
        assert reply.headers["location"].endswith("/connectors/n%2Fm")
        assert reply.json["name"] == "n/m"

    def test_put_refuses_another_name(self, call: Caller) -> None:
        assert call("PUT", "/connectors/a/config", {**CONFIG, "name": "b"}).status == 400

    def test_put_refuses_null(self, call: Caller) -> None:
        reply = call("PUT", "/connectors/a/config", {**CONFIG, "x": None})
        assert reply.message == "Null value can not be supplied as the configuration value."
        assert reply.json["key"] == "x"

    def test_patch_removes_with_null(self, call: Caller) -> None:
        call("PATCH", "/connectors/a/config", {"x": "1"})
        reply = call("PATCH", "/connectors/a/config", {"topic": None})
        assert reply.json["config"] == {"connector.class": "fake.Source", "name": "a", "x": "1"}

    def test_patch_refuses_another_name(self, call: Caller) -> None:
        assert call("PATCH", "/connectors/a/config", {"name": "b"}).status == 400

    def test_delete(self, call: Caller, herder: FakeHerder) -> None:
        reply = call("DELETE", "/connectors/a")
        assert (reply.status, reply.raw, herder.configs) == (204, b"", {})
        assert call("DELETE", "/connectors/a").status == 404

    @pytest.mark.parametrize(("verb", "status"), [("pause", 202), ("resume", 202), ("stop", 204)])
    def test_target_state(self, call: Caller, verb: str, status: int) -> None:
        reply = call("PUT", f"/connectors/a/{verb}")
        assert (reply.status, reply.raw) == (status, b"")
        unknown = call("PUT", f"/connectors/x/{verb}")
        assert (unknown.status, unknown.message) == (404, "Unknown connector x")


class TestRestart:
    def test_plain(self, call: Caller) -> None:
        reply = call("POST", "/connectors/a/restart")
        assert (reply.status, reply.raw) == (204, b"")

    @pytest.mark.parametrize(
        ("query", "options"),
        [
            ("includeTasks=true", (True, False)),
            ("onlyFailed=TRUE", (False, True)),
            ("includeTasks=true&onlyFailed=true", (True, True)),
        ],
    )
    def test_options(
        self, call: Caller, herder: FakeHerder, query: str, options: tuple[bool, bool]
    ) -> None:
        reply = call("POST", f"/connectors/a/restart?{query}")
        assert (reply.status, reply.json["name"]) == (202, "a")
        assert herder.calls == [("restart", "a", *options)]

    @pytest.mark.parametrize("value", ["", "yes", "1", "false"])
    def test_only_true_is_true(self, call: Caller, value: str) -> None:
        assert call("POST", f"/connectors/a/restart?includeTasks={value}").status == 204

    def test_unknown(self, call: Caller) -> None:
        assert call("POST", "/connectors/x/restart").message == "Unknown connector: x"

    def test_task(self, call: Caller) -> None:
        assert call("POST", "/connectors/a/tasks/0/restart").status == 204
        assert call("POST", "/connectors/a/tasks/9/restart").message == "Unknown task: a-9"

    def test_content_type_of_a_request_without_body_is_not_read(self, call: Caller) -> None:
        reply = call("POST", "/connectors/a/restart", headers={"Content-Type": "text/plain"})
        assert reply.status == 204


class TestOffsets:
    def test_read(self, call: Caller) -> None:
        assert call("GET", "/connectors/a/offsets").json["offsets"][0]["offset"] == {"lsn": 5}

    def test_alter(self, call: Caller, herder: FakeHerder) -> None:
        entry: dict[str, Any] = {"partition": {"server": "s"}, "offset": None}
        reply = call("PATCH", "/connectors/a/offsets", {"offsets": [entry]})
        assert reply.json == {"message": ALTERED}
        assert herder.calls == [("alter_offsets", "a", [entry])]

    @pytest.mark.parametrize("body", [{}, {"offsets": []}, {"offsets": None}])
    def test_empty_is_refused_before_the_name(self, call: Caller, body: Any) -> None:
        reply = call("PATCH", "/connectors/x/offsets", body)
        assert reply.status == 400
        assert reply.message == (
            "Partitions / offsets need to be provided for an alter offsets request"
        )

    @pytest.mark.parametrize(
        "entry", [1, None, {"partition": 1}, {"partition": {}, "offset": "x"}, {"offsets": {}}]
    )
    def test_wrong_shape(self, call: Caller, entry: Any) -> None:
        assert call("PATCH", "/connectors/a/offsets", {"offsets": [entry]}).status == 400

    def test_reset(self, call: Caller) -> None:
        assert call("DELETE", "/connectors/a/offsets").json == {"message": RESET}


def test_active_topics(call: Caller, herder: FakeHerder) -> None:
    assert call("GET", "/connectors/a/topics").json == {"a": {"topics": ["t"]}}
    assert call("PUT", "/connectors/a/topics/reset").status == 202
    assert herder.calls == [("reset_topics", "a")]


class TestPlugins:
    def test_connectors_only_is_the_default(self, call: Caller) -> None:
        assert call("GET", "/connector-plugins").json == [PLUGIN]
        assert call("GET", "/connector-plugins?connectorsOnly=").json == [PLUGIN]
        assert len(call("GET", "/connector-plugins?connectorsOnly=false").json) == 2

    def test_config(self, call: Caller) -> None:
        assert call("GET", "/connector-plugins/fake.Source/config").json[0]["name"] == "topic"
        assert call("GET", "/connector-plugins/fake.Source/config?version=1.0").status == 200
        assert call("GET", "/connector-plugins/fake.Source/config?version=9").status == 400
        assert call("GET", "/connector-plugins/nobody/config").status == 404

    def test_validate(self, call: Caller) -> None:
        path = "/connector-plugins/fake.Source/config/validate"
        config = {**CONFIG, "topic": None}
        assert call("PUT", path, config).json["error_count"] == 1
        assert call("PUT", path, CONFIG).json["error_count"] == 0
        assert call("PUT", path, {}).status == 400


class TestLoggers:
    def test_read(self, call: Caller) -> None:
        assert call("GET", "/admin/loggers").json["root"]["level"] == "INFO"
        assert call("GET", "/admin/loggers/root").json["last_modified"] is None
        assert call("GET", "/admin/loggers/nobody").status == 404

    def test_set(self, call: Caller) -> None:
        body = {"level": "DEBUG"}
        assert call("PUT", "/admin/loggers/connect", body).json == ["connect"]
        assert call("PUT", "/admin/loggers/connect?scope=other", body).json == ["connect"]
        cluster = call("PUT", "/admin/loggers/connect?scope=CLUSTER", body)
        assert (cluster.status, cluster.raw) == (204, b"")

    def test_bad_level(self, call: Caller) -> None:
        reply = call("PUT", "/admin/loggers/connect", {"level": "LOUD"})
        assert (reply.status, reply.message) == (404, "invalid log level 'LOUD'.")
        assert call("PUT", "/admin/loggers/connect", {}).status == 400


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_every_name_that_can_be_created_can_be_used(
    call: Caller, herder: FakeHerder, name: str
) -> None:
    made = call("POST", "/connectors", {"name": name, "config": CONFIG})
    location = made.headers["location"].removeprefix(f"http://127.0.0.1:{call.port}")
    assert location == f"/connectors/{quote(name, safe='')}"
    assert call("GET", location).json["name"] == name
    assert call("GET", f"{location}/status").json["name"] == name
    assert call("PUT", f"{location}/stop").status == 204
    assert call("DELETE", location).status == 204
    assert name not in herder.configs
