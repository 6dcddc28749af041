"""RecordBatch v2, Kafka's format of records on disk and on the wire.

Source of the format: https://kafka.apache.org/documentation/#recordbatch. Encoding works on
columns: each step is one call over all rows, and the bytes of a batch are joined once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from operator import add
from typing import NamedTuple

import google_crc32c

from log_core.compression import decompress
from log_core.decoding import Headers, decode_records
from log_core.errors import InvalidBatch

# base offset i64, batch length i32 (of all that follows it), leader epoch i32, magic i8, crc32c u32
# | covered by the crc: attributes i16, last offset delta i32, base and max timestamp i64,
# producer id i64, producer epoch i16, base sequence i32, record count i32
_HEADER = struct.Struct(">qiibIhiqqqhii")
_PREFIX = struct.Struct(">qiibI")
_COVERED = struct.Struct(">hiqqqhii")
HEADER_BYTES = _HEADER.size
_LENGTH_AT = 8
_CRC_FROM = 21

CODEC_BITS = 0x07
LOG_APPEND_TIME = 0x08
TRANSACTIONAL = 0x10
CONTROL = 0x20
HAS_DELETE_HORIZON = 0x40  # the base timestamp says when tombstones may go (KIP-534)


def varint(number: int) -> bytes:
    """A signed zigzag varint."""
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append((number & 0x7F) | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_SMALL = 1 << 14
_VARINT = [varint(number) for number in range(_SMALL)]
_FIELD_BYTES = [len(text) + number for number, text in enumerate(_VARINT)]  # length and content
_NULL = varint(-1)


class Header(NamedTuple):
    """The fixed part of a batch; ``records`` is how many it holds."""

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records: int

    @property
    def size(self) -> int:
        """Bytes of the whole batch."""
        return self.length + 12

    @property
    def last_offset(self) -> int:
        """Offset of the last record, also when compaction removed it."""
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        """The offset after this batch."""
        return self.base_offset + self.last_offset_delta + 1


class Decoded(NamedTuple):
    """The rows of one batch; every sequence has one entry per record.

    A control batch (a transaction's marker) decodes to no rows. ``next_offset`` is where reading
    goes on: with compacted or control batches it is more than the last row's offset.
    """

    keys: list[bytes | None]
    values: list[bytes | None]
    timestamps: list[int]
    headers: list[Headers] | None
    offsets: list[int]
    next_offset: int


def encode(
    keys: Sequence[bytes | None],
    values: Sequence[bytes | None],
    timestamps: Sequence[int],
    headers: Sequence[Headers] | None = None,
) -> bytes:
    """One batch with base offset 0; at least one row. ``timestamps`` in ms."""
    count = len(values)
    if not count or len(keys) != count or len(timestamps) != count:
        raise InvalidBatch(f"{len(keys)} keys, {count} values, {len(timestamps)} timestamps")
    if headers is not None and len(headers) != count:
        raise InvalidBatch(f"{len(headers)} headers for {count} values")
    first = timestamps[0]
    body = _encode_records(range(count), keys, values, timestamps, first, headers)
    return _seal(0, -1, (0, count - 1, first, max(timestamps), -1, -1, -1, count), body)


def rewrite(
    header: Header, batch: Decoded, rows: Sequence[int], delete_horizon: int | None
) -> bytes:
    """The batch with some of its rows only, at their offsets and uncompressed.

    ``delete_horizon``: when its tombstones may go, in ms; kept in place of the base timestamp.
    """
    timestamps = [batch.timestamps[row] for row in rows]
    deltas = [batch.offsets[row] - header.base_offset for row in rows]
    attributes = header.attributes & ~(CODEC_BITS | HAS_DELETE_HORIZON)
    first = timestamps[0]
    if delete_horizon is not None:
        attributes, first = attributes | HAS_DELETE_HORIZON, delete_horizon
    body = _encode_records(
        deltas,
        [batch.keys[row] for row in rows],
        [batch.values[row] for row in rows],
        timestamps,
        first,
        None if batch.headers is None else [batch.headers[row] for row in rows],
    )
    producer = (header.producer_id, header.producer_epoch, header.base_sequence)
    times = (header.last_offset_delta, first, max(timestamps))
    fields = (attributes, *times, *producer, len(rows))
    return _seal(header.base_offset, header.leader_epoch, fields, body)


def _encode_records(
    deltas: Sequence[int],
    keys: Sequence[bytes | None],
    values: Sequence[bytes | None],
    timestamps: Sequence[int],
    first: int,
    headers: Sequence[Headers] | None,
) -> bytes:
    key_lengths, key_bytes, key_sizes = _nullable(keys)
    value_lengths, value_bytes, value_sizes = _nullable(values)
    starts, start_sizes = _starts(deltas, timestamps, first)
    sizes = map(add, map(add, key_sizes, value_sizes), start_sizes)
    tails: Iterator[bytes] | list[bytes]
    if headers is None:
        tails = repeat(b"\0")
        lengths = _varints([size + 1 for size in sizes])
    else:
        tails = _header_tails(headers)
        lengths = _varints(list(map(add, sizes, map(len, tails))))
    # Constant columns have no end of their own: zip stops with the lengths.
    fields = zip(lengths, starts, key_lengths, key_bytes, value_lengths, value_bytes, tails)  # noqa: B905
    return b"".join(chain.from_iterable(fields))


def _seal(base_offset: int, leader_epoch: int, fields: tuple[int, ...], body: bytes) -> bytes:
    covered = _COVERED.pack(*fields)
    crc = google_crc32c.extend(google_crc32c.value(covered), body)
    length = len(covered) + len(body) + 9
    return b"".join((_PREFIX.pack(base_offset, length, leader_epoch, 2, crc), covered, body))


def _varints(numbers: Sequence[int]) -> list[bytes]:
    try:
        return list(map(_VARINT.__getitem__, numbers))
    except IndexError:
        return [_VARINT[n] if n < _SMALL else varint(n) for n in numbers]


def _nullable(
    column: Sequence[bytes | None],
) -> tuple[Sequence[bytes], Sequence[bytes], Sequence[int]]:
    """Length varints, contents, and the size of both together, of each cell."""
    if None in column:
        lengths = [_NULL if cell is None else varint(len(cell)) for cell in column]
        cells = [b"" if cell is None else cell for cell in column]
        return lengths, cells, list(map(add, map(len, lengths), map(len, cells)))
    numbers = list(map(len, column))  # type: ignore[arg-type]
    try:
        lengths = list(map(_VARINT.__getitem__, numbers))
        sizes = list(map(_FIELD_BYTES.__getitem__, numbers))
    except IndexError:
        lengths = _varints(numbers)
        sizes = list(map(add, map(len, lengths), numbers))
    return lengths, column, sizes  # type: ignore[return-value]


_STARTS = [b"\0\0" + text for text in _VARINT]  # attributes, timestamp delta 0, offset delta
_START_SIZES = [len(text) for text in _STARTS]


def _starts(
    deltas: Sequence[int], timestamps: Sequence[int], first: int
) -> tuple[Sequence[bytes], Sequence[int]]:
    """Attributes, timestamp delta and offset delta of each record, and their sizes."""
    alike = min(timestamps) == first == max(timestamps)
    if alike and isinstance(deltas, range) and len(deltas) <= _SMALL:
        return _STARTS, _START_SIZES  # longer than the batch: map and zip stop at the shortest
    places = _varints(deltas)
    if alike:
        starts = [b"\0\0" + place for place in places]
    else:
        shifts = [timestamp - first for timestamp in timestamps]
        texts = [_VARINT[n] if 0 <= n < _SMALL else varint(n) for n in shifts]
        starts = [b"\0%b%b" % pair for pair in zip(texts, places, strict=True)]
    return starts, list(map(len, starts))


def _header_tails(headers: Sequence[Headers]) -> list[bytes]:
    rows = list(headers)  # keeps every tuple alive, so that their ids are theirs alone
    encoded = {id(row): row for row in rows}
    tails = {key: _encode_headers(row) for key, row in encoded.items()}
    return [tails[id(row)] for row in rows]


def _encode_headers(headers: Headers) -> bytes:
    parts = [varint(len(headers))]
    for name, value in headers:
        text = name.encode()
        parts += (varint(len(text)), text)
        parts += (_NULL,) if value is None else (varint(len(value)), value)
    return b"".join(parts)


def read_header(data: bytes, position: int = 0) -> Header:
    """The header of the batch at ``position``, unchecked. Raises InvalidBatch if too short."""
    if len(data) - position < HEADER_BYTES:
        raise InvalidBatch(f"{len(data) - position} bytes are no batch header")
    return Header._make(_HEADER.unpack_from(data, position))


def check(data: bytes, position: int = 0) -> Header:
    """The header of a whole and undamaged batch. Raises InvalidBatch saying what is wrong."""
    header = read_header(data, position)
    if header.magic != 2:
        raise InvalidBatch(f"magic {header.magic} is not RecordBatch v2")
    if header.length < HEADER_BYTES - 12:
        raise InvalidBatch(f"batch length {header.length} is too small")
    end = position + header.size
    if end > len(data):
        raise InvalidBatch(f"a batch of {header.size} bytes is cut to {len(data) - position}")
    if google_crc32c.value(data[position + _CRC_FROM : end]) != header.crc:
        raise InvalidBatch("its CRC does not match")
    if header.records < 0 or header.last_offset_delta < 0:
        raise InvalidBatch(f"count {header.records}, last offset delta {header.last_offset_delta}")
    return header


def with_offset(batch: bytes, base_offset: int) -> tuple[bytes, memoryview]:
    """The batch in two parts, with its base offset and leader epoch 0 filled in.

    The CRC covers neither, so nothing is encoded again.
    """
    head = base_offset.to_bytes(8, "big") + batch[_LENGTH_AT : _LENGTH_AT + 4] + b"\0\0\0\0"
    return head, memoryview(batch)[16:]


def batches(data: bytes) -> Iterator[tuple[int, Header]]:
    """Position and header of each batch in ``data``, which holds whole batches; CRC checked."""
    position = 0
    while position < len(data):
        header = check(data, position)
        yield position, header
        position += header.size


def decode(data: bytes) -> list[Decoded]:
    """The batches in ``data``, which holds whole batches. Raises InvalidBatch."""
    return [_decode(data, position, header) for position, header in batches(data)]


def _decode(data: bytes, position: int, header: Header) -> Decoded:
    if header.attributes & CONTROL:
        return Decoded([], [], [], None, [], header.next_offset)
    end = position + header.size
    position += HEADER_BYTES
    codec = header.attributes & CODEC_BITS
    if codec:
        data = decompress(codec, data[position:end])
        position, end = 0, len(data)
    try:
        rows = decode_records(data, position, end, header.records)
    except (IndexError, UnicodeDecodeError) as error:
        raise InvalidBatch(f"records of the batch at {header.base_offset}: {error}") from error
    keys, values, shifts, deltas, headers = rows
    first, base = header.base_timestamp, header.base_offset
    if header.attributes & LOG_APPEND_TIME:
        timestamps = [header.max_timestamp] * header.records
    elif any(shifts):
        timestamps = [first + shift for shift in shifts]
    else:
        timestamps = [first] * header.records
    if header.records == header.last_offset_delta + 1:
        offsets = list(range(base, base + header.records))
    else:
        offsets = [base + delta for delta in deltas]
    return Decoded(keys, values, timestamps, headers, offsets, header.next_offset)
