"""The demo's Tailrace server: a process of its own, spoken to over REST like any user's."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from api.demo.postgres import free_port

DEFAULT_PORT: Final = 8083
START_SECONDS: Final = 60
STOP_SECONDS: Final = 40


class DemoFailed(Exception):
    """The demo can't go on; the message says why."""


class Server:
    """`tailrace server start` in a subprocess, logging to a file in its directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = _port()
        self._log_path = directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the REST interface answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process and wait until it answers."""
        command = [sys.executable, "-c", "from api.cli.main import main; main()", "server", "start"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--data-dir", str(self.directory / "data")]
        with open(self._log_path, "ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=_environment(),
                start_new_session=True,  # the terminal's Ctrl-C is for the demo alone
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError, DemoFailed):
                self.get("/")
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise DemoFailed(f"the server did not start:\n{self.log_tail()}")
            time.sleep(0.05)

    def stop(self, patience: float = STOP_SECONDS) -> None:
        """Stop the server and its tasks; they have `patience` seconds to finish what they began."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()  # its tasks end by themselves when their worker is gone
            process.wait()

    def log_tail(self) -> str:
        """The end of what the server logged."""
        return self._log_path.read_text(errors="replace")[-3000:]

    def get(self, path: str) -> Any:
        """GET; the parsed body."""
        return self._request("GET", path)

    def create(self, name: str, config: dict[str, str]) -> None:
        """Register a connector."""
        self._request("POST", "/connectors", {"name": name, "config": config})

    def ends(self, topics: Sequence[str]) -> dict[str, int]:
        """How many records each topic has had; 0 while it does not exist."""
        known = {t["name"]: sum(p["end_offset"] for p in t["partitions"]) for t in self._topics()}
        return {topic: known.get(topic, 0) for topic in topics}

    def _topics(self) -> list[dict[str, Any]]:
        return list(self.get("/v1/topics"))

    def positions(self, connector: str) -> dict[str, int]:
        """How far a sink has come in each of its topics."""
        positions: dict[str, int] = {}
        for entry in self.get("/v1/groups"):
            if entry["group"] == f"connect-{connector}":
                topic = entry["topic"]
                positions[topic] = positions.get(topic, 0) + entry["offset"]
        return positions

    def newest(self, topic: str, count: int = 1) -> list[dict[str, Any]]:
        """The last records of a topic."""
        page = self.get(f"/v1/topics/{quote(topic, safe='')}/records?from=-{count}")
        return list(page["records"])

    def check_connectors(self) -> None:
        """Raise DemoFailed, with the cause, if a connector or a task has failed."""
        for name, entry in self.get("/connectors?expand=status").items():
            status = entry["status"]
            for part in (status["connector"], *status["tasks"]):
                if part["state"] == "FAILED":
                    raise DemoFailed(f"connector {name} failed:\n{part.get('trace', '')}")

    def _request(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        except http.client.HTTPException as error:
            raise DemoFailed(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()
        if answer.status >= 300:
            raise DemoFailed(f"{method} {path} answered {answer.status}: {text.decode()[:2000]}")
        return json.loads(text) if text else None


def _environment() -> dict[str, str]:
    """The caller's variables without those that configure a server."""
    ours = ("CONNECT_", "TAILRACE_", "BOOTSTRAP_SERVERS")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)}


def _port() -> int:
    """Kafka Connect's usual port if it is free, else any."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", DEFAULT_PORT))
        except OSError:
            return free_port()
    return DEFAULT_PORT
