"""Rows of pgoutput messages to columns of texts, by a function made for each shape of row.

A loop over the columns of each row costs several times as much as the same steps written out one
after the other, so the steps are written out: once per number of columns, wanted columns and kind
of message. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from connect.data import UNAVAILABLE
from connect.errors import FatalError
from connectors.postgres.pgoutput import MESSAGE, Kind

FIRST: Final = MESSAGE + 6  # the first tuple's count of columns


class Texts(NamedTuple):
    """Columns of texts: bytes, None for NULL, UNAVAILABLE for what was not sent. ``odd``: the
    columns that hold anything but bytes."""

    columns: list[list[Any]]
    odd: frozenset[int]


class Images(NamedTuple):
    """The rows before and after a change, where the message has them."""

    old: Texts | None
    new: Texts | None


_Split: TypeAlias = Callable[
    [Sequence[bytes]], tuple[list[list[Any]], set[int], list[list[Any]], set[int]]
]


def split(kind: Kind, columns: int, wanted: Sequence[int], frames: Sequence[bytes]) -> Images:
    """The wanted columns of the rows in these messages, which all are of one kind.

    Args:
        columns: how many a row has; FatalError if a message has others.
        wanted: indices of the columns to keep, ascending.
    """
    has_old = kind in ("UK", "UO", "DK", "DO")
    has_new = kind in ("I", "U", "UK", "UO")
    function = _splitter(has_old, has_new, columns, tuple(wanted))
    try:
        old, old_odd, new, new_odd = function(frames)
    except (struct.error, IndexError, ValueError) as error:
        raise FatalError(
            "A row in the replication stream can't be read: it does not have the form its "
            "relation says.",
            code="postgres.stream.malformed",
            hint="Report this with the server's version; the position was not moved.",
        ) from error
    return Images(
        Texts(old, frozenset(old_odd)) if has_old else None,
        Texts(new, frozenset(new_odd)) if has_new else None,
    )


@lru_cache(maxsize=1000)
def _splitter(has_old: bool, has_new: bool, columns: int, wanted: tuple[int, ...]) -> _Split:
    images = [name for name, there in (("old", has_old), ("new", has_new)) if there]
    lines = ["def split(frames):"]
    lines += [
        f"    {name} = [[] for _ in range({len(wanted)})]; {name}_odd = set()"
        for name in ("old", "new")
    ]
    for name in images:
        lines += [f"    {name}{i} = {name}[{i}].append" for i in range(len(wanted))]
    lines += ["    for b in frames:", f"        p = {FIRST}"]
    for number, name in enumerate(images):
        if number:
            lines += ["        if b[p] != 78: raise ValueError", "        p += 1"]
        lines += [f"        if b[p:p + 2] != {columns.to_bytes(2, 'big')!r}: raise ValueError"]
        lines += ["        p += 2"]
        for column in range(columns):
            place = wanted.index(column) if column in wanted else None
            lines += _column(name, place)
    lines += ["        if p != len(b): raise ValueError", "    return old, old_odd, new, new_odd"]
    names: dict[str, Any] = {"length": struct.Struct(">xI").unpack_from, "UNAVAILABLE": UNAVAILABLE}
    exec("\n".join(lines), names)  # only numbers and the names above are part of the source
    made: _Split = names["split"]
    return made


def _column(name: str, place: int | None) -> list[str]:
    """The steps for one column: 116 is ``t`` (text), 110 ``n`` (NULL), 117 ``u`` (unchanged)."""

    def keep(value: str) -> str:
        return f"{name}{place}({value})" if place is not None else "pass"

    odd = f"{name}_odd.add({place})" if place is not None else "pass"
    return [
        "        if b[p] == 116:",
        "            n, = length(b, p); p += 5; q = p + n",
        f"            {keep('b[p:q]')}; p = q",
        "        elif b[p] == 110:",
        f"            {keep('None')}; {odd}; p += 1",
        "        elif b[p] == 117:",
        f"            {keep('UNAVAILABLE')}; {odd}; p += 1",
        "        else: raise ValueError",
    ]
