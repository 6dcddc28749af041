"""The commit point: one SQLite transaction decides what is in the log.

``Metadata`` is the seam. In production it is SQLite (WAL, ``synchronous=FULL``); tests of power
loss give the log a twin whose commits are atomic and durable by construction, so that the log's own
files are what is tested (docs/adr/0002).
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

from log_core.errors import CorruptLog, LogError, LogFull
from log_core.files import Files, opened
from log_core.names import holds_segments, is_partition
from log_core.topics import Topic

TopicPartition: TypeAlias = tuple[str, int]


class SegmentRow(NamedTuple):
    """A segment as committed. Files beyond ``size`` bytes do not exist, whatever the disk holds.

    ``version`` counts rewrites by compaction and is part of the file's name. ``end`` is the offset
    after the last record. Times in ms: of the first append, of the last append, and the greatest
    timestamp of a record.
    """

    base: int
    version: int
    end: int
    size: int
    created_ms: int
    appended_ms: int
    max_timestamp: int


class Range(NamedTuple):
    """A partition's offsets: the first that may be read and the one after the last."""

    start: int
    end: int


@dataclass(slots=True)
class Change:
    """What one commit changes; None as a value removes."""

    topics: dict[str, Topic | None] = field(default_factory=dict)
    ranges: dict[TopicPartition, Range] = field(default_factory=dict)
    segments: dict[tuple[str, int, int], SegmentRow | None] = field(default_factory=dict)
    writers: dict[str, int] = field(default_factory=dict)
    groups: dict[tuple[str, str, int], int | None] = field(default_factory=dict)
    doomed: dict[str, bool] = field(default_factory=dict)


@dataclass(slots=True)
class State:
    """All that is committed."""

    topics: dict[str, Topic] = field(default_factory=dict)
    ranges: dict[TopicPartition, Range] = field(default_factory=dict)
    segments: dict[tuple[str, int, int], SegmentRow] = field(default_factory=dict)
    writers: dict[str, int] = field(default_factory=dict)
    groups: dict[tuple[str, str, int], int] = field(default_factory=dict)
    doomed: set[str] = field(default_factory=set)

    def apply(self, change: Change) -> None:
        """What a commit means. A removed topic takes its ranges, segments and group offsets."""
        for name, topic in change.topics.items():
            if topic is None:
                self._forget_topic(name)
            else:
                self.topics[name] = topic
        self.ranges.update(change.ranges)
        self.writers.update(change.writers)
        for place, row in change.segments.items():
            if row is None:
                self.segments.pop(place, None)
            else:
                self.segments[place] = row
        for position, offset in change.groups.items():
            if offset is None:
                self.groups.pop(position, None)
            else:
                self.groups[position] = offset
        for directory, doomed in change.doomed.items():
            (self.doomed.add if doomed else self.doomed.discard)(directory)

    def _forget_topic(self, name: str) -> None:
        self.topics.pop(name, None)
        for partition in [key for key in self.ranges if key[0] == name]:
            del self.ranges[partition]
        for place in [key for key in self.segments if key[0] == name]:
            del self.segments[place]
        for position in [key for key in self.groups if key[1] == name]:
            del self.groups[position]


class Metadata(Protocol):
    """Where the log's truth is kept."""

    def load(self) -> State:
        """All that was committed."""

    def commit(self, change: Change) -> None:
        """Make the change durable, all or nothing. LogFull: nothing, for want of room. After any
        other exception nobody knows which: the log stops and finds out when it is opened anew."""

    def close(self) -> None:
        """Release it."""


_FORMAT = 1
_TABLES = """
create table topic (name text primary key, partitions integer not null, config text not null)
    without rowid;
create table range (topic text, partition integer, start integer not null, "end" integer not null,
    primary key (topic, partition)) without rowid;
create table segment (topic text, partition integer, base integer, version integer not null,
    "end" integer not null, size integer not null, created_ms integer not null,
    appended_ms integer not null, max_timestamp integer not null,
    primary key (topic, partition, base)) without rowid;
create table writer (name text primary key, epoch integer not null) without rowid;
create table group_offset (name text, topic text, partition integer, offset integer not null,
    primary key (name, topic, partition)) without rowid;
create table doomed (directory text primary key) without rowid;
"""


