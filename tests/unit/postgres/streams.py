"""Frames of a replication stream, written by hand."""

import struct

Cell = bytes | None | str  # text, NULL, or "unchanged"
COLUMNS = (("id", 23, True), ("v", 25, False))


def frame(message: bytes, lsn: int = 0) -> bytes:
    return b"w" + struct.pack(">QQq", lsn, lsn, 0) + message


def keepalive(wal_end: int, reply: bool = False) -> bytes:
    return b"k" + struct.pack(">QqB", wal_end, 0, reply)


def begin(commit: int, xid: int = 7, micros: int = 1_000_000) -> bytes:
    return frame(b"B" + struct.pack(">QqI", commit, micros, xid))


def commit(lsn: int, end: int) -> bytes:
    return frame(b"C" + struct.pack(">BQQq", 0, lsn, end, 0))


def relation(
    oid: int = 1,
    name: str = "t",
    columns: tuple[tuple[str, int, bool], ...] = COLUMNS,
    identity: str = "d",
) -> bytes:
    body = b"R" + struct.pack(">I", oid) + b"public\0" + name.encode() + b"\0" + identity.encode()
    body += struct.pack(">H", len(columns))
    for column, type_oid, key in columns:
        body += bytes([key]) + column.encode() + b"\0" + struct.pack(">Ii", type_oid, -1)
    return frame(body)


def row(*cells: Cell) -> bytes:
    body = struct.pack(">H", len(cells))
    for cell in cells:
        if cell is None:
            body += b"n"
        elif isinstance(cell, str):
            body += b"u"
        else:
            body += b"t" + struct.pack(">I", len(cell)) + cell
    return body


def insert(*cells: Cell, oid: int = 1, lsn: int = 5) -> bytes:
    return frame(b"I" + struct.pack(">I", oid) + b"N" + row(*cells), lsn)


def update(
    new: tuple[Cell, ...], old: tuple[Cell, ...] | None = None, kind: str = "K", lsn: int = 5
) -> bytes:
    before = b"" if old is None else kind.encode() + row(*old)
    return frame(b"U" + struct.pack(">I", 1) + before + b"N" + row(*new), lsn)


def delete(*old: Cell, kind: str = "K", lsn: int = 5) -> bytes:
    return frame(b"D" + struct.pack(">I", 1) + kind.encode() + row(*old), lsn)


def truncate(*oids: int, lsn: int = 5) -> bytes:
    return frame(b"T" + struct.pack(f">IB{len(oids)}I", len(oids), 0, *oids), lsn)
