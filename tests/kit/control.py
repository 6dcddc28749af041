"""A worker and its herder over a real log in a temporary directory, with the fake plugins."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connect.log import TopicPartition
from connect.logs.embedded import EmbeddedLog
from connect.runtime.herder import Herder
from connect.runtime.settings import WorkerSettings
from connect.runtime.worker import Worker
from log_core import Log
from tests.kit.fakes import FAKE_PLUGINS

REPR = {"key.converter": "repr", "value.converter": "repr"}
PATIENCE = 60.0


class Control:
    """The parts of a running worker, as the server puts them together."""

    def __init__(self, path: Path, **settings: Any) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.log = Log(path / "log")
        given = {"data_dir": path, "worker_id": "test:1", "defaults": REPR, **settings}
        self.worker = Worker(self.log, WorkerSettings(**given))
        self.herder = Herder(self.log, self.worker)
        self.worker.start()

    def close(self) -> None:
        """In the server's order."""
        self.worker.close()
        self.log.close()

    def until(self, name: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first status that is as wanted."""
        deadline = time.monotonic() + PATIENCE
        while True:
            status = self.herder.status(name)
            if wanted(status):
                return status
            assert time.monotonic() < deadline, status
            position = self.log.end_offset("connect-status", 0)
            self.log.wait({("connect-status", 0): position}, 0.1)

    def states(self, name: str, *wanted: str) -> dict[str, Any]:
        """The first status whose tasks have these states."""
        return self.until(name, lambda s: tuple(t["state"] for t in s["tasks"]) == wanted)

    def count(self, topic: str, wanted: int) -> list[bytes | None]:
        """The values of a topic, once it has so many records."""
        log = EmbeddedLog(self.log)
        at = TopicPartition(topic, 0)
        deadline = time.monotonic() + PATIENCE
        while log.ends([at]).get(at, 0) < wanted:
            assert time.monotonic() < deadline, (topic, log.ends([at]))
            time.sleep(0.02)
        values: list[bytes | None] = []
        while len(values) < log.ends([at])[at]:
            for records in log.read(at, len(values)):
                values += records.values
        return values


@contextmanager
def control(path: Path, **settings: Any) -> Iterator[Control]:
    """A worker whose tasks can import the fake plugins."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(FAKE_PLUGINS), before)))
    running = Control(path, **settings)
    try:
        yield running
    finally:
        running.close()
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def source(name: str, rows: int = 10, **more: str) -> dict[str, str]:
    """A counting source's configuration; underscores stand for dots."""
    keys = {key.replace("_", "."): value for key, value in more.items()}
    return {"name": name, "connector.class": "fake_source", "fake.rows": str(rows), **keys}


def sink(name: str, path: Path, **more: str) -> dict[str, str]:
    """A file sink's configuration; underscores stand for dots."""
    keys = {key.replace("_", "."): value for key, value in more.items()}
    base = {"name": name, "connector.class": "fake_sink", "fake.path": str(path)}
    return {**base, "topics": "numbers", **keys}
