"""The task's process from outside: the control line, how it ends, kills at every failpoint."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from log_core import Log, records
from tests.kit.fakes import FAKE_PLUGINS  # noqa: F401  puts the fakes on the path
from tests.kit.task_process import running, setup_of

ROWS = 30


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "log")
    yield log
    log.close()


def ids_in(log: Log, topic: str = "numbers") -> list[int]:
    found: list[int] = []
    offset = 0
    while topic in log.topics() and (data := log.fetch(topic, 0, offset)):
        for batch in records.decode(data):
            found += [eval(key)[0] for key in batch.keys if key is not None]
            offset = batch.next_offset
    return found


def source(**config: Any) -> dict[str, Any]:
    keys = {"fake.rows": ROWS, "fake.batch.rows": 4}
    return setup_of("source", {**keys, **{k.replace("_", "."): v for k, v in config.items()}})


def wait_for(log: Log, end: int, topic: str = "numbers") -> None:
    assert log.wait({(topic, 0): end - 1}, 30)


def test_a_source_runs_and_stops_when_asked(log: Log) -> None:
    log.create_topic("numbers")
    with running(log, source()) as task:
        assert task.until("state") == "RUNNING"
        assert task.until("topics") == ["numbers"]
        wait_for(log, ROWS)
        ended = task.stop()
        assert ended["kind"] == "stopped"
        assert task.process.wait(30) == 0
        figures = task.figures()
    assert figures["tailrace_source_events_total c"] == ROWS
    assert figures["tailrace_source_records_total"] == ROWS
    assert sum(figures["tailrace_source_append_duration_seconds"]["counts"]) == 8
    assert ids_in(log) == list(range(ROWS))


def test_sigterm_asks_it_to_stop_and_sigint_is_ignored(log: Log) -> None:
    with running(log, source()) as task:
        task.until("state")
        task.process.send_signal(signal.SIGINT)
        task.process.send_signal(signal.SIGTERM)
        assert task.until("ended")["kind"] == "stopped"


def test_it_dies_with_its_worker(log: Log) -> None:
    with running(log, source()) as task:
        task.until("state")
        task.control.shutdown(2)
        assert task.process.wait(30) == 1


@pytest.mark.parametrize(
    ("how", "kind", "code", "key"),
    [
        ("config", "config", "config.invalid", "fake.path"),
        ("retriable", "retriable", "retriable", None),
        ("record", "record", "record.rejected", None),
        ("fenced", "fenced", "task.fenced", None),
        ("fatal", "fatal", "fake.gone", None),
        ("plain", "fatal", "error", None),
        ("bug", "bug", "task.bug", None),
    ],
)
def test_how_it_ended_follows_from_the_exception(
    log: Log, how: str, kind: str, code: str, key: str | None
) -> None:
    with running(log, source(fake_fail=how, fake_fail_at=5)) as task:
        ended = task.until("ended")
        assert (ended["kind"], ended["code"], ended["key"]) == (kind, code, key)
        assert "poll" in ended["trace"]
        assert "4711" not in str(ended)
    assert ids_in(log) == [0, 1, 2, 3]


def test_a_secret_is_in_no_message_trace_or_log_line(log: Log) -> None:
    setup = source(fake_fail="config", fake_fail_at=0, fake_password="${secret:one}")
    setup["secrets"] = {"one": "hunter2-is-my-password"}
    with running(log, setup) as task:
        ended = task.until("ended")
        assert "********" in ended["message"]
        assert "hunter2" not in str(task.said) + task.errors()


def test_what_a_reference_stands_for_is_secret_whatever_the_key(log: Log) -> None:
    setup = source(fake_rows="${secret:one}")
    setup["secrets"] = {"one": "hunter2-is-my-password"}
    with running(log, setup) as task:
        ended = task.until("ended")
        assert "Invalid value ******** for configuration fake.rows" in ended["message"]
        assert "hunter2" not in str(task.said) + task.errors()


def test_every_error_of_a_configuration_is_named(log: Log) -> None:
    with running(log, source(fake_rows="many", fake_topik="t")) as task:
        ended = task.until("ended")
    assert ended["kind"] == "config"
    assert "fake.rows" in ended["message"]
    assert 'Did you mean "fake.topic"?' in ended["message"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("connection.lost", "retriable"),
        ("fake.unavailable", "retriable"),
        ("fake.wal_level", "config"),
    ],
)
def test_a_live_check_that_fails_is_tried_again_only_if_it_may_pass(
    log: Log, code: str, kind: str
) -> None:
    with running(log, source(fake_check=code)) as task:
        ended = task.until("ended")
    assert (ended["kind"], ended["code"]) == (kind, code)


def test_a_newer_process_fences_the_older(log: Log) -> None:
    with running(log, source(fake_rows=10**9, fake_batch_rows=1)) as older:
        older.until("state")
        with running(log, source(fake_rows=10**9, fake_batch_rows=1)) as newer:
            newer.until("state")
            assert older.until("ended")["kind"] == "fenced"
            newer.stop()
    ids = ids_in(log)
    assert ids == list(range(len(ids)))


SOURCE_POINTS = ("after_decode", "before_append", "after_append", "after_confirm")
SINK_POINTS = ("after_put", "before_sink_flush", "after_sink_flush", "after_sink_commit")


@pytest.mark.parametrize("point", SOURCE_POINTS)
def test_a_source_killed_anywhere_goes_on_exactly_once(log: Log, point: str) -> None:
    log.create_topic("numbers")
    kills = 0
    whole = False
    while not whole:
        with running(log, source(), {"TAILRACE_FAIL": f"{point}:kill:3"}) as task:
            while task.process.poll() is None and not whole:
                whole = log.wait({("numbers", 0): ROWS - 1}, 0.02)
            kills += task.process.poll() == -signal.SIGKILL
    assert kills >= 2
    assert ids_in(log) == list(range(ROWS))


@pytest.mark.parametrize("point", SINK_POINTS)
def test_a_sink_killed_anywhere_goes_on_exactly_once(log: Log, tmp_path: Path, point: str) -> None:
    from tailrace_fakes import read_target

    with running(log, source()) as task:
        task.until("state")
        log.create_topic("numbers")
        wait_for(log, ROWS)
        task.stop()
    target = tmp_path / "target"
    config = {"topics": "numbers", "fake.path": target}
    setup = setup_of("sink", config, partitions=[["numbers", 0]])
    with running(log, setup, {"TAILRACE_FAIL": f"{point}:kill"}) as task:
        assert task.process.wait(30) == -signal.SIGKILL
    with running(log, setup) as task:
        task.until("state")
        task.stop()
    with running(log, setup) as task:
        task.until("state")
        task.stop()
    rows = [row for line in read_target(target) for row in line["rows"]]
    assert [row[0] for row in rows] == list(range(ROWS))


def test_rejected_rows_become_dead_letters_with_their_context(log: Log, tmp_path: Path) -> None:
    from tailrace_fakes import read_target

    with running(log, source()) as task:
        task.until("state")
        log.create_topic("numbers")
        wait_for(log, ROWS)
        task.stop()
    target = tmp_path / "target"
    config = {
        "topics": "numbers",
        "fake.path": target,
        "fake.refuse": 7,
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": "dead",
        "errors.deadletterqueue.context.headers.enable": "true",
    }
    with running(log, setup_of("sink", config, partitions=[["numbers", 0]])) as task:
        task.until("state")
        log.create_topic("dead")
        wait_for(log, 1, "dead")
        task.stop()
    rows = [row[0] for line in read_target(target) for row in line["rows"]]
    assert rows == [n for n in range(ROWS) if n != 7]
    assert ids_in(log, "dead") == [7]
    [batch] = records.decode(log.fetch("dead", 0, 0))
    headers = {name: value for name, value in (batch.headers or [()])[0] if value is not None}
    assert headers["__connect.errors.topic"] == b"numbers"
    assert headers["__connect.errors.offset"] == b"7"
    assert headers["__connect.errors.stage"] == b"TASK_PUT"
    assert headers["__connect.errors.exception.message"] == b"refused"
