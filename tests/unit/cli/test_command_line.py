"""The command line without a server: help, start-up cost, failures, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from api.cli.apply import changed_keys
from api.cli.client import client
from api.cli.doctor import postgres_config
from api.cli.errors import Failure
from api.cli.main import COMMANDS, run
from api.cli.tail import split_page
from api.demo.postgres import free_port


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TAILRACE_URL", "KAFKA_CONNECT_REST", "TAILRACE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert run([*command.split(), "--help"]) == 0
    assert "Usage: tailrace" in capsys.readouterr().out


def test_listing_commands_imports_none_of_them() -> None:
    script = (
        "import sys; from api.cli.main import run; run(['--help']);"
        "heavy = {'fastapi', 'pydantic', 'rich', 'duckdb', 'sqlalchemy', 'psycopg', 'http.client'};"
        "print(heavy & sys.modules.keys(), [m for m in sys.modules if m.startswith('api.cli.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "set() ['api.cli.main', 'api.cli.errors']"


def test_getting_connectors_imports_no_server() -> None:
    script = (
        "import sys; import api.cli.main as m, api.cli.get;"
        "print({'fastapi', 'pydantic', 'rich', 'uvicorn', 'connect.config'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ("get connectors --url http://127.0.0.1:{port}", 3, "No answer from http://127.0.0.1:"),
        ("get connectors --url http://u:pass@127.0.0.1:{port}", 3, "from http://127.0.0.1:"),
        ("get connectors --url ftp://x", 2, "not http://HOST:PORT"),
        ("get connectors --url http://x:99999", 2, "not http://HOST:PORT"),
        ("nonsense", 2, "No such command"),
        ("tail", 2, "Missing argument"),
        ("tail t -o yesterday", 2, "is not beginning, end, -N or an offset"),
        ("pause", 2, "Name a connector."),
        ("apply -f missing.json", 2, "Can't read missing.json"),
        ("offsets set a", 2, "Give either"),
        ("offsets set a x", 2, "not of the form TOPIC:PARTITION=OFFSET"),
        ("offsets reset a", 2, "Pass --yes"),
        ("delete a", 2, "Pass --yes"),
        ("server start --host 0.0.0.0 --port {port}", 2, "TAILRACE_API_TOKEN"),
        ("server start --port 70000", 2, "rest.port"),
        ("server start missing.json", 2, "does not exist"),
        ("doctor --source mysql://x", 2, "Not of the form postgresql://"),
    ],
)
def test_failures(capsys: pytest.CaptureFixture[str], arguments: str, code: int, text: str) -> None:
    assert run(arguments.format(port=free_port()).split()) == code
    error = capsys.readouterr().err
    assert text in error
    assert "Traceback" not in error
    assert "pass@" not in error


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "Malformed JSON"),
        ("{}", "has no name"),
        ('{"name": "a", "config": {"x": {}}}', '"x" must be a string'),
        ('{"name": "a", "config": {}, "oops": 1}', 'Unrecognized field "oops"'),
    ],
)
def test_bad_files(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str, text: str
) -> None:
    (tmp_path / "c.json").write_text(content)
    assert run(["validate", "--offline", "-f", "c.json"]) == 2
    assert text in capsys.readouterr().err


def test_offline_validation_names_the_key(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "c.properties").write_text(
        "name=c\nconnector.class=sql\ntopics=t\nconnection.url=${env:URL}\ninsert.mode=upset\n"
    )
    assert run(["validate", "--offline", "-f", "c.properties"]) == 2
    out = capsys.readouterr().out
    assert "insert.mode" in out
    assert "connection.url" not in out


def test_secrets_can_not_be_compared() -> None:
    stored = {"a": "1", "password": "********", "gone": "x"}
    wanted = {"a": "2", "password": "p", "new": "y"}
    assert changed_keys(stored, wanted) == [
        "a", "- gone", "+ new", "password (secret, may be equal)",
    ]  # fmt: skip
    assert changed_keys(stored, dict(stored)) == []


@pytest.mark.parametrize(
    ("given", "variable", "expected"),
    [
        ("http://a:1", "http://b:2", "http://a:1"),
        (None, "b:2", "http://b:2"),
        (None, None, "http://127.0.0.1:8083"),
    ],
)
def test_which_server(
    monkeypatch: pytest.MonkeyPatch, given: str | None, variable: str | None, expected: str
) -> None:
    if variable is not None:
        monkeypatch.setenv("TAILRACE_URL", variable)
    assert client(given).url == expected


def test_pages_are_split_by_line() -> None:
    raw = b'{"next":{"0":2},"records":[\n{"a":1},\n{"b":2}\n]}\n'
    assert split_page(raw) == ([b'{"a":1}', b'{"b":2}'], {"0": 2})
    assert split_page(b'{"next":{"0":2},"records":[\n\n]}\n') == ([], {"0": 2})


def test_a_source_url_becomes_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    config = postgres_config("postgresql://u%40x:p%2Fw@h:99/db")
    assert (config["database.user"], config["database.password"]) == ("u@x", "p/w")
    assert (config["database.port"], config["database.dbname"]) == ("99", "db")
    assert "database.password" not in postgres_config("postgres://u@h")
    with pytest.raises(Failure):
        postgres_config("postgres://u@h:port/db")
