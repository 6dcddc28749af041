"""A real server process over a real Postgres, and the means to kill any of them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import duckdb
import psutil
import psycopg

import log_core
from log_core import records
from tests.fault.ledger import REST, TABLES, UNCHANGED, Change

PREFIX = "ledger"
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

    def end_offsets(self) -> dict[str, int]:
        """The end offset of each ledger topic that exists."""
        text = self.request("GET", "/metrics")
        found = re.findall(r"^tailrace_log_end_offset\{(.*?)\} (\S+)$", text, re.M)
        ends = {}
        for labels, value in found:
            topic = re.search(r'topic="([^"]*)"', labels)
            if topic and topic[1].startswith(PREFIX + "."):
                ends[topic[1]] = int(float(value))
        return ends

    def tasks(self) -> list[psutil.Process]:
        """The task processes of the server."""
        assert self.process is not None
        try:
            return psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return []

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


class Load(threading.Thread):
    """Runs ledger transactions at about ``rate`` changes a second until stopped; rides out a
    server that goes away."""

    def __init__(self, dsn: str, rate: int, seed: int, operations: int = 8) -> None:
        super().__init__(daemon=True)
        self.dsn, self.rate, self.seed, self.operations = dsn, rate, seed, operations
        self.transactions = 0
        self._end = threading.Event()

    def run(self) -> None:
        """Reconnect for ever, step at the rate, roll every seventh transaction back."""
        pause = self.operations * 1.3 / self.rate
        while not self._end.is_set():
            try:
                with psycopg.connect(self.dsn) as connection:
                    connection.execute("SELECT setseed(%s)", ((self.seed % 1000) / 1000,))
                    connection.commit()
                    self._step(connection, pause)
            except psycopg.OperationalError:
                self._end.wait(0.2)

    def _step(self, connection: psycopg.Connection[tuple[Any, ...]], pause: float) -> None:
        due = time.monotonic()
        while not self._end.is_set():
            connection.execute("SELECT ledger_step(%s)", (self.operations,))
            if self.transactions % 7 == 6:
                connection.rollback()
            else:
                connection.commit()
            self.transactions += 1
            due = max(due + pause, time.monotonic() - 1)
            self._end.wait(max(0.0, due - time.monotonic()))

    def end(self) -> None:
        """Stop and wait."""
        self._end.set()
        self.join(30)


def until(condition: Any, timeout: float, what: str, every: float = 0.1) -> None:
    """Wait until ``condition()`` is true; AssertionError names ``what`` did not happen."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout:.0f} s still not: {what}")
        time.sleep(every)


def log_history(data_dir: Path) -> dict[str, tuple[int, list[Change]]]:
    """Each table's snapshot rows (count) and changes, read from the stopped server's log."""
    log = log_core.Log(data_dir / "log" if (data_dir / "log").is_dir() else data_dir)
    try:
        return {table: _changes(log, f"{PREFIX}.public.{table}", table) for table in TABLES}
    finally:
        log.close()


def _changes(log: log_core.Log, topic: str, table: str) -> tuple[int, list[Change]]:
    snapshot, changes, offset = 0, [], log.start_offset(topic, 0)
    while data := log.fetch(topic, 0, offset):
        for batch in records.decode(data):
            headers = batch.headers or [()] * len(batch.values)
            for here, value, row_headers in zip(batch.offsets, batch.values, headers, strict=True):
                if here < offset:
                    continue
                assert here == offset, f"{topic}: offset {here} after {offset - 1}"
                offset += 1
                if value is None:
                    continue
                payload = json.loads(value)["payload"]
                if payload["op"] == "r":
                    snapshot += 1
                else:
                    changes.append(_change(table, payload, dict(row_headers)))
    return snapshot, changes


def _change(table: str, payload: dict[str, Any], headers: dict[str, bytes | None]) -> Change:
    row = payload["before"] if payload["op"] == "d" else payload["after"]
    unavailable = (headers.get("__tailrace.unavailable") or b"").decode().split(",")
    rest = tuple(UNCHANGED if f"after.{n}" in unavailable else row[n] for n in REST[table])
    return Change(payload["source"]["txId"], payload["op"], row["id"], row["ver"], rest)


def duckdb_rows(path: Path, table: str) -> dict[int, tuple[object, ...]]:
    """A DuckDB target table: key -> (ver, rest ...)."""
    columns = ", ".join(("id", "ver", *REST[table]))
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(f'SELECT {columns} FROM "{PREFIX}_public_{table}"').fetchall()
    return {row[0]: tuple(row[1:]) for row in rows}


def sql_rows(dsn: str, table: str) -> dict[int, tuple[object, ...]]:
    """A Postgres target table: key -> (ver, rest ...)."""
    columns = ", ".join(("id", "ver", *REST[table]))
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(f'SELECT {columns} FROM "{PREFIX}_public_{table}"').fetchall()
    return {row[0]: tuple(row[1:]) for row in rows}
