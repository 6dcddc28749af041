"""Back-off, last words and traces, without any process."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from connect.runtime import supervisor
from connect.runtime.planner import TaskId
from connect.runtime.supervisor import Backoff, last_word
from connect.runtime.worker import trace_of


def test_waits_double_up_to_a_minute_with_full_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, float]] = []
    monkeypatch.setattr(
        supervisor.random, "uniform", lambda low, high: asked.append((low, high)) or high
    )
    backoff = Backoff()
    waits = [backoff.next() for _ in range(9)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert {low for low, _ in asked} == {0}
    backoff.reset()
    assert backoff.next() == 1


def dead(ended: dict[str, Any] | None = None) -> Any:
    return SimpleNamespace(ended=ended, pid=4711, spec=SimpleNamespace(id=TaskId("c", 0)))


def test_a_process_that_said_nothing_is_explained() -> None:
    killed = last_word(dead(), -9)
    assert killed["kind"] == "retriable"
    assert "task c-0 (pid 4711) was killed by signal 9 (SIGKILL)" in killed["message"]
    assert "memory" in killed["hint"]
    assert "exit code 3" in last_word(dead(), 3)["message"]
    assert "signal 200" in last_word(dead(), -200)["message"]


def test_a_task_has_its_own_last_word() -> None:
    ended = {"kind": "fatal", "message": "m"}
    assert last_word(dead(ended), -9) is ended


def test_a_trace_begins_with_cause_code_and_remedy() -> None:
    word = {"message": "It is gone.", "code": "x.gone", "hint": "Fetch it.", "trace": "Traceback"}
    assert trace_of(word) == "It is gone. [x.gone] Fetch it.\n\nTraceback"
    assert trace_of({"message": "m", "code": None, "hint": None, "trace": None}) == "m"
