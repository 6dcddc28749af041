"""One run of a task: its process, the line on which it reports, and its link to the log.

A run is started once and ends once. What its process says and how it ended arrive as events in
the queue of the worker's control thread, which alone decides what happens next.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from connect.logs.socket import serve
from connect.runtime.planner import TaskSpec

if TYPE_CHECKING:
    from log_core import Log

FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 60.0
PROC: Final = Path("/proc")  # Linux says there, before it can be waited for, that a process dies
# glibc would give each batch's megabytes back and ask for them again: twice the time to encode.
KEEP_MEMORY: Final = {
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
}
# -P: a directory named connect/ where the worker was started is not ours.
COMMAND: Final = (sys.executable, "-P", "-m", "connect.runtime.task_main")


class Said(NamedTuple):
    """A line a task's process wrote."""

    run: TaskRun
    line: Mapping[str, Any]


class Exited(NamedTuple):
    """A run's process is gone; everything it said came before. ``code`` is Popen's."""

    run: TaskRun
    code: int


class TaskRun:
    """A task's process from spawn to exit. Used by the worker's control thread; ``alive`` by any.

    ``setup`` is the first line of the control protocol, without the run's id.
    """

    def __init__(
        self,
        spec: TaskSpec,
        setup: Mapping[str, Any],
        log: Log,
        events: queue.SimpleQueue[Any],
        command: tuple[str, ...] = COMMAND,
    ) -> None:
        self.spec = spec
        self.id = str(uuid.uuid4())
        self.ended: Mapping[str, Any] | None = None  # the task's own last word
        self.kill_at: float | None = None  # set once it was asked to stop
        self._events = events
        self._control, control = socket.socketpair()
        ours, theirs = socket.socketpair()
        with control, theirs:
            try:
                self._process = subprocess.Popen(
                    [*command, str(control.fileno()), str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    pass_fds=(control.fileno(), theirs.fileno()),
                    env={**KEEP_MEMORY, **os.environ},
                )
            except OSError:
                self._control.close()
                ours.close()
                raise
        name = str(spec.id)
        self._reader = _thread(f"control-{name}", self._read)
        _thread(f"link-{name}", lambda: serve(log, ours))
        _thread(f"wait-{name}", self._wait)
        self.send({**setup, "run_id": self.id})

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self.kill_at is not None

    def alive(self) -> bool:
        """Whether the process still runs at this moment; one that is dying does not."""
        if self._process.returncode is not None:
            return False
        if not PROC.exists():
            return self._process.poll() is None
        try:
            stat = (PROC / str(self.pid) / "stat").read_bytes()
        except OSError:
            return False
        return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")

    def send(self, line: Mapping[str, Any]) -> None:
        """Write a line; a process that is gone does not read it."""
        with contextlib.suppress(OSError):
            self._control.sendall(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def stop(self, grace: float) -> None:
        """Ask the task to finish what it does; after ``grace`` seconds ``kill`` is due."""
        if self.kill_at is None:
            self.kill_at = time.monotonic() + grace
            self.send({"command": "stop"})
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once; due again a second later, should it survive that."""
        self.kill_at = time.monotonic() + 1.0
        self._process.kill()

    def _read(self) -> None:
        with self._control.makefile("rb") as lines, contextlib.suppress(OSError):
            for line in lines:
                with contextlib.suppress(ValueError):  # cut short by a kill
                    self._events.put(Said(self, json.loads(line)))

    def _wait(self) -> None:
        code = self._process.wait()
        self._reader.join(timeout=1.0)
        self._control.close()
        self._events.put(Exited(self, code))


class Backoff:
    """Waits between restarts: 1 s, 2 s, 4 s ... 60 s, each with full jitter."""

    def __init__(self) -> None:
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait before the next try, after one more failure."""
        ceiling = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return random.uniform(0, ceiling)

    def reset(self) -> None:
        """The task made progress: the next failure is a first one."""
        self._failures = 0


def last_word(run: TaskRun, code: int) -> Mapping[str, Any]:
    """What the task said at its end, or for a process that could say nothing, what is known."""
    if run.ended is not None:
        return run.ended
    if code < 0:
        cause = f"was killed by {_signal_name(-code)}"
        hint = "Killed by the system for want of memory, or by a person." if code == -9 else None
    else:
        cause = f"ended with exit code {code} and gave no reason"
        hint = "The worker's log holds what it wrote to standard error."
    return {
        "kind": "retriable",
        "code": "task.died",
        "message": f"The process of task {run.spec.id} (pid {run.pid}) {cause}.",
        "hint": hint,
        "trace": None,
    }


def _signal_name(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def _thread(name: str, target: Any) -> threading.Thread:
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread
