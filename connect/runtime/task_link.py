"""A task's end of the control line: JSON lines to and from the worker."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final

from connect.runtime.logs_setup import set_levels
from connect.runtime.task_metrics import TaskMetrics

FIRST_REPORT_SECONDS: Final = 0.1
REPORT_SECONDS: Final = 1.0


class TaskLink:
    """Speaks for the task and hears what the worker wants; satisfies ``Run`` for the loops.

    The process ends at once when the worker is gone: the log is gone with it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.metrics = TaskMetrics()
        self.log_errors = False
        self._socket = sock
        self._lines = sock.makefile("rb")
        self._lock = threading.Lock()
        self._stop = False
        self._done = threading.Event()
        self._topics: set[str] = set()

    def setup(self) -> Mapping[str, Any]:
        """The worker's first line: what to run."""
        line = self._lines.readline()
        if not line:
            os._exit(1)
        first: dict[str, Any] = json.loads(line)
        return first

    def start(self) -> None:
        """Hear commands and report figures from now on."""
        # Only a flag: a handler may interrupt anything, a lock that is held too.
        signal.signal(signal.SIGTERM, lambda *_: self._ask_to_stop())
        threading.Thread(target=self._hear, name="control", daemon=True).start()
        threading.Thread(target=self._report, name="metrics", daemon=True).start()

    def stop_asked(self) -> bool:
        """Whether to end after what is under way."""
        return self._stop

    def opened(self) -> None:
        """The task works: it is RUNNING."""
        self._say({"state": "RUNNING"})

    def uses(self, topics: Iterable[str]) -> None:
        """These topics were written to or read from."""
        new = sorted(set(topics) - self._topics)
        if new:
            self._topics.update(new)
            self._say({"topics": new})

    def end(self, ended: Mapping[str, Any]) -> None:
        """The task's last word."""
        self._done.set()
        self._say_figures()
        self._say({"ended": ended})

    def _ask_to_stop(self) -> None:
        self._stop = True

    def _hear(self) -> None:
        try:
            for line in self._lines:
                command = json.loads(line)
                if command.get("command") == "stop":
                    self._ask_to_stop()
                elif command.get("command") == "loggers":
                    set_levels(command["loggers"])
        finally:  # the worker is gone, or the line can't be understood
            os._exit(1)

    def _report(self) -> None:
        pause = FIRST_REPORT_SECONDS  # the worker should soon hear that data moves
        while not self._done.wait(pause):
            self._say_figures()
            pause = min(2 * pause, REPORT_SECONDS)

    def _say_figures(self) -> None:
        lines = self.metrics.report()
        if lines:
            self._say({"metrics": lines})

    def _say(self, line: Mapping[str, Any]) -> None:
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        try:
            with self._lock:
                self._socket.sendall(data)
        except OSError:
            os._exit(1)  # the worker is gone
