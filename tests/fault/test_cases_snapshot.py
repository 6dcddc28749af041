"""The initial snapshot while the source changes at full speed, and while processes die of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.fault import ledger
from tests.fault.fleet import Load, duckdb_rows, log_entries, sql_rows
from tests.fault.history import Finding, check_log, check_sink
from tests.fault.pipeline import Pipeline
from tests.fault.seam import check_seam, check_versions, widen
from tests.fault.watching import dies, snapshot_complete, snapshot_state
from tests.kit.server import until

SEEDS = range(int(os.environ.get("TAILRACE_SNAPSHOT_SEEDS", "3")))
ROWS = 20_000
FULL_SPEED = 20_000
KILLS = int(os.environ.get("TAILRACE_SNAPSHOT_KILLS", "4"))

pytestmark = [pytest.mark.fault, pytest.mark.integration]


@pytest.mark.parametrize("seed", SEEDS)
def test_snapshot_under_full_load_is_the_history_cut_in_two(
    seed: int, postgres18: Any, tmp_path: Path
) -> None:
    """Every transaction is in the snapshot or in the stream, never in both, never in none."""
    with changing(postgres18, tmp_path, seed) as (pipeline, base, load):
        pipeline.serve()
        before = load.transactions
        pipeline.create_source(snapshot_fetch_size="400")
        pipeline.create_sinks()
        snapshot_complete(pipeline.server)
        during = load.transactions - before
        pipeline.moving(pipeline.end_total())
        load.end()
        pipeline.settle()
        truth, tables = source_says(pipeline)
        log = log_entries(pipeline.server.data_dir)
        findings = check_seam(base, truth, log)
        for table in ledger.TABLES:
            findings += check_versions(table, log[table])
        assert findings + sinks_against(tables, pipeline) == []
    rows = sum(entry.op == "r" for entries in log.values() for entry in entries)
    assert rows > ROWS * 0.6
    assert during >= 20, "too few transactions were committed while the snapshot was taken"


def test_kills_during_the_snapshot_leave_no_stale_row(postgres15: Any, tmp_path: Path) -> None:
    """Task and worker die in turn in mid-snapshot while rows are deleted and keys move."""
    fault = {"TAILRACE_FAIL": "during_snapshot_chunk:kill:12"}
    with changing(postgres15, tmp_path, 11) as (pipeline, _base, load):
        pipeline.serve(fault)
        pipeline.create_source(snapshot_fetch_size="400")
        pipeline.create_sinks()
        for kill in range(KILLS):
            if kill % 2:
                in_mid_snapshot(pipeline)
                pipeline.server.kill9()
                pipeline.server.start(fault)
            else:
                dies(pipeline.server, "source-0")
        assert snapshot_state(pipeline.server) == "running"
        pipeline.server.kill9()
        pipeline.server.start()
        snapshot_complete(pipeline.server)
        load.end()
        pipeline.settle()
        truth, tables = source_says(pipeline)
        log = log_entries(pipeline.server.data_dir)
        findings: list[Finding] = []
        for table in ledger.TABLES:
            changes = [entry for entry in log[table] if entry.op != "r"]
            # What the snapshot holds already isn't streamed; the sinks tell if it was lost.
            findings += [f for f in check_log(table, truth[table], changes) if f.kind != "LOST"]
            findings += check_versions(table, log[table])
        assert findings + sinks_against(tables, pipeline) == []
    deleted = [c for table in ("note", "moved") for c in log[table] if c.op == "d"]
    assert deleted, "no row was deleted while the snapshot was interrupted"


@contextmanager
def changing(
    postgres: Any, directory: Path, seed: int
) -> Iterator[tuple[Pipeline, dict[str, Any], Load]]:
    """A pipeline on the wide ledger under full load, and what this held before the truth begins."""
    pipeline = Pipeline(postgres, directory, seed)
    pipeline.prepare()
    with psycopg.connect(pipeline.source.dsn, autocommit=True) as connection:
        base = {table: ledger.rows(connection, table) for table in ledger.TABLES}
        widen(connection, ROWS)
    load = Load(pipeline.source.dsn, FULL_SPEED, seed)
    load.start()
    try:
        until(lambda: load.transactions > 20, 60, "the load runs")
        yield pipeline, base, load
    finally:
        load.end()
        pipeline.close()


def in_mid_snapshot(pipeline: Pipeline) -> None:
    """Wait for a task process while some rows are in the log and not all."""
    until(lambda: bool(pipeline.server.tasks()), 60, "a task runs")
    until(lambda: snapshot_state(pipeline.server) == "running", 60, "rows are in the log")


def source_says(pipeline: Pipeline) -> tuple[dict[str, list[ledger.Change]], dict[str, Any]]:
    with psycopg.connect(pipeline.source.dsn, autocommit=True) as connection:
        tables = {table: ledger.rows(connection, table) for table in ledger.TABLES}
        return ledger.truth(connection), tables


def sinks_against(tables: dict[str, Any], pipeline: Pipeline) -> list[Finding]:
    findings = []
    for table, rows in tables.items():
        findings += check_sink(table, rows, duckdb_rows(pipeline.duckdb, table))
        findings += check_sink(table, rows, sql_rows(pipeline.target.dsn, table))
    return findings
