"""SIGKILL of task, worker and Postgres under load: every change once, sinks equal the source."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests.fault.fleet import Load
from tests.fault.pipeline import Pipeline

KILLS = int(os.environ.get("TAILRACE_KILLS", "200"))
SEED = int(os.environ.get("TAILRACE_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)

pytestmark = [pytest.mark.fault, pytest.mark.timeout(1700)]


def run(pipeline: Pipeline, kinds: list[str], rate: int) -> None:
    """Kill in turn while the ledger changes; then compare everything."""
    pipeline.start()
    load = Load(pipeline.source.dsn, rate, pipeline.report.seed)
    load.start()
    pipeline.moving(pipeline.end_total())
    for kind in kinds:
        pipeline.kill(kind, load)
    load.end()
    pipeline.report.transactions = load.transactions
    pipeline.settle()
    report = pipeline.check()
    print(f"\n{report}")
    assert report.findings == []
    assert report.in_flight >= 0.95 * len(kinds), "too few kills landed in flight"


@pytest.mark.integration
def test_kills_of_task_worker_and_postgres(postgres18: Any, tmp_path: Path) -> None:
    """TAILRACE_KILLS kills (200) of all kinds, seeded: TAILRACE_SEED replays a run."""
    pipeline = Pipeline(postgres18, tmp_path, SEED)
    weights = {"task": 14, "worker": 4, "postgres": 2}
    kinds = pipeline.dice.choices([*weights], [*weights.values()], k=KILLS)
    try:
        run(pipeline, kinds, rate=500)
    finally:
        pipeline.close()


@pytest.mark.integration
def test_ten_worker_kills_at_2000_changes_a_second(postgres15: Any, tmp_path: Path) -> None:
    """The worker dies ten times while 2,000 changes a second flow."""
    pipeline = Pipeline(postgres15, tmp_path, SEED)
    try:
        run(pipeline, ["worker"] * 10, rate=2000)
    finally:
        pipeline.close()
