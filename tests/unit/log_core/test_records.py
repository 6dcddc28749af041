from __future__ import annotations

import gzip
import struct

import google_crc32c
import pytest

from log_core import errors, records
from log_core.compression import NAMES, decompress

HEADERS = ((("h", b"1"), ("h", None)), (), (("ä", b""),))


def sealed(data: bytes, attributes: int, body: bytes) -> bytes:
    """The batch with other attributes and other bytes in place of its records."""
    covered = attributes.to_bytes(2, "big") + data[23:61] + body
    crc = google_crc32c.value(covered)
    return data[:8] + struct.pack(">iibI", len(covered) + 9, 0, 2, crc) + covered


def sample() -> bytes:
    return records.encode([b"k", None, b""], [b"v", b"", None], [7, 5, 9], HEADERS)


def test_round_trip():
    (found,) = records.decode(sample())
    assert found.keys == [b"k", None, b""]
    assert found.values == [b"v", b"", None]
    assert found.timestamps == [7, 5, 9]
    assert found.headers == list(HEADERS)
    assert (found.offsets, found.next_offset) == ([0, 1, 2], 3)


def test_layout_of_a_batch():
    """Byte by byte, so that a mistake made in both directions is seen."""
    data = records.encode([b"k"], [b"val"], [1000])
    record = bytes([20, 0, 0, 0, 2]) + b"k" + bytes([6]) + b"val" + bytes([0])
    assert data[61:] == record
    covered = struct.pack(">hiqqqhii", 0, 0, 1000, 1000, -1, -1, -1, 1) + record
    assert data[21:] == covered
    crc = google_crc32c.value(covered)
    assert data[:21] == struct.pack(">qiibI", 0, 9 + len(covered), -1, 2, crc)


def test_no_headers_at_all_is_none():
    assert records.decode(records.encode([None], [b"v"], [0]))[0].headers is None
    assert records.decode(records.encode([None], [b"v"], [0], [()]))[0].headers is None


def test_gzip_is_read():
    plain = sample()
    packed = sealed(plain, 1, gzip.compress(plain[61:]))
    assert records.decode(packed) == records.decode(plain)


@pytest.mark.parametrize("codec", [2, 3, 4])
def test_other_codecs_name_what_is_missing(codec: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "cramjam", None)
    with pytest.raises(errors.InvalidBatch, match=f"{NAMES[codec]}.*cramjam"):
        records.decode(sealed(sample(), codec, b"whatever"))


def test_unknown_codec():
    with pytest.raises(errors.InvalidBatch, match="codec 7"):
        records.decode(sealed(sample(), 7, b"whatever"))


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("log_core.compression.LIMIT_BYTES", 1 << 20)
    assert decompress(1, gzip.compress(bytes(1 << 20))) == bytes(1 << 20)
    bomb = gzip.compress(bytes((1 << 20) + 1))
    with pytest.raises(errors.InvalidBatch, match="more than"):
        decompress(1, bomb)


@pytest.mark.parametrize("data", [b"", b"no gzip", gzip.compress(b"x" * 100)[:-9]])
def test_damaged_gzip(data: bytes):
    with pytest.raises(errors.InvalidBatch):
        decompress(1, data)


def test_a_control_batch_has_no_rows_but_moves_the_reader():
    control = sealed(sample(), records.CONTROL | records.TRANSACTIONAL, sample()[61:])
    head, rest = records.with_offset(control, 40)
    assert records.decode(head + rest) == [records.Decoded([], [], [], None, [], 43)]


def test_log_append_time_is_the_time_of_every_record():
    data = sealed(sample(), records.LOG_APPEND_TIME, sample()[61:])
    assert records.decode(data)[0].timestamps == [9, 9, 9]


def test_records_that_do_not_fill_their_batch():
    plain = records.encode([b"k"], [b"v"], [0])
    for body in (plain[61:] + b"\0", plain[61:-1], b"", b"\xff" * 12, b"\x02\0" + plain[63:]):
        with pytest.raises(errors.InvalidBatch):
            records.decode(sealed(plain, 0, body))


def test_columns_of_different_length_are_refused():
    for columns in (([], [], []), ([None], [b"v", b"w"], [0, 0]), ([None], [b"v"], [0, 1])):
        with pytest.raises(errors.InvalidBatch):
            records.encode(*columns)
    with pytest.raises(errors.InvalidBatch):
        records.encode([None], [b"v"], [0], [(), ()])
