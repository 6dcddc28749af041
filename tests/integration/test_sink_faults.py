"""What the table sinks do when the target fails, refuses or deceives."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from connect.config import validate
from connect.context import Context
from connect.data import Field, Schema
from connect.errors import ConnectionLost, FatalError, RecordError, RetriableError
from connect.log import TopicPartition
from connect.sink import SinkTask
from connectors.sinks.duckdb import target
from tests.integration.sink_records import ROW, create, delete, events, flat, update
from tests.integration.sink_subjects import (
    PARTITION,
    TABLE,
    DuckDbSubject,
    ServerSubject,
    SqliteSubject,
)
from tests.kit.databases import MariaDatabase, PostgresDatabase

pytestmark = pytest.mark.integration


@pytest.fixture
def postgres(database18: PostgresDatabase) -> ServerSubject:
    return ServerSubject(database18)


@pytest.fixture
def mariadb(maria_database: MariaDatabase) -> ServerSubject:
    return ServerSubject(maria_database)


@contextmanager
def filled(subject: ServerSubject) -> Iterator[SinkTask]:
    """A running task whose table holds the rows 1 and 2."""
    with subject.running() as task:
        task.put(events(create(1), create(2)))
        task.flush({PARTITION: 2})
        yield task


def test_rows_a_trigger_takes_away_are_missed(postgres: ServerSubject) -> None:
    with filled(postgres) as task:
        postgres.execute(
            "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN IF NEW.id = 3 THEN RETURN NULL; END IF; RETURN NEW; END'; "
            f"CREATE TRIGGER swallow BEFORE INSERT ON {TABLE} "
            "FOR EACH ROW EXECUTE FUNCTION swallow()"
        )
        task.put(events(create(4), start=2))
        with pytest.raises(FatalError) as error:
            task.put(events(create(3), create(5), start=3))
        assert error.value.code == "sink.rows_swallowed"
        assert "1 of 2" in str(error.value)


def test_generated_columns_are_not_written_to(postgres: ServerSubject) -> None:
    postgres.execute(
        f"CREATE TABLE {TABLE} (id int PRIMARY KEY, name text, body text, price numeric, "
        "loud text GENERATED ALWAYS AS (upper(name)) STORED)"
    )
    fields = (*ROW, Field("loud", Schema("string", optional=True)))
    with postgres.running() as task:
        task.put(events(("c", 1, (1, "a", None, None, "ignored")), fields=fields))
        task.flush({PARTITION: 1})
    assert postgres.rows("id, loud") == [(1, "A")]


def test_a_cut_connection_is_lost_not_fatal(postgres: ServerSubject) -> None:
    with filled(postgres) as task:
        task.put(events(update(1, "gone"), start=2))
        postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'tailrace' AND datname = current_database()"
        )
        with pytest.raises(ConnectionLost):
            task.put(events(update(1, "gone too"), start=3))
    with postgres.running(2) as task:
        task.flush({PARTITION: 4})
    assert postgres.rows("id, name") == [(1, "a"), (2, "a")]


def test_a_lock_that_is_not_let_go_is_tried_again_later(postgres: ServerSubject) -> None:
    postgres.execute(f"ALTER DATABASE {postgres.database.name} SET lock_timeout = '200ms'")
    with filled(postgres) as task, postgres.database.connect(autocommit=False) as other:
        other.execute(f"SELECT * FROM {TABLE} WHERE id = 1 FOR UPDATE")
        with pytest.raises(RetriableError) as error:
            task.put(events(update(1, "blocked"), start=2))
        assert error.value.code == "sink.busy"
        other.rollback()


def test_a_deadlock_is_tried_again_later(postgres: ServerSubject) -> None:
    with filled(postgres) as task, postgres.database.connect(autocommit=False) as other:
        other.execute("SET deadlock_timeout = '60s'")  # so that the sink is the victim
        task.put(events(update(1, "mine"), start=2))
        other.execute(f"UPDATE {TABLE} SET name = 'theirs' WHERE id = 2")
        waiting = threading.Thread(
            target=other.execute,
            args=(f"UPDATE {TABLE} SET name = 'theirs' WHERE id = 1",),
            daemon=True,
        )
        waiting.start()
        postgres.execute(_UNTIL_BLOCKED)
        with pytest.raises(RetriableError):
            task.put(events(update(2, "mine"), start=3))
        task.close()
        waiting.join()
        other.rollback()


# Answers once the other session waits for a lock.
_UNTIL_BLOCKED = """
DO $$ BEGIN LOOP
  EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE NOT granted);
  PERFORM pg_sleep(0.01);
