"""What the demo shows."""

import io

import pytest

from api.demo import connectors, shop
from api.demo.command import Duration
from api.demo.screen import Screen, change_line


def event(op, before, after):
    source = {"schema": "shop", "table": "orders", "ts_ms": 1_700_000_000_123}
    return {"value": {"payload": {"op": op, "before": before, "after": after, "source": source}}}


def test_update_shows_what_changed():
    row = {"id": 1, "status": "new", "note": None, "updated_at": 1}
    line = change_line(event("u", row, {**row, "status": "paid", "updated_at": 2}))
    assert "UPDATE shop.orders  id=1  status: 'new' → 'paid'" in line.plain
    assert "updated_at" not in line.plain


@pytest.mark.parametrize(("op", "word"), [("c", "INSERT"), ("d", "DELETE"), ("r", "READ")])
def test_other_operations_show_the_row(op, word):
    row = {"id": 7, "status": "new"}
    line = change_line(event(op, row if op == "d" else None, None if op == "d" else row))
    assert f"{word} shop.orders  id=7" in line.plain


def test_schemaless_events_are_shown_too():
    enveloped = event("c", None, {"id": 7})
    assert "id=7" in change_line({"value": enveloped["value"]["payload"]}).plain


def test_tombstones_are_not_changes():
    assert change_line({"value": None}) is None


def test_without_a_terminal_lines_are_plain():
    out = io.StringIO()
    screen = Screen(out)
    screen.step("Postgres started")
    screen.snapshot({"orders": 1}, {"orders": 2})
    screen.streaming("3 changes", [event("c", None, {"id": 7})])
    screen.settle()
    assert "\x1b" not in out.getvalue()
    assert "orders 1/2" in out.getvalue()


@pytest.mark.parametrize(("text", "seconds"), [("20s", 20), ("2m", 120), ("1h", 3600), ("5", 5)])
def test_durations(text, seconds):
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "0", "nan", "soon"])
def test_what_is_no_duration(text):
    with pytest.raises(Exception, match="duration"):
        Duration().convert(text, None, None)


def test_every_table_goes_to_both_sinks():
    wanted = [connectors.topic(table.name) for table in shop.TABLES]
    assert connectors.warehouse("/tmp/x")["topics"].split(",") == wanted


def test_ddl_and_tables_name_the_same_columns():
    for table in shop.TABLES:
        body = shop.DDL.split(f"CREATE TABLE shop.{table.name} (")[1].split("\n);")[0]
        named = [line.split()[0] for line in body.splitlines() if line.startswith("  ")]
        assert [n for n in named if n.islower()] == list(table.columns)
        assert list(table.columns)[: len(table.key)] == list(table.key)
