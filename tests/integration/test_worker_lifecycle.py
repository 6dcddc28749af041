"""The worker with real processes: starts, stops, failures, and what it says of them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connect.logs.embedded import EmbeddedLog
from connect.runtime import tables
from connect.runtime.herder import Herder
from connect.runtime.planner import TaskId
from connect.runtime.settings import WorkerSettings
from connect.runtime.worker import Worker
from log_core import Log
from tests.kit.control import REPR, Control, control, sink, source

MANY = 1_000_000


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Control]:
    with control(tmp_path) as each:
        yield each


def history(log: Log, key: str) -> list[str]:
    """Every state that was ever published under a key."""
    table = tables.CompactedTable(EmbeddedLog(log), tables.STATUSES)
    return [c.value["state"] if c.value else "gone" for c in table.refresh() if c.key == key]


def forgetting(running: Control) -> object:
    """The deleted connectors whose sources are still to be cleaned up."""
    table = tables.CompactedTable(EmbeddedLog(running.log), tables.CONFIGS)
    table.refresh()
    return table.entries(tables.FORGET)


def test_rows_flow_from_a_source_to_a_sink(running: Control, tmp_path: Path) -> None:
    running.herder.create("in", source("in", 50))
    running.herder.create("out", sink("out", tmp_path / "target"))
    assert len(running.count("numbers", 50)) == 50
    running.states("in", "RUNNING")
    status = running.states("out", "RUNNING")
    assert status["type"] == "sink"
    assert status["connector"] == {"state": "RUNNING", "worker_id": "test:1", "version": "1.0"}
    deadline = time.monotonic() + 30
    while running.log.group_offsets("connect-out") != {("numbers", 0): 50}:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_task_is_restarted_and_its_cause_is_shown(running: Control) -> None:
    running.herder.create("in", source("in", MANY, fake_batch_rows="100"))
    running.states("in", "RUNNING")
    killed = running.worker.pids()[TaskId("in", 0)]
    os.kill(killed, signal.SIGKILL)
    status = running.until("in", lambda s: s["tasks"][0]["state"] == "RESTARTING")
    assert "signal 9 (SIGKILL)" in status["tasks"][0]["trace"]
    running.states("in", "RUNNING")
    assert running.worker.pids()[TaskId("in", 0)] != killed
    assert history(running.log, "status-task-in-0")[-2:] == ["RESTARTING", "RUNNING"]


def test_never_running_over_a_dead_task(running: Control) -> None:
    """Whoever sees that the process is gone never sees RUNNING afterwards."""
    running.herder.create("in", source("in", MANY, fake_batch_rows="100"))
    for _ in range(4):
        running.states("in", "RUNNING")
        pid = running.worker.pids()[TaskId("in", 0)]
        os.kill(pid, signal.SIGKILL)
        while not _dead(pid):
            pass
        state = running.herder.status("in")["tasks"][0]["state"]
        same = running.worker.pids().get(TaskId("in", 0)) == pid
        assert state != "RUNNING" or not same
        assert running.herder.task_status("in", 0)["state"] != "RUNNING" or not same


def _dead(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return text.rpartition(")")[2].split()[0] in "ZX"


@pytest.mark.parametrize("kind", ["fatal", "config", "record", "bug"])
def test_what_cannot_pass_stays_failed(running: Control, kind: str) -> None:
    running.herder.create("in", source("in", 10, fake_fail_at="5", fake_fail=kind))
    status = running.states("in", "FAILED")
    assert "Traceback" in status["tasks"][0]["trace"]
    assert status["connector"]["state"] == "RUNNING"
    # It stays so for as long as another task takes to be started.
    running.herder.create("other", source("other", 1, fake_topic="others"))
    running.states("other", "RUNNING")
    assert history(running.log, "status-task-in-0").count("FAILED") == 1
    assert list(running.worker.pids()) == [TaskId("other", 0)]
    # Only a person leads out: here by a new configuration.
    running.herder.put_config("in", source("in", 10))
    running.states("in", "RUNNING")
    assert len(running.count("numbers", 10)) == 10


def test_a_retriable_failure_restarts_with_its_cause(running: Control) -> None:
    running.herder.create("in", source("in", 10, fake_fail_at="5", fake_fail="retriable"))
    status = running.states("in", "RESTARTING")
    assert status["tasks"][0]["trace"].startswith("try later [retriable]")


def test_a_fenced_task_ends_quietly(running: Control) -> None:
    running.herder.create("in", source("in", 10, fake_fail_at="5", fake_fail="fenced"))
    status = running.until("in", lambda s: "trace" in s["tasks"][0])
    assert status["tasks"][0]["state"] == "UNASSIGNED"


def test_restart_of_a_failed_task_tries_again(running: Control) -> None:
    running.herder.create("in", source("in", 10, fake_fail_at="5", fake_fail="fatal"))
    running.states("in", "FAILED")
    before = history(running.log, "status-task-in-0").count("FAILED")
    plan = running.herder.restart("in", True, True)
    assert plan is not None
    assert plan["tasks"][0]["state"] == "RESTARTING"
    running.until("in", lambda _: history(running.log, "status-task-in-0").count("FAILED") > before)
    assert "RESTARTING" in history(running.log, "status-task-in-0")


def test_restart_of_a_running_task_is_another_process(running: Control) -> None:
    running.herder.create("in", source("in", 10))
    running.states("in", "RUNNING")
    pid = running.worker.pids()[TaskId("in", 0)]
    assert running.herder.restart("in", True, True) is not None  # only failed: nothing to do
    running.herder.restart_task("in", 0)
    running.until("in", lambda _: running.worker.pids().get(TaskId("in", 0), pid) != pid)
    running.states("in", "RUNNING")
    assert len(running.count("numbers", 10)) == 10


def test_pause_resume_stop(running: Control) -> None:
    running.herder.create("in", source("in", MANY))
    running.states("in", "RUNNING")
    running.herder.pause("in")
    status = running.states("in", "PAUSED")
    assert running.worker.pids() == {}
    running.until("in", lambda s: s["connector"]["state"] == "PAUSED")
    running.herder.resume("in")
    running.states("in", "RUNNING")
    running.herder.stop("in")
    status = running.until("in", lambda s: s["connector"]["state"] == "STOPPED")
    assert status["tasks"] == []
    assert running.worker.pids() == {}
    assert running.herder.tasks("in") == []
    running.herder.resume("in")
    running.states("in", "RUNNING")


def test_configuration_every_100_ms_ends_with_the_last(running: Control) -> None:
    for number in range(1, 11):
        running.herder.put_config("in", source("in", number))
        time.sleep(0.1)
    running.states("in", "RUNNING")
    assert len(running.count("numbers", 10)) == 10
    assert running.herder.config("in")["fake.rows"] == "10"


def test_one_winner_of_concurrent_creates(running: Control) -> None:
    answers: list[object] = []

    def create() -> None:
        try:
            answers.append(running.herder.create("in", source("in", 10)))
        except Exception as error:
            answers.append(error)

    threads = [threading.Thread(target=create) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(answer, dict) for answer in answers) == 1
    losers = [str(answer) for answer in answers if not isinstance(answer, dict)]
    assert set(losers) == {"Connector in already exists"}
    running.states("in", "RUNNING")
    assert len(running.count("numbers", 10)) == 10


def test_a_deleted_connector_is_gone(running: Control) -> None:
    running.herder.create("in", source("in", MANY))
    running.states("in", "RUNNING")
    running.herder.delete("in")
    assert running.herder.connectors() == []
    deadline = time.monotonic() + 30
    while running.worker.pids() or forgetting(running):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert history(running.log, "status-task-in-0")[-1] == "gone"
    # The name can be used again, and goes on at its offset as in Kafka Connect.
    end = running.log.end_offset("numbers", 0)
    running.herder.create("in", source("in", end + 3))
    assert len(running.count("numbers", end + 3)) == end + 3


def test_a_new_topic_that_matches_restarts_only_that_sink(running: Control, tmp_path: Path) -> None:
    running.herder.create("a", source("a", 10, fake_topic="one.a"))
    running.count("one.a", 10)
    wanted = sink("regex", tmp_path / "r", topics_regex="one\\..*")
    del wanted["topics"]
    running.herder.create("regex", wanted)
    running.herder.create("named", sink("named", tmp_path / "n", topics="one.a"))
    running.states("regex", "RUNNING")
    running.states("named", "RUNNING")
    pids = running.worker.pids()
    running.herder.create("b", source("b", 7, fake_topic="one.b"))
    deadline = time.monotonic() + 30
    while running.log.group_offsets("connect-regex").get(("one.b", 0)) != 7:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    after = running.worker.pids()
    assert after[TaskId("named", 0)] == pids[TaskId("named", 0)]
    assert after[TaskId("regex", 0)] != pids[TaskId("regex", 0)]


def test_a_task_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    with control(tmp_path, shutdown_seconds=0.2) as running:
        running.herder.create("in", source("in", MANY))
        running.states("in", "RUNNING")
        pid = running.worker.pids()[TaskId("in", 0)]
        os.kill(pid, signal.SIGSTOP)
        running.herder.pause("in")
        running.states("in", "PAUSED")
        assert _dead(pid)


def test_nothing_is_running_after_a_start_until_its_task_says_so(tmp_path: Path) -> None:
    with control(tmp_path) as running:
        running.herder.create("in", source("in", 10))
        running.states("in", "RUNNING")
        status = running.herder._views.statuses.get("status-task-in-0")
        assert status is not None
    with Log(tmp_path / "log") as log:
        # What a worker leaves that is killed: its tasks died with it.
        left = tables.encode(tables.STATUSES, {"status-task-in-0": status.value})
        EmbeddedLog(log).writer("worker").append([left])
        settings = WorkerSettings(tmp_path, "test:1", REPR)
        # No task of this worker ever reports, as with a process that hangs while it starts.
        worker = Worker(log, settings, command=("/bin/sleep", "60"))
        herder = Herder(log, worker)
        worker.start()
        try:
            for _ in range(20):
                assert herder.status("in")["tasks"][0]["state"] == "UNASSIGNED"
                time.sleep(0.02)
            assert history(log, "status-task-in-0")[-3:] == ["RUNNING", "gone", "UNASSIGNED"]
        finally:
            for pid in worker.pids().values():
                os.kill(pid, signal.SIGKILL)
            worker.close()


def test_closing_ends_every_task_and_a_new_start_goes_on(tmp_path: Path) -> None:
    with control(tmp_path) as running:
        running.herder.create("in", source("in", MANY, fake_batch_rows="10"))
        running.count("numbers", 100)
        pids = list(running.worker.pids().values())
    assert all(_dead(pid) for pid in pids)
    with control(tmp_path) as running:
        end = running.log.end_offset("numbers", 0)
        values = running.count("numbers", end + 100)
    numbers = [int(value.split(b",")[0][1:]) for value in values if value]
    assert numbers == list(range(len(numbers)))


def test_a_log_that_has_failed_does_not_keep_the_worker_from_ending(tmp_path: Path) -> None:
    with control(tmp_path) as running:
        running.herder.create("in", source("in", 10))
        running.states("in", "RUNNING")
        pid = running.worker.pids()[TaskId("in", 0)]
        running.log.close()
        running.worker.close()
        assert _dead(pid)
