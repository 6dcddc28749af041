"""The command line against a live server with plugins made for tests."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.demo.postgres import free_port
from tests.kit.fakes import FAKE_PLUGINS
from tests.kit.server import START, Server

SOURCE = {"connector.class": "fake_source", "fake.rows": "7", "fake.password": "hunter2secret"}


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TAILRACE_", "CONNECT_"))}
    return {**kept, "PYTHONPATH": str(FAKE_PLUGINS), "TZ": "UTC", **more}


class Shell:
    """Runs commands as a user does."""

    def __init__(self, server: Server, directory: Path, **env: str) -> None:
        self.server = server
        self.directory = directory
        self.env = environment(TAILRACE_URL=f"http://127.0.0.1:{server.port}", **env)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", START, *arguments],
            cwd=self.directory,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, code: int = 0) -> str:
        process = self.start(*arguments)
        out, error = process.communicate(timeout=60)
        assert process.returncode == code, (out, error)
        assert "Traceback" not in error
        return out + error

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))

    def file(self, name: str, content: object) -> str:
        text = content if isinstance(content, str) else json.dumps(content)
        (self.directory / name).write_text(text)
        return name

    def until(self, name: str, state: str) -> None:
        deadline = time.monotonic() + 60
        while True:
            status = self.json("get", "connectors")[name]["status"]
            states = [status["connector"]["state"], *(t["state"] for t in status["tasks"])]
            if set(states) == {state} and (status["tasks"] or state == "STOPPED"):
                return
            assert time.monotonic() < deadline, status


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    directory = Path(tmp_path_factory.mktemp("cli"))
    server = Server(directory / "data", free_port())
    server.start(environment())
    try:
        shell = Shell(server, directory)
        body = {"name": "numbers/1", "config": SOURCE}
        shell("apply", "-f", shell.file("source.json", body))
        yield shell
        secrets = [p for p in (*server.data_dir.rglob("*"), server.output) if p.is_file()]
        found = [p for p in secrets if b"hunter2secret" in p.read_bytes()]
        assert [p.name for p in found] == ["secrets.json"]
    finally:
        assert server.stop() == 0


def test_state_and_numbers(shell: Shell) -> None:
    shell.until("numbers/1", "RUNNING")
    table = shell("get", "connectors").splitlines()
    assert table[0].split()[:4] == ["NAME", "TYPE", "STATE", "TASKS"]
    assert table[1].split()[:4] == ["numbers/1", "source", "RUNNING", "1/1"]


def test_tail_prints_records_and_stops(shell: Shell) -> None:
    lines = [json.loads(x) for x in shell("tail", "numbers", "-c", "7").splitlines()]
    assert [line["offset"] for line in lines] == list(range(7))
    assert list(lines[0]) == [
        "topic", "partition", "offset", "timestamp", "key", "value", "headers",
    ]  # fmt: skip
    assert lines[3]["key"]["payload"] == {"id": 3}
    assert lines[3]["value"]["payload"]["name"] == "name 3"
    last = [json.loads(x) for x in shell("tail", "numbers", "-o", "-2", "-e").splitlines()]
    assert [line["offset"] for line in last] == [5, 6]
    assert json.loads(shell("tail", "numbers", "-o", "4", "-c", "1"))["offset"] == 4
    assert shell("tail", "numbers", "-o", "end", "-e") == ""
    assert shell("tail", "numbers", "-f", "diff", "-c", "1").startswith("p0 @0  22:13:20.000")


def test_tail_waits_and_ends_cleanly_on_ctrl_c(shell: Shell) -> None:
    process = shell.start("tail", "numbers", "-o", "-1")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["offset"] == 6
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in error


def test_tail_follows_what_comes_later(shell: Shell) -> None:
    shell("apply", "-f", shell.file("late.json", {**SOURCE, "name": "late", "fake.topic": "late"}))
    shell.until("late", "RUNNING")
    shell("tail", "late", "-c", "7")
    process = shell.start("tail", "late", "-o", "end", "-c", "2")
    shell("apply", "-f", shell.file("late.json", {**SOURCE, "name": "late", "fake.topic": "late",
                                                 "fake.rows": "9"}))  # fmt: skip
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert len(out.splitlines()) == 2
    shell("delete", "late", "--yes")


def test_unknown_things(shell: Shell) -> None:
    assert "Topic nothing not found" in shell("tail", "nothing", code=2)
    assert "Connector x not found" in shell("describe", "connector", "x", code=2)
    assert "Unknown connector x" in shell("pause", "x", code=2)
    assert "No connector matches y.*" in shell("pause", "-e", "y.*", code=2)


def test_pause_resume_restart(shell: Shell) -> None:
    shell("pause", "connector", "numbers/1")
    shell.until("numbers/1", "PAUSED")
    shell("resume", "-e", "numb.*")
    shell.until("numbers/1", "RUNNING")
    shell("restart", "numbers/1", "-t", "all")
    shell("restart", "task", "numbers/1/0")
    shell.until("numbers/1", "RUNNING")


def test_offsets(shell: Shell) -> None:
    partition = {"server": "numbers/1"}
    refused = shell("offsets", "reset", "numbers/1", "--yes", code=2)
    assert "must be in the STOPPED state" in refused
    shell("stop", "numbers/1")
    shell.until("numbers/1", "STOPPED")
    entry = {"partition": partition, "offset": {"next": 6}}
    name = shell.file("offsets.json", {"offsets": [entry]})
    assert "altered successfully" in shell("offsets", "set", "numbers/1", "-f", name)
    assert shell.json("offsets", "show", "numbers/1")["numbers/1"] == [entry]
    assert "reset successfully" in shell("offsets", "reset", "numbers/1", "--yes")
    assert shell.json("get", "offsets", "numbers/1")["numbers/1"] == []
    name = shell.file("offsets.json", {"offsets": [{**entry, "offset": {"next": 7}}]})
    shell("offsets", "set", "numbers/1", "-f", name)
    shell("resume", "numbers/1")
    shell.until("numbers/1", "RUNNING")


def test_apply_says_what_it_does(shell: Shell) -> None:
    sink = {
        "connector.class": "fake_sink",
        "topics": "numbers",
        "fake.path": str(shell.directory / "target"),
    }
    name = shell.file("sink.json", {"name": "sink", "config": sink})
    assert shell("apply", "-f", name, "--dry-run") == "+ sink  would be created\n"
    assert shell("apply", "-f", name) == "+ sink  created\n"
    assert shell("apply", "-f", name) == "= sink  unchanged\n"
    shell.file("sink.json", {"name": "sink", "config": {**sink, "tasks.max": 2}})
    assert shell("apply", "-f", name) == "~ sink  changed: + tasks.max\n"
    wrong = shell.file("wrong.json", {"name": "w", "config": {**SOURCE, "fake.rows": "many"}})
    answer = shell("apply", "-f", wrong, "-f", name, code=2)
    assert "fake.rows" in answer
    assert "= sink  unchanged" in answer
    assert "deleted" in shell("delete", "connector", "sink", "--yes")
    assert "sink" not in shell.json("get", "connectors")


def test_validate(shell: Shell) -> None:
    wrong = {**SOURCE, "name": "w", "fake.rows": "many", "fake.toppic": "x"}
    answer = shell("validate", "-f", shell.file("wrong.json", wrong), code=2)
    assert "w: 2 errors" in answer
    assert "Not a number of type INT" in answer
    assert 'Did you mean "fake.topic"' in answer
    assert "✓ numbers/1" in shell("validate", "-f", "source.json")


def test_topics_and_groups(shell: Shell) -> None:
    topics = shell.json("topics", "list")
    assert [(t["name"], t["partitions"][0]["end_offset"]) for t in topics][-1] == ("numbers", 7)
    assert "connect-configs" in shell("get", "topics", "--internal")
    described = shell.json("describe", "topic", "numbers")
    assert (described["name"], described["internal"]) == ("numbers", False)


def test_describe_shows_no_secret(shell: Shell) -> None:
    text = shell("describe", "connector", "numbers/1")
    assert "fake.password=********" in text
    assert "{'server': 'numbers/1'}" in text


def test_failures_are_named_first(shell: Shell) -> None:
    config = {**SOURCE, "fake.topic": "bad", "fake.fail.at": "2", "fake.fail": "fatal"}
    shell("apply", "-f", shell.file("bad.json", {"name": "zz-bad", "config": config}))
    deadline = time.monotonic() + 60
    while "FAILED" not in shell("get", "connectors"):
        assert time.monotonic() < deadline
    row = shell("get", "connectors").splitlines()[1]
    assert row.startswith("zz-bad")
    assert "gone for good" in row
    assert "Take a new snapshot." in shell("describe", "connector", "zz-bad")
    answer = shell("doctor", "--url", f"http://127.0.0.1:{shell.server.port}", code=3)
    assert "connector zz-bad is FAILED" in answer
    shell("delete", "zz-bad", "--yes")


def test_loggers_and_plugins(shell: Shell) -> None:
    assert any(p["class"] == "fake_sink" or "fake" in str(p) or "FileSink" in str(p)
               for p in shell.json("get", "plugins"))  # fmt: skip
    assert shell.json("get", "loggers")["root"]["level"] == "INFO"


class TestServer:
    def start(self, directory: Path, *arguments: str, **env: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", START, "server", "start", *arguments],
            cwd=directory, env=environment(**env), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return done.returncode, done.stderr

    def test_a_taken_port(self, shell: Shell, tmp_path: Path) -> None:
        code, error = self.start(tmp_path, "--port", str(shell.server.port))
        assert code == 3
        assert "--port" in error
        assert not (tmp_path / "tailrace-data").exists()

    def test_a_taken_directory(self, shell: Shell, tmp_path: Path) -> None:
        code, error = self.start(tmp_path, "--port", "0", "--data-dir", str(shell.server.data_dir))
        assert code == 2
        assert "in use by another process" in error

    def test_a_kafka_cluster_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "worker.properties").write_text("bootstrap.servers=kafka:9092\n")
        code, error = self.start(tmp_path, "worker.properties")
        assert code == 2
        assert "bootstrap.servers" in error
        assert "Remove the key" in error

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
    def test_no_bind_for_others_without_credentials(self, tmp_path: Path, host: str) -> None:
        code, error = self.start(tmp_path, "--host", host)
        assert code == 2
        assert "TAILRACE_API_TOKEN" in error
        assert "--auth-file" in error

    def test_an_open_user_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "users").write_text("ann:secret99\n")
        (tmp_path / "users").chmod(0o644)
        code, error = self.start(tmp_path, "--auth-file", "users")
        assert code == 2
        assert "chmod 600" in error
        assert "secret99" not in error

    def test_standalone_arguments(self, tmp_path: Path) -> None:
        """worker.properties, then connectors; a second start updates them."""
        (tmp_path / "worker.properties").write_text(
            "key.converter=org.apache.kafka.connect.json.JsonConverter\n"
            "value.converter.schemas.enable=false\noffset.storage.file.filename=/tmp/x\n"
        )
        for rows in (3, 5):
            (tmp_path / "c.properties").write_text(
                f"name=c\nconnector.class=fake_source\nfake.topic=t\nfake.rows={rows}\n"
            )
            with standalone(tmp_path) as (url, errors):
                tail = ("tail", "t", "-o", "beginning", "-c", str(rows), "--url", url)
                records = [json.loads(line) for line in eventually(*tail).splitlines()]
                assert records[-1]["value"]["id"] == rows - 1
                refused = command("get", "connectors", "--url", url)
                assert refused.returncode == 2
                assert "TAILRACE_API_TOKEN" in refused.stderr
            said = errors.read_text()
            assert "offset.storage.file.filename has no effect" in said
            assert "Traceback" not in said
            assert "t0ken" not in said


def command(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START, *arguments],
        env=environment(**env), capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def eventually(*arguments: str) -> str:
    """The output of a command that fails until its topic is there."""
    deadline = time.monotonic() + 60
    while True:
        done = command(*arguments, TAILRACE_API_TOKEN="t0ken")
        if done.returncode == 0:
            return done.stdout
        assert "not found" in done.stderr
        assert time.monotonic() < deadline, done.stderr


@contextmanager
def standalone(directory: Path) -> Iterator[tuple[str, Path]]:
    """A server with the arguments of connect-standalone: its URL and its log."""
    errors = directory / "errors"
    with errors.open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", START, "server", "start", "--port", "0",
             "worker.properties", "c.properties"],
            cwd=directory, env=environment(TAILRACE_API_TOKEN="t0ken"),
            stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        try:
            assert server.stdout is not None
            first = server.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+", first)
            assert found, errors.read_text()
            assert "connectors: 1" in first
            yield found[0], errors
            server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 0
        finally:
            server.kill()
            server.communicate()
