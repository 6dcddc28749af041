"""Logical replication messages (pgoutput, protocol version 1) to changes grouped by table.

Pure: frames in, changes out. The formats are those of the PostgreSQL manual, chapters "Streaming
Replication Protocol" and "Logical Replication Message Formats". A frame is one CopyData payload:
XLogData (``w``, three 8-byte integers, then a message) or a keepalive (``k``).

Changes of a poll are grouped by relation and kind of message, so that whoever converts them
decides once a group. Their places in the poll keep the order.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple

from connect.errors import FatalError

MESSAGE: Final = 25  # a message begins behind XLogData's header
PREFIX: Final = slice(MESSAGE, MESSAGE + 6)  # kind, relation oid, kind of the first tuple
INFINITE: Final = 2**64

_U16: Final = struct.Struct(">H").unpack_from
_U32: Final = struct.Struct(">I").unpack_from
_U64: Final = struct.Struct(">Q").unpack_from
_BEGIN: Final = struct.Struct(">QqI")
_COMMIT: Final = struct.Struct(">BQQq")
_COLUMN: Final = struct.Struct(">Ii")
_POSTGRES_EPOCH: Final = 946_684_800_000_000  # microseconds between 1970 and 2000

Kind = Literal["I", "U", "UK", "UO", "DK", "DO", "T"]
"""Insert; update without, with a key's and with a full old row; delete; truncate."""

_KINDS: Final[dict[bytes, Kind]] = {
    b"IN": "I", b"UN": "U", b"UK": "UK", b"UO": "UO", b"DK": "DK", b"DO": "DO",
}  # fmt: skip


class RelationColumn(NamedTuple):
    """A column as a Relation message has it; ``key``: part of the replica identity."""

    name: str
    oid: int
    typmod: int
    key: bool


@dataclass(frozen=True, slots=True)
class Relation:
    """A table as a Relation message has it; ``identity``: d(efault), n(othing), f(ull), i(ndex)."""

    oid: int
    schema: str
    name: str
    identity: str
    columns: tuple[RelationColumn, ...]


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction: where its commit is, when it was (microseconds since 1970), its xid, the end
    of the transaction before it (None: not known), and the origin it was replicated from."""

    commit_lsn: int
    timestamp: int
    xid: int
    before: int | None
    origin: str | None = None
    origin_lsn: int | None = None


@dataclass(slots=True)
class Changes:
    """Changes of one kind to one version of a relation.

    ``places`` are the numbers of the changes in the poll, ascending; ``frames`` their messages.
    A truncate has a frame, too.
    """

    relation: Relation
    kind: Kind
    frames: list[bytes] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    def lsns(self) -> list[int]:
        """Where each change is in the write-ahead log."""
        return [_U64(frame, 1)[0] for frame in self.frames]


@dataclass(frozen=True, slots=True)
class Position:
    """How far the changes of all polls go.

    Every transaction whose commit record begins before ``lsn`` is done; of the one that commits
    at ``commit_lsn``, if any is begun, ``index`` changes, the last of them at ``last_lsn``.
    ``before`` is the end of the transaction before.
    """

    lsn: int
    before: int | None = None
    commit_lsn: int | None = None
    index: int = 0
    last_lsn: int = 0


@dataclass(frozen=True, slots=True)
class Feed:
    """The changes of one poll, and the transactions they belong to: ``runs`` lists the place of
    each transaction's first change with the transaction, ascending."""

    changes: list[Changes]
    runs: list[tuple[int, Transaction]]
    count: int


