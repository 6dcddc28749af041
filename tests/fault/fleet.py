"""The load on the ledger, and what log and targets hold at the end."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import duckdb
import psycopg

import log_core
from log_core import records
from tests.fault.ledger import REST, TABLES, UNCHANGED, Change

PREFIX = "ledger"


class Load(threading.Thread):
    """Runs ledger transactions at about ``rate`` changes a second until stopped; rides out a
    server that goes away."""

    def __init__(self, dsn: str, rate: int, seed: int, operations: int = 8) -> None:
        super().__init__(daemon=True)
        self.dsn, self.rate, self.seed, self.operations = dsn, rate, seed, operations
        self.transactions = 0
        self._end = threading.Event()

    def run(self) -> None:
        """Reconnect for ever, step at the rate, roll every seventh transaction back."""
        pause = self.operations * 1.3 / self.rate
        while not self._end.is_set():
            try:
                with psycopg.connect(self.dsn) as connection:
                    connection.execute("SELECT setseed(%s)", ((self.seed % 1000) / 1000,))
                    connection.commit()
                    self._step(connection, pause)
            except psycopg.OperationalError:
                self._end.wait(0.2)

    def _step(self, connection: psycopg.Connection[tuple[Any, ...]], pause: float) -> None:
        due = time.monotonic()
        while not self._end.is_set():
            connection.execute("SELECT ledger_step(%s)", (self.operations,))
            if self.transactions % 7 == 6:
                connection.rollback()
            else:
                connection.commit()
            self.transactions += 1
            due = max(due + pause, time.monotonic() - 1)
            self._end.wait(max(0.0, due - time.monotonic()))

    def end(self) -> None:
        """Stop and wait."""
        self._end.set()
        self.join(30)


def log_history(data_dir: Path) -> dict[str, tuple[int, list[Change]]]:
    """Each table's snapshot rows (count) and changes, read from the stopped server's log."""
    return {
        table: (sum(e.op == "r" for e in entries), [e for e in entries if e.op != "r"])
        for table, entries in log_entries(data_dir).items()
    }


def log_entries(data_dir: Path) -> dict[str, list[Change]]:
    """Each table's records in the order of the stopped server's log; ``op`` r: a snapshot row."""
    log = log_core.Log(data_dir / "log" if (data_dir / "log").is_dir() else data_dir)
    try:
        return {table: _entries(log, f"{PREFIX}.public.{table}", table) for table in TABLES}
    finally:
        log.close()


def _entries(log: log_core.Log, topic: str, table: str) -> list[Change]:
    entries, offset = [], log.start_offset(topic, 0)
    while data := log.fetch(topic, 0, offset):
        for batch in records.decode(data):
            headers = batch.headers or [()] * len(batch.values)
            for here, value, row_headers in zip(batch.offsets, batch.values, headers, strict=True):
                if here < offset:
                    continue
                assert here == offset, f"{topic}: offset {here} after {offset - 1}"
                offset += 1
                if value is not None:
                    entries.append(_change(table, json.loads(value)["payload"], dict(row_headers)))
    return entries


def _change(table: str, payload: dict[str, Any], headers: dict[str, bytes | None]) -> Change:
    row = payload["before"] if payload["op"] == "d" else payload["after"]
    unavailable = (headers.get("__tailrace.unavailable") or b"").decode().split(",")
    rest = tuple(UNCHANGED if f"after.{n}" in unavailable else row[n] for n in REST[table])
    return Change(payload["source"]["txId"], payload["op"], row["id"], row["ver"], rest)


def duckdb_rows(path: Path, table: str) -> dict[int, tuple[object, ...]]:
    """A DuckDB target table: key -> (ver, rest ...)."""
    columns = ", ".join(("id", "ver", *REST[table]))
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(f'SELECT {columns} FROM "{PREFIX}_public_{table}"').fetchall()
    return {row[0]: tuple(row[1:]) for row in rows}


def sql_rows(dsn: str, table: str) -> dict[int, tuple[object, ...]]:
    """A Postgres target table: key -> (ver, rest ...)."""
    columns = ", ".join(("id", "ver", *REST[table]))
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(f'SELECT {columns} FROM "{PREFIX}_public_{table}"').fetchall()
    return {row[0]: tuple(row[1:]) for row in rows}
