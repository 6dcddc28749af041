"""Array literals as Postgres writes them: ``{1,NULL,"a \\"quoted\\" one"}``."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ELEMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"|([^,{}"\\]+)', re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


def split(column: Sequence[bytes]) -> list[list[bytes | None]]:
    """The elements of each array as texts, None for NULL.

    Bounds (``[0:2]={...}``) are dropped. ValueError for an array of more than one dimension.
    """
    return [_elements(text) for text in column]


def _elements(text: bytes) -> list[bytes | None]:
    if text.startswith(b"["):
        text = text[text.index(b"=") + 1 :]
    if not (text.startswith(b"{") and text.endswith(b"}")):
        raise ValueError("the text is not an array")
    if text == b"{}":
        return []
    if b'"' not in text and b"\\" not in text and text.count(b"{") == 1:
        return [None if part == b"NULL" else part for part in text[1:-1].split(b",")]
    return _quoted(text)


def _quoted(text: bytes) -> list[bytes | None]:
    elements: list[bytes | None] = []
    place = 1
    while True:
        if text[place : place + 1] == b"{":
            raise ValueError("the array has more than one dimension")
        match = _ELEMENT.match(text, place)
        if match is None:
            raise ValueError("the text is not an array")
        if match[1] is not None:
            elements.append(_ESCAPE.sub(rb"\1", match[1]))
        else:
            elements.append(None if match[2] == b"NULL" else match[2])
        place = match.end()
        following = text[place : place + 1]
        if following == b"}" and place == len(text) - 1:
            return elements
        if following != b",":
            raise ValueError("the text is not an array")
        place += 1
