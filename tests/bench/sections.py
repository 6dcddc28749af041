"""The sections of the benchmark. Every figure of ours has a limit or a peer measured beside it,
in alternating order over the same WAL or rows, and counts checked against the source."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import quote

import psutil

from api.demo.postgres import find_binaries, free_port
from tests.bench import workload
from tests.bench.peers import Debezium, Figure, connect, copy_in, copy_out, latencies, recvlogical
from tests.bench.processes import compare
from tests.bench.workload import PUBLICATION, TABLE
from tests.kit.databases import PostgresDatabase
from tests.kit.postgres import Postgres
from tests.kit.server import Server, until

SCHEMALESS = {"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false"}
JSON = "org.apache.kafka.connect.json.JsonConverter"


class Bench:
    """One Postgres, one peer, and a Tailrace server per section."""

    def __init__(self, postgres: Postgres, debezium: Debezium | None, directory: Path) -> None:
        self.postgres = postgres
        self.debezium = debezium
        self.directory = directory
        self.runs = 0

    def backlog(self, events: int, rounds: int) -> None:
        """A retained backlog, drained by each contender in turn."""
        heading(f"Backlog of {events:,} inserts, 100 a transaction, to synced in the log")
        figures: dict[str, list[Figure]] = {"pg_recvlogical": [], "Debezium": [], "Tailrace": []}
        database = self._source()
        with self._server() as server:
            server.create("bench", self._config(database, "bench_tailrace"))
            until(lambda: server.metric("tailrace_source_connected") == 1, 60, "streaming")
            workload.fill(database, 5_000)  # warm-up, and the topic exists
            until(lambda: topic_end(server) == 5_000, 60, "warm-up in the log")
            for turn in range(rounds):
                self._round(turn, events, database, server, figures)
        table(figures, "pg_recvlogical")

    def _round(
        self,
        turn: int,
        events: int,
        database: PostgresDatabase,
        server: Server,
        figures: dict[str, list[Figure]],
    ) -> None:
        server.request("PUT", "/connectors/bench/stop")
        until(lambda: not server.tasks(), 30, "the task has stopped")
        for peer in ("bench_limit", "bench_peer"):
            workload.make_slot(database, peer)
        workload.fill(database, events)
        end = workload.position(database)
        contenders: dict[str, Callable[[], Figure]] = {
            "pg_recvlogical": lambda: recvlogical(
                database, self._binary("pg_recvlogical"), "bench_limit", end, events
            ),
            "Tailrace": lambda: self._drain(server, events),
        }
        if self.debezium is not None:
            debezium = self.debezium
            contenders["Debezium"] = lambda: debezium.drain(database, "bench_peer", events)
        order = [*contenders]
        for name in order[turn % len(order) :] + order[: turn % len(order)]:
            figures[name].append(contenders[name]())
        for peer in ("bench_limit", "bench_peer"):
            workload.drop_slot(database, peer)

    def _drain(self, server: Server, events: int) -> Figure:
        """Resume the connector; measured from its first record in the log to its last."""
        start = topic_end(server)
        server.request("PUT", "/connectors/bench/resume")
        return measure(server, lambda: topic_end(server), start, start + events)

    def latency(self, rate: int, seconds: int) -> None:
        """One-row transactions at a steady rate: sent -> visible to a reader of the log."""
        heading(f"Latency at {rate} transactions/s: statement sent to visible (synced) in the log")
        database = self._source()
        rows = []
        with self._server() as server:
            server.create("bench", self._config(database, "bench_latency"))
            until(lambda: server.metric("tailrace_source_connected") == 1, 60, "streaming")
            ours = self._latency_of_ours(server, database, rate, seconds)
            rows.append(("Tailrace", ours))
        if self.debezium is not None:
            rows.append(("Debezium", self._latency_of_debezium(database, rate, seconds)))
        print(f"{'':18}{'n':>8}{'p50 ms':>10}{'p99 ms':>10}")
        for name, values in rows:
            cuts = quantiles(values, n=100)
            print(f"{name:18}{len(values):8,}{cuts[49]:10.1f}{cuts[98]:10.1f}")

    def _latency_of_ours(
        self, server: Server, database: PostgresDatabase, rate: int, seconds: int
    ) -> list[float]:
        seen: list[float] = []
        topic = "bench.public.ticks"
        tick(database, rate, 1)
        until(lambda: topic_end(server, topic) >= rate, 30, "warm-up in the log")
        reader = threading.Thread(
            target=read_ticks, args=(server, topic, rate, rate * seconds, seen), daemon=True
        )
        reader.start()
        tick(database, rate, seconds)
        reader.join(60)
        return seen

    def _latency_of_debezium(
        self, database: PostgresDatabase, rate: int, seconds: int
    ) -> list[float]:
        assert self.debezium is not None
        workload.make_slot(database, "bench_peer")
        command = self.debezium.command(
            0, self.debezium.properties(database, "bench_peer", "ticks")
        )
        printed = self.directory / "latencies.txt"
        with printed.open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.DEVNULL,
                cwd=self.debezium.cache,
            )  # fmt: skip
            tick(database, rate, 1)
            until(lambda: b"first" in printed.read_bytes(), 90, "Debezium streams", 0.2)
            tick(database, rate, 15)  # the JVM warms up
            tick(database, rate, seconds)
            time.sleep(2)
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)
        workload.drop_slot(database, "bench_peer")
        return latencies(printed)[-rate * seconds :]

    def snapshot(self, rows: int) -> None:
        """The initial snapshot of one table beside COPY TO STDOUT."""
        heading(f"Snapshot of {rows:,} rows, to synced in the log")
        database = self._source()
        workload.fill(database, rows, 10_000)
        figures = {"COPY TO STDOUT": [copy_out(database) for _ in range(3)]}
        with self._server() as server:
            config = self._config(database, "bench_snapshot", **{"snapshot.mode": "initial"})
            server.create("bench", config)
            figures["Tailrace"] = [measure(server, lambda: topic_end(server), 0, rows)]
        table(figures, "COPY TO STDOUT")

    def sinks(self, rows: int) -> None:
        """A topic of snapshot rows into a second Postgres and a DuckDB file beside COPY."""
        heading(f"Sinks: {rows:,} rows of a topic, upserted by key")
        database = self._source()
        workload.fill(database, rows, 10_000)
        figures = {"COPY FROM STDIN": [copy_in(database, self.postgres.create_database())]}
        with self._server() as server:
            config = self._config(database, "bench_sinks", **{"snapshot.mode": "initial"})
            for name in SCHEMALESS:
                config[name] = "true"  # sinks that create tables need the schemas
            server.create("bench", config)
            until(lambda: topic_end(server) >= rows, 300, "snapshot in the log")
            for name, sink in self._sinks():
                server.create(name, sink)
                figures[name] = [measure(server, lambda n=name: progress(server, n), 0, rows)]  # type: ignore[misc]
                server.request("DELETE", f"/connectors/{quote(name)}")
        table(figures, "COPY FROM STDIN")

    def _sinks(self) -> Iterator[tuple[str, dict[str, str]]]:
        target = self.postgres.create_database()
        common = {
            "topics": f"bench.public.{TABLE}",
            "insert.mode": "upsert",
            "delete.enabled": "true",
            "primary.key.mode": "record_key",
            "schema.evolution": "basic",
        }
        yield (
            "Postgres sink",
            {
                **common,
                "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
                "connection.url": target.jdbc_url,
                "connection.username": target.user,
                "connection.password": target.password or "unused",
            },
        )
        yield (
            "DuckDB sink",
            {
                **common,
                "connector.class": "duckdb",
                "path": str(self.directory / "bench.duckdb"),
            },
        )

    def _source(self) -> PostgresDatabase:
        database = self.postgres.create_database()
        workload.prepare(database)
        return database

    @contextmanager
    def _server(self) -> Iterator[Server]:
        self.runs += 1
        data = self.directory / f"run{self.runs}" / "data"
        data.mkdir(parents=True)
        server = Server(data, free_port())
        server.start()
        try:
            yield server
        finally:
            server.stop()

    def _config(self, database: PostgresDatabase, slot: str, **more: str) -> dict[str, str]:
        return {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname": database.host,
            "database.port": str(database.port),
            "database.user": database.user,
            "database.password": database.password or "x",
            "database.dbname": database.name,
            "topic.prefix": "bench",
            "slot.name": slot,
            "publication.name": PUBLICATION,
            "publication.autocreate.mode": "disabled",
            "snapshot.mode": "no_data",
            "max.batch.size": "8192",
            "extended.headers.enabled": "false",
            "key.converter": JSON,
            "value.converter": JSON,
            **SCHEMALESS,
            **more,
        }

    def _binary(self, name: str) -> Path:
        found = find_binaries(18) or find_binaries(15)
        assert found is not None
        return found.directory / name


def tasks() -> None:
    """Two tasks' work in threads and in processes, beside one."""
    heading("Two encoders at once: throughput against one alone")
    one, threads, processes = compare()
    print(f"{'in threads':18}{2 * one / threads:12.2f} x")
    print(f"{'in processes':18}{2 * one / processes:12.2f} x", flush=True)


