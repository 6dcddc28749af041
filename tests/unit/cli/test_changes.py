from __future__ import annotations

import json
from typing import Any

import pytest

from api.cli.changes import describe_change, show

SOURCE = {"ts_ms": 1000, "txId": 771}


def record(value: Any, key: Any = None, headers: Any = ()) -> dict[str, Any]:
    return {
        "partition": 0,
        "offset": 5,
        "timestamp": 0,
        "key": {"id": 1} if key is None else key,
        "value": value,
        "headers": list(headers),
    }


def line(value: Any, **more: Any) -> str:
    """The line without place and clock."""
    _, text = describe_change(record(value, **more))
    assert text.startswith("p0 @5  ")
    return text.split("  ", 2)[2]


def change(op: str, before: Any, after: Any) -> dict[str, Any]:
    return {"op": op, "before": before, "after": after, "source": SOURCE, "ts_ms": 1410}


def test_update_shows_what_changed() -> None:
    value = change("u", {"id": 1, "s": "new", "n": None}, {"id": 1, "s": "paid", "n": "gift"})
    assert line(value) == 'UPDATE id=1   s "new" → "paid"   n null → "gift"   tx 771  +0.41 s'


def test_update_without_before_shows_the_row() -> None:
    assert line(change("u", None, {"id": 1, "s": "a"})).startswith('UPDATE id=1   id=1 s="a"   tx')


def test_insert_and_read() -> None:
    assert line(change("c", None, {"id": 1})) == "INSERT id=1   id=1   tx 771  +0.41 s"
    assert line(change("r", None, {"id": 1})).startswith("READ id=1")


def test_delete_shows_what_was() -> None:
    value = change("d", {"id": 1, "s": "x", "n": None}, None)
    assert line(value) == 'DELETE id=1   (was id=1 s="x")   tx 771  +0.41 s'


def test_schemas_are_unwrapped() -> None:
    value = {"schema": {}, "payload": change("c", None, {"id": 1})}
    assert line(value, key={"schema": {}, "payload": {"id": 9}}).startswith("INSERT id=9")


def test_a_value_that_was_not_sent_is_neither_null_nor_a_change() -> None:
    value = change("u", {"id": 1, "body": "old"}, {"id": 1, "body": "__placeholder"})
    headers = [["__tailrace.unavailable", "after.body"]]
    assert "body" not in line(value, headers=headers)
    insert = change("c", None, {"body": "__placeholder"})
    assert "body=(not sent)" in line(insert, headers=headers)


def test_tombstone() -> None:
    assert line(None) == "TOMBSTONE id=1"


@pytest.mark.parametrize("value", ["text", 5, [1], {"op": "c"}, {"op": 1, "source": {}}])
def test_other_records_are_shown_as_they_are(value: Any) -> None:
    assert line(value) == f"RECORD id=1   {json.dumps(value)}"


def test_control_characters_do_not_reach_the_terminal() -> None:
    value = change("c", None, {"a\x1b[2J": "\x1b]0;x\x07\u202e\n"})
    text = line(value)
    assert text.isprintable()
    assert not show("\x9b").count("\x9b")


def test_long_values_are_cut() -> None:
    assert len(show("x" * 1000)) == 60
