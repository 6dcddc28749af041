"""The records inside a batch, from bytes to columns: the hot loop of reading."""

from __future__ import annotations

from typing import TypeAlias

Headers: TypeAlias = tuple[tuple[str, bytes | None], ...]


def decode_records(  # noqa: PLR0912, PLR0915  one loop on purpose
    data: bytes, at: int, end: int, count: int
) -> tuple[list[bytes | None], list[bytes | None], list[int], list[int], list[Headers] | None]:
    """Keys, values, timestamp deltas, offset deltas and headers of ``count`` records.

    They fill ``data`` from ``at`` to ``end``; IndexError or UnicodeDecodeError if they do not.
    """
    keys: list[bytes | None] = []
    values: list[bytes | None] = []
    shifts: list[int] = []
    deltas: list[int] = []
    tails: list[bytes] = []
    for _ in range(count):
        # Five varints by hand: a call for each would double the time of decoding.
        if (n := data[at]) < 0x80:
            at += 1
        elif (m := data[at + 1]) < 0x80:
            n, at = n & 0x7F | m << 7, at + 2
        else:
            n, at = _long(data, at)
        stop = at + (n >> 1)
        at += 1  # the record's attributes, unused
        if (n := data[at]) < 0x80:
            at += 1
        else:
            n, at = _long(data, at)
        shifts.append((n >> 1) ^ -(n & 1) if n else 0)
        if (n := data[at]) < 0x80:
            at += 1
        else:
            n, at = _long(data, at)
        deltas.append(n >> 1)
        if (n := data[at]) < 0x80:
            at += 1
        else:
            n, at = _long(data, at)
        if n & 1:
            keys.append(None)
        else:
            n = at + (n >> 1)
            keys.append(data[at:n])
            at = n
        if (n := data[at]) < 0x80:
            at += 1
        elif (m := data[at + 1]) < 0x80:
            n, at = n & 0x7F | m << 7, at + 2
        else:
            n, at = _long(data, at)
        if n & 1:
            values.append(None)
        else:
            n = at + (n >> 1)
            values.append(data[at:n])
            at = n
        if at >= stop or stop > end:
            raise IndexError("a record runs over its end")
        tails.append(data[at:stop])
        at = stop
    if at != end:
        raise IndexError("bytes follow the last record")
    return keys, values, shifts, deltas, _decode_headers(tails)


def _long(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned varint of any length and the position after it."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
        if shift > 63:
            raise IndexError("a number is too long")


def _decode_headers(tails: list[bytes]) -> list[Headers] | None:
    known: dict[bytes, Headers] = {b"\0": ()}
    for tail in set(tails):
        if tail not in known:
            known[tail] = _headers(tail)
    if len(known) == 1:
        return None
    return [known[tail] for tail in tails]


def _headers(tail: bytes) -> Headers:
    count, at = _long(tail, 0)
    pairs: list[tuple[str, bytes | None]] = []
    for _ in range(count >> 1):
        size, at = _long(tail, at)
        name = tail[at : at + (size >> 1)].decode()
        at += size >> 1
        size, at = _long(tail, at)
        value = None if size & 1 else tail[at : at + (size >> 1)]
        at += 0 if value is None else size >> 1
        pairs.append((name, value))
    if at != len(tail):
        raise IndexError("headers run over their record")
    return tuple(pairs)
