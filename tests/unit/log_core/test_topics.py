from __future__ import annotations

from pathlib import Path

import pytest

from log_core import Append, Log, Topic, errors
from tests.unit.log_core.conftest import batch, put, rows, values


def test_create_is_idempotent(reopen):
    log = reopen()
    log.create_topic("a", 2, {"retention.ms": "1000"})
    log.create_topic("a", 2)
    with pytest.raises(errors.TopicExists):
        log.create_topic("a", 3)
    assert reopen().topics() == {"a": Topic("a", 2, {"retention.ms": "1000"})}


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "ä", "a b", "x" * 250, "a\n"])
def test_names_that_are_none(log: Log, name: str):
    with pytest.raises(errors.InvalidTopic):
        log.create_topic(name)


@pytest.mark.parametrize(
    "config",
    [
        {"compression.type": "lz4"},
        {"retention.ms": "soon"},
        {"retention.ms": "-2"},
        {"segment.bytes": "0"},
        {"cleanup.policy": "shred"},
        {"cleanup.policy": ""},
    ],
)
def test_configuration_that_is_not_understood_is_refused(log: Log, config: dict[str, str]):
    with pytest.raises(errors.InvalidTopic):
        log.create_topic("a", 1, config)
    log.create_topic("a")
    with pytest.raises(errors.InvalidTopic):
        log.alter_topic("a", config)
    assert log.topics()["a"].config == {}


def test_altered_configuration_holds_from_the_next_append_on(reopen):
    log = reopen()
    log.create_topic("a")
    put(log, "a", b"0")
    log.alter_topic("a", {"segment.bytes": "14"})
    put(log, "a", b"1")
    assert len(log._store.partitions["a", 0].view.rows) == 2
    assert reopen().topics()["a"].config == {"segment.bytes": "14"}


def test_segments_are_closed_by_age(log: Log, clock):
    log.create_topic("a", 1, {"segment.ms": "60000"})
    put(log, "a", b"0")
    clock.now += 59
    put(log, "a", b"1")
    clock.now += 1
    put(log, "a", b"2")
    assert [row.base for row in log._store.partitions["a", 0].view.rows] == [0, 2]


def test_a_topic_made_again_is_empty(reopen):
    log = reopen()
    log.create_topic("a")
    put(log, "a", b"old")
    log.append([], group=("g", {("a", 0): 1}))
    log.delete_topic("a")
    with pytest.raises(errors.UnknownTopic):
        put(log, "a", b"lost")
    log.create_topic("a", 2)
    assert (values(log, "a"), log.group_offsets("g")) == ([], {})
    assert put(log, "a", b"new") == 0
    assert values(reopen(), "a") == [b"new"]


def test_a_crash_after_deleting_leaves_no_old_rows(reopen, monkeypatch: pytest.MonkeyPatch):
    """The commit was made, the files still lie there."""
    log = reopen()
    log.create_topic("a")
    put(log, "a", b"old")
    with monkeypatch.context() as patch:
        patch.setattr(log._store, "remove_doomed", lambda: None)
        log.delete_topic("a")
    assert (log.path / "a-0").exists()
    log = reopen()
    assert not (log.path / "a-0").exists()
    log.create_topic("a")
    assert rows(log, "a") == []


def test_files_that_could_not_be_removed_keep_the_name_taken(
    log: Log, monkeypatch: pytest.MonkeyPatch
):
    log.create_topic("a")
    put(log, "a", b"old")
    with monkeypatch.context() as patch:

        def unlink(path: str) -> None:
            raise OSError(5, "input/output error")

        patch.setattr(log._store.files, "unlink", unlink)
        log.delete_topic("a")
        with pytest.raises(errors.InvalidTopic, match="still holds"):
            log.create_topic("a")
    log.create_topic("a")
    put(log, "a", b"new")
    assert values(log, "a") == [b"new"]


def test_a_directory_with_somebody_elses_segments_is_refused(log: Log):
    directory = Path(log.path) / "a-0"
    directory.mkdir()
    stranger = directory / f"{0:020d}.log"
    stranger.write_bytes(b"precious")
    with pytest.raises(errors.InvalidTopic):
        log.create_topic("a")
    assert stranger.read_bytes() == b"precious"


def test_names_that_look_like_other_partitions(log: Log):
    log.create_topic("a", 2)
    log.create_topic("a-1", 2)
    for topic in ("a", "a-1"):
        for partition in (0, 1):
            row = f"{topic}/{partition}".encode()
            log.append([Append(topic, partition, batch(row))])
    log.delete_topic("a")
    assert [values(log, "a-1", n) for n in (0, 1)] == [[b"a-1/0"], [b"a-1/1"]]
