"""What the demo shows."""

import io

import pytest

from api.demo import connectors, shop
from api.demo.command import Duration
from api.demo.screen import Screen, change_line


def event(op, before, after):
    source = {"schema": "shop", "table": "orders", "ts_ms": 1_700_000_000_123}
    return {
        "topic": "demo.shop.orders",
        "partition": 0,
        "offset": 5,
        "timestamp": 1_700_000_000_456,
        "key": {"payload": {"id": 7}, "schema": {}},
        "value": {
            "payload": {"op": op, "before": before, "after": after, "source": source},
            "schema": {},
        },
        "headers": [],
    }


def test_a_change_names_its_table_and_what_changed():
    row = {"id": 7, "status": "new"}
    line = change_line(event("u", row, {**row, "status": "paid"})).plain
    assert line.startswith("  orders")
    assert 'UPDATE id=7   status "new" → "paid"' in line


def test_a_long_change_stays_on_its_line():
    line = change_line(event("c", None, {f"column{i}": "x" * 50 for i in range(20)})).plain
    assert len(line) <= 118
    assert line.endswith("…")


def test_tombstones_are_not_shown():
    out = io.StringIO()
    Screen(out).streaming(
        "", [event("c", None, {"id": 7}), {**event("d", {}, None), "value": None}]
    )
    assert "INSERT" in out.getvalue()
    assert "TOMBSTONE" not in out.getvalue()


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
