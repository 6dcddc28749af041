"""However rows are dealt to batches, they come back in order, each once, with its own cells."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connect.data import Batch, Field, Plain, Schema, Struct
from connect.runtime.merging import Encoded, in_order, merge

INNER = Schema("struct", True, fields=(Field("n", Schema("int64")),))
WIDE = Schema("struct", fields=(Field("n", Schema("int64")), Field("in", INNER)))
NARROW = Schema("struct", fields=(Field("n", Schema("int64")),))

Dealt = list[list[int]]


@st.composite
def dealt(draw: st.DrawFn) -> Dealt:
    """Ascending positions dealt to a few hands, none empty."""
    owners = draw(st.lists(st.integers(0, 3), min_size=1, max_size=30))
    hands = [[n * 3 for n, owner in enumerate(owners) if owner == hand] for hand in range(4)]
    return draw(st.permutations([hand for hand in hands if hand]))


def encoded(hand: list[int], headers: bool) -> Encoded:
    return Encoded(
        hand,
        [b"k%d" % n for n in hand],
        [b"v%d" % n for n in hand],
        [n + 1 for n in hand],
        [(("h", b"%d" % n),) for n in hand] if headers else None,
    )


@given(dealt(), st.integers(0, 3))
def test_merged_parts_are_in_order(hands: Dealt, with_headers: int) -> None:
    merged = merge([encoded(hand, n < with_headers) for n, hand in enumerate(hands)])
    everything = sorted(n for hand in hands for n in hand)
    assert list(merged.positions) == everything
    assert list(merged.keys) == [b"k%d" % n for n in everything]
    assert list(merged.values) == [b"v%d" % n for n in everything]
    assert list(merged.timestamps) == [n + 1 for n in everything]
    marked = {n for hand in hands[:with_headers] for n in hand}
    if marked:
        assert merged.headers is not None
        expected = [(("h", b"%d" % n),) if n in marked else () for n in everything]
        assert list(merged.headers) == expected


def batch(hand: list[int], shape: int) -> Batch:
    count = len(hand)
    values: Struct | Plain | None
    if shape == 0:
        present = [n % 2 == 0 for n in hand]
        values = Struct(WIDE, [hand, Struct(INNER, [hand], count, present)], count)
    elif shape == 1:
        values = Struct(NARROW, [hand], count, [n % 2 == 0 for n in hand])
    elif shape == 2:
        values = Plain(None, [{"n": n} for n in hand])
    else:
        values = None
    return Batch("t", Plain(Schema("int64"), hand), values, hand, hand, None, 1)


def row_of(n: int, shape: int) -> object:
    if shape == 0:
        return (n, (n,) if n % 2 == 0 else None)
    if shape == 1:
        return (n,) if n % 2 == 0 else None
    return {"n": n} if shape == 2 else None


@given(dealt(), st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_batches_in_order_hold_every_row_once(hands: Dealt, shapes: list[int]) -> None:
    shape_of = {n: shapes[i] for i, hand in enumerate(hands) for n in hand}
    made = list(in_order([batch(hand, shapes[i]) for i, hand in enumerate(hands)]))
    positions = [n for each in made for n in each.positions]
    assert positions == sorted(shape_of)
    for each in made:
        assert each.keys is not None
        rows = list(each.values.rows()) if each.values is not None else [None] * len(each)
        assert rows == [row_of(n, shape_of[n]) for n in each.positions]
        assert list(each.keys.rows()) == list(each.timestamps) == list(each.positions)
    if len(set(shape_of.values())) == 1 and len(hands) == 1:
        assert len(made) == 1
