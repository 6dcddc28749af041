"""The worker with the real Postgres source and SQL sink."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connect.runtime.herder import BadRequest
from connect.runtime.settings import DEFAULT_CONVERTERS
from tests.kit.control import Control, control
from tests.kit.databases import PostgresDatabase
from tests.kit.postgres import Postgres

pytestmark = pytest.mark.integration


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Control]:
    with control(tmp_path, defaults=DEFAULT_CONVERTERS) as each:
        yield each


def postgres_source(database: PostgresDatabase, **more: str) -> dict[str, str]:
    keys = {key.replace("_", "."): value for key, value in more.items()}
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": database.host,
        "database.port": str(database.port),
        "database.dbname": database.name,
        "database.user": database.user,
        "database.password": database.password or "unused",
        "slot.name": f"s_{database.name}",
        "publication.name": f"p_{database.name}",
        "topic.prefix": "shop",
        **keys,
    }


def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_source_lives_through_changes_crashes_and_is_cleaned_up(
    running: Control, postgres18: Postgres, database18: PostgresDatabase
) -> None:
    database18.execute(
        "CREATE TABLE t (id int PRIMARY KEY, name text)", "INSERT INTO t VALUES (1, 'a')"
    )
    info = running.herder.create("pg", postgres_source(database18))
    assert info["config"]["database.password"] == "********"
    running.states("pg", "RUNNING")
    topic = "shop.public.t"
    running.count(topic, 1)

    # A new configuration while the task streams: the check finds the slot in use, and goes on.
    running.herder.put_config("pg", {**info["config"], "tombstones.on.delete": "false"})
    running.states("pg", "RUNNING")
    database18.execute("INSERT INTO t VALUES (2, 'b')")
    running.count(topic, 2)

    postgres18.kill9()
    status = running.states("pg", "RESTARTING")
    assert status["tasks"][0]["trace"]
    postgres18.restart()
    running.states("pg", "RUNNING")
    database18.execute("INSERT INTO t VALUES (3, 'c')")
    assert len(running.count(topic, 3)) == 3

    running.herder.delete("pg")
    slots = "SELECT count(*) FROM pg_replication_slots"
    until(lambda: database18.query(slots) == [(0,)])
    # Its offsets went with the slot: the name begins anew.
    until(lambda: running.worker._configs.get("forget-connector-pg") is None)
    running.herder.create("pg", postgres_source(database18, topic_prefix="again"))
    assert len(running.count("again.public.t", 3)) == 3


def test_a_wrong_password_is_refused_and_never_shown(
    running: Control, database18: PostgresDatabase
) -> None:
    database18.execute("CREATE TABLE t (id int PRIMARY KEY)")
    config = postgres_source(database18, database_dbname="no_such_database")
    config["database.password"] = "canary"
    with pytest.raises(BadRequest) as caught:
        running.herder.create("pg", config)
    assert "contains the following 1 error(s)" in caught.value.message
    assert "canary" not in caught.value.message
    assert running.herder.connectors() == []


def test_rows_reach_a_table(running: Control, database18: PostgresDatabase) -> None:
    database18.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    running.herder.create("pg", postgres_source(database18, table_include_list="public.t"))
    running.herder.create(
        "out",
        {
            "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
            "topics.regex": "shop\\.public\\.t",
            "connection.url": database18.jdbc_url,
            "connection.username": database18.user,
            "connection.password": database18.password or "unused",
            "insert.mode": "upsert",
            "primary.key.mode": "record_key",
            "schema.evolution": "basic",
            "collection.name.format": "copy",
        },
    )
    running.states("out", "RUNNING")
    exists = "SELECT to_regclass('copy') IS NOT NULL"
    until(lambda: database18.query(exists) == [(True,)])
    until(lambda: database18.query("SELECT count(*) FROM copy") == [(2,)])
    database18.execute("DELETE FROM t WHERE id = 1")
    running.states("out", "RUNNING")
