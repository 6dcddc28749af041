"""The servers that other tests stand on."""

import pytest

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("major", [15, 18])
def test_postgres_decodes_logically_and_survives_kill9(major, request):
    server = request.getfixturevalue(f"postgres{major}")
    database = server.create_database()
    try:
        database.execute(
            "CREATE TABLE t (id int PRIMARY KEY)",
            "SELECT pg_create_logical_replication_slot('kit_slot', 'pgoutput')",
            "INSERT INTO t VALUES (1)",
        )
        server.kill9()
        server.restart()
        assert database.query("SELECT id FROM t") == [(1,)]
        assert database.query("SHOW wal_level") == [("logical",)]
        assert database.query("SELECT current_setting('server_version_num')::int / 10000") == [
            (major,)
        ]
    finally:
        database.drop()
    assert server.database("postgres").query("SELECT slot_name FROM pg_replication_slots") == []


def test_mariadb_keeps_rows_over_kill9(mariadb):
    database = mariadb.create_database()
    database.execute("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    mariadb.kill9()
    mariadb.restart()
    assert database.query("SELECT id FROM t") == [(1,)]
    database.drop()
