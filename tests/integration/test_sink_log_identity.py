"""Positions in a target speak of one log: those of another are refused, never followed."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from connect.context import Context
from connect.errors import FatalError, FencedError
from connect.log import TopicPartition
from tests.integration.sink_records import create, events, update
from tests.integration.sink_subjects import (
    PARTITION,
    DuckDbSubject,
    ServerSubject,
    SqliteSubject,
    Subject,
)

pytestmark = pytest.mark.integration

OLD, NEW = "11111111-old", "22222222-new"
OTHER = TopicPartition("srv.public.other", 0)
POSITIONS = "SELECT topic, next_offset, log_id FROM tailrace_positions ORDER BY topic"


@pytest.fixture(params=["sqlite", "duckdb", "postgres18", "mariadb"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    match request.param:
        case "sqlite":
            yield SqliteSubject(tmp_path)
        case "duckdb":
            yield DuckDbSubject(tmp_path)
        case "postgres18":
            yield ServerSubject(request.getfixturevalue("database18"))
        case _:
            yield ServerSubject(request.getfixturevalue("maria_database"))


def written_by_the_old_log(subject: Subject) -> None:
    """Two rows and the position 2, by a run of a high epoch."""
    with subject.running(9, OLD) as task:
        task.put(events(create(1), create(2)))
        task.flush({PARTITION: 2, OTHER: 7})


def opened(subject: Subject, epoch: int, log: str) -> dict[TopicPartition, int]:
    task = subject.task(epoch, log)
    try:
        return dict(task.open([PARTITION]))
    finally:
        task.close()


def test_the_same_log_goes_on(subject: Subject) -> None:
    written_by_the_old_log(subject)
    assert opened(subject, 10, OLD) == {PARTITION: 2}
    with pytest.raises(FencedError):
        opened(subject, 9, OLD)


@pytest.mark.parametrize("epoch", [0, 10], ids=["lower epoch", "higher epoch"])
def test_positions_of_another_log_are_refused_until_deleted(subject: Subject, epoch: int) -> None:
    written_by_the_old_log(subject)
    with pytest.raises(FatalError) as error:
        opened(subject, epoch, NEW)
    assert error.value.code == "sink.positions.other_log"
    hint = error.value.hint or ""
    assert "tailrace offsets reset copy" in hint
    begin = hint.index("DELETE FROM")
    subject.execute(hint[begin : hint.index(";", begin)])
    with subject.running(epoch, NEW) as task:
        task.put(events(create(1, "again")))
        task.flush({PARTITION: 1})
    assert subject.rows("id, name") == [(1, "again"), (2, "a")]
    assert subject.query(POSITIONS) == [(PARTITION.topic, 1, NEW)]


@pytest.mark.parametrize(("offset", "found"), [(None, {}), (1, {PARTITION: 1})])
def test_a_reset_leads_out(
    subject: Subject, offset: int | None, found: dict[TopicPartition, int]
) -> None:
    written_by_the_old_log(subject)
    context = Context("copy", epoch=0, log_id=NEW)
    subject.connector.move_positions(subject.config(), context, {PARTITION: offset})
    assert subject.query(POSITIONS) == [(PARTITION.topic, offset, NEW)]
    assert opened(subject, 1, NEW) == found
    with pytest.raises(FatalError):  # the old log's worker, should it still be there
        opened(subject, 99, OLD)


def test_a_run_of_the_old_log_can_not_write_into_the_new_positions(subject: Subject) -> None:
    if isinstance(subject, SqliteSubject | DuckDbSubject):
        pytest.skip("one writer at a time")
    with subject.running(9, OLD) as late:
        context = Context("copy", epoch=0, log_id=NEW)
        subject.connector.move_positions(subject.config(), context, {PARTITION: None})
        late.put(events(create(1)))
        with pytest.raises(FatalError) as error:
            late.flush({PARTITION: 1})
        assert error.value.code == "sink.positions.other_log"
    assert subject.query(POSITIONS) == [(PARTITION.topic, None, NEW)]


def test_a_table_without_logs_is_adopted_once(subject: Subject) -> None:
    written_by_the_old_log(subject)
    subject.execute("ALTER TABLE tailrace_positions DROP COLUMN log_id")
    assert opened(subject, 10, OLD) == {PARTITION: 2}
    assert (PARTITION.topic, 2, OLD) in subject.query(POSITIONS)
    with subject.running(11, OLD) as task:
        task.put(events(update(1, "new"), start=2))
        task.flush({PARTITION: 3})
    with pytest.raises(FatalError):
        opened(subject, 12, NEW)


def test_a_reset_adopts_whatever_the_epoch(subject: Subject) -> None:
    written_by_the_old_log(subject)
    subject.execute("ALTER TABLE tailrace_positions DROP COLUMN log_id")
    with pytest.raises(FencedError):
        opened(subject, 0, NEW)
    context = Context("copy", epoch=1, log_id=NEW)
    subject.connector.move_positions(subject.config(), context, {PARTITION: None, OTHER: None})
    assert opened(subject, 2, NEW) == {}


@pytest.mark.parametrize("old", [False, True], ids=["no table", "no column"])
def test_tasks_that_start_together_make_one_table(subject: Subject, old: bool) -> None:
    if isinstance(subject, DuckDbSubject):
        pytest.skip("one task")
    if old:
        written_by_the_old_log(subject)
        subject.execute("ALTER TABLE tailrace_positions DROP COLUMN log_id")
    errors: list[BaseException] = []
    together = threading.Barrier(4)

    def start(number: int) -> None:
        task = subject.task(20 + number, OLD)
        try:
            together.wait()
            task.open([TopicPartition("srv.public.many", number)])
        except BaseException as error:
            errors.append(error)
        finally:
            task.close()

    threads = [threading.Thread(target=start, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
