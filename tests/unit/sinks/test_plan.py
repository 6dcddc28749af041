"""The steps a batch is reduced to, checked against doing its rows one by one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect.data import Schema
from connectors.sinks.plan import Incomplete, Mode, Move, Step, Truncate, Write, steps
from connectors.sinks.rows import Column, Op, Rows

COLUMNS = (
    Column("id", Schema("int32"), key=True),
    Column("a", Schema("string")),
    Column("b", Schema("string")),
)


def rows(*given: tuple[Op, int, Any, Any]) -> Rows:
    """Rows of (operation, id, a, b); ``...`` marks an unavailable cell, a tuple a new key."""
    holes = {}
    for place, (_, _, *cells) in enumerate(given):
        missing = frozenset(n + 1 for n, cell in enumerate(cells) if cell is ...)
        if missing:
            holes[place] = missing
    return Rows(
        COLUMNS,
        [[row[1 + column] for row in given] for column in range(3)],
        [(row[1],) for row in given],
        [row[0] for row in given],
        holes,
    )


def run(table: dict[int, list[Any]], rows: Rows, done: list[Step], mode: Mode) -> None:
    """What a database does with steps."""
    for step in done:
        if isinstance(step, Truncate):
            table.clear()
            continue
        assert isinstance(step, Write)
        for row in step.deletes:
            table.pop(rows.keys[row][0], None)
        assert len(set(step.writes)) == len(step.writes)
        for row in step.writes:
            key = rows.keys[row][0]
            holes = rows.holes.get(row, frozenset())
            cells = [rows.cells[place][row] for place in (1, 2)]
            if mode == "update" and key not in table:
                continue
            if holes:
                assert key in table, "an unavailable value of a row that is not there"
                cells = [table[key][n] if n + 1 in holes else cell for n, cell in enumerate(cells)]
            table[key] = cells


def one_by_one(table: dict[int, list[Any]], rows: Rows, mode: Mode) -> None:
    for row, op in enumerate(rows.ops):
        key = rows.keys[row][0]
        if op is Op.TRUNCATE:
            table.clear()
        elif op is Op.DELETE:
            table.pop(key, None)
        elif op is Op.WRITE and (mode == "upsert" or key in table):
            cells = [rows.cells[place][row] for place in (1, 2)]
            holes = rows.holes.get(row, frozenset())
            table[key] = [table[key][n] if n + 1 in holes else c for n, c in enumerate(cells)]


cell = st.sampled_from(["x", "y", None, ...])
operation = st.tuples(
    st.sampled_from([Op.WRITE, Op.WRITE, Op.WRITE, Op.DELETE, Op.SKIP, Op.TRUNCATE]),
    st.integers(0, 3),
    cell,
    cell,
)


@given(st.lists(operation, max_size=12), st.sampled_from(["upsert", "update"]))
def test_steps_end_where_the_rows_one_by_one_do(
    given_rows: list[tuple[Op, int, Any, Any]], mode: Mode
) -> None:
    start = {0: ["p", "q"], 1: [None, "r"]}
    expected = {key: list(cells) for key, cells in start.items()}
    try:
        one_by_one(expected, rows(*given_rows), mode)
    except KeyError:
        return  # an unavailable value of a row that is nowhere: an error in either way
    found = {key: list(cells) for key, cells in start.items()}
    reduced = rows(*given_rows)
    run(found, reduced, steps(reduced, mode), mode)
    assert found == expected


def test_an_insert_is_never_forgotten() -> None:
    given_rows = rows(
        (Op.WRITE, 1, "a", "a"),
        (Op.WRITE, 1, "b", "b"),
        (Op.DELETE, 1, None, None),
        (Op.WRITE, 1, "c", "c"),
    )
    assert steps(given_rows, "insert") == [Write([], [0, 1]), Write([2], [3])]


def test_an_unavailable_value_can_not_be_inserted() -> None:
    with pytest.raises(Incomplete) as error:
        steps(rows((Op.WRITE, 1, "a", "b"), (Op.WRITE, 2, ..., "b")), "insert")
    assert error.value.row == 1


def test_a_truncate_forgets_what_came_before() -> None:
    given_rows = rows(
        (Op.WRITE, 1, "a", "a"), (Op.TRUNCATE, 0, None, None), (Op.WRITE, 2, "b", "b")
    )
    assert steps(given_rows, "upsert") == [Truncate(1), Write([], [2])]


@pytest.mark.parametrize("complete", [True, False])
def test_only_a_row_that_lacks_values_is_moved(complete: bool) -> None:
    given_rows = rows(
        (Op.WRITE, 7, "a", "a"),
        (Op.MOVE, 1, None, None),
        (Op.MOVE, 1, None, None),
        (Op.WRITE, 2, "b", "b" if complete else ...),
    )
    given_rows.moves = {1: (2,), 2: (2,)}
    found = steps(given_rows, "upsert")
    if complete:
        assert found == [Write([2], [0, 3])]
    else:
        assert found == [Write([], [0]), Move(1, (2,)), Move(2, (2,)), Write([], [3])]