class SqliteMetadata:
    """``log.db`` in the log's directory."""

    def __init__(self, directory: str, files: Files) -> None:
        self._path = os.path.join(directory, "log.db")
        if not files.exists(self._path):
            _create(directory, self._path, files)
        self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except BaseException as error:
            self._db.close()
            if isinstance(error, sqlite3.DatabaseError):
                raise CorruptLog(self._path, 0, str(error)) from error
            raise

    def _prepare(self) -> None:
        for pragma in (
            "locking_mode=exclusive",
            "journal_mode=wal",
            "synchronous=full",
            "fullfsync=on",
            "checkpoint_fullfsync=on",
        ):
            self._db.execute(f"pragma {pragma}")
        (found,) = self._db.execute("pragma user_version").fetchone()
        if found == 0:
            self._db.executescript(f"begin;{_TABLES}pragma user_version={_FORMAT};commit;")
        elif found != _FORMAT:
            raise LogError(f"{self._path} has format {found}; this version reads {_FORMAT}")

    def load(self) -> State:
        """Read every table."""
        query = self._db.execute
        try:
            return State(
                topics={
                    name: Topic(name, partitions, json.loads(config))
                    for name, partitions, config in query("select * from topic")
                },
                ranges={(t, p): Range(*row) for t, p, *row in query("select * from range")},
                segments={
                    (t, p, row[0]): SegmentRow(*row)
                    for t, p, *row in query("select * from segment order by 1, 2, 3")
                },
                writers=dict(query("select * from writer")),
                groups={(g, t, p): at for g, t, p, at in query("select * from group_offset")},
                doomed={directory for (directory,) in query("select * from doomed")},
            )
        except sqlite3.DatabaseError as error:
            raise CorruptLog(self._path, 0, str(error)) from error

    def commit(self, change: Change) -> None:
        """One transaction; synced when it returns. LogFull: it was rolled back for want of room."""
        db = self._db
        db.execute("begin immediate")
        try:
            for statement, rows in _statements(change):
                db.executemany(statement, rows)
            db.execute("commit")
        except BaseException as error:
            with contextlib.suppress(sqlite3.Error):
                db.execute("rollback")
            # The frame that ends a commit did not fit into the WAL: recovery won't see one either.
            if _is_full(error) and not db.in_transaction:
                raise LogFull(f"the disk is full: {error}") from error
            raise

    def close(self) -> None:
        """Close the database; what was committed needs no more care."""
        self._db.close()


def _is_full(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def _create(directory: str, path: str, files: Files) -> None:
    """SQLite gives its WAL the mode of the database: so we make that, with mode 0600. Segments
    without metadata are no empty log: nobody may truncate them."""
    for name in files.list(directory):
        if is_partition(name) and holds_segments(files, os.path.join(directory, name)):
            raise CorruptLog(path, 0, f"it is missing, but there are segments in {name}")
    with opened(files, path, create=True):
        pass
    files.fsync_dir(directory)


def _statements(change: Change) -> Iterable[tuple[str, Iterable[tuple[object, ...]]]]:
    for name, topic in change.topics.items():
        if topic is None:
            for table, column in (
                ("topic", "name"),
                ("range", "topic"),
                ("segment", "topic"),
                ("group_offset", "topic"),
            ):
                yield f"delete from {table} where {column} = ?", [(name,)]
        else:
            row = (name, topic.partitions, json.dumps(dict(topic.config)))
            yield "insert or replace into topic values (?, ?, ?)", [row]
    if change.ranges:
        rows = [(*partition, *span) for partition, span in change.ranges.items()]
        yield "insert or replace into range values (?, ?, ?, ?)", rows
    yield from _upserts("segment", ("topic", "partition", "base"), 9, _segment_rows(change))
    if change.writers:
        yield "insert or replace into writer values (?, ?)", list(change.writers.items())
    yield from _upserts(
        "group_offset",
        ("name", "topic", "partition"),
        4,
        {key: None if at is None else (*key, at) for key, at in change.groups.items()},
    )
    doomed = {(name,): (name,) if here else None for name, here in change.doomed.items()}
    yield from _upserts("doomed", ("directory",), 1, doomed)


def _segment_rows(change: Change) -> dict[tuple[str, int, int], tuple[object, ...] | None]:
    return {
        (topic, partition, base): None if row is None else (topic, partition, *row)
        for (topic, partition, base), row in change.segments.items()
    }


def _upserts(
    table: str,
    key: tuple[str, ...],
    width: int,
    rows: Mapping[tuple[object, ...], tuple[object, ...] | None]
    | Mapping[tuple[str, int, int], tuple[object, ...] | None]
    | Mapping[tuple[str, str, int], tuple[object, ...] | None]
    | Mapping[tuple[str], tuple[object, ...] | None],
) -> Iterable[tuple[str, Iterable[tuple[object, ...]]]]:
    gone = [place for place, row in rows.items() if row is None]
    kept = [row for row in rows.values() if row is not None]
    if gone:
        where = " and ".join(f"{column} = ?" for column in key)
        yield f"delete from {table} where {where}", gone
    if kept:
        marks = ", ".join("?" * width)
        yield f"insert or replace into {table} values ({marks})", kept
