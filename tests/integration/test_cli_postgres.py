"""The command line with a real Postgres: what a new user does in the first five minutes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.demo.postgres import free_port
from tests.integration.test_cli_server import Shell, environment
from tests.kit.databases import PostgresDatabase
from tests.kit.server import Server

pytestmark = pytest.mark.integration


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    server = Server(tmp_path / "data", free_port())
    server.start(environment(PYTHONPATH=""))
    try:
        yield Shell(server, tmp_path, PYTHONPATH="")
    finally:
        assert server.stop() == 0


def seed(database: PostgresDatabase) -> dict[str, str]:
    """The seed's example, with this database's address."""
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": database.host,
        "database.port": str(database.port),
        "database.dbname": database.name,
        "database.user": database.user,
        "database.password": database.password,
        "topic.prefix": "dbserver1",
    }


def payloads(lines: str) -> list[tuple[Any, Any]]:
    records = [json.loads(line) for line in lines.splitlines()]
    return [(r["key"]["payload"], r["value"] and r["value"]["payload"]) for r in records]


def test_changes_are_tailed_as_debezium_would_emit_them(
    shell: Shell, database18: PostgresDatabase
) -> None:
    database18.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, status text, total numeric(8,2))",
        "ALTER TABLE orders REPLICA IDENTITY FULL",
        "INSERT INTO orders VALUES (1, 'new', 9.90)",
    )
    body = {"name": "postgres-connector", "config": seed(database18)}
    assert "created" in shell("apply", "-f", shell.file("pg.json", body))
    shell.until("postgres-connector", "RUNNING")
    topic = "dbserver1.public.orders"
    wait_for_topic(shell, topic)
    assert payloads(shell("tail", topic, "-c", "1"))[0][1]["op"] == "r"
    database18.execute(
        "INSERT INTO orders VALUES (2, 'new', 1)",
        "UPDATE orders SET status = 'paid' WHERE id = 1",
        "UPDATE orders SET id = 3 WHERE id = 2",
        "DELETE FROM orders WHERE id = 1",
    )
    # snapshot, insert, update, key change (delete, tombstone, create), delete, tombstone
    found = payloads(shell("tail", topic, "-c", "8"))
    steps = [(key["id"], value and value["op"]) for key, value in found]
    assert steps == [
        (1, "r"), (2, "c"), (1, "u"), (2, "d"), (2, None), (3, "c"), (1, "d"), (1, None),
    ]  # fmt: skip
    update = found[2][1]
    assert (update["before"]["status"], update["after"]["status"]) == ("new", "paid")
    text = shell("tail", topic, "-f", "diff", "-o", "2", "-c", "1")
    assert 'UPDATE id=1   status "new" → "paid"   tx ' in text
    everything = shell("describe", "connector", "postgres-connector") + json.dumps(
        shell.json("get", "connectors")
    )
    assert "********" in everything
    assert f'"database.password": "{database18.password}"' not in everything
    bad = shell.file("pg.json", {**body, "config": {**seed(database18), "database.port": "543a"}})
    assert "database.port" in shell("apply", "-f", bad, code=2)
    assert "Not a number of type INT" in shell("validate", "-f", bad, code=2)


def wait_for_topic(shell: Shell, topic: str) -> None:
    while topic not in [t["name"] for t in shell.json("topics", "list")]:
        status = shell.json("get", "connectors")["postgres-connector"]["status"]
        assert all(task["state"] != "FAILED" for task in status["tasks"]), status


def test_doctor_finds_what_is_wrong(shell: Shell, database18: PostgresDatabase) -> None:
    database18.execute("CREATE TABLE t (id int PRIMARY KEY)")
    own = ("--url", f"http://127.0.0.1:{shell.server.port}", "--data-dir", "data")
    well = shell("doctor", *own, "--source", database18.url)
    assert "ready to connect" in well
    assert "Everything looks well." in well
    nobody = database18.url.replace(f"{database18.user}:", "nobody:")
    assert "✗" in shell("doctor", *own, "--source", nobody, code=3)
    away = f"postgresql://a:b@127.0.0.1:{free_port()}/x"
    answer = shell("doctor", *own, "--source", away, code=3)
    assert "database.hostname" in answer
    assert "1 of 4 groups failed" in answer


def test_an_unreachable_database_is_not_registered(shell: Shell) -> None:
    config = {
        "connector.class": "postgres", "database.hostname": "127.0.0.1",
        "database.port": str(free_port()), "database.user": "a", "database.dbname": "b",
        "database.password": "hunter2", "topic.prefix": "p",
    }  # fmt: skip
    answer = shell("apply", "-f", shell.file("c.json", {"name": "c", "config": config}), code=2)
    assert "hunter2" not in answer
    assert shell.json("get", "connectors") == {}
