"""A task's process, started as the worker starts it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from connect.logs.socket import serve
from log_core import Log
from tests.kit.fakes import FAKE_PLUGINS

REPR = {"key.converter": "repr", "value.converter": "repr"}


class TaskProcess:
    """The worker's end of a running task."""

    def __init__(
        self, log: Log, setup: Mapping[str, Any], env: Mapping[str, str] | None = None
    ) -> None:
        self.control, control = socket.socketpair()
        link, theirs = socket.socketpair()
        path = os.pathsep.join([str(FAKE_PLUGINS), os.environ.get("PYTHONPATH", "")])
        with control, theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "connect.runtime.task_main",
                 str(control.fileno()), str(theirs.fileno())],
                pass_fds=(control.fileno(), theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": path, **(env or {})},
            )  # fmt: skip
        self.server = threading.Thread(target=serve, args=(log, link), daemon=True)
        self.server.start()
        self.lines = self.control.makefile("rb")
        self.said: list[dict[str, Any]] = []
        self.send(setup)

    def send(self, line: Mapping[str, Any]) -> None:
        """A line to the task."""
        self.control.sendall(json.dumps(line).encode() + b"\n")

    def until(self, name: str) -> Any:
        """Read lines up to the first that has ``name``; its value."""
        for line in self.lines:
            self.said.append(json.loads(line))
            if name in self.said[-1]:
                return self.said[-1][name]
        raise AssertionError(f"the task never said {name}, but {self.said}; {self.errors()}")

    def figures(self) -> dict[str, Any]:
        """The task's newest figures by name and labels, of the lines read so far."""
        found = {}
        for line in self.said:
            for _, name, labels, value in line.get("metrics", ()):
                found[" ".join([name, *labels.values()])] = value
        return found

    def errors(self) -> str:
        """What it wrote to standard error, once it has ended."""
        self.process.wait(30)
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def stop(self) -> dict[str, Any]:
        """Ask it to stop; its last word."""
        self.send({"command": "stop"})
        ended: dict[str, Any] = self.until("ended")
        return ended

    def close(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()
        self.lines.close()
        self.control.close()
        self.server.join(10)


def setup_of(kind: str, config: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The worker's first line for one of the fake connectors."""
    plugin = f"fake_{kind}"
    texts = {key: str(value) for key, value in config.items()}
    return {
        "connector": "c",
        "task": 0,
        "kind": kind,
        "plugin": plugin,
        "config": {"name": "c", "connector.class": plugin, **texts},
        "defaults": REPR,
        "partitions": [],
        "run_id": "run",
        "log_id": "log",
        "providers": {},
        "secrets": {},
        "loggers": {},
        **more,
    }


@contextmanager
def running(
    log: Log, setup: Mapping[str, Any], env: Mapping[str, str] | None = None
) -> Iterator[TaskProcess]:
    """A task's process for the length of a block."""
    task = TaskProcess(log, setup, env)
    try:
        yield task
    finally:
        task.close()