def topic_end(server: Server, topic: str = f"bench.public.{TABLE}") -> int:
    """Records of a topic."""
    return server.end_offsets("bench").get(topic, 0)


def progress(server: Server, sink: str) -> int:
    """The next offset a sink reads."""
    answer = server.request("GET", f"/connectors/{quote(sink)}/offsets")
    return sum(entry["offset"]["kafka_offset"] for entry in answer["offsets"])


def measure(server: Server, done: Callable[[], int], start: int, target: int) -> Figure:
    """From the first progress past ``start`` to ``target``, with the CPU of server and tasks."""
    until(lambda: done() > start, 120, "the first record", 0.01)
    first, began, cpu = done(), time.perf_counter(), cpu_seconds(server)
    until(lambda: done() >= target, 900, "the last record", 0.02)
    seconds = time.perf_counter() - began
    assert done() == target, f"{done()} records where {target} were expected"
    return Figure(target - first, seconds, cpu_seconds(server) - cpu)


def cpu_seconds(server: Server) -> float:
    """CPU seconds used so far by the server and its live tasks."""
    assert server.process is not None
    processes = [psutil.Process(server.process.pid), *server.tasks()]
    return sum(sum(p.cpu_times()[:2]) for p in processes)


def tick(database: PostgresDatabase, rate: int, seconds: int) -> None:
    """One-row transactions that carry the time at which they were sent."""
    with connect(database) as connection:
        due = time.monotonic()
        for _ in range(rate * seconds):
            connection.execute(
                "INSERT INTO ticks (sent_us, v) VALUES (%s, 'x')", (time.time_ns() // 1000,)
            )
            due += 1 / rate
            time.sleep(max(0.0, due - time.monotonic()))


def read_ticks(server: Server, topic: str, offset: int, count: int, seen: list[float]) -> None:
    """Follow the topic as any reader would and note each tick's age when it is seen."""
    while len(seen) < count:
        path = f"/v1/topics/{topic}/records?from={offset}&wait=5"
        for record in server.request("GET", path)["records"]:
            sent = record["value"]["after"]["sent_us"]
            seen.append(time.time_ns() / 1e6 - sent / 1000)
            offset = record["offset"] + 1


def heading(text: str) -> None:
    """Print a section's title with the machine's state."""
    load = os.getloadavg()[0]
    print(f"\n{text}  ({os.cpu_count()} cores, load {load:.1f})", flush=True)


def table(figures: dict[str, list[Figure]], limit: str) -> None:
    """Print medians and their ratio to the limit."""
    print(f"{'':18}{'events/s':>12}{'CPU us/event':>14}{'of limit':>10}  runs")
    top = median(f.rate for f in figures[limit])
    for name, runs in figures.items():
        if not runs:
            continue
        rate = median(f.rate for f in runs)
        cpu = median(f.cpu_us for f in runs)
        each = ", ".join(f"{f.rate / 1000:.1f}k" for f in runs)
        note = f"  {runs[-1].note}" if runs[-1].note else ""
        print(f"{name:18}{rate:12,.0f}{cpu:14.1f}{rate / top:10.2f}  {each}{note}", flush=True)
