"""``tailrace server start`` as a child process of a test or benchmark."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

START = "from api.cli.main import main; main()"


class Server:
    """``tailrace server start`` as a child process, with REST access to it."""

    def __init__(self, data_dir: Path, port: int) -> None:
        self.data_dir = data_dir
        self.port = port
        self.output = data_dir.parent / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, environment: dict[str, str] | None = None, timeout: float = 60) -> None:
        """Start it and wait until REST answers."""
        arguments = ["server", "start", "--data-dir", str(self.data_dir), "--port", str(self.port)]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START, *arguments],
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
            )
        until(lambda: self._answers(), timeout, "the server answers")

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            tail = self.output.read_text(errors="replace")[-3000:]
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{tail}")
        try:
            self.request("GET", "/connectors")
        except OSError:
            return False
        return True

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON answer (None when empty); HTTPError for a status of 400 and up."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data,
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            content = answer.read()
        return json.loads(content) if content[:1] in b"[{" and content else content.decode()

    def create(self, name: str, config: dict[str, str]) -> None:
        """POST a connector; an error shows the server's answer."""
        try:
            self.request("POST", "/connectors", {"name": name, "config": config})
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{error.code}: {error.read().decode()}") from error

    def metric(self, name: str, **labels: str) -> float | None:
        """The sum of a metric's samples that have these labels; None when there are none."""
        found = [
            float(value)
            for line_name, text, value in re.findall(
                r"^(\w+)(?:\{(.*?)\})? (\S+)$", self.request("GET", "/metrics"), re.M
            )
            if line_name == name and all(f'{k}="{v}"' in text for k, v in labels.items())
        ]
        return sum(found) if found else None

    def end_offsets(self, prefix: str) -> dict[str, int]:
        """The end offset of each topic under the prefix that exists."""
        text = self.request("GET", "/metrics")
        found = re.findall(r"^tailrace_log_end_offset\{(.*?)\} (\S+)$", text, re.M)
        ends = {}
        for labels, value in found:
            topic = re.search(r'topic="([^"]*)"', labels)
            if topic and topic[1].startswith(prefix + "."):
                ends[topic[1]] = int(float(value))
        return ends

    def tasks(self) -> list[psutil.Process]:
        """The task processes of the server."""
        assert self.process is not None
        try:
            return psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return []

    def deaths(self, task: str) -> int:
        """How often the server has reported that a process of this task (``name-0``) was killed."""
        found = re.findall(
            rf"process of task {re.escape(task)} \(pid \d+\) was killed by signal 9",
            self.output.read_text(errors="replace"),
        )
        return len(found)

    def kill9(self) -> None:
        """SIGKILL the server; its tasks must end by themselves."""
        assert self.process is not None
        orphans = self.tasks()
        self.process.send_signal(signal.SIGKILL)
        assert self.process.wait(10) == -signal.SIGKILL
        _gone, alive = psutil.wait_procs(orphans, timeout=10)
        assert not alive, f"tasks outlive their worker: {alive}"

    def stop(self) -> int:
        """SIGTERM and the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)


def until(condition: Callable[[], bool], timeout: float, what: str, every: float = 0.1) -> None:
    """Wait until ``condition()`` is true; AssertionError names ``what`` did not happen."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout:.0f} s still not: {what}")
        time.sleep(every)
