"""What every table sink does, on every target: one suite, many subjects."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from connect.context import Context
from connect.data import UNAVAILABLE, Field, Schema, Struct
from connect.errors import FatalError, FencedError, RecordError
from connect.log import TopicPartition
from tests.integration.sink_records import (
    ROW,
    TOPIC,
    TRUNCATE,
    create,
    delete,
    events,
    flat,
    tombstone,
    update,
)
from tests.integration.sink_subjects import (
    PARTITION,
    TABLE,
    DuckDbSubject,
    ServerSubject,
    SqliteSubject,
    Subject,
)

pytestmark = pytest.mark.integration


@pytest.fixture(params=["sqlite", "duckdb", "postgres18", "postgres15", "mariadb"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    match request.param:
        case "sqlite":
            yield SqliteSubject(tmp_path)
        case "duckdb":
            yield DuckDbSubject(tmp_path)
        case "postgres18":
            yield ServerSubject(request.getfixturevalue("database18"))
        case "postgres15":
            yield ServerSubject(request.getfixturevalue("database15"))
        case _:
            yield ServerSubject(request.getfixturevalue("maria_database"))


def test_creates_updates_and_deletes(subject: Subject) -> None:
    with subject.running() as task:
        task.put(events(create(1), create(2), create(3)))
        task.flush({PARTITION: 3})
        task.put(events(update(1, "new"), delete(2), tombstone(2), start=3))
        task.flush({PARTITION: 6})
    assert subject.rows() == [(1, "new", "body", "1.50"), (3, "a", "body", "1.50")]


def test_keeps_the_order_of_operations_on_a_key(subject: Subject) -> None:
    with subject.running() as task:
        task.put(
            events(
                create(1, "I"), update(1, "U"), delete(1), tombstone(1), create(1, "I2"),
                update(1, "U2"), create(2), delete(2), tombstone(2), delete(9),
            )
        )  # fmt: skip
        task.flush({PARTITION: 10})
    assert subject.rows("id, name") == [(1, "U2")]


def test_a_row_created_again_has_nothing_of_the_old_one(subject: Subject) -> None:
    with subject.running() as task:
        task.put(events(create(1)))
        task.flush({PARTITION: 1})
    subject.execute(f"ALTER TABLE {TABLE} ADD COLUMN remark VARCHAR(20)")
    subject.execute(f"UPDATE {TABLE} SET remark = 'old'")
    with subject.running(2) as task:
        task.put(events(delete(1), tombstone(1), create(1), start=1))
        task.flush({PARTITION: 4})
    assert subject.rows("id, remark") == [(1, None)]


def test_truncate_removes_what_came_before_and_nothing_after(subject: Subject) -> None:
    with subject.running() as task:
        task.put(events(create(1), create(2)))
        task.flush({PARTITION: 2})
        task.put(events(create(3), TRUNCATE, create(4), start=2))
        task.flush({PARTITION: 5})
    assert subject.rows("id") == [(4,)]


def test_truncate_of_several_partitions_is_refused(subject: Subject) -> None:
    task = subject.task()
    task.open([PARTITION, TopicPartition(TOPIC, 1)])
    with pytest.raises(FatalError) as error:
        task.put(events(create(1), TRUNCATE))
    assert error.value.code == "sink.truncate_order"
    task.close()


def test_an_unavailable_value_leaves_its_column_alone(subject: Subject) -> None:
    with subject.running() as task:
        task.put(events(create(1, "a", "big"), create(2, "a", "large"), create(3, "c", "huge")))
        task.flush({PARTITION: 3})
        task.put(events(update(1, "b", UNAVAILABLE), update(3, "d", "small"), start=3))
        task.put(events(update(2, None, UNAVAILABLE), start=5))
        task.flush({PARTITION: 6})
    assert subject.rows("id, name, body") == [
        (1, "b", "big"),
        (2, None, "large"),
        (3, "d", "small"),
    ]


def test_a_known_value_is_carried_to_later_rows_of_a_batch(subject: Subject) -> None:
    with subject.running() as task:
        task.put(
            events(
                create(1, "a", "big"),
                update(1, "b", UNAVAILABLE),
                update(1, "c", UNAVAILABLE, UNAVAILABLE),
            )
        )
        task.flush({PARTITION: 3})
    assert subject.rows() == [(1, "c", "big", "1.50")]


def test_an_unavailable_value_of_no_row_is_an_error(subject: Subject) -> None:
    with subject.running() as task:
        task.put(events(create(1)))
        with pytest.raises(RecordError) as error:
            task.put(events(create(2), update(3, "b", UNAVAILABLE), create(4), start=1))
        assert list(error.value.rows) == [1]
        assert "offset 2" in error.value.rows[1]
        with pytest.raises(RecordError) as error:
            task.put(events(delete(1), tombstone(1), create(1, "b", UNAVAILABLE), start=1))
        assert list(error.value.rows) == [2]
        task.flush({PARTITION: 1})
    assert subject.rows("id") == [(1,)]


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_a_moved_row_keeps_its_unavailable_value(subject: Subject, cut: int) -> None:
    with subject.running() as task:
        task.put(events(create(1, "a", "big"), create(7, "seven", "7")))
        task.flush({PARTITION: 2})
        moved = [delete(1, new=2), tombstone(1, new=2), create(2, "b", UNAVAILABLE)]
        for start, part in ((2, moved[:cut]), (2 + cut, moved[cut:])):
            if part:
                task.put(events(*part, start=start))
                task.flush({PARTITION: start + len(part)})
    assert subject.rows("id, name, body") == [(2, "b", "big"), (7, "seven", "7")]


def test_a_moved_row_with_every_value(subject: Subject) -> None:
    with subject.running() as task:
        task.put(events(create(1, "a"), create(2, "b")))
        task.put(
            events(
                delete(1, new=5), tombstone(1, new=5), create(5, "five"),
                delete(2, new=1), tombstone(2, new=1), create(1, "one"), start=2,
            )
        )  # fmt: skip
        task.flush({PARTITION: 8})
    assert subject.rows("id, name") == [(1, "one"), (5, "five")]


def test_inserts_are_never_merged(subject: Subject) -> None:
    with subject.running(**{"insert.mode": "insert"}) as task:
        task.put(events(create(1), create(2)))
        task.put(events(delete(1), create(1, "again"), start=2))
        with pytest.raises(RecordError) as error:
            task.put(events(create(3), create(4, "x"), create(4, "y"), create(2), start=4))
        assert sorted(error.value.rows) in ([2, 3], [1, 3])
        task.flush({PARTITION: 8})
    assert subject.rows("id, name") == [(1, "again"), (2, "a")]


def test_a_log_of_changes_without_a_key(subject: Subject) -> None:
    changes = {"insert.mode": "insert", "primary.key.mode": "none", "delete.enabled": "false"}
    with subject.running(**changes) as task:
        task.put(events(create(1, "a"), update(1, "b"), delete(1), tombstone(1)))
        task.flush({PARTITION: 4})
    assert sorted(subject.rows("id, name")) == [(1, "a"), (1, "b")]


def test_the_key_may_be_the_place_in_the_log(subject: Subject) -> None:
    changes = {"primary.key.mode": "kafka", "delete.enabled": "false"}
    for epoch in (1, 2):
        with subject.running(epoch, **changes) as task:
            task.put(events(create(1, "a"), update(1, "b"), start=40))
            task.flush({PARTITION: 42})
    found = subject.rows("__connect_offset, __connect_topic, __connect_partition, name")
    assert found == [(40, TOPIC, 0, "a"), (41, TOPIC, 0, "b")]


def test_updates_change_only_rows_that_are_there(subject: Subject) -> None:
    with subject.running() as task:
        task.put(events(create(1), create(2)))
        task.flush({PARTITION: 2})
    with subject.running(2, **{"insert.mode": "update"}) as task:
        task.put(
            events(update(1, "x"), update(1, "y", UNAVAILABLE), create(3), delete(2), update(2))
        )
        task.flush({PARTITION: 7})
    assert subject.rows("id, name, body") == [(1, "y", "body")]


def test_flattened_records_and_tombstones(subject: Subject) -> None:
    with subject.running() as task:
        rows = [(1, "a", "x", None), (2, "b", "y", None), None]
        task.put(flat(rows, ROW, keys=[1, 2, 1]))
        task.flush({PARTITION: 3})
    assert subject.rows() == [(2, "b", "y", None)]


def test_a_key_taken_from_the_value(subject: Subject) -> None:
    changes = {
        "primary.key.mode": "record_value", "primary.key.fields": "id", "delete.enabled": "false"
    }  # fmt: skip
    with subject.running(**changes) as task:
        task.put(flat([(1, "a", "x", None), (1, "b", "y", None)], ROW))
        task.flush({PARTITION: 2})
    assert subject.rows("id, name") == [(1, "b")]


def test_new_columns_are_added(subject: Subject) -> None:
    more = (*ROW, Field("stock", Schema("int64", optional=True, default=7)))
    with subject.running() as task:
        task.put(events(create(1)))
        task.put(events(("c", 2, (2, "b", "body", None, 5)), start=1, fields=more))
        task.flush({PARTITION: 2})
        task.put(events(update(1, "still"), start=2))  # a record from before the change
        task.flush({PARTITION: 3})
    assert subject.rows("id, name, stock") == [(1, "still", 7), (2, "b", 5)]


def test_columns_grow(subject: Subject) -> None:
    small = (ROW[0], Field("amount", Schema("int32", optional=True)))
    large = (ROW[0], Field("amount", Schema("int64", optional=True)))
    with subject.running() as task:
        task.put(events(("c", 1, (1, 5)), fields=small))
        task.put(events(("c", 2, (2, 1 << 40)), start=1, fields=large))
        task.put(events(("c", 3, (3, 6)), start=2, fields=small))
        task.flush({PARTITION: 3})
    assert subject.rows("id, amount") == [(1, 5), (2, 1 << 40), (3, 6)]


@pytest.mark.parametrize("exists", [False, True])
def test_without_evolution_tables_stay_as_they_are(subject: Subject, exists: bool) -> None:
    if exists:
        subject.execute(f"CREATE TABLE {TABLE} (id INTEGER PRIMARY KEY, name VARCHAR(20))")
    with subject.running(**{"schema.evolution": "none"}) as task:
        with pytest.raises(FatalError) as error:
            task.put(events(create(1)))
        assert error.value.code == ("sink.column_missing" if exists else "sink.table_missing")
        assert TABLE in str(error.value)


def test_an_upsert_needs_a_unique_key(subject: Subject) -> None:
    subject.execute(f"CREATE TABLE {TABLE} (id INTEGER, name VARCHAR(20))")
    with subject.running() as task, pytest.raises(FatalError) as error:
        task.put(events(create(1)))
    assert error.value.code == "sink.key_missing"


@pytest.mark.parametrize(
    "bad", [[0], [9], [4], [0, 9], list(range(10))], ids=["first", "last", "middle", "two", "all"]
)
def test_bad_rows_are_named_and_nothing_of_the_batch_stays(
    subject: Subject, bad: list[int]
) -> None:
    subject.execute(
        f"CREATE TABLE {TABLE} (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL, "
        "body VARCHAR(200), price DECIMAL(10, 2))"
        if subject.kind != "sqlite"
        else f"CREATE TABLE {TABLE} (id INTEGER PRIMARY KEY, name TEXT NOT NULL, body TEXT, "
        "price TEXT)"
    )
    with subject.running() as task:
        task.put(events(create(100), create(101)))
        given = [create(n, None if n in bad else "good") for n in range(10)]
        with pytest.raises(RecordError) as error:
            task.put(events(*given, start=2))
        assert sorted(error.value.rows) == bad
        for place, reason in error.value.rows.items():
            assert TABLE in reason
            assert f"offset {place + 2}" in reason
            assert TOPIC in reason
        good = [place for place in range(10) if place not in bad]
        if good:
            task.put(events(*given, start=2).take(good))
        task.flush({PARTITION: 12})
    assert [r[0] for r in subject.rows("id")] == [*good, 100, 101]


def test_positions_come_back_and_older_runs_are_fenced(subject: Subject) -> None:
    other = TopicPartition("srv.public.other", 3)
    first = subject.task(epoch=5)
    assert first.open([PARTITION, other]) == {}
    first.put(events(create(1)))
    first.flush({PARTITION: 1})
    first.put(events(create(2), start=1))
    if subject.kind in ("sqlite", "duckdb"):  # one writer at a time: the older run is gone
        first.close()
    second = subject.task(epoch=6)
    try:
        assert second.open([PARTITION, other]) == {PARTITION: 1}
        if subject.kind not in ("sqlite", "duckdb"):
            with pytest.raises(FencedError):
                first.flush({PARTITION: 2})
            first.close()
        second.put(events(create(2, "second"), start=1))
        second.flush({PARTITION: 2, other: 8})
    finally:
        second.close()
    late = subject.task(epoch=5)
    with pytest.raises(FencedError):
        late.open([PARTITION])
    late.close()
    assert subject.rows("id, name") == [(1, "a"), (2, "second")]
    with subject.running(7) as task:
        assert task.open is not None
    third = subject.task(epoch=8)
    assert third.open([PARTITION, other]) == {PARTITION: 2, other: 8}
    third.close()


def test_what_was_not_flushed_never_happened(subject: Subject) -> None:
    with subject.running() as task:
        task.put(events(create(1)))
        task.flush({PARTITION: 1})
        task.put(events(update(1, "lost"), create(2), start=1))
    task = subject.task(2)
    assert task.open([PARTITION]) == {PARTITION: 1}
    task.close()
    assert subject.rows("id, name") == [(1, "a")]


def test_positions_can_be_moved_and_forgotten(subject: Subject) -> None:
    with subject.running() as task:
        task.put(events(create(1)))
        task.flush({PARTITION: 1})
    config, context = subject.config(), Context("copy", epoch=1)
    subject.connector.move_positions(config, context, {PARTITION: 40})
    task = subject.task(2)
    assert task.open([PARTITION]) == {PARTITION: 40}
    task.close()
    subject.connector.move_positions(config, context, {PARTITION: None})
    task = subject.task(3)
    assert task.open([PARTITION]) == {}
    task.close()


def test_the_check_says_what_is_wrong_and_changes_nothing(subject: Subject) -> None:
    problems = subject.connector.check(subject.config())
    assert [p for p in problems if p.severity == "error"] == []
    if isinstance(subject, SqliteSubject | DuckDbSubject):
        assert not subject.path.exists()
    with subject.running() as task:
        task.put(events(create(1)))
        task.flush({PARTITION: 1})
    problems = subject.connector.check(subject.config())
    assert [p for p in problems if p.severity == "error"] == []


def test_a_key_column_grows(subject: Subject) -> None:
    fields = (Field("id", Schema("int64")), ROW[1])
    with subject.running() as task:
        task.put(events(("c", 1, (1, "a")), fields=(ROW[0], ROW[1])))
        task.flush({PARTITION: 1})
        wide = events(("c", 1 << 40, (1 << 40, "b")), ("u", 1, (1, "c")), fields=fields, start=1)
        keys = Struct(Schema("struct", fields=(fields[0],)), [[1 << 40, 1]], 2)
        task.put(replace(wide, keys=keys))
        task.flush({PARTITION: 3})
    assert subject.rows("id, name") == [(1, "c"), (1 << 40, "b")]


def test_names_are_quoted(subject: Subject) -> None:
    topic = 'we ird"ta`ble%s'
    odd = (ROW[0], Field('sel"ect % `x`?', Schema("string", optional=True)))
    with subject.running() as task:
        place = TopicPartition(topic, 0)
        task.put(events(("c", 1, (1, "v")), fields=odd, topic=topic))
        task.flush({place: 1})
        task.put(events(("u", 1, (1, "w")), fields=odd, topic=topic, start=1))
        task.flush({place: 2})
    quoted = "`" + topic.replace("`", "``") + "`" if subject.kind == "mysql" else (
        '"' + topic.replace('"', '""') + '"'
    )  # fmt: skip
    if subject.kind in ("mysql", "postgres"):
        quoted = quoted.replace("%", "%")
    assert subject.query(f"SELECT * FROM {quoted}") == [(1, "w")]
