"""A worker whose data directory is gone meets a target that is not."""

import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from connect.runtime.settings import DEFAULT_CONVERTERS, cluster_id
from tests.kit.control import PATIENCE, Control, control, source

pytestmark = pytest.mark.integration


def copy(target: Path) -> dict[str, str]:
    return {
        "name": "copy",
        "connector.class": "sql",
        "topics": "numbers",
        "connection.url": f"sqlite:///{target}",
        "insert.mode": "upsert",
        "primary.key.mode": "record_key",
        "schema.evolution": "basic",
    }


def until_position(running: Control, target: Path, wanted: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while running.log.group_offsets("connect-copy") != {("numbers", 0): wanted}:
        assert time.monotonic() < deadline, running.herder.status("copy")
        time.sleep(0.02)
    connection = sqlite3.connect(target)
    found = connection.execute("SELECT next_offset, log_id FROM tailrace_positions").fetchall()
    connection.close()
    assert found == [(wanted, running.worker.log_id)]


def test_the_id_lasts_as_long_as_the_directory(tmp_path: Path) -> None:
    first = cluster_id(tmp_path)
    assert len(first) == 36
    assert cluster_id(tmp_path) == first
    (tmp_path / "cluster.id").unlink()
    assert cluster_id(tmp_path) != first


def test_a_new_log_never_follows_the_positions_of_the_old(tmp_path: Path) -> None:
    data, target = tmp_path / "data", tmp_path / "target.db"
    with control(data, defaults=DEFAULT_CONVERTERS) as running:
        running.herder.create("in", source("in", 50))
        running.herder.create("copy", copy(target))
        until_position(running, target, 50)
    shutil.rmtree(data)
    with control(data, defaults=DEFAULT_CONVERTERS) as running:
        running.herder.create("in", source("in", 20))
        running.herder.create("copy", copy(target))
        status = running.states("copy", "FAILED")
        assert "[sink.positions.other_log]" in status["tasks"][0]["trace"]
        assert "tailrace offsets reset copy" in status["tasks"][0]["trace"]
        running.herder.stop("copy")
        running.until("copy", lambda status: status["connector"]["state"] == "STOPPED")
        running.herder.reset_offsets("copy")
        running.herder.resume("copy")
        until_position(running, target, 20)
