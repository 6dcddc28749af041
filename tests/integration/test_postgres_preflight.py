"""Validation against a live server: every fault at its key, with what mends it."""

import secrets
from collections.abc import Iterator

import psycopg
import pytest

from tests.integration.postgres_source import CONNECTOR, problems, settings, source
from tests.kit.databases import PostgresDatabase
from tests.kit.postgres import Postgres

pytestmark = pytest.mark.integration


@pytest.fixture(params=["postgres15", "postgres18"])
def database(request: pytest.FixtureRequest) -> Iterator[PostgresDatabase]:
    server: Postgres = request.getfixturevalue(request.param)
    made = server.create_database()
    yield made
    made.drop()


@pytest.fixture
def role(database: PostgresDatabase) -> Iterator[str]:
    name = f"r_{secrets.token_hex(4)}"
    database.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    yield name
    database.execute(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def found(values: dict[str, str | None]) -> dict[str, tuple[str, str]]:
    """Key of each error by code, with its hint."""
    return {p.code: (p.key, p.hint or "") for p in problems(values) if p.severity == "error"}


def test_nothing_is_wrong(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    assert problems(settings(database)) == []


def test_connection(database: PostgresDatabase) -> None:
    good = settings(database)
    for key, value in (
        ("database.hostname", "no.such.host.invalid"),
        ("database.dbname", "no_such_database"),
        ("database.user", "no_such_role"),
        ("database.password", "wrong"),
    ):
        (problem,) = problems(good | {key: value})
        keys = {key, "database.password"} if key == "database.user" else {key}
        assert problem.key in keys, problem
        assert "wrong" not in str(problem)
    for away in ({"database.port": "1"}, {"database.hostname": "ssl.no.such.host.invalid"}):
        (problem,) = problems(good | away)
        assert problem.key == "database.hostname"
        assert problem.code == "postgres.unavailable"  # a task that starts tries again


def test_privileges(database: PostgresDatabase, role: str) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    values = settings(database) | {"database.user": role, "database.password": "x"}
    faults = found(values)
    assert faults["postgres.privilege.select"][0] == "database.user"
    assert "GRANT SELECT" in faults["postgres.privilege.select"][1]
    assert faults["postgres.publication.privilege"][0] == "publication.name"
    assert "CREATE PUBLICATION" in faults["postgres.publication.privilege"][1]
    assert any("REPLICATION" in hint for _, hint in faults.values())
    # What the hints say is enough.
    database.execute(
        f"ALTER ROLE {role} REPLICATION",
        f"GRANT SELECT ON t TO {role}",
        "CREATE PUBLICATION dbz_publication FOR TABLE t",
    )
    values["publication.autocreate.mode"] = "disabled"
    assert found(values) == {}
    with source(values) as stream:
        stream.open()
        stream.snapshot()


def test_row_security(database: PostgresDatabase, role: str) -> None:
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY)",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        f"ALTER ROLE {role} REPLICATION",
        f"GRANT SELECT ON t TO {role}",
        "CREATE PUBLICATION dbz_publication FOR TABLE t",
    )
    values = settings(database) | {"database.user": role, "database.password": "x"}
    key, hint = found(values)["postgres.row_security"]
    assert key == "database.user"
    assert "BYPASSRLS" in hint


def test_tables(database: PostgresDatabase) -> None:
    assert found(settings(database))["postgres.tables.none"][0] == "table.include.list"
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY)",
        "CREATE VIEW v AS SELECT 1",
        "CREATE UNLOGGED TABLE u (id int PRIMARY KEY)",
        "CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id)",
    )
    warnings = [p.message for p in problems(settings(database))]
    for name in ("public.v is a view", "public.u is an unlogged", "public.parted is a partit"):
        assert any(name in message for message in warnings)
    values = settings(database, table__include__list="public.t,public.missing")
    assert [p.code for p in problems(values)] == ["postgres.tables.unmatched"]


def test_replica_identity(database: PostgresDatabase) -> None:
    """A published table without identity refuses its application's updates: do no harm."""
    database.execute("CREATE TABLE t (id int)")
    key, hint = found(settings(database))["postgres.replica_identity"]
    assert key == "table.exclude.list"
    database.execute(hint.split(";")[0])
    assert found(settings(database)) == {}
    assert found(settings(database, skipped__operations="u,d,t")) == {}


def test_unsupported_types_are_named(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, place point, path path)")
    (problem,) = [p for p in problems(settings(database)) if p.severity == "error"]
    assert (problem.key, problem.code) == ("column.exclude.list", "postgres.type.unsupported")
    assert "place" in problem.message
    assert "path" in problem.message
    values = settings(database, column__exclude__list=r"public\.t\.pl.*,public.t.path")
    assert found(values) == {}


def test_names_that_collide(database: PostgresDatabase) -> None:
    database.execute(
        'CREATE TABLE "a b" (id int PRIMARY KEY)', "CREATE TABLE a_b (id int PRIMARY KEY)"
    )
    assert "naming.collision" in found(settings(database))


def test_publication(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)")
    values = settings(database, publication__autocreate__mode="disabled")
    key, hint = found(values)["postgres.publication.missing"]
    assert key == "publication.name"
    database.execute("CREATE PUBLICATION dbz_publication FOR TABLE a WITH (publish = 'insert')")
    key, hint = found(values)["postgres.publication.incomplete"]
    database.execute(hint)
    key, hint = found(values)["postgres.publication.operations"]
    database.execute(hint.split(";")[0])
    assert found(values) == {}


def test_filtered_publication_follows_the_tables(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)")
    with source(settings(database, table__include__list="public.a")) as stream:
        stream.open()
        stream.snapshot()
        offset = stream.offset
    query = "SELECT tablename FROM pg_publication_tables WHERE pubname = 'dbz_publication'"
    assert database.query(query) == [("a",)]
    with source(settings(database)) as stream:
        stream.open(offset)
        assert sorted(database.query(query)) == [("a",), ("b",)]
        database.execute("INSERT INTO b VALUES (1)")
        assert [e.row for e in stream.take(1)] == [{"id": 1}]


def test_row_filter_is_told_and_kept_by_the_snapshot(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    database.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    database.execute("CREATE PUBLICATION p FOR TABLE t WHERE (id > 1)")
    values = settings(database, publication__name="p", publication__autocreate__mode="disabled")
    assert [p.code for p in problems(values)] == ["postgres.publication.filter"]
    with source(values) as stream:
        stream.open()
        assert [e.row["id"] for e in stream.snapshot()] == [2]


def test_foreign_slot(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    database.execute(
        f"SELECT pg_create_logical_replication_slot('{database.name}', 'test_decoding')"
        if database.query("SELECT 1 FROM pg_available_extensions WHERE name = 'none'")
        else f"SELECT pg_create_physical_replication_slot('{database.name}')"
    )
    try:
        assert found(settings(database))["postgres.slot.foreign"][0] == "slot.name"
    finally:
        database.execute(f"SELECT pg_drop_replication_slot('{database.name}')")


def test_forget(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with source(settings(database)) as stream:
        stream.open()
        stream.snapshot()
        stream.close()
        sentences = CONNECTOR.forget(stream.config)
    assert len(sentences) == 2
    assert database.query("SELECT 1 FROM pg_publication") == []
    query = "SELECT 1 FROM pg_replication_slots WHERE database = %s"
    assert database.query(query, (database.name,)) == []
    with psycopg.connect(database.dsn):
        assert (
            "Left behind"
            in CONNECTOR.forget(stream.config.model_copy(update={"dbname": "no_such_database"}))[0]
        )