class Decoder:
    """Reads messages in order and knows, between polls, the open transaction and the relations.

    Changes at or below ``position`` are dropped: a server may send what was confirmed already.
    """

    def __init__(self, position: Position) -> None:
        self._lsn = position.lsn
        self._before = position.before
        self._resume = position if position.commit_lsn is not None else None
        self._relations: dict[int, Relation] = {}
        self._transaction: Transaction | None = None
        self._index = 0  # changes seen of the open transaction
        self._skip = 0  # of these, how many were done in an earlier life
        self._last = b""  # the last change that was fed

    @property
    def position(self) -> Position:
        """The position after everything that was fed."""
        transaction = self._transaction
        if transaction is None or self._index == 0 or self._skip >= INFINITE:
            return self._resume or Position(self._lsn, self._before)
        if self._resume is not None and self._index < self._skip:
            return self._resume
        last_lsn = _U64(self._last, 1)[0]
        return Position(self._lsn, self._before, transaction.commit_lsn, self._index, last_lsn)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is begun and not committed."""
        return self._transaction is not None

    def feed(self, frames: Sequence[bytes]) -> Feed:
        """The changes of these frames. FatalError for bytes that are not pgoutput's."""
        runs = [] if self._transaction is None else [(0, self._transaction)]
        state = _Feeding({}, [], runs)
        groups = state.groups
        count = 0
        try:
            for frame in frames:
                group = groups.get(frame[PREFIX])
                if group is None:
                    state.count = count
                    group = self._other(frame, state)
                    if group is None:
                        count = state.count
                        continue
                self._index += 1
                self._last = frame
                if self._index > self._skip:
                    group.frames.append(frame)
                    group.places.append(count)
                    count += 1
                elif self._index == self._skip:
                    self._check_resumed(frame)
        except (struct.error, IndexError, ValueError, KeyError) as error:
            raise _malformed("a message is cut short or garbled") from error
        return Feed(state.changes, state.runs, count)

    def _other(self, frame: bytes, state: _Feeding) -> Changes | None:
        """Read a message that is no row change, or open the group of one that is."""
        if frame[0] == 107:  # k
            self._keepalive(_U64(frame, 1)[0])
            return None
        if frame[0] != 119:  # w
            raise _malformed("a frame is neither data nor a keepalive")
        match chr(frame[MESSAGE]):
            case "I" | "U" | "D":
                return self._open_group(frame, state)
            case "B":
                self._begin(frame, state)
            case "C":
                self._commit(frame)
            case "R":
                relation = _relation(frame)
                self._relations[relation.oid] = relation
                oid = frame[MESSAGE + 1 : MESSAGE + 5]
                for prefix in [p for p in state.groups if p[1:5] == oid]:
                    del state.groups[prefix]
            case "T":
                self._truncate(frame, state)
            case "O":
                self._origin(frame, state)
            case "Y" | "M":
                pass  # types come from the catalog; logical messages are not asked for
            case kind:
                raise _malformed(f"there is no message {kind!r} in protocol version 1")
        return None

    def _open_group(self, frame: bytes, state: _Feeding) -> Changes:
        prefix = frame[PREFIX]
        kind = _KINDS.get(prefix[:1] + prefix[5:])
        relation = self._relations.get(_U32(frame, MESSAGE + 1)[0])
        if kind is None or relation is None or self._transaction is None:
            raise _malformed("a change comes without its relation or transaction")
        group = state.groups[prefix] = Changes(relation, kind)
        state.changes.append(group)
        return group

    def _begin(self, frame: bytes, state: _Feeding) -> None:
        if self._transaction is not None:
            raise _malformed("a transaction begins inside another")
        commit_lsn, timestamp, xid = _BEGIN.unpack_from(frame, MESSAGE + 1)
        self._transaction = Transaction(commit_lsn, timestamp + _POSTGRES_EPOCH, xid, self._before)
        self._index = 0
        self._skip = 0
        if commit_lsn < self._lsn:
            self._skip = INFINITE
        elif self._resume is not None:
            if commit_lsn != self._resume.commit_lsn:
                raise _lost(self._resume)
            self._skip = self._resume.index
        state.runs.append((state.count, self._transaction))

    def _commit(self, frame: bytes) -> None:
        _flags, commit_lsn, end_lsn, _timestamp = _COMMIT.unpack_from(frame, MESSAGE + 1)
        transaction = self._transaction
        if transaction is None or transaction.commit_lsn != commit_lsn:
            raise _malformed("a commit does not belong to the open transaction")
        if self._resume is not None and self._skip != INFINITE:
            if self._index < self._skip:
                raise _lost(self._resume)
            self._resume = None
        self._transaction = None
        self._before = end_lsn
        self._lsn = max(self._lsn, end_lsn)

    def _keepalive(self, wal_end: int) -> None:
        if self._transaction is None and wal_end > self._lsn:
            if self._resume is not None:
                commit_lsn = self._resume.commit_lsn
                if commit_lsn is not None and wal_end > commit_lsn:
                    raise _lost(self._resume)
                return
            self._lsn = wal_end

    def _origin(self, frame: bytes, state: _Feeding) -> None:
        if self._transaction is None:
            raise _malformed("an origin comes without a transaction")
        name, _ = _string(frame, MESSAGE + 9)
        origin_lsn = _U64(frame, MESSAGE + 1)[0]
        self._transaction = replace(self._transaction, origin=name, origin_lsn=origin_lsn)
        state.runs.append((state.count, self._transaction))

    def _truncate(self, frame: bytes, state: _Feeding) -> None:
        if self._transaction is None:
            raise _malformed("a truncate comes without a transaction")
        self._index += 1
        self._last = frame
        if self._index < self._skip:
            return
        if self._index == self._skip:
            self._check_resumed(frame)
            return
        number = _U32(frame, MESSAGE + 1)[0]
        for oid in struct.unpack_from(f">{number}I", frame, MESSAGE + 6):
            relation = self._relations[oid]
            state.changes.append(Changes(relation, "T", [frame], [state.count]))
            state.count += 1

    def _check_resumed(self, frame: bytes) -> None:
        """The last change done in an earlier life must be where it was then."""
        resume = self._resume
        if resume is not None and resume.last_lsn != _U64(frame, 1)[0]:
            raise _lost(resume)


