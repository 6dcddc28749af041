"""The initial snapshot: whole, consistent, and restartable without stale rows."""

import threading
from collections.abc import Iterator

import psycopg
import pytest

from connect.errors import FatalError, RetriableError
from tests.integration.postgres_source import Event, events, settings, source
from tests.kit.databases import PostgresDatabase
from tests.kit.postgres import Postgres

pytestmark = pytest.mark.integration


@pytest.fixture(params=["postgres15", "postgres18"])
def database(request: pytest.FixtureRequest) -> Iterator[PostgresDatabase]:
    server: Postgres = request.getfixturevalue(request.param)
    made = server.create_database()
    yield made
    made.drop()


class Replica:
    """Rows by key, as a sink that knows the envelope would keep them."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[int, int]] = {}
        self.versions: dict[tuple[str, int], int] = {}

    def apply(self, found: list[Event]) -> None:
        for event in found:
            table = self.tables.setdefault(event.topic, {})
            if event.op == "t":
                table.clear()
            if event.key is None:
                continue
            key = event.key["id"]
            if event.op in ("d", None):
                table.pop(key, None)
                continue
            version = event.row["v"]
            assert version >= self.versions.get((event.topic, key), 0), "an older version came"
            self.versions[event.topic, key] = version
            table[key] = version


def rows(database: PostgresDatabase, table: str) -> dict[int, int]:
    return dict(database.query(f"SELECT id, v FROM {table}"))


def test_markers(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)")
    database.execute("CREATE TABLE empty (id int PRIMARY KEY)")
    database.execute("INSERT INTO a SELECT generate_series(1, 5)")
    database.execute("INSERT INTO b SELECT generate_series(1, 3)")
    with source(settings(database, snapshot__fetch__size="2")) as stream:
        stream.open()
        found = stream.snapshot()
    marks = [e.value["source"]["snapshot"] for e in found if e.value is not None]
    assert marks == [
        "first", "true", "true", "true", "last_in_data_collection",
        "first_in_data_collection", "true", "last",
    ]  # fmt: skip
    assert [e.op for e in found] == ["r"] * 8
    assert len({e.value["source"]["lsn"] for e in found if e.value is not None}) == 1


def test_changes_during_the_snapshot_come_once_after_it(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    database.execute("INSERT INTO t SELECT i, 0 FROM generate_series(1, 3000) i")
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            version = 0
            while not stop.is_set():
                version += 1
                connection.execute("UPDATE t SET v = v + 1 WHERE id %% 97 = %s %% 97", [version])
                connection.execute("DELETE FROM t WHERE id = %s", [version])
                connection.execute("INSERT INTO t VALUES (%s, 0)", [10_000 + version])

    writer = threading.Thread(target=write)
    writer.start()
    replica = Replica()
    try:
        with source(settings(database, snapshot__fetch__size="100")) as stream:
            stream.open()
            replica.apply(stream.snapshot())
            for _ in range(10):
                poll = stream.poll()
                replica.apply([] if poll is None else events(poll))
            stop.set()
            writer.join()
            database.execute("INSERT INTO t VALUES (-1, 0)")
            while -1 not in replica.tables["srv.public.t"]:
                poll = stream.poll()
                replica.apply([] if poll is None else events(poll))
    finally:
        stop.set()
        writer.join()
    assert replica.tables["srv.public.t"] == rows(database, "t")


@pytest.mark.parametrize("polls", [1, 3, 7, 9, 12])
def test_interrupted_snapshot_leaves_no_stale_rows(database: PostgresDatabase, polls: int) -> None:
    """A life ends after some polls; rows it wrote are updated, deleted, moved meanwhile."""
    for table in ("a", "b"):
        database.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v int)")
        database.execute(f"INSERT INTO {table} SELECT i, 1 FROM generate_series(1, 50) i")
    replica = Replica()
    with source(settings(database, snapshot__fetch__size="10")) as stream:
        for life in range(4):
            stream.open()
            for _ in range(polls):
                poll = stream.poll()
                replica.apply([] if poll is None else events(poll))
            stream.close()
            for table in ("a", "b"):
                first = life * 5 + 1
                database.execute(
                    f"DELETE FROM {table} WHERE id = {first}",
                    f"UPDATE {table} SET v = v + 1 WHERE id BETWEEN {first} AND {first + 20}",
                    f"UPDATE {table} SET id = id + 1000 WHERE id = {first + 1}",
                    f"INSERT INTO {table} VALUES ({2000 + life}, 1)",
                )
        stream.open()
        database.execute("INSERT INTO b VALUES (-1, 1)")
        while -1 not in replica.tables.get("srv.public.b", {}):
            poll = stream.poll()
            replica.apply([] if poll is None else events(poll))
        assert (stream.offset or {})["snapshot_completed"]
    assert replica.tables["srv.public.a"] == rows(database, "a")
    assert replica.tables["srv.public.b"] == rows(database, "b")


def test_tables_that_were_read_are_not_read_again(database: PostgresDatabase) -> None:
    for table in ("a", "b"):
        database.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v int)")
        database.execute(f"INSERT INTO {table} SELECT i, 1 FROM generate_series(1, 30) i")
    with source(settings(database, snapshot__fetch__size="10")) as stream:
        stream.open()
        for _ in range(4):
            stream.poll()
        stream.open()
        again = stream.snapshot()
    assert {e.topic for e in again} == {"srv.public.b"}
    assert len(again) == 30


def test_keyless_table_is_emptied_before_it_is_read_again(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (v int)")
    database.execute("ALTER TABLE t REPLICA IDENTITY FULL")
    database.execute("INSERT INTO t SELECT generate_series(1, 30)")
    with source(settings(database, snapshot__fetch__size="10")) as stream:
        stream.open()
        stream.poll()
        stream.open()
        again = stream.snapshot()
    assert [e.op for e in again] == ["t"] + ["r"] * 30


def test_slots_of_the_snapshot_do_not_stay(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    with source(settings(database)) as stream:
        stream.open()
        stream.open()
        stream.snapshot()
        found = database.query(
            "SELECT slot_name FROM pg_replication_slots WHERE database = %s", (database.name,)
        )
    assert found == [(database.name,)]


def test_table_rewritten_during_the_snapshot(database: PostgresDatabase) -> None:
    """An old snapshot sees a rewritten table as empty: it must not be taken for empty."""
    database.execute("CREATE TABLE a (id int PRIMARY KEY, v int)")
    database.execute("CREATE TABLE b (id int PRIMARY KEY, v int)")
    database.execute("INSERT INTO a SELECT i, 1 FROM generate_series(1, 30) i")
    database.execute("INSERT INTO b SELECT i, 1 FROM generate_series(1, 30) i")
    with source(settings(database, snapshot__fetch__size="10")) as stream:
        stream.open()
        stream.poll()
        database.execute("ALTER TABLE b ALTER v TYPE bigint")
        with pytest.raises(RetriableError) as error:
            stream.snapshot()
        assert error.value.code == "postgres.snapshot.table_altered"
        stream.open()
        again = stream.snapshot()
    assert sum(e.topic == "srv.public.b" for e in again) == 30


def test_rows_hidden_by_row_security_are_an_error(database: PostgresDatabase) -> None:
    role = database.name
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)",
        f"CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'x'",
        f"GRANT SELECT ON t TO {role}",
        "CREATE PUBLICATION p FOR TABLE t",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
    )
    values = settings(database, publication__name="p", publication__autocreate__mode="disabled")
    values |= {"database.user": role, "database.password": "x"}
    try:
        with source(values) as stream:
            stream.open()
            with pytest.raises(FatalError) as error:
                stream.snapshot()
            assert error.value.code == "postgres.privilege.select"
    finally:
        database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_blocked_slot_creation_names_who_blocks(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.postgres.slots.CREATION_SECONDS", 1.0)
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with database.connect(autocommit=False) as blocker, source(settings(database)) as stream:
        blocker.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(RetriableError) as error:
            stream.open()
        assert error.value.code == "postgres.slot.blocked"
        assert f"pid {blocker.info.backend_pid}" in str(error.value)
        blocker.rollback()
        stream.open()
        assert stream.snapshot() == []


def test_initial_only_rests_and_leaves_no_slot(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    with source(settings(database, snapshot__mode="initial_only")) as stream:
        stream.open()
        assert len(stream.snapshot()) == 1
        assert stream.poll(0.1) is None
        stream.open()
        assert stream.poll(0.1) is None
    query = "SELECT 1 FROM pg_replication_slots WHERE database = %s"
    assert database.query(query, (database.name,)) == []


def test_no_data_streams_from_now(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    with source(settings(database, snapshot__mode="no_data")) as stream:
        stream.open()
        database.execute("INSERT INTO t VALUES (2)")
        assert [e.row["id"] for e in stream.take(1)] == [2]
