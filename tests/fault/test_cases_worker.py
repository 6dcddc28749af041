"""The server itself: stopped, reconfigured and crowded under load; out of space, out of files."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import time
import urllib.error
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fault.fleet import Load
from tests.fault.lone import TOPIC, in_log, insert, lone_source, slot
from tests.fault.pipeline import SINK, Pipeline, duckdb, source_config
from tests.fault.watching import Watch, await_state
from tests.kit.server import Server, until

RECONFIGURATIONS = int(os.environ.get("TAILRACE_RECONFIGURATIONS", "8"))

SINKS = 6
SPARE_FILES = 8  # a sink takes three in the server

pytestmark = [pytest.mark.fault, pytest.mark.integration]


def test_stopped_and_reconfigured_under_load(postgres18: Any, tmp_path: Path) -> None:
    """A new configuration each second, then SIGTERM twice: every change once."""
    pipeline = Pipeline(postgres18, tmp_path, seed=8)
    load = Load(pipeline.source.dsn, 400, seed=8)
    server = pipeline.server
    try:
        pipeline.start()
        load.start()
        pipeline.moving(pipeline.end_total())
        runs = set()
        for n in range(RECONFIGURATIONS):
            changed = source_config(pipeline.source, max_batch_size=str(100 + n))
            server.request("PUT", "/connectors/source/config", changed)
            time.sleep(1)
            runs |= {process.pid for process in server.tasks()}
        assert server.request("GET", "/connectors/source/config")["max.batch.size"] == str(100 + n)
        assert len(runs) >= 5, "the task was hardly ever started anew"
        for _ in range(2):
            pipeline.moving(pipeline.end_total())
            tasks = server.tasks()
            assert server.stop() == 0  # within 40 s, else TimeoutExpired
            assert not psutil.wait_procs(tasks, timeout=1)[1]
            server.start()
        pipeline.moving(pipeline.end_total())
        load.end()
        pipeline.settle()
        assert pipeline.check().findings == []
    finally:
        load.end()
        pipeline.close()


def test_thirty_hands_on_one_name(postgres18: Any, tmp_path: Path) -> None:
    """Concurrent POST, PUT and DELETE end in one state, with as many processes as it says."""
    dice = random.Random(9)
    with lone_source(postgres18, tmp_path) as (server, database):
        config = source_config(database)

        def act(n: int) -> int:
            wanted = {**config, "max.batch.size": str(1000 + n)}
            method, path, body = dice.choice(
                [
                    ("POST", "/connectors", {"name": "source", "config": wanted}),
                    ("PUT", "/connectors/source/config", wanted),
                    ("DELETE", "/connectors/source", None),
                ]
            )
            try:
                server.request(method, path, body)
            except urllib.error.HTTPError as error:
                return error.code
            return 200

        with ThreadPoolExecutor(30) as hands:
            codes = list(hands.map(act, range(30)))
        assert set(codes) <= {200, 404, 409}
        assert codes.count(200) >= 3
        names = server.request("GET", "/connectors")
        if names:
            await_state(server, "source", "RUNNING")
        until(lambda: len(server.tasks()) == len(names), 60, "no process too many, none too few")
        server.request("PUT", "/connectors/source/config", config)
        await_state(server, "source", "RUNNING")
        before = in_log(server)
        insert(database, "after the crowd")
        until(lambda: in_log(server) > before, 60, "it works")
        assert len(server.tasks()) == 1


@contextmanager
def small_disk(directory: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own; skips where it can't be mounted."""
    disk = directory / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("a full disk needs root to mount a tmpfs")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_stops_and_space_heals(postgres18: Any, tmp_path: Path) -> None:
    """Nothing is lost, nothing is confirmed too early, and it goes on when there is space."""
    with (
        small_disk(tmp_path, 64) as disk,
        lone_source(postgres18, disk) as (server, database),
    ):
        filler = disk / "filler"
        fill(filler)
        rows = 300
        insert(database, *(f"({n})" + "x" * 4000 for n in range(rows)))
        with Watch(server, "source") as watch:
            # The cause can't be written to the status topic: it has no room either.
            until(lambda: bool(set(watch.states) - {"RUNNING"}), 60, "the full disk is noticed")
            until(lambda: "disk is full" in task_trace(server), 60, "the cause is shown")
            with pytest.raises(urllib.error.HTTPError) as unhealthy:
                server.request("GET", "/health")
            assert unhealthy.value.code == 500
            assert "disk is full" in unhealthy.value.read().decode()
        stored = server.request("GET", "/connectors/source/offsets")["offsets"][0]["offset"]["lsn"]
        (confirmed,) = slot(database, "(confirmed_flush_lsn - '0/0'::pg_lsn)::bigint")
        assert confirmed <= stored
        assert in_log(server) < rows
        filler.unlink()
        until(lambda: in_log(server) >= rows + 1, 120, "it goes on when there is space")
        await_state(server, "source", "RUNNING")
        server.kill9()
        server.start()
        insert(database, "last")
        until(lambda: in_log(server) >= rows + 2, 60, "it goes on after a restart")
        assert in_log(server) == rows + 2
        answer = server.request("GET", f"/v1/topics/{TOPIC}/records?limit=1000")
        text = str(answer)
        assert all(text.count(f"({n})xxxx") == 1 for n in range(rows))


def task_trace(server: Server) -> str:
    return str(server.request("GET", "/connectors/source/status")["tasks"][0].get("trace", ""))


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 12))
        except OSError:
            pass


def test_out_of_files(postgres18: Any, tmp_path: Path) -> None:
    """Hardly any more files may be opened: the server says so, lives on, and recovers."""
    with lone_source(postgres18, tmp_path) as (server, database):
        assert server.process is not None
        pid = server.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        opened = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (opened + SPARE_FILES, before[1]))
        sinks = {f"sink-{n}": {**SINK, **duckdb(tmp_path / f"{n}.duckdb")} for n in range(SINKS)}
        refused = [name for name, config in sinks.items() if not created(server, name, config)]
        insert(database, "meanwhile")
        until(lambda: bool(refused) or says_why(server, sinks), 30, "the want of files is noticed")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        until(lambda: in_log(server) == 2, 60, "the source goes on")
        for name in refused:
            server.create(name, sinks[name])
        for name in sinks:
            await_state(server, name, "RUNNING")
        until(lambda: caught_up(server, sinks), 90, "every sink caught up")
        assert server.process.pid == pid, "the server died"
        assert server.process.poll() is None, "the server died"
        for name in sinks:
            server.request("DELETE", f"/connectors/{name}")
        until(lambda: len(server.tasks()) == 1, 60, "the sinks are gone")
        until(
            lambda: len(os.listdir(f"/proc/{pid}/fd")) <= opened + 3, 30, "their files are closed"
        )


def created(server: Server, name: str, config: dict[str, str]) -> bool:
    try:
        server.create(name, config)
    except (AssertionError, OSError):
        return False
    return True


def says_why(server: Server, sinks: Iterable[str]) -> bool:
    """In the server's log, or as the cause why a task is not started."""
    said = server.output.read_text()
    with suppress(OSError):  # it may have no file left for the answer
        said += "".join(str(server.request("GET", f"/connectors/{n}/status")) for n in sinks)
    return "Too many open files" in said


def caught_up(server: Server, sinks: Iterable[str]) -> bool:
    for name in sinks:
        answer = server.request("GET", f"/connectors/{name}/offsets")
        if [o["offset"]["kafka_offset"] for o in answer["offsets"]] != [2]:
            return False
    return True
