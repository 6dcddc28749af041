"""A canary in place of every password: it may be nowhere but in the secrets' file."""

from __future__ import annotations

import json
import os
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import psutil
import psycopg
import pytest

from api.demo.postgres import free_port
from tests.fault.fleet import PREFIX
from tests.fault.pipeline import source_config, sql_sink_config
from tests.fault.watching import await_state
from tests.kit.databases import PostgresDatabase
from tests.kit.server import Server, until

LITERAL = "canary-literal+7f3/x%"
FROM_ENV = "canary-env-51c0"
FROM_FILE = "canary-file-a9d2"
WRONG = "canary-wrong-e810"
IN_URL = "canary-url-3b6f"
CANARIES = (LITERAL, FROM_ENV, FROM_FILE, WRONG, IN_URL)

pytestmark = [pytest.mark.fault, pytest.mark.integration]


class Scene(NamedTuple):
    """A server with connectors that work and connectors that fail, and all it has answered."""

    server: Server
    answers: dict[str, str]


@pytest.fixture(scope="module")
def scene(postgres18: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("secrets")
    source, target = postgres18.create_database(), postgres18.create_database()
    roles = {"literal": LITERAL, "env": FROM_ENV, "file": FROM_FILE}
    for role, password in roles.items():
        source.execute(
            f"DROP ROLE IF EXISTS canary_{role}",
            f"CREATE ROLE canary_{role} SUPERUSER LOGIN PASSWORD '{password}'",
        )
    source.execute(
        "CREATE TABLE good (id int PRIMARY KEY, t text)", "INSERT INTO good VALUES (1, 'a')",
        "CREATE TABLE bad (id int PRIMARY KEY, t text)", "INSERT INTO bad VALUES (1, 'b')",
    )  # fmt: skip
    target.execute(f"CREATE TABLE {PREFIX}_public_bad (id int PRIMARY KEY, t text CHECK (t > 'x'))")
    passwords = directory / "passwords.properties"
    passwords.write_text(f"sink={FROM_FILE}\n")
    server = Server(directory / "data", free_port())
    before = os.umask(0)
    try:
        server.start(
            {
                "CANARY": FROM_ENV,
                "CONNECT_CONFIG_PROVIDERS_ENV_PARAM_ALLOWLIST_PATTERN": "CANARY",
                "CONNECT_CONFIG_PROVIDERS_FILE_PARAM_ALLOWED_PATHS": str(directory),
            }
        )
    finally:
        os.umask(before)
    answers: dict[str, str] = {}
    try:
        play(server, answers, source, target, f"${{file:{passwords}:sink}}")
        read_everything(server, answers)
        yield Scene(server, answers)
    finally:
        server.stop()
        source.drop()
        target.drop()
        for role in roles:
            postgres18.database("postgres").execute(f"DROP ROLE canary_{role}")


def play(
    server: Server,
    answers: dict[str, str],
    source: PostgresDatabase,
    target: PostgresDatabase,
    reference: str,
) -> None:
    """Connectors with every kind of password, right and wrong; keeps each answer."""
    good = source_config(source, database_user="canary_literal", database_password=LITERAL)
    by_env = source_config(
        source, database_user="canary_env", database_password="${env:CANARY}",
        topic_prefix="other", slot_name="canary_env", publication_name="canary_env",
    )  # fmt: skip
    sink = sql_sink_config(target, connection_username="canary_file")
    sink["connection.password"] = reference
    dead = {
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": "dead",
        "errors.deadletterqueue.context.headers.enable": "true",
    }
    url = f"postgresql://canary_file:{IN_URL}@{target.host}:{target.port}/{target.name}"
    closed = str(free_port())
    wrong = {"database.password": WRONG}
    created = {
        "literal": good,
        "by-env": by_env,
        "by-file": {**sink, **dead},
        "fails": {**sink, "topics.regex": rf"{PREFIX}\.public\.bad", "errors.tolerance": "none"},
        "wrong-password": {**good, **wrong},
        "wrong-host": {**good, **wrong, "database.hostname": "no-such-host.invalid"},
        "wrong-port": {**good, **wrong, "database.port": closed},
        "wrong-name": {**good, "database.dbname": "nowhere"},
        "in-url": {**sink, "connection.url": url, "connection.password": ""},
        "in-jdbc-url": {**sink, "connection.url": f"jdbc:{url}?password={IN_URL}&x=y"},
        "bad-value": {**good, "max.batch.size": "many"},
    }
    for name, config in created.items():
        answers[f"POST {name}"] = say(
            server, "POST", "/connectors", {"name": name, "config": config}
        )
        plugin = config["connector.class"]
        path = f"/connector-plugins/{plugin}/config/validate"
        answers[f"validate {name}"] = say(server, "PUT", path, {"name": name, **config})
    answers["PUT wrong"] = say(server, "PUT", "/connectors/literal/config", {**good, **wrong})
    answers["PATCH wrong"] = say(server, "PATCH", "/connectors/literal/config", wrong)
    answers["broken JSON"] = say(server, "POST", "/connectors", f'{{"database.password": "{WRONG}"')
    await_state(server, "literal", "RUNNING")
    await_state(server, "by-env", "RUNNING")
    await_state(server, "fails", "FAILED")
    until(lambda: rows(target) == [(1, "a")], 60, "a row went all the way")
    until(lambda: "dead" in server.request("GET", "/metrics"), 60, "a dead letter was written")
    source.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active")


def rows(target: PostgresDatabase) -> list[tuple[Any, ...]]:
    try:
        return target.query(f"SELECT id, t FROM {PREFIX}_public_good")
    except psycopg.errors.UndefinedTable:
        return []


def say(server: Server, method: str, path: str, body: Any = None) -> str:
    """The text of the answer, whatever its status."""
    data = body.encode() if isinstance(body, str) else body and json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{quote(path, safe='/?=&,')}",
        data,
        {"Content-Type": "application/json"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return f"{answer.status} {answer.headers} {answer.read().decode()}"
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.headers} {error.read().decode()}"


def read_everything(server: Server, answers: dict[str, str]) -> None:
    """GET every path the server has, with every name it may take."""
    names = {
        "connector": server.request("GET", "/connectors"),
        "task": ["0"],
        "plugin": [p["class"] for p in server.request("GET", "/connector-plugins")],
        "topic": [t["name"] for t in server.request("GET", "/v1/topics?internal=true")],
        "logger": ["root"],
    }
    paths = server.request("GET", "/openapi.json")["paths"]
    assert len(paths) > 20
    for path in (path for path, methods in paths.items() if "get" in methods):
        todo = [path]
        for word, values in names.items():
            todo = [p.replace(f"{{{word}}}", v) for p in todo for v in values]
        for each in dict.fromkeys(todo):
            answers[f"GET {each}"] = say(server, "GET", each)
    answers["expand"] = say(server, "GET", "/connectors?expand=status&expand=info")


def found_in(text: str) -> list[str]:
    """The canaries in a text, also quoted, escaped, or cut."""
    forms = {c: {c, quote(c), quote(c, safe=""), json.dumps(c)[1:-1], c[:15]} for c in CANARIES}
    return [canary for canary, shapes in forms.items() if any(s in text for s in shapes)]


def test_the_scene_is_what_it_should_be(scene: Scene) -> None:
    """Otherwise the rest would prove nothing."""
    codes = {name: answer[:3] for name, answer in scene.answers.items()}
    assert [codes[f"POST {name}"] for name in ("literal", "by-env", "by-file", "fails")] == (
        ["201"] * 4
    )
    assert codes["POST wrong-password"] == codes["POST bad-value"] == "400"
    assert "__connect.errors" in scene.answers["GET /v1/topics/dead/records"]
    assert "********" in scene.answers["GET /connectors/literal/config"]
    assert "${env:CANARY}" in scene.answers["GET /connectors/by-env/config"]
    assert found_in((scene.server.data_dir / "secrets.json").read_text()) == [LITERAL]


def test_no_answer_holds_a_secret(scene: Scene) -> None:
    leaks = {name: found_in(answer) for name, answer in scene.answers.items()}
    assert {name: canaries for name, canaries in leaks.items() if canaries} == {}


def test_no_file_and_no_log_line_holds_a_secret(scene: Scene) -> None:
    files = [p for p in scene.server.data_dir.rglob("*") if p.is_file()]
    texts = {p.name: p.read_bytes().decode("latin-1") for p in [*files, scene.server.output]}
    assert texts.pop("secrets.json")
    assert len(texts) > 5
    assert {name: found for name, text in texts.items() if (found := found_in(text))} == {}


def test_no_command_line_holds_a_secret(scene: Scene) -> None:
    assert scene.server.process is not None
    for name in ("literal", "by-env", "by-file"):
        await_state(scene.server, name, "RUNNING")
    family = psutil.Process(scene.server.process.pid)
    lines = [" ".join(p.cmdline()) for p in [family, *family.children(recursive=True)]]
    assert len(lines) >= 4
    assert found_in("\n".join(lines)) == []


def test_files_are_the_owners_alone_whatever_the_umask(scene: Scene) -> None:
    directory = scene.server.data_dir
    modes = {str(p): stat.S_IMODE(p.stat().st_mode) for p in [directory, *directory.rglob("*")]}
    assert {p: oct(m) for p, m in modes.items() if m & 0o077} == {}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
