"""The pipeline the fault tests kill: Postgres ledger -> log -> DuckDB file and second Postgres."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from api.demo.postgres import free_port
from tests.fault import ledger
from tests.fault.fleet import PREFIX, Load, duckdb_rows, log_history, sql_rows
from tests.fault.history import Finding, check_log, check_sink
from tests.kit.server import Server, until

TASKS = 3  # the source and two sinks
SINKS = ("read-model", "warehouse")
TOPICS = [f"{PREFIX}.public.{table}" for table in ledger.TABLES if table != "note"]

SINK = {
    "topics.regex": rf"{PREFIX}\.public\..*",
    "insert.mode": "upsert",
    "delete.enabled": "true",
    "primary.key.mode": "record_key",
    "schema.evolution": "basic",
}


def source_config(database: Any, **more: str) -> dict[str, str]:
    """A Postgres source on all of a database; underscores of ``more`` stand for dots."""
    slot = f"tr_{database.name}".lower().replace("-", "_")[:60]
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": database.host,
        "database.port": str(database.port),
        "database.user": database.user,
        "database.password": database.password or "unused",
        "database.dbname": database.name,
        "topic.prefix": PREFIX,
        "slot.name": slot,
        "publication.name": slot,
        **_keys(more),
    }


def sql_sink_config(database: Any, **more: str) -> dict[str, str]:
    """A SQL sink of all of the source's topics; underscores of ``more`` stand for dots."""
    return {
        **SINK,
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "connection.url": f"jdbc:postgresql://{database.host}:{database.port}/{database.name}",
        "connection.username": database.user,
        "connection.password": database.password or "unused",
        **_keys(more),
    }


def duckdb(path: Path) -> dict[str, str]:
    """What names a DuckDB file as the target."""
    return {"connector.class": "duckdb", "path": str(path)}


def _keys(more: dict[str, str]) -> dict[str, str]:
    return {key.replace("_", "."): value for key, value in more.items()}


