"""Targets that are away, read-only or refuse a row; and what stays when a connector goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

import log_core
from log_core import records
from tests.fault.lone import TABLE, TOPIC, in_log, insert, lone_source, slot
from tests.fault.pipeline import SINK, sql_sink_config
from tests.fault.pipeline import duckdb as duckdb_target
from tests.fault.watching import Watch, await_state, task
from tests.kit.databases import PostgresDatabase
from tests.kit.server import until

pytestmark = [pytest.mark.fault, pytest.mark.integration]


def test_a_dead_sink_holds_up_nobody(postgres18: Any, postgres15: Any, tmp_path: Path) -> None:
    """One target is down, one sink has no table: the third goes on, and so does the slot."""
    target = postgres15.create_database()
    file = tmp_path / "warehouse.duckdb"
    with lone_source(postgres18, tmp_path) as (server, database):
        server.create("read-model", sql_sink_config(target))
        server.create("no-table", sql_sink_config(target, **{"schema_evolution": "none",
                      "table_name_format": "absent_${topic}"}))  # fmt: skip
        server.create("warehouse", {**SINK, **duckdb_target(file)})
        failed = await_state(server, "no-table", "FAILED")
        assert f"absent_{TABLE}" in failed.cause
        until(lambda: texts(target) == ["first"], 60, "the read model has the snapshot")
        postgres15.kill9()
        try:
            insert(database, "while", "it", "is", "down")
            (here,) = database.query("SELECT pg_current_wal_lsn()")[0]
            until(lambda: len(in_file(file)) == 5, 60, "the other sink goes on")
            until(
                lambda: slot(database, f"confirmed_flush_lsn >= '{here}'::pg_lsn")[0],
                60,
                "the slot goes on",
            )
            cause = await_state(server, "read-model", "RESTARTING").cause
            assert "connection" in cause.lower(), cause
            assert task(server, "source").state == task(server, "warehouse").state == "RUNNING"
        finally:
            postgres15.restart()
        until(lambda: len(texts(target)) == 5, 90, "the read model heals by itself")
        assert task(server, "no-table").state == "FAILED"
    target.drop()


def test_a_poison_row_is_named_then_set_aside(postgres18: Any, tmp_path: Path) -> None:
    """FAILED with table, topic, partition and offset; with errors.tolerance=all a dead letter."""
    target = postgres18.create_database()
    target.execute(f"CREATE TABLE {TABLE} (id int PRIMARY KEY, t text CHECK (t <> 'poison'))")
    config = sql_sink_config(target)
    with lone_source(postgres18, tmp_path) as (server, database):
        server.create("read-model", config)
        insert(database, "good", "poison", "better")
        failed = await_state(server, "read-model", "FAILED")
        assert TABLE in failed.cause, failed.cause
        assert f"{TOPIC}-0" in failed.cause, failed.cause
        assert "offset 2" in failed.cause, failed.cause
        assert "poison" not in failed.cause, "a cell's value is shown"
        assert set(texts(target)) <= {"first", "good"}
        tolerant = {"errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dead",
                    "errors.deadletterqueue.context.headers.enable": "true"}  # fmt: skip
        server.request("PUT", "/connectors/read-model/config", {**config, **tolerant})
        until(lambda: texts(target) == ["first", "good", "better"], 60, "the others arrive")
        server.kill9()  # a restart must not repeat the dead letter
        server.start()
        insert(database, "last")
        until(lambda: texts(target)[-1] == "last", 60, "it goes on")
        assert server.stop() == 0
        with log_core.Log(server.data_dir) as log:
            letters, originals = rows_of(log, "dead"), rows_of(log, TOPIC)
    target.drop()
    ((key, value, headers),) = letters
    assert (key, value) == originals[2][:2]
    told = dict(headers)
    assert told["__connect.errors.topic"] == TOPIC.encode()
    assert told["__connect.errors.partition"] == b"0"
    assert told["__connect.errors.offset"] == b"2"


def test_a_read_only_target_heals(postgres18: Any, tmp_path: Path) -> None:
    """The target is read-only for a while: the task retries, then every row is there once."""
    target = postgres18.create_database()
    with lone_source(postgres18, tmp_path) as (server, database):
        server.create("read-model", sql_sink_config(target))
        until(lambda: texts(target) == ["first"], 60, "the snapshot arrives")
        read_only(target, "on")
        insert(database, *"abc")
        with Watch(server, "read-model") as watch:
            until(
                lambda: any("read-only" in seen.cause for seen in watch.seen),
                60,
                "the status says that the target is read-only",
            )
        assert set(watch.states) <= {"RUNNING", "RESTARTING"}
        read_only(target, "off")
        until(lambda: texts(target) == ["first", *"abc"], 90, "it heals by itself")
    target.drop()


def read_only(target: PostgresDatabase, value: str) -> None:
    with psycopg.connect(target.dsn, dbname="postgres", autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{target.name}" SET default_transaction_read_only = {value}')
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            (target.name,),
        )


def test_deleted_source_leaves_nothing_or_says_what(postgres18: Any, tmp_path: Path) -> None:
    """Slot and publication go with the connector; if the database is away, the log says so."""
    with lone_source(postgres18, tmp_path) as (server, database):
        server.request("DELETE", "/connectors/source")
        until(lambda: left_in(database) == (0, 0), 60, "slot and publication are dropped")
    with lone_source(postgres18, tmp_path / "again") as (server, database):
        postgres18.kill9()
        try:
            server.request("DELETE", "/connectors/source")
            until(lambda: "Left behind" in server.output.read_text(), 60, "it says what stays")
        finally:
            postgres18.restart()
        assert server.request("GET", "/connectors") == []
        assert left_in(database) == (1, 1)
        assert in_log(server) == 1, "the topic's records stay"


def left_in(database: PostgresDatabase) -> tuple[int, int]:
    slots = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"
    found = database.query(f"SELECT ({slots}), (SELECT count(*) FROM pg_publication)")
    return found[0][0], found[0][1]


def texts(target: PostgresDatabase) -> list[str]:
    """The read model's texts in the order of their keys."""
    try:
        return [row[0] for row in target.query(f"SELECT t FROM {TABLE} ORDER BY id")]
    except psycopg.errors.UndefinedTable:
        return []


def in_file(file: Path) -> list[tuple[Any, ...]]:
    """The DuckDB file's rows; none while its sink is writing."""
    try:
        with duckdb.connect(str(file), read_only=True) as connection:
            return connection.execute(f"SELECT id, t FROM {TABLE}").fetchall()
    except duckdb.Error:
        return []


def rows_of(log: log_core.Log, topic: str) -> list[tuple[Any, Any, Any]]:
    """Key, value and headers of each record."""
    rows: list[tuple[Any, Any, Any]] = []
    offset = 0
    while data := log.fetch(topic, 0, offset):
        for batch in records.decode(data):
            headers = batch.headers or [()] * len(batch.values)
            rows += zip(batch.keys, batch.values, headers, strict=True)
            offset = batch.next_offset
    return rows
