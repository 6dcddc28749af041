"""Targets that can't be reached are tried again; targets that refuse the user are not."""

from pathlib import Path

import pytest

from connect.errors import FatalError
from connect.runtime.task_main import MAY_PASS
from tests.integration.sink_subjects import PARTITION, ServerSubject, SqliteSubject
from tests.kit.databases import MariaDatabase, PostgresDatabase

pytestmark = pytest.mark.integration


@pytest.fixture(params=["postgres18", "postgres15", "mariadb"])
def subject(request: pytest.FixtureRequest) -> ServerSubject:
    names = {"postgres18": "database18", "postgres15": "database15", "mariadb": "maria_database"}
    database: PostgresDatabase | MariaDatabase = request.getfixturevalue(names[request.param])
    return ServerSubject(database)


def code(subject: ServerSubject | SqliteSubject, **changes: str) -> str:
    """The code of the only problem, which says no password."""
    (problem,) = subject.connector.check(subject.config(**changes))
    assert problem.severity == "error"
    assert "hunter2" not in f"{problem.message} {problem.hint}"
    return problem.code


@pytest.mark.parametrize(
    "changes",
    [{"connection_password": "hunter2"}, {"connection_username": "no_such_user"}],
    ids=["password", "user"],
)
def test_a_user_who_is_refused_is_not_tried_again(
    subject: ServerSubject, changes: dict[str, str]
) -> None:
    assert code(subject, **changes) == "sink.authentication"
    assert not MAY_PASS.fullmatch("sink.authentication")
    task = subject.task(**changes)
    with pytest.raises(FatalError) as error:
        task.open([PARTITION])
    task.close()
    assert error.value.code == "sink.authentication"
    assert "hunter2" not in str(error.value)


def test_a_database_that_is_not_there_waits_for_a_person(subject: ServerSubject) -> None:
    url = subject.database.jdbc_url.replace(subject.database.name, "no_such_database")
    assert code(subject, connection_url=url) == "sink.refused"


@pytest.mark.parametrize(
    ("old", "new"), [(":{port}/", ":1/"), ("//{host}:", "//no.such.host.invalid:")],
    ids=["port", "host"],
)  # fmt: skip
def test_a_server_that_is_away_is_tried_again(subject: ServerSubject, old: str, new: str) -> None:
    database = subject.database
    old = old.format(port=database.port, host=database.host)
    assert old in database.jdbc_url
    found = code(subject, connection_url=database.jdbc_url.replace(old, new))
    assert found == "connection.failed"
    assert MAY_PASS.fullmatch(found)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    subject = SqliteSubject(tmp_path)
    subject.path.write_bytes(b"no database " * 100)
    assert code(subject) == "sink.refused"
