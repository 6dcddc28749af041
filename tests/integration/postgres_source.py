"""The Postgres source without a worker: tasks polled by the test, events as plain rows."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from connect.config import Problem, validate
from connect.context import Context
from connect.data import Batch, Data, Struct
from connect.source import Offset, Poll, SourceTask
from connectors.postgres.connector import PostgresConnector
from tests.kit.databases import PostgresDatabase

CONNECTOR = PostgresConnector()


class Event(NamedTuple):
    """One record; structs as dicts by field name."""

    topic: str
    key: dict[str, Any] | None
    value: dict[str, Any] | None
    headers: dict[str, bytes | None]

    @property
    def op(self) -> str | None:
        return None if self.value is None else self.value["op"]

    @property
    def row(self) -> Any:
        """The row after the change, or before a delete."""
        assert self.value is not None
        return self.value["after"] if self.value["after"] is not None else self.value["before"]


def settings(database: PostgresDatabase, **more: str) -> dict[str, str | None]:
    """The least configuration of a source on this database."""
    return {
        "name": "source",
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": database.host,
        "database.port": str(database.port),
        "database.user": database.user,
        "database.password": database.password,
        "database.dbname": database.name,
        "topic.prefix": "srv",
        "slot.name": database.name,
        "max.batch.size": "2048",
        **{name.replace("__", "."): value for name, value in more.items()},
    }


def problems(values: dict[str, str | None]) -> list[Problem]:
    """What validation and the live checks say."""
    result = validate(PostgresConnector.config, values)
    return [*result.problems, *([] if result.config is None else CONNECTOR.check(result.config))]


class Source:
    """One life of a task after another; offsets cross as JSON, as they do through the log."""

    def __init__(self, values: dict[str, str | None]) -> None:
        result = validate(PostgresConnector.config, values)
        assert not result.errors, result.errors
        self.config = result.config
        self.offset: Offset | None = None
        self.task: SourceTask | None = None

    def open(self, offset: Offset | None = None) -> SourceTask:
        self.close()
        start = self.offset if offset is None else offset
        self.task = CONNECTOR.task(self.config, Context("source", run_id="run"))
        self.task.open(None if start is None else json.loads(json.dumps(start)))
        return self.task

    def close(self) -> None:
        if self.task is not None:
            self.task.close()
            self.task = None

    def poll(self, timeout: float = 1.0) -> Poll | None:
        """One poll, committed as the runtime would."""
        assert self.task is not None
        poll = self.task.poll(timeout)
        if poll is not None:
            self.offset = poll.offset
            self.task.committed(json.loads(json.dumps(poll.offset)))
        return poll

    def until(self, enough: Callable[[list[Event]], bool], seconds: float = 60) -> list[Event]:
        """Poll until ``enough`` says so of the events so far."""
        found: list[Event] = []
        deadline = time.monotonic() + seconds
        while not enough(found):
            assert time.monotonic() < deadline, f"{len(found)} events, and then none"
            poll = self.poll()
            found += [] if poll is None else events(poll)
        return found

    def take(self, count: int) -> list[Event]:
        """Exactly the next ``count`` events."""
        found = self.until(lambda events: len(events) >= count)
        assert len(found) == count, [e.op for e in found]
        return found

    def snapshot(self) -> list[Event]:
        """All events of the initial snapshot."""
        found: list[Event] = []
        while not (self.offset or {}).get("snapshot_completed"):
            poll = self.poll()
            found += [] if poll is None else events(poll)
        return found


@contextmanager
def source(values: dict[str, str | None]) -> Iterator[Source]:
    """A source whose task is closed at the end."""
    made = Source(values)
    try:
        yield made
    finally:
        made.close()


def events(poll: Poll) -> list[Event]:
    """The records of a poll in order."""
    placed: list[tuple[int, Event]] = []
    for batch in poll.batches:
        placed += zip(batch.positions, rows(batch), strict=True)
    places = [place for place, _ in placed]
    assert len(set(places)) == len(places)
    return [event for _, event in sorted(placed, key=lambda item: item[0])]


def rows(batch: Batch) -> list[Event]:
    """The records of a batch."""
    count = len(batch)
    keys = [None] * count if batch.keys is None else plain(batch.keys)
    values = [None] * count if batch.values is None else plain(batch.values)
    headers = [()] * count if batch.headers is None else list(batch.headers)
    return [
        Event(batch.topic, key, value, dict(header))
        for key, value, header in zip(keys, values, headers, strict=True)
    ]


def plain(data: Data) -> list[Any]:
    """Rows as dicts, structs inside them too."""
    assert isinstance(data, Struct)
    columns = [plain(c) if isinstance(c, Struct) else list(c) for c in data.columns]
    names = [field.name for field in data.schema.fields]
    found = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    if data.present is None:
        return found
    return [row if here else None for row, here in zip(found, data.present, strict=True)]
