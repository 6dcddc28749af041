"""The stream of the Postgres source, on real servers: operations, order, restarts."""

import threading
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest

from connect.data import UNAVAILABLE
from connect.errors import FatalError, RetriableError
from tests.integration.postgres_source import Source, events, settings, source
from tests.kit.databases import PostgresDatabase
from tests.kit.postgres import Postgres

pytestmark = pytest.mark.integration


@pytest.fixture(params=["postgres15", "postgres18"])
def server(request: pytest.FixtureRequest) -> Postgres:
    found: Postgres = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def database(server: Postgres) -> Iterator[PostgresDatabase]:
    made = server.create_database()
    yield made
    made.execute(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
        f"WHERE database = '{made.name}'"
    )
    made.drop()


def started(stream: Source) -> Source:
    """The source after its snapshot."""
    stream.open()
    stream.snapshot()
    return stream


def test_operations(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    with source(settings(database)) as stream:
        started(stream)
        database.execute("INSERT INTO t VALUES (1, 'a')")
        database.execute("UPDATE t SET v = 'b'")
        database.execute("DELETE FROM t")
        insert, update, delete, tombstone = stream.take(4)
    assert (insert.op, insert.key, insert.row) == ("c", {"id": 1}, {"id": 1, "v": "a"})
    assert insert.value is not None
    assert insert.value["before"] is None
    assert (update.op, update.row) == ("u", {"id": 1, "v": "b"})
    assert update.value is not None
    assert update.value["before"] is None
    assert (delete.op, delete.key, delete.row) == ("d", {"id": 1}, {"id": 1, "v": None})
    assert (tombstone.key, tombstone.value) == ({"id": 1}, None)
    assert insert.topic == "srv.public.t"


def test_source_block(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with source(settings(database)) as stream:
        started(stream)
        database.execute("INSERT INTO t VALUES (1)")
        database.execute("INSERT INTO t VALUES (2)")
        first, second = stream.take(2)
    assert first.value is not None
    assert second.value is not None
    block = first.value["source"]
    assert block["connector"] == "postgresql"
    assert block["name"] == "srv"
    assert block["db"] == database.name
    assert (block["schema"], block["table"], block["snapshot"]) == ("public", "t", "false")
    assert block["ts_ns"] == block["ts_us"] * 1000
    assert block["ts_ms"] == block["ts_us"] // 1000
    assert block["lsn"] < second.value["source"]["lsn"]
    assert second.value["source"]["txId"] == block["txId"] + 1
    assert first.headers["__debezium.context.connectorLogicalName"] == b"srv"
    assert first.headers["__debezium.context.runId"] == b"run"


def test_key_change_is_three_records(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL)")
    database.execute("INSERT INTO t VALUES (1, 'a')")
    with source(settings(database)) as stream:
        started(stream)
        database.execute("UPDATE t SET id = 2")
        delete, tombstone, create = stream.take(3)
    assert (delete.op, delete.key, delete.row) == ("d", {"id": 1}, {"id": 1, "v": ""})
    assert delete.headers["__debezium.newkey"] == b'{"id":2}'
    assert (tombstone.key, tombstone.value) == ({"id": 1}, None)
    assert (create.op, create.key, create.row) == ("c", {"id": 2}, {"id": 2, "v": "a"})
    assert create.headers["__debezium.oldkey"] == b'{"id":1}'


def test_replica_identity_full(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int, v text)")
    database.execute("ALTER TABLE t REPLICA IDENTITY FULL")
    with source(settings(database)) as stream:
        started(stream)
        database.execute("INSERT INTO t VALUES (1, NULL)")
        database.execute("UPDATE t SET v = 'b'")
        database.execute("DELETE FROM t")
        insert, update, delete = stream.take(3)
    assert insert.key is None
    assert update.value is not None
    assert update.value["before"] == {"id": 1, "v": None}
    assert update.value["after"] == {"id": 1, "v": "b"}
    assert delete.row == {"id": 1, "v": "b"}


def test_replica_identity_index(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, code text NOT NULL UNIQUE)")
    database.execute("ALTER TABLE t REPLICA IDENTITY USING INDEX t_code_key")
    with source(settings(database)) as stream:
        started(stream)
        database.execute("INSERT INTO t VALUES (1, 'x')")
        database.execute("DELETE FROM t")
        insert, delete, _ = stream.take(3)
    # A delete carries no more than the index: so the index is the key, of all events.
    assert insert.key == delete.key == {"code": "x"}


def test_unchanged_toast_is_not_null(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, n int, big text)")
    database.execute("ALTER TABLE t ALTER big SET STORAGE EXTERNAL")
    database.execute("INSERT INTO t VALUES (1, 1, repeat('x', 9000)), (2, 2, NULL)")
    with source(settings(database)) as stream:
        started(stream)
        database.execute("UPDATE t SET n = n + 1")
        kept, null = stream.take(2)
        database.execute("UPDATE t SET id = 3 WHERE id = 1")
        _, _, moved = stream.take(3)
        database.execute("ALTER TABLE t REPLICA IDENTITY FULL")
        database.execute("UPDATE t SET n = n + 1 WHERE id = 3")
        (full,) = stream.take(1)
    assert kept.row["big"] is UNAVAILABLE
    assert null.row["big"] is None
    assert moved.row["big"] is UNAVAILABLE
    assert full.row["big"] == "x" * 9000


def test_truncate_is_skipped_unless_asked_for(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)")
    with source(settings(database)) as stream:
        started(stream)
        database.execute("TRUNCATE a, b")
        database.execute("INSERT INTO a VALUES (1)")
        assert [e.op for e in stream.take(1)] == ["c"]


def test_truncate(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)")
    with source(settings(database, skipped__operations="none")) as stream:
        started(stream)
        database.execute("TRUNCATE a, b")
        database.execute("INSERT INTO a VALUES (1)")
        found = stream.take(3)
    assert [e.op for e in found] == ["t", "t", "c"]
    assert {e.topic for e in found[:2]} == {"srv.public.a", "srv.public.b"}
    assert found[0].key is None
    assert found[0].value is not None
    assert found[0].value["after"] is found[0].value["before"] is None


def test_transactions_in_commit_order(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with source(settings(database)) as stream:
        started(stream)
        with psycopg.connect(database.dsn) as first, psycopg.connect(database.dsn) as second:
            first.execute("INSERT INTO t VALUES (1)")
            second.execute("INSERT INTO t VALUES (10)")
            first.execute("SAVEPOINT a")
            first.execute("INSERT INTO t VALUES (2)")
            first.execute("SAVEPOINT b")
            first.execute("INSERT INTO t VALUES (3)")
            first.execute("ROLLBACK TO a")
            first.execute("INSERT INTO t VALUES (4)")
            second.commit()
            first.commit()
            second.execute("INSERT INTO t VALUES (11)")
            second.rollback()
        database.execute("INSERT INTO t VALUES (5)")
        found = stream.take(4)
    assert [e.row["id"] for e in found] == [10, 1, 4, 5]


def test_resume_at_every_poll(database: PostgresDatabase) -> None:
    """Rows of one COPY share an LSN: a position that is an LSN alone loses some of them."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    database.execute("CREATE TABLE u (id int PRIMARY KEY)")
    with source(settings(database, max__batch__size="700")) as stream:
        started(stream)
        with psycopg.connect(database.dsn) as connection:
            connection.execute("INSERT INTO u VALUES (1)")
            with connection.cursor().copy("COPY t FROM STDIN") as copy:
                for number in range(10_000):
                    copy.write_row((number,))
            connection.execute("UPDATE t SET id = -1 WHERE id = 0")
        database.execute("INSERT INTO t VALUES (20000)")
        found = []
        lives = 0
        while not found or found[-1].row != {"id": 20000}:
            stream.open()  # every poll is a life of its own
            lives += 1
            poll = stream.poll()
            while poll is None:
                poll = stream.poll()
            found += [e for e in events(poll) if e.value is not None]
        stream.open()
        last = stream.poll(0.2)
        assert last is None or not last.batches
    assert lives > 14
    assert len(found) == 1 + 10_000 + 2 + 1
    copied = Counter(e.row["id"] for e in found if e.op == "c" and e.topic == "srv.public.t")
    assert copied == Counter([*range(10_000), -1, 20_000])
    befores = [e.value["source"]["sequence"] for e in found if e.value is not None]
    assert len({text.split(",")[0] for text in befores[:-1]}) == 1


def test_polls_replayed_from_an_old_offset_are_dropped(database: PostgresDatabase) -> None:
    """The slot may fall behind the stored position: what is done is not emitted again."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with source(settings(database)) as stream:
        started(stream)
        assert stream.task is not None
        stream.task.committed = lambda offset: None  # type: ignore[method-assign]
        for number in range(5):
            database.execute(f"INSERT INTO t VALUES ({number})")
        assert len(stream.take(5)) == 5
        stream.open()
        database.execute("INSERT INTO t VALUES (5)")
        assert [e.row["id"] for e in stream.take(1)] == [5]


def test_schema_change_in_a_transaction(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, a text)")
    with source(settings(database)) as stream:
        started(stream)
        with psycopg.connect(database.dsn) as connection:
            connection.execute("INSERT INTO t VALUES (1, 'x')")
            connection.execute("ALTER TABLE t ADD b int DEFAULT 7, DROP a")
            connection.execute("INSERT INTO t VALUES (2, 8)")
        one, two = stream.take(2)
    assert one.row == {"id": 1, "a": "x"}
    assert two.row == {"id": 2, "b": 8}


def test_column_made_not_null_after_the_change(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, a text)")
    with source(settings(database)) as stream:
        started(stream)
        database.execute("INSERT INTO t VALUES (1, NULL)")
        database.execute("UPDATE t SET a = 'x'")
        database.execute("ALTER TABLE t ALTER a SET NOT NULL")
        one, two = stream.take(2)
    assert one.row == {"id": 1, "a": None}
    assert two.row == {"id": 1, "a": "x"}


def test_idle_slot_moves(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (v text)")
    values = settings(database, table__include__list="public.t", status__update__interval__ms="50")
    with source(values) as stream:
        started(stream)
        database.execute("INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
        end = str(database.query("SELECT pg_current_wal_lsn()")[0][0])
        query = f"SELECT confirmed_flush_lsn >= '{end}' FROM pg_replication_slots"
        query += f" WHERE slot_name = '{database.name}'"
        for _ in range(200):
            stream.poll(0.1)
            if database.query(query)[0][0]:
                break
        else:
            pytest.fail("the slot does not move")
        stored = stream.offset
        database.execute("INSERT INTO t VALUES (1)")
        stream.open(stored)
        assert [e.row for e in stream.take(1)] == [{"id": 1}]


def test_nothing_is_confirmed_before_it_is_committed(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with source(settings(database, status__update__interval__ms="20")) as stream:
        task = started(stream).open()
        query = "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = "
        query += f"'{database.name}'"
        database.execute("INSERT INTO t VALUES (1)")
        poll = None
        while poll is None or not poll.batches:
            poll = task.poll(1)
        held = database.query(query)[0][0]
        database.execute("INSERT INTO t SELECT generate_series(2, 1000)")
        for _ in range(20):
            task.poll(0.05)  # polled, never committed
        assert database.query(query)[0][0] == held
        task.committed(poll.offset)
        for _ in range(200):
            task.poll(0.05)
            if database.query(query)[0][0] != held:
                return
        pytest.fail("a committed position is not confirmed")


def test_slot_made_anew_is_a_gap(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with source(settings(database)) as stream:
        started(stream)
        database.execute("INSERT INTO t VALUES (1)")
        stream.take(1)
        stream.close()
        database.execute(f"SELECT pg_drop_replication_slot('{database.name}')")
        with pytest.raises(FatalError) as missing:
            stream.open()
        assert missing.value.code == "postgres.slot.missing"
        database.execute("INSERT INTO t VALUES (2)")
        database.execute(
            f"SELECT pg_create_logical_replication_slot('{database.name}', 'pgoutput')"
        )
        with pytest.raises(FatalError) as ahead:
            stream.open()
        assert ahead.value.code == "postgres.slot.ahead"


def test_another_server_is_refused(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with source(settings(database)) as stream:
        started(stream)
        stream.close()
        assert stream.offset is not None
        with pytest.raises(FatalError) as error:
            stream.open({**stream.offset, "system": "1"})
        assert error.value.code == "postgres.identity.system"
        with pytest.raises(FatalError) as error:
            stream.open({**stream.offset, "lsn": 2**62})
        assert error.value.code == "postgres.server.behind"


def test_second_reader_is_told_the_pid(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with source(settings(database)) as stream, source(settings(database)) as second:
        started(stream)
        assert stream.poll(0.1) is None or True
        pid = database.query("SELECT active_pid FROM pg_replication_slots WHERE active")[0][0]
        second.offset = stream.offset
        with pytest.raises(RetriableError) as error:
            second.open()
        assert error.value.code == "postgres.slot.active"
        assert str(pid) in str(error.value)


def test_killed_walsender_is_retriable(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with source(settings(database)) as stream:
        started(stream)
        stream.poll(0.1)
        database.execute(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = "
            f"'{database.name}'"
        )
        with pytest.raises(RetriableError):
            stream.until(lambda _: False, seconds=30)
        database.execute("INSERT INTO t VALUES (1)")
        stream.open()
        assert [e.row for e in stream.take(1)] == [{"id": 1}]


def test_value_that_is_not_representable_stops_the_task(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, n numeric(10, 2))")
    with source(settings(database)) as stream:
        started(stream)
        database.execute("INSERT INTO t VALUES (1, 'NaN')")
        with pytest.raises(FatalError, match=r"public\.t\.n") as error:
            stream.take(1)
        assert error.value.code == "postgres.value.not_representable"
        stream.close()
    with source(settings(database, decimal__handling__mode="string")) as text:
        text.offset = stream.offset
        text.open()
        assert [e.row for e in text.take(1)] == [{"id": 1, "n": "NAN"}]


def test_uncaptured_tables_do_no_harm(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE p (id int, at point)")
    database.execute("CREATE PUBLICATION every FOR ALL TABLES")
    values = settings(
        database,
        table__include__list="public.t",
        publication__name="every",
        skipped__operations="none",
    )
    with source(values) as stream:
        started(stream)
        database.execute("INSERT INTO p VALUES (1, '(1,2)')")
        database.execute("TRUNCATE p, t")
        database.execute("INSERT INTO t VALUES (1)")
        assert [e.op for e in stream.take(2)] == ["t", "c"]


def test_names_of_all_kinds(database: PostgresDatabase) -> None:
    name = '"we ird.Sch"."Tä""b.le-名"'
    database.execute('CREATE SCHEMA "we ird.Sch"')
    database.execute(f'CREATE TABLE {name} ("I d" int PRIMARY KEY, "select%" text)')
    database.execute(f"INSERT INTO {name} VALUES (1, 'a')")
    with source(settings(database)) as stream:
        stream.open()
        (read,) = stream.snapshot()
        database.execute(f"INSERT INTO {name} VALUES (2, 'b')")
        (created,) = stream.take(1)
    assert read.topic == created.topic == "srv.we_ird.Sch.T__b.le-_"
    assert read.row == {"I d": 1, "select%": "a"}
    assert created.row == {"I d": 2, "select%": "b"}


def test_the_server_hears_of_a_loop_that_is_busy(database: PostgresDatabase) -> None:
    """Encoding or a slow log may block the loop longer than the server waits for an answer."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    database.execute(f"ALTER DATABASE \"{database.name}\" SET wal_sender_timeout = '1s'")
    with source(settings(database)) as stream:
        started(stream)
        database.execute(
            "INSERT INTO t SELECT i, repeat('x', 2000) FROM generate_series(1, 9000) i"
        )
        first = stream.until(bool)
        threading.Event().wait(2.5)  # busy, with more to read than the socket holds
        rest = stream.until(lambda found: len(first) + len(found) >= 9000)
    assert [e.row["id"] for e in first + rest] == list(range(1, 9001))


def test_table_dropped_before_its_changes_were_read(database: PostgresDatabase) -> None:
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY)",
        "CREATE TABLE keyed (id int PRIMARY KEY, v text)",
        "CREATE TABLE full_row (id int PRIMARY KEY)",
        "ALTER TABLE full_row REPLICA IDENTITY FULL",
    )
    with source(settings(database)) as stream:
        started(stream)
        stream.close()
        database.execute("INSERT INTO keyed VALUES (1, 'a')", "DELETE FROM keyed")
        database.execute("DROP TABLE keyed")
        stream.open()
        insert, delete, _ = stream.take(3)
        assert (insert.row, delete.key) == ({"id": 1, "v": "a"}, {"id": 1})
        stream.close()
        database.execute("INSERT INTO full_row VALUES (1)", "DROP TABLE full_row")
        stream.open()
        with pytest.raises(FatalError) as error:
            stream.take(1)
        assert error.value.code == "postgres.table.gone"
    with source(settings(database, table__exclude__list="public.full_row")) as rest:
        rest.offset = stream.offset
        rest.open()
        database.execute("INSERT INTO t VALUES (1)")
        assert [e.row for e in rest.take(1)] == [{"id": 1}]
