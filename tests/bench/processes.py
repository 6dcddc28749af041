"""Does a process per task earn its keep? Two encoders in threads and in processes."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Sequence
from typing import Any

from connect.config import parse
from connect.converters.json import JsonConverter
from connect.data import Constant, Field, Schema, Struct
from log_core import records

ROWS = 2000
COLUMNS = (
    ("id", Schema("int64"), lambda n: n),
    ("customer_id", Schema("int64"), lambda n: n % 5000),
    ("total", Schema("string"), lambda n: f"{n / 100:.2f}"),
    ("status", Schema("string"), lambda n: "paid"),
    ("note", Schema("string", optional=True), lambda n: f'Note "{n}" — leave at the door,\nplease'),
    ("created_at", Schema("string"), lambda n: "2026-01-01T00:00:00.000000Z"),
    ("gift", Schema("boolean"), lambda n: n % 2 == 0),
    ("details", Schema("string"), lambda n: f'{{"sku": {n % 977}}}'),
)


def encode(batches: int) -> None:
    """What a source task spends its time on: envelopes to JSON to a record batch."""
    row = Schema("struct", fields=tuple(Field(name, schema) for name, schema, _ in COLUMNS))
    columns: list[Sequence[Any]] = [[make(n) for n in range(ROWS)] for _, _, make in COLUMNS]
    envelope = Schema(
        "struct",
        fields=(
            Field("before", row.as_optional()),
            Field("after", row.as_optional()),
            Field("op", Schema("string")),
            Field("ts_ms", Schema("int64")),
        ),
    )
    empty = Struct(row.as_optional(), [Constant(None, ROWS)] * len(COLUMNS), ROWS, [False] * ROWS)
    after = Struct(row.as_optional(), columns, ROWS)
    times = list(range(ROWS))
    data = Struct(envelope, [empty, after, Constant("c", ROWS), times], ROWS)
    config = parse(JsonConverter.config, {"schemas.enable": "false"})
    converter = JsonConverter(config, is_key=False)
    for _ in range(batches):
        payloads = converter.encode("bench", data)
        records.encode([b"1"] * ROWS, payloads, times)


def compare(batches: int = 150, rounds: int = 5) -> tuple[float, float, float]:
    """Seconds of one encoder, of two in threads, and of two in processes: the best of some
    interleaved rounds each, start-up included."""
    best = [float("inf")] * 3
    for _ in range(rounds):
        for number, run in enumerate((_one, _threads, _processes)):
            started = time.perf_counter()
            run(batches)
            best[number] = min(best[number], time.perf_counter() - started)
    return best[0], best[1], best[2]


def _one(batches: int) -> None:
    encode(batches)


def _threads(batches: int) -> None:
    _run([threading.Thread(target=encode, args=(batches,)) for _ in range(2)])


def _processes(batches: int) -> None:
    fork = multiprocessing.get_context("fork")  # start-up is no part of the question
    _run([fork.Process(target=encode, args=(batches,)) for _ in range(2)])


def _run(workers: Sequence[Any]) -> None:
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