END LOOP; END $$
"""


def test_a_read_only_target_may_be_writable_later(postgres: ServerSubject) -> None:
    with filled(postgres):
        pass
    postgres.execute(
        f"ALTER DATABASE {postgres.database.name} SET default_transaction_read_only = on"
    )
    problems = postgres.connector.check(postgres.config())
    assert "sink.read_only" in [p.code for p in problems]
    task = postgres.task(2)
    with pytest.raises(RetriableError):
        task.open([PARTITION])
    task.close()


def test_a_table_dropped_by_hand_is_fatal(postgres: ServerSubject) -> None:
    with filled(postgres) as task:
        postgres.execute(f"DROP TABLE {TABLE}")
        with pytest.raises(FatalError) as error:
            task.put(events(create(3), start=2))
    assert TABLE in str(error.value)


def test_constraints_are_named_and_values_are_not(postgres: ServerSubject) -> None:
    with filled(postgres) as task:
        postgres.execute(
            f"ALTER TABLE {TABLE} ADD CONSTRAINT short CHECK (length(name) < 5)",
        )
        with pytest.raises(RecordError) as error:
            task.put(events(create(3), create(4, "a secret name"), start=2))
        assert list(error.value.rows) == [1]
        assert '"short"' in str(error.value)
        assert "secret" not in str(error.value)
        assert "secret" not in repr(error.value.rows)


def test_a_second_unique_key_is_no_way_to_find_rows(mariadb: ServerSubject) -> None:
    mariadb.execute(
        f"CREATE TABLE {TABLE} (id int PRIMARY KEY, name varchar(50) UNIQUE, body text, "
        "price decimal(10,2))"
    )
    with mariadb.running() as task:
        task.put(events(create(1, "one"), create(2, "two")))
        task.put(events(update(2, "second"), create(3, "three"), start=2))
        with pytest.raises(RecordError) as error:
            task.put(events(create(4, "one"), create(5, "five"), start=4))
        assert list(error.value.rows) == [0]
        task.flush({PARTITION: 6})
    assert mariadb.rows("id, name") == [(1, "one"), (2, "second"), (3, "three")]


def test_ddl_does_not_commit_rows_without_their_positions(mariadb: ServerSubject) -> None:
    more = (*ROW, Field("stock", Schema("int32", optional=True)))
    with filled(mariadb) as task:
        task.put(events(create(3), start=2))
        task.put(events(("c", 4, (4, "b", "body", None, 5)), start=3, fields=more))
    assert mariadb.rows("id") == [(1,), (2,)]


def test_confluents_sink_differs_where_it_must(postgres: ServerSubject) -> None:
    class_ = "io.confluent.connect.jdbc.JdbcSinkConnector"
    values = {
        "name": "copy", "connector.class": class_, "topics": "sales.items", "pk.mode": "record_key",
        "connection.url": postgres.database.jdbc_url, "connection.user": postgres.database.user,
        "connection.password": postgres.database.password, "insert.mode": "upsert",
        "auto.create": "true", "auto.evolve": "true",
    }  # fmt: skip
    config = validate(postgres.connector.config, values).config
    postgres.execute("CREATE SCHEMA sales")
    task = postgres.connector.task(config, Context("copy", epoch=1))
    task.open([TopicPartition("sales.items", 0)])
    task.put(flat([(1, "a", "b", None)], ROW, keys=[1], topic="sales.items"))
    with pytest.raises(RecordError):  # delete.enabled is false
        task.put(flat([None], ROW, keys=[1], start=1, topic="sales.items"))
    task.flush({TopicPartition("sales.items", 0): 1})
    task.close()
    assert postgres.rows("id, name", "sales.items") == [(1, "a")]


def test_topics_that_meet_in_one_table_are_refused(tmp_path: Path) -> None:
    with SqliteSubject(tmp_path).running() as task:
        task.put(events(create(1), topic="a.b_c"))
        with pytest.raises(FatalError) as error:
            task.put(events(create(1), topic="a_b.c"))
        assert error.value.code == "sink.name_collision"
    with SqliteSubject(tmp_path).running(2, **{"table.name.format": "all_items"}) as task:
        task.put(events(create(1), topic="a.b_c"))
        task.put(events(create(2), topic="a_b.c"))


def test_rows_go_where_their_source_block_says(tmp_path: Path) -> None:
    subject = SqliteSubject(tmp_path)
    with subject.running(**{"table.name.format": "${source.schema}_${source.table}"}) as task:
        task.put(events(create(1), create(2), delete(1), ("", 1, None)))
        task.flush({PARTITION: 4})
    assert subject.rows("id", "public_items") == [(2,)]


HOLDER = (
    "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); "
    "sys.stdin.read()"
)


def test_a_duckdb_file_in_use_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "_LOCK_SECONDS", 0.1)
    subject = DuckDbSubject(tmp_path)
    with subject.running() as task:
        task.put(events(create(1)))
        task.flush({PARTITION: 1})
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(subject.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        late = subject.task(2)
        with pytest.raises(RetriableError) as error:
            late.open([PARTITION])
        assert "another process" in str(error.value)
        late.close()
        holder.communicate()
    with subject.running(3) as task:
        task.put(events(create(2), start=1))
        task.flush({PARTITION: 2})
    assert subject.rows("id") == [(1,), (2,)]


@pytest.mark.parametrize(("release", "readable"), [("idle", [False, True]), ("flush", [True, True]),
                                                   ("never", [False, False])])  # fmt: skip
def test_a_duckdb_file_is_let_go_as_configured(
    tmp_path: Path, release: str, readable: list[bool]
) -> None:
    subject = DuckDbSubject(tmp_path)
    reader = "import duckdb, sys; duckdb.connect(sys.argv[1], read_only=True)"

    def can_read() -> bool:
        done = subprocess.run(
            [sys.executable, "-c", reader, str(subject.path)], capture_output=True, check=False
        )
        return done.returncode == 0

    with subject.running(**{"connection.release": release}) as task:
        task.put(events(create(1)))
        task.flush({PARTITION: 1})
        found = [can_read()]
        task.idle()
        found.append(can_read())
        task.put(events(create(2), start=1))
        task.flush({PARTITION: 2})
    assert found == readable
    assert subject.rows("id") == [(1,), (2,)]


def test_what_was_accepted_survives_a_refused_batch_in_duckdb(tmp_path: Path) -> None:
    subject = DuckDbSubject(tmp_path)
    with duckdb.connect(str(subject.path)) as connection:
        connection.execute(
            f"CREATE TABLE {TABLE} (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, body VARCHAR, "
            "price DECIMAL(10, 2))"
        )
    with subject.running() as task:
        task.put(events(create(1), create(2)))
        task.put(events(delete(1), update(2, "new"), start=2))
        with pytest.raises(RecordError):
            task.put(events(create(3), create(4, None), start=4))
        task.put(events(create(5), start=6))
        task.flush({PARTITION: 7})
    assert subject.rows("id, name") == [(2, "new"), (5, "a")]
