"""Death at every named place of the code, several times under load; then nothing may be wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connect.faults import NAMES
from tests.fault import ledger
from tests.fault.fleet import Load
from tests.fault.pipeline import Pipeline
from tests.fault.watching import dies, snapshot_complete
from tests.kit.server import until

SNAPSHOT = ("during_snapshot_chunk", "after_snapshot")
SINK = tuple(name for name in NAMES if "sink" in name or name == "after_put")
SOURCE = tuple(name for name in NAMES if name not in SNAPSHOT + SINK)
DEATHS = int(os.environ.get("TAILRACE_FAILPOINT_DEATHS", "2"))
ARRIVALS = 15  # at which the process dies: it has worked for a while

pytestmark = [pytest.mark.fault, pytest.mark.integration]


def test_death_at_every_place_of_the_stream(postgres18: Any, tmp_path: Path) -> None:
    """One pipeline under load: the server lives with each failpoint armed until it has struck."""
    pipeline = Pipeline(postgres18, tmp_path, seed=3)
    load = Load(pipeline.source.dsn, 300, seed=3)
    struck = {}
    try:
        pipeline.start()
        load.start()
        for name in SOURCE + SINK:
            tasks = ["source-0"] if name in SOURCE else ["read-model-0", "warehouse-0"]
            struck[name] = strike(pipeline, f"{name}:kill:{ARRIVALS}", tasks)
        healed(pipeline)
        load.end()
        pipeline.settle()
        report = pipeline.check()
    finally:
        load.end()
        pipeline.close()
    print(f"\n{struck}; {report.changes} changes")
    assert report.findings == []
    assert report.changes > 1000


@pytest.mark.parametrize("name", SNAPSHOT)
def test_death_in_the_snapshot(name: str, postgres15: Any, tmp_path: Path) -> None:
    """No life is long enough for the whole snapshot; the life after is."""
    pipeline = Pipeline(postgres15, tmp_path, seed=4)
    try:
        pipeline.prepare()
        pipeline.serve({"TAILRACE_FAIL": f"{name}:kill"})
        pipeline.create_source()
        pipeline.create_sinks()
        until(lambda: pipeline.server.deaths("source-0") >= DEATHS, 90, f"death at {name}")
        assert pipeline.server.stop() == 0
        pipeline.server.start()
        snapshot_complete(pipeline.server)
        load = Load(pipeline.source.dsn, 300, seed=4)
        load.start()
        pipeline.moving(pipeline.end_total())
        load.end()
        pipeline.settle()
        pipeline.check()
    finally:
        pipeline.close()
    # A table that was begun is read again from its start: rows may come twice, changes may not.
    assert [f for f in pipeline.report.findings if f.kind != "SNAPSHOT ROWS"] == []


def strike(pipeline: Pipeline, fault: str, tasks: list[str]) -> int:
    """Restart the server with the failpoint armed, until all these tasks died of it."""
    pipeline.server.kill9()
    before = {task: pipeline.server.deaths(task) for task in tasks}
    pipeline.server.start({"TAILRACE_FAIL": fault})
    for task in tasks:
        dies(pipeline.server, task, before[task] + DEATHS)
    return sum(pipeline.server.deaths(task) - deaths for task, deaths in before.items())


def healed(pipeline: Pipeline) -> None:
    """A server without failpoints, through which changes flow."""
    assert pipeline.server.stop() == 0
    pipeline.server.start()
    with psycopg.connect(pipeline.source.dsn, autocommit=True) as connection:
        assert ledger.rows(connection, "acct")
    pipeline.moving(pipeline.end_total())
