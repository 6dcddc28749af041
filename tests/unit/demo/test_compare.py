"""The demo's comparison must see every kind of difference, and only differences."""

import datetime as dt
import decimal
import uuid

import pytest

from api.demo.compare import digest, first_difference, query, row_text
from api.demo.shop import Table

TABLE = Table(
    "things",
    ("id",),
    {
        "id": "exact",
        "name": "exact",
        "price": "decimal",
        "sku": "uuid",
        "tags": "array",
        "extra": "json",
        "at": "instant",
        "blob": "bytes",
    },
    1.0,
)
ROW = (
    1,
    "Ünï",
    decimal.Decimal("1.50"),
    uuid.UUID(int=7),
    ["a", None],
    '{"b": 1.10, "a": [null]}',
    "2026-01-01 10:00:00.12+02",
    b"\x00\xff",
)


class Rows:
    def __init__(self, *rows):
        self._rows = list(rows)

    def fetchmany(self, size, /):
        taken, self._rows = self._rows[:size], self._rows[size:]
        return taken


def changed(**cells):
    return tuple(cells.get(column, cell) for column, cell in zip(TABLE.columns, ROW, strict=True))


@pytest.mark.parametrize(
    "other",
    [
        changed(at="2026-01-01T08:00:00.120000Z"),
        changed(extra='{"a":[null],"b":1.10}'),
        changed(sku=str(uuid.UUID(int=7))),
        changed(tags='["a", null]'),
        changed(blob=memoryview(b"\x00\xff")),
    ],
)
def test_one_value_in_two_forms_is_equal(other):
    assert row_text(TABLE, ROW) == row_text(TABLE, other)


@pytest.mark.parametrize(
    "other",
    [
        changed(id=2),
        changed(id="1.0"),
        changed(name=None),
        changed(name=""),
        changed(name="null"),
        changed(price=decimal.Decimal("1.5")),
        changed(price=decimal.Decimal("1.51")),
        changed(tags=["a"]),
        changed(tags=["a", "null"]),
        changed(extra='{"b": 1.1, "a": [null]}'),
        changed(extra='{"b": 1.10, "a": []}'),
        changed(at="2026-01-01 10:00:00.120001+02"),
        changed(blob=b"\x00"),
        changed(blob=None),
    ],
)
def test_another_value_differs(other):
    assert digest(TABLE, Rows(ROW)) != digest(TABLE, Rows(other))
    assert first_difference(TABLE, Rows(ROW), Rows(other)) != "none"


def test_order_of_rows_does_not_matter():
    rows = [changed(id=i) for i in range(20)]
    assert digest(TABLE, Rows(*rows)) == digest(TABLE, Rows(*reversed(rows)))


def test_a_duplicate_for_a_lost_row_is_seen():
    a, b = changed(id=1), changed(id=2)
    assert digest(TABLE, Rows(a, b)) != digest(TABLE, Rows(a, a))
    assert "twice" in first_difference(TABLE, Rows(a, b), Rows(a, a))


def test_a_lost_row_is_named():
    a, b = changed(id=1), changed(id=2)
    assert "source only" in first_difference(TABLE, Rows(a, b), Rows(a))


def test_drivers_do_not_interpret_what_they_differ_in():
    assert "CAST(at AS VARCHAR)" in query(TABLE, "things")
    assert "CAST(extra AS VARCHAR)" in query(TABLE, "things")


def test_a_datetime_that_a_driver_made_is_refused():
    # The statement reads text: anything else means the statement was not ours.
    with pytest.raises(TypeError):
        row_text(TABLE, changed(at=dt.datetime(2026, 1, 1)))