@dataclass
class Report:
    """What was done and what was found."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    recoveries: list[float] = field(default_factory=list)
    transactions: int = 0
    changes: int = 0
    findings: list[Finding] = field(default_factory=list)

    def __str__(self) -> str:
        times = sorted(self.recoveries) or [0.0]
        return (
            f"seed {self.seed}: {dict(self.kills)} kills, {self.in_flight} with changes in flight;"
            f" recovery p50 {times[len(times) // 2]:.1f} s, max {times[-1]:.1f} s;"
            f" {self.transactions} transactions, {self.changes} changes in the log;"
            f" {len(self.findings)} findings"
        )


class Pipeline:
    """Source database, server, connectors and sinks of one run."""

    def __init__(self, postgres: Any, directory: Path, seed: int) -> None:
        self.postgres = postgres
        self.source = postgres.create_database()
        self.target = postgres.create_database()
        self.duckdb = directory / "warehouse.duckdb"
        self.server = Server(directory / "data", free_port())
        self.dice = random.Random(seed)
        self.report = Report(seed)

    def start(self, environment: dict[str, str] | None = None) -> None:
        """Make the tables, start the server and the connectors, wait for the snapshot."""
        self.prepare()
        self.serve(environment)
        self.create_source()
        self.create_sinks()
        self.await_snapshot()

    def prepare(self) -> None:
        """The source's tables and the slot that keeps the truth."""
        with psycopg.connect(self.source.dsn, autocommit=True) as connection:
            ledger.prepare(connection)

    def serve(self, environment: dict[str, str] | None = None) -> None:
        """The server, without connectors."""
        self.server.data_dir.mkdir()
        self.server.start(environment)

    def create_source(self, **more: str) -> None:
        """The source; underscores of ``more`` stand for dots."""
        self.server.create("source", source_config(self.source, **more))

    def create_sinks(self, **more: str) -> None:
        """Both sinks; underscores of ``more`` stand for dots."""
        target = self.target
        self.server.create("read-model", sql_sink_config(target, **more))
        self.server.create("warehouse", {**SINK, **_keys(more), **duckdb(self.duckdb)})

    def await_snapshot(self) -> None:
        """Wait until the topics of all tables that have rows exist."""
        until(
            lambda: set(TOPICS) <= self.server.end_offsets(PREFIX).keys(), 60, "snapshot in the log"
        )

    def close(self) -> None:
        """Stop the server and drop both databases, the slots with them."""
        if self.server.process is not None:
            self.server.stop()
        self.source.drop()
        self.target.drop()

    def end_total(self) -> int:
        """Records of all ledger topics; 0 while the server is away."""
        try:
            return sum(self.server.end_offsets(PREFIX).values())
        except OSError:
            return 0

    def moving(self, since: int) -> None:
        """Wait until the log has grown past ``since`` records: the pipeline has recovered."""
        until(lambda: self.end_total() > since, 90, "changes flow into the log again")

    def kill(self, kind: str, load: Load, environment: dict[str, str] | None = None) -> None:
        """Kill one process with SIGKILL while changes flow, and wait until they flow again."""
        time.sleep(self.dice.uniform(0.05, 0.6))
        before = load.transactions
        end = self.end_total()
        started = time.monotonic()
        if kind == "task":
            self._kill_task()
        elif kind == "worker":
            self.server.kill9()
            self.server.start(environment)
        else:
            self.postgres.kill9()
            self.postgres.restart()
            end = self.end_total()
        self.moving(end)
        until(lambda: len(self.server.tasks()) >= TASKS, 60, "every task has a process again")
        if sum(self.report.kills.values()) % 5 == 4:
            self._sinks_moving()
        self.report.recoveries.append(time.monotonic() - started)
        self.report.kills[kind] += 1
        self.report.in_flight += load.transactions > before

    def _sinks_moving(self) -> None:
        """Wait until both sinks have delivered more: kills must not only hit sinks that start."""
        before = {sink: sum(self._delivered(sink).values()) for sink in SINKS}
        until(
            lambda: all(sum(self._delivered(s).values()) > n for s, n in before.items()),
            90,
            "both sinks deliver again",
        )

    def _delivered(self, sink: str) -> dict[str, int]:
        answer = self.server.request("GET", f"/connectors/{sink}/offsets")
        return {
            o["partition"]["kafka_topic"]: o["offset"]["kafka_offset"] for o in answer["offsets"]
        }

    def _kill_task(self) -> None:
        until(lambda: bool(self.server.tasks()), 60, "a task to kill")
        victim = self.dice.choice(self.server.tasks())
        try:
            victim.send_signal(signal.SIGKILL)
            victim.wait(10)
        except psutil.NoSuchProcess:
            pass  # it was ending by itself; the next kill counts

    def settle(self) -> None:
        """Wait until both sinks hold the last change, then stop the server."""
        with psycopg.connect(self.source.dsn, autocommit=True) as connection:
            row = connection.execute(
                "UPDATE acct SET ver = nextval('ver_seq') WHERE id = 1 RETURNING ver"
            ).fetchone()
        assert row is not None
        last = row[0]
        until(lambda: self._read_model_holds(last), 120, "read model caught up")
        until(self._caught_up, 120, "both sinks caught up")
        assert self.server.stop() == 0

    def _read_model_holds(self, ver: object) -> bool:
        try:
            return sql_rows(self.target.dsn, "acct")[1][0] == ver
        except psycopg.errors.UndefinedTable:
            return False

    def _caught_up(self) -> bool:
        ends = self.server.end_offsets(PREFIX)
        for sink in SINKS:
            done = self._delivered(sink)
            if any(done.get(topic, 0) < end for topic, end in ends.items()):
                return False
        return True

    def check(self) -> Report:
        """Compare log and sinks with the source's truth."""
        with psycopg.connect(self.source.dsn, autocommit=True) as connection:
            wanted = ledger.truth(connection)
            tables = {table: ledger.rows(connection, table) for table in ledger.TABLES}
        found = self.report.findings
        history = log_history(self.server.data_dir)
        for table, (_snapshot, changes) in history.items():
            found += check_log(table, wanted[table], changes)
            found += check_sink(table, tables[table], duckdb_rows(self.duckdb, table))
            found += check_sink(table, tables[table], sql_rows(self.target.dsn, table))
            self.report.changes += len(changes)
        seeded = {"acct": 200, "note": 0, "doc": 30, "moved": 50}
        for table, (snapshot, _changes) in history.items():
            if snapshot != seeded[table]:
                found.append(Finding("SNAPSHOT ROWS", table, f"{snapshot} of {seeded[table]}"))
        return self.report
