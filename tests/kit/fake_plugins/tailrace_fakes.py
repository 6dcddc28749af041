"""Plugins for tests, installed by putting this directory on PYTHONPATH.

``fake_source`` emits numbered rows; ``fake_sink`` keeps rows and positions in one file, line by
line, exactly once; ``repr`` is a converter that needs nothing.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from connect.config import Config, Problem, key
from connect.connector_config import SinkConfig, SourceConfig
from connect.context import Context
from connect.converter import Converter
from connect.data import Batch, Constant, Data, Field, Plain, Schema, Struct
from connect.errors import (
    CdcError,
    ConfigError,
    DecodeError,
    FatalError,
    FencedError,
    RecordError,
    RetriableError,
)
from connect.log import TopicPartition
from connect.sink import SinkConnector, SinkTask
from connect.source import Offset, Poll, SourceConnector, SourceTask

KEY = Schema("struct", fields=(Field("id", Schema("int64")),))
VALUE = Schema(
    "struct",
    fields=(
        Field("id", Schema("int64")),
        Field("name", Schema("string", optional=True)),
        Field("op", Schema("string")),
    ),
)


def numbered(topic: str, first: int, end: int) -> Batch:
    """Rows ``first`` to ``end`` - 1."""
    ids = list(range(first, end))
    count = len(ids)
    names = [f"name {number}" for number in ids]
    return Batch(
        topic,
        Struct(KEY, [ids], count),
        Struct(VALUE, [ids, names, Constant("c", count)], count),
        [1_700_000_000_000 + number for number in ids],
        list(range(count)),
    )


def failure(name: str, secret: str = "") -> Exception:
    """An exception by the name of how a task ends."""
    kinds: dict[str, Exception] = {
        "config": ConfigError("fake.path", f"bad {secret}", hint="Mend it."),
        "retriable": RetriableError("try later", after=3.0),
        "record": RecordError("bad rows", {0: "it is odd"}),
        "fenced": FencedError("somebody newer"),
        "fatal": FatalError("gone for good", code="fake.gone", hint="Take a new snapshot."),
        "bug": ZeroDivisionError("a value 4711"),
        "plain": CdcError("plain"),
    }
    return kinds[name]


class CountingConfig(SourceConfig):
    """Keys of the counting source."""

    topic: str = key("fake.topic", default="numbers", doc="Topic.", group="Fake")
    rows: int = key("fake.rows", default=10, doc="Rows in all.", group="Fake")
    batch_rows: int = key("fake.batch.rows", default=3, doc="Rows a poll.", group="Fake", ge=1)
    journal: str = key("fake.journal", default="", doc="File of what was done.", group="Fake")
    fail_at: int = key("fake.fail.at", default=-1, doc="Row at which it fails.", group="Fake")
    fail: str = key("fake.fail", default="bug", doc="How it fails.", group="Fake")
    check: str = key("fake.check", default="", doc="A problem of the live check.", group="Fake")
    password: Any = key(
        "fake.password", default=None, doc="A secret.", group="Fake", type="PASSWORD"
    )


class CountingTask(SourceTask):
    """Emits numbered rows in polls of a few; a poll beyond the last row waits."""

    def __init__(self, config: CountingConfig, context: Context) -> None:
        self.config = config
        self.context = context
        self.next = 0

    def open(self, offset: Offset | None) -> None:
        """Go on from the offset."""
        self.next = 0 if offset is None else offset["next"]
        self.note("open", self.next)

    def poll(self, timeout: float) -> Poll | None:
        """Some numbers."""
        first, end = self.next, min(self.next + self.config.batch_rows, self.config.rows)
        if first >= end:
            time.sleep(min(timeout, 0.02))
            return None
        if first <= self.config.fail_at < end:
            secret = self.config.password.get_secret_value() if self.config.password else ""
            raise failure(self.config.fail, secret)
        self.next = end
        return Poll([numbered(self.config.topic, first, end)], {"next": end})

    def committed(self, offset: Offset) -> None:
        """Note it."""
        self.note("committed", offset["next"])

    def close(self) -> None:
        """Note it."""
        self.note("close", self.next)

    def note(self, what: str, number: int) -> None:
        """A line in the journal."""
        if self.config.journal:
            with open(self.config.journal, "a") as file:
                file.write(f"{what} {number}\n")


class CountingSource(SourceConnector):
    """A source of numbered rows."""

    config = CountingConfig
    aliases = ("com.example.CountingSource",)
    version = "1.0"

    def check(self, config: SourceConfig) -> Sequence[Problem]:
        """The problem the configuration asks for."""
        assert isinstance(config, CountingConfig)
        if not config.check:
            return []
        return [Problem("fake.topic", "the check says no.", config.check)]

    def task(self, config: SourceConfig, context: Context) -> SourceTask:
        """The task."""
        assert isinstance(config, CountingConfig)
        return CountingTask(config, context)

    def partition(self, config: SourceConfig) -> Mapping[str, str]:
        """One partition."""
        return {"server": config.name}


class FileConfig(SinkConfig):
    """Keys of the file sink."""

    path: str = key("fake.path", doc="File of the target.", group="Fake")
    refuse: int = key("fake.refuse", default=-1, doc="Id of a row it refuses.", group="Fake")


class FileTask(SinkTask):
    """Each flush is one line of the file: rows and positions together, so exactly once."""

    def __init__(self, config: FileConfig, context: Context) -> None:
        self.config = config
        self.context = context
        self.rows: list[Any] = []

    def open(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The positions the file holds; a torn last line never happened."""
        positions: dict[TopicPartition, int] = {}
        path = Path(self.config.path)
        if path.exists():
            text = path.read_text()
            os.truncate(path, len(text[: text.rfind("\n") + 1].encode()))
        for line in read_target(path):
            for topic, partition, offset in line["positions"]:
                positions[TopicPartition(topic, partition)] = offset
        return {name: offset for name, offset in positions.items() if name in partitions}

    def put(self, batch: Batch) -> None:
        """Keep the rows until the flush."""
        rows = [] if batch.values is None else list(batch.values.rows())
        bad = {n: "refused" for n, row in enumerate(rows) if row and row[0] == self.config.refuse}
        if bad:
            raise RecordError("the target refuses rows", bad)
        self.rows += [list(row) if isinstance(row, tuple) else row for row in rows]

    def flush(self, positions: Mapping[TopicPartition, int]) -> None:
        """Write one line."""
        moved = [[*name, offset] for name, offset in positions.items()]
        with open(self.config.path, "a") as file:
            file.write(json.dumps({"positions": moved, "rows": self.rows}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.rows = []


def read_target(path: str | Path) -> list[dict[str, Any]]:
    """The whole lines of a file sink's target."""
    text = Path(path).read_text() if Path(path).exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


class FileSink(SinkConnector):
    """A sink into one file."""

    config = FileConfig
    aliases = ("com.example.FileSink",)
    version = "1.0"

    def check(self, config: SinkConfig) -> Sequence[Problem]:
        """Nothing to check."""
        return []

    def task(self, config: SinkConfig, context: Context) -> SinkTask:
        """The task."""
        assert isinstance(config, FileConfig)
        return FileTask(config, context)


class ReprConfig(Config):
    """No keys."""


class ReprConverter(Converter):
    """Rows as Python literals: tuples for structs."""

    config = ReprConfig
    aliases = ("com.example.ReprConverter",)

    def __init__(self, config: Any = None, is_key: bool = False) -> None:
        self.schema = KEY if is_key else VALUE

    def encode(self, topic: str, data: Data) -> list[bytes | None]:
        """Literals."""
        return [None if row is None else repr(row).encode() for row in data.rows()]

    def decode(self, topic: str, payloads: Sequence[bytes | None]) -> list[Data]:
        """Structs of KEY or VALUE where the width fits, else schemaless values."""
        rows = []
        bad = {}
        for number, payload in enumerate(payloads):
            try:
                rows.append(None if payload is None else ast.literal_eval(payload.decode()))
            except (ValueError, SyntaxError):
                bad[number] = "no literal"
        if bad:
            raise DecodeError("payloads can't be read", bad)
        width = len(self.schema.fields)
        if not all(row is None or (isinstance(row, tuple) and len(row) == width) for row in rows):
            return [Plain(None, rows)]
        present = None if None not in rows else [row is not None for row in rows]
        filled = [(None,) * width if row is None else row for row in rows]
        return [Struct(self.schema, list(zip(*filled, strict=True)), len(rows), present)]


def path_of_plugins() -> str:
    """The directory to put on PYTHONPATH."""
    return str(Path(sys.modules[__name__].__file__ or "").parent)
