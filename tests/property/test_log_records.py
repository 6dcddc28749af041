"""RecordBatch v2 of ours and of aiokafka, byte for byte, in both directions."""

from __future__ import annotations

from contextlib import suppress

from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from log_core import errors, records
from tests.kit.columns import Repeated

cells = st.none() | st.binary(max_size=40) | st.integers(100, 20_000).map(bytes)
times = st.integers(-(1 << 40), 1 << 42)
headers = st.lists(
    st.tuples(st.text(max_size=8), st.none() | st.binary(max_size=9)), max_size=3
).map(tuple)
rows = st.lists(st.tuples(cells, cells, times, headers), min_size=1, max_size=40)
alike = st.tuples(st.lists(st.tuples(cells, cells), min_size=1, max_size=200), times, headers)


def columns(batch):
    keys, values, timestamps, heads = map(list, zip(*batch, strict=True))
    return keys, values, timestamps, heads


def theirs(batch) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=0, producer_id=-1, producer_epoch=-1,
        base_sequence=-1, batch_size=1 << 30,
    )  # fmt: skip
    for offset, (key, value, timestamp, head) in enumerate(batch):
        assert builder.append(offset, timestamp, key, value, list(head)) is not None
    return bytes(builder.build())


def read_theirs(data: bytes):
    batch = DefaultRecordBatch(bytearray(data))
    assert batch.validate_crc()
    return [(r.key, r.value, r.timestamp, tuple(r.headers)) for r in batch]


@given(rows)
@settings(max_examples=300, deadline=None)
def test_bytes_equal_aiokafkas(batch):
    data = records.encode(*columns(batch))
    assert data == theirs(batch)
    assert read_theirs(data) == batch


@given(alike)
@settings(max_examples=200, deadline=None)
def test_columns_that_repeat_one_value(drawn):
    """The fast ways: equal timestamps, shared headers, sequences that are no lists."""
    pairs, timestamp, head = drawn
    batch = [(key, value, timestamp, head) for key, value in pairs]
    keys, values, timestamps, _ = columns(batch)
    n = len(batch)
    for times, heads in (
        (timestamps, [head] * n),
        (Repeated(timestamp, n), Repeated(head, n)),
    ):
        assert records.encode(keys, values, times, heads) == theirs(batch)
    nulls = [(None, value, timestamp, head) for _, value in pairs]
    assert records.encode(Repeated(None, n), values, timestamps, [head] * n) == theirs(nulls)


@given(st.lists(rows, min_size=1, max_size=4), st.integers(0, 1 << 60))
@settings(max_examples=150, deadline=None)
def test_reading_what_aiokafka_wrote(batches, base):
    data, offset = b"", base
    for batch in batches:
        data += b"".join(records.with_offset(theirs(batch), offset))
        offset += len(batch)
    found = records.decode(data)
    assert [b.next_offset for b in found][-1] == offset
    assert [at for b in found for at in b.offsets] == list(range(base, offset))
    for batch, decoded in zip(batches, found, strict=True):
        keys, values, timestamps, heads = columns(batch)
        assert (decoded.keys, decoded.values) == (keys, values)
        assert decoded.timestamps == timestamps
        assert decoded.headers == (heads if any(heads) else None)


@given(rows, st.data())
@settings(max_examples=150, deadline=None)
def test_rewriting_keeps_offsets_and_rows(batch, data):
    whole = records.encode(*columns(batch))
    head, rest = records.with_offset(whole, 1000)
    stored = head + rest
    (decoded,) = records.decode(stored)
    kept = data.draw(
        st.lists(st.sampled_from(range(len(batch))), min_size=1, unique=True).map(sorted)
    )
    horizon = data.draw(st.none() | times)
    again = records.rewrite(records.read_header(stored), decoded, kept, horizon)
    (found,) = records.decode(again)
    assert found.offsets == [1000 + row for row in kept]
    assert found.next_offset == decoded.next_offset
    assert found.values == [batch[row][1] for row in kept]
    assert found.timestamps == [batch[row][2] for row in kept]
    assert read_theirs(again) == [batch[row] for row in kept]


@given(rows, st.data())
@settings(max_examples=300, deadline=None)
def test_damage_is_never_read_as_records(batch, data):
    whole = records.encode(*columns(batch))
    at = data.draw(st.integers(16, len(whole) - 1))
    bad = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    for broken in (bad, whole[:at]):
        try:
            records.decode(broken)
        except errors.InvalidBatch:
            continue
        raise AssertionError("it was read")


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_random_bytes_raise_nothing_but_invalid_batch(data):
    with suppress(errors.InvalidBatch):
        records.decode(data)