@dataclass(slots=True)
class _Feeding:
    """What one ``feed`` has so far; ``groups`` are those that still take changes."""

    groups: dict[bytes, Changes]
    changes: list[Changes]
    runs: list[tuple[int, Transaction]]
    count: int = 0


def before(frames: Sequence[bytes], lsn: int) -> tuple[Sequence[bytes], bool]:
    """The frames up to the first transaction that commits at or after ``lsn``, and whether the
    stream is known to have come that far."""
    for number, frame in enumerate(frames):
        if frame[0] == 119 and frame[MESSAGE] == 66:  # B
            if _U64(frame, MESSAGE + 1)[0] >= lsn:
                return frames[:number], True
        elif frame[0] == 107 and _U64(frame, 1)[0] >= lsn:
            return frames[:number], True
    return frames, False


def _relation(frame: bytes) -> Relation:
    oid = _U32(frame, MESSAGE + 1)[0]
    schema, place = _string(frame, MESSAGE + 5)
    name, place = _string(frame, place)
    identity = chr(frame[place])
    (number,) = _U16(frame, place + 1)
    place += 3
    columns = []
    for _ in range(number):
        key = bool(frame[place] & 1)
        column, place = _string(frame, place + 1)
        type_oid, typmod = _COLUMN.unpack_from(frame, place)
        place += _COLUMN.size
        columns.append(RelationColumn(column, type_oid, typmod, key))
    if place != len(frame):
        raise _malformed("a relation does not end where its message ends")
    return Relation(oid, schema or "pg_catalog", name, identity, tuple(columns))


def _string(frame: bytes, place: int) -> tuple[str, int]:
    end = frame.index(0, place)
    return frame[place:end].decode(), end + 1


def _malformed(what: str) -> FatalError:
    return FatalError(
        f"The replication stream can't be read: {what}.",
        code="postgres.stream.malformed",
        hint="Report this with the server's version; the position was not moved.",
    )


def _lost(position: Position) -> FatalError:
    return FatalError(
        "The server does not send the transaction in the middle of which the last run ended "
        f"(commit at {lsn_text(position.commit_lsn or 0)}, change {position.index}).",
        code="postgres.position.lost",
        hint="The slot or the publication was changed. Reset the connector's offsets to take a "
        "new snapshot.",
    )


def lsn_text(lsn: int) -> str:
    """An LSN as Postgres writes it, ``16/B374D848``."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def parse_lsn(text: str) -> int:
    """The number of an LSN as Postgres writes it."""
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)
