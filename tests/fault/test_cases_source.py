"""The source database goes away, loses its slot, cuts connections, or is busy elsewhere."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connect.config import parse
from connectors.postgres import session
from connectors.postgres.config import PostgresConfig
from tests.fault.fleet import Load
from tests.fault.lone import in_log, lone_source, slot
from tests.fault.pipeline import Pipeline, source_config
from tests.fault.watching import Watch, await_state, task
from tests.kit.databases import PostgresDatabase
from tests.kit.proxy import Proxy
from tests.kit.server import Server, until

CUTS = int(os.environ.get("TAILRACE_CUTS", "20"))
DEAD_SECONDS = 10
MEGABYTE = 1 << 20

pytestmark = [pytest.mark.fault, pytest.mark.integration]


def test_postgres_away_for_a_while(postgres18: Any, tmp_path: Path) -> None:
    """The status leaves RUNNING, names the cause, and comes back by itself; nothing is lost."""
    pipeline = Pipeline(postgres18, tmp_path, seed=5)
    load = Load(pipeline.source.dsn, 300, seed=5)
    try:
        pipeline.start()
        load.start()
        pipeline.moving(pipeline.end_total())
        postgres18.kill9()
        with Watch(pipeline.server, "source") as watch:
            until(lambda: watch.states[-1:] not in ([], ["RUNNING"]), 10, "the loss is noticed")
            noticed = len(watch.seen)
            time.sleep(DEAD_SECONDS)
        postgres18.restart()
        dead = watch.seen[noticed - 1 :]
        assert len(dead) > DEAD_SECONDS
        assert {seen.state for seen in dead} <= {"RESTARTING", "UNASSIGNED"}
        assert any("connect" in seen.cause.lower() for seen in dead), dead[-3:]
        await_state(pipeline.server, "source", "RUNNING")
        pipeline.moving(pipeline.end_total())
        load.end()
        pipeline.settle()
        assert pipeline.check().findings == []
    finally:
        load.end()
        pipeline.close()


def test_connections_cut_and_senders_terminated(postgres18: Any, tmp_path: Path) -> None:
    """The walsender is terminated each second, then connections are cut at random bytes."""
    pipeline = Pipeline(postgres18, tmp_path, seed=6)
    proxy = Proxy(pipeline.source.host, pipeline.source.port)
    load = Load(pipeline.source.dsn, 500, seed=6)
    dice = random.Random(6)
    try:
        pipeline.prepare()
        pipeline.serve()
        pipeline.create_source(database_port=str(proxy.port))
        pipeline.create_sinks()
        pipeline.await_snapshot()
        load.start()
        pipeline.moving(pipeline.end_total())
        assert sum(terminate_sender(pipeline.source) for _ in range(10)) >= 2
        pipeline.moving(pipeline.end_total())
        for cut in range(CUTS):
            if cut % 5:  # else the next life is cut too, perhaps before it has begun
                pipeline.moving(pipeline.end_total())
            proxy.cut_after(int(10 ** dice.uniform(1, 5)))
            proxy.await_cut(60)
        pipeline.moving(pipeline.end_total())
        load.end()
        pipeline.settle()
        assert pipeline.check().findings == []
        assert pipeline.report.changes > 500
    finally:
        load.end()
        pipeline.close()
        proxy.close()


def terminate_sender(source: PostgresDatabase) -> int:
    time.sleep(1)
    ended = source.query(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots"
        " WHERE active AND database = current_database()"
    )
    return len(ended)


def test_slot_made_anew_by_hand_is_a_gap(postgres18: Any, tmp_path: Path) -> None:
    """What was inserted while there was no slot is lost: FAILED with a remedy, never RUNNING."""
    with lone_source(postgres18, tmp_path) as (server, database):
        assert server.stop() == 0
        (name,) = slot(database, "slot_name")
        database.query("SELECT pg_drop_replication_slot(%s)", (name,))
        database.execute("INSERT INTO item (t) VALUES ('in the gap')")
        database.query("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (name,))
        server.start()
        with Watch(server, "source", 0.02) as watch:
            failed = await_state(server, "source", "FAILED")
        assert "RUNNING" not in watch.states
        assert "made anew" in failed.cause
        assert "Reset the connector's offsets" in failed.cause
        server.request("POST", "/connectors/source/restart?includeTasks=true")
        with Watch(server, "source", 0.02) as watch:
            until(lambda: len(watch.states) > 1 or len(watch.seen) > 100, 60, "it tried again")
            await_state(server, "source", "FAILED")
        assert "RUNNING" not in watch.states
        assert in_log(server) == 1


def test_wal_of_other_databases_is_let_go(postgres18: Any, tmp_path: Path) -> None:
    """The captured table is idle while another database writes 200 MB."""
    with lone_source(postgres18, tmp_path) as (server, database):
        other = postgres18.create_database()
        try:
            other.execute(
                "CREATE TABLE noise (t text)", "ALTER TABLE noise ALTER t SET STORAGE PLAIN"
            )
            for _ in range(10):
                other.execute(
                    "INSERT INTO noise SELECT repeat(md5(n::text), 200)"
                    " FROM generate_series(1, 3100) n"
                )
            other.execute("CHECKPOINT")
        finally:
            other.drop()

        def retained() -> float:
            sql = "pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) / 1048576.0"
            return float(slot(database, sql)[0])

        until(lambda: retained() < 32, 60, "the slot follows the other database's changes")
        assert task(server, "source").state == "RUNNING"
        database.execute("INSERT INTO item (t) VALUES ('later')")
        until(lambda: in_log(server) == 2, 30, "the next change arrives")


@pytest.mark.parametrize("replication", [True, False])
def test_a_peer_that_vanished_is_given_up(postgres18: Any, replication: bool) -> None:
    """Half-open connections end after a minute: the system is told how long to wait."""
    database = postgres18.database("postgres")
    config = parse(PostgresConfig, {"name": "x", **source_config(database)})
    with (
        session.connect(config, replication=replication) as connection,
        socket.socket(fileno=os.dup(connection.fileno())) as link,
    ):
        waits = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert waits == session.SILENCE_MS <= 60_000


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace slows the disk; it is missing")
def test_nothing_is_confirmed_before_it_is_on_the_disk(postgres18: Any, tmp_path: Path) -> None:
    """The disk takes half a second to sync; the slot is never ahead of the stored offset."""
    with lone_source(postgres18, tmp_path) as (server, database):
        assert server.process is not None
        slow = ["-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:delay_enter=500000"]
        tracer = subprocess.Popen(
            [
                "strace",
                "-f",
                "-q",
                "-o",
                str(tmp_path / "trace"),
                *slow,
                "-p",
                str(server.process.pid),
            ]
        )
        try:
            samples = list(confirmed_and_stored(server, database, seconds=8))
        finally:
            tracer.terminate()
            tracer.wait(10)
        assert [pair for pair in samples if pair[0] > pair[1]] == []
        assert len({confirmed for confirmed, _ in samples}) >= 3, "the slot hardly moved"
        assert "DELAYED" in (tmp_path / "trace").read_text()
        until(lambda: in_log(server) > 20, 60, "the rows arrive")


def confirmed_and_stored(
    server: Server, database: PostgresDatabase, seconds: float
) -> Iterator[tuple[int, int]]:
    """Pairs of the slot's confirmed position and, read after it, the durable one."""
    deadline = time.monotonic() + seconds
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        while time.monotonic() < deadline:
            connection.execute("INSERT INTO item (t) VALUES ('more')")
            row = connection.execute(
                "SELECT confirmed_flush_lsn - '0/0'::pg_lsn FROM pg_replication_slots"
                " WHERE database = current_database()"
            ).fetchone()
            (offset,) = server.request("GET", "/connectors/source/offsets")["offsets"]
            assert row is not None
            yield int(row[0]), offset["offset"]["lsn"]
