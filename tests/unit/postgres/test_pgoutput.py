"""The decoder of pgoutput: grouping, order, positions, garbled bytes."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connect.data import UNAVAILABLE
from connect.errors import FatalError
from connectors.postgres.pgoutput import Decoder, Feed, Position, before, lsn_text, parse_lsn
from connectors.postgres.tuples import split
from tests.unit.postgres.streams import (
    begin,
    commit,
    delete,
    frame,
    insert,
    keepalive,
    relation,
    truncate,
    update,
)


def ids(feed: Feed) -> list[int]:
    """The first column of all new rows, by place."""
    found = []
    for changes in feed.changes:
        images = split(changes.kind, len(changes.relation.columns), [0], changes.frames)
        texts = images.new or images.old
        assert texts is not None
        found += zip(changes.places, texts.columns[0], strict=True)
    return [int(text) for _, text in sorted(found)]


def transaction(at: int, *rows: int) -> list[bytes]:
    return [begin(at), *[insert(b"%d" % r, None, lsn=at - 1) for r in rows], commit(at, at + 2)]


def test_changes_are_grouped_by_relation_and_kind() -> None:
    decoder = Decoder(Position(0))
    feed = decoder.feed(
        [
            begin(10),
            relation(1),
            relation(2, "u"),
            insert(b"1", b"a"),
            insert(b"2", b"b", oid=2),
            insert(b"3", b"c"),
            update((b"3", None)),
            delete(b"3", None),
            commit(10, 12),
        ]
    )
    assert [(c.relation.name, c.kind, c.places) for c in feed.changes] == [
        ("t", "I", [0, 2]),
        ("u", "I", [1]),
        ("t", "U", [3]),
        ("t", "DK", [4]),
    ]
    assert decoder.position == Position(12, before=12)


def test_a_new_relation_begins_a_new_group() -> None:
    decoder = Decoder(Position(0))
    wider = (("id", 23, True), ("v", 25, False), ("w", 25, False))
    feed = decoder.feed(
        [
            begin(10),
            relation(),
            insert(b"1", b"a"),
            relation(columns=wider),
            insert(b"2", b"b", b"c"),
        ]
    )
    assert [len(c.relation.columns) for c in feed.changes] == [2, 3]


def test_position_inside_a_transaction() -> None:
    decoder = Decoder(Position(4))
    decoder.feed([relation(), begin(10), insert(b"1", None, lsn=6), insert(b"2", None, lsn=7)])
    assert decoder.position == Position(4, None, commit_lsn=10, index=2, last_lsn=7)
    feed = decoder.feed([insert(b"3", None, lsn=8), commit(10, 12), *transaction(20, 4)])
    assert ids(feed) == [3, 4]
    assert [(place, t.commit_lsn) for place, t in feed.runs] == [(0, 10), (1, 20)]
    assert feed.runs[1][1].before == 12


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_every_restart_gives_every_change_once(size: int) -> None:
    """The server sends again from the last whole transaction; one COPY shares one LSN."""
    stream = [relation()]
    for number in range(1, 6):
        stream += transaction(number * 100, *range(number * 10, number * 10 + number))
    expected = [n for number in range(1, 6) for n in range(number * 10, number * 10 + number)]
    position = Position(0)
    got: list[int] = []
    for _ in range(100):
        decoder = Decoder(position)
        for start in range(0, len(stream), size):
            feed = decoder.feed(stream[start : start + size])
            got += ids(feed)
            if feed.count:
                break  # a life ends with each poll that brought something
        position = decoder.position
    assert got == expected


def test_a_lost_transaction_is_noticed() -> None:
    held = Position(4, None, commit_lsn=10, index=2, last_lsn=7)
    for stream in (
        transaction(20, 1),
        [begin(10), insert(b"1", None, lsn=6), commit(10, 12)],
        [begin(10), insert(b"1", None, lsn=6), insert(b"2", None, lsn=9)],
        [keepalive(30)],
    ):
        with pytest.raises(FatalError) as error:
            Decoder(held).feed([relation(), *stream])
        assert error.value.code == "postgres.position.lost"


def test_keepalive_moves_only_between_transactions() -> None:
    decoder = Decoder(Position(4))
    decoder.feed([keepalive(9)])
    assert decoder.position == Position(9)
    decoder.feed([relation(), begin(10), keepalive(500)])
    assert decoder.position == Position(9)
    decoder.feed([insert(b"1", None), keepalive(500)])
    assert decoder.position.lsn == 9
    decoder.feed([commit(10, 12), keepalive(500)])
    assert decoder.position == Position(500, before=12)


def test_done_transactions_are_dropped() -> None:
    decoder = Decoder(Position(50))
    feed = decoder.feed([relation(), *transaction(40, 1), *transaction(50, 2)])
    assert ids(feed) == [2]


def test_truncate_of_several_tables() -> None:
    decoder = Decoder(Position(0))
    feed = decoder.feed(
        [relation(1), relation(2, "u"), begin(10), truncate(1, 2), insert(b"1", None)]
    )
    assert [(c.kind, c.relation.name, c.places) for c in feed.changes] == [
        ("T", "t", [0]), ("T", "u", [1]), ("I", "t", [2]),
    ]  # fmt: skip
    assert decoder.position.index == 2


def test_origin() -> None:
    origin = frame(b"O" + (99).to_bytes(8, "big") + b"away\0")
    feed = Decoder(Position(0)).feed([relation(), begin(10), origin, insert(b"1", None)])
    assert (feed.runs[-1][1].origin, feed.runs[-1][1].origin_lsn) == ("away", 99)


def test_cells() -> None:
    frames = [update((b"1", "unchanged")), update((b"2", None)), update((b"3", b"x\0y"))]
    images = split("U", 2, [0, 1], frames)
    assert images.old is None
    assert images.new is not None
    assert images.new.columns == [[b"1", b"2", b"3"], [UNAVAILABLE, None, b"x\0y"]]
    assert images.new.odd == {1}
    assert split("U", 2, [1], frames).new == ([[UNAVAILABLE, None, b"x\0y"]], {0})


def test_old_and_new_rows() -> None:
    images = split("UO", 2, [0, 1], [update((b"1", b"b"), (b"1", None), kind="O")])
    assert images.old == ([[b"1"], [None]], {1})
    assert images.new == ([[b"1"], [b"b"]], set())


def test_stream_is_cut_at_a_place() -> None:
    stream = [*transaction(10, 1), *transaction(20, 2)]
    assert before(stream, 20) == (stream[:3], True)
    assert before(stream, 21) == (stream, False)
    assert before([*stream, keepalive(30)], 25) == (stream, True)


def test_lsn_text() -> None:
    assert lsn_text(parse_lsn("16/B374D848")) == "16/B374D848"


@given(st.binary(max_size=80), st.booleans())
def test_random_bytes_are_refused(data: bytes, opened: bool) -> None:
    decoder = Decoder(Position(0))
    frames = [frame(data)] if not opened else [relation(), begin(10), frame(data)]
    try:
        feed = decoder.feed(frames)
        for changes in feed.changes:
            if changes.kind != "T":
                split(changes.kind, len(changes.relation.columns), [0, 1], changes.frames)
    except FatalError as error:
        assert error.code == "postgres.stream.malformed"  # noqa: PT017  or it is read


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.integers(1, 5))
def test_garbled_messages_are_refused_or_read(seed: int, flips: int) -> None:
    chance = random.Random(seed)
    stream = [
        relation(), begin(10), insert(b"1", b"abc"), update((b"1", None), (b"1", b"x"), "O"),
        delete(b"1", None), truncate(1), commit(10, 12),
    ]  # fmt: skip
    number = chance.randrange(len(stream))
    broken = bytearray(stream[number])
    for _ in range(flips):
        broken[chance.randrange(25, len(broken))] = chance.randrange(256)
    stream[number] = bytes(broken[: chance.randrange(26, len(broken) + 1)])
    try:
        feed = Decoder(Position(0)).feed(stream)
        for changes in feed.changes:
            if changes.kind != "T":
                split(changes.kind, len(changes.relation.columns), [0], changes.frames)
    except FatalError as error:
        assert error.code == "postgres.stream.malformed"  # noqa: PT017  or it is read


def test_wrong_lengths_are_refused() -> None:
    whole = insert(b"1", b"abc")
    for broken in (whole[:-1], whole + b"x", whole[:31] + b"\0\3" + whole[33:]):
        with pytest.raises(FatalError):
            split("I", 2, [0], [broken])
