"""Java's regular expressions on Python's ``re``: what means the same, and a refusal for the rest.

Translated: named groups, ``\\k<name>``, ``\\Q...\\E``, ``\\z``. Classes are ASCII, as in Java.
Refused: ``\\p{...}``, nested or intersected classes, and all escapes ``re`` does not know. Neither
engine limits backtracking: a pattern such as ``(a+)+b`` takes time exponential in the length of
what it is matched against, here topic names of at most 249 characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

_TOKEN: Final = re.compile(
    r"\\Q(?P<quoted>.*?)(?:\\E|\Z)|\\k<(?P<back>[A-Za-z][A-Za-z0-9]*)>"
    r"|\(\?<(?P<group>[A-Za-z][A-Za-z0-9]*)>|\\(?P<end>z)|\\(?P<refused>[pPZ0cGX])|\\.|.",
    re.DOTALL,
)
_REFERENCE: Final = re.compile(
    r"\\(?P<escaped>.)|\$(?P<number>[0-9]+)|\$\{(?P<name>[A-Za-z][A-Za-z0-9]*)\}|(?P<text>[^\\$]+)",
    re.DOTALL,
)

Replacement: TypeAlias = Callable[["re.Match[str]"], str]


def java_pattern(text: str) -> re.Pattern[str]:
    """The compiled pattern. ValueError with the reason if it can't be had."""
    parts: list[str] = []
    in_class = False
    for token in _TOKEN.finditer(text):
        piece = token[0]
        if token["refused"]:
            raise ValueError(f"{piece} is not supported")
        if in_class and (piece == "[" or text.startswith("&&", token.start())):
            raise ValueError("classes inside classes ([a[b]], [a&&[b]]) are not supported")
        in_class = piece == "[" or (in_class and piece != "]")
        parts.append(_translated(token))
    try:
        return re.compile("".join(parts), re.ASCII)
    except (re.error, OverflowError) as error:
        raise ValueError(str(error)) from None


def java_replacement(text: str, pattern: re.Pattern[str]) -> Replacement:
    """What Java's ``replaceFirst`` puts in place of a match: ``$1``, ``${name}``, ``\\$``.

    ValueError if the text refers to a group the pattern lacks.
    """
    parts: list[str | int] = []
    place = 0
    while place < len(text):
        token = _REFERENCE.match(text, place)
        if token is None:
            raise ValueError(f"an incomplete group reference in {text!r}")
        place = token.end()
        if token["number"]:
            parts += _numbered(token["number"], pattern.groups)
        elif token["name"]:
            if token["name"] not in pattern.groupindex:
                raise ValueError(f"no group {token['name']}")
            parts.append(pattern.groupindex[token["name"]])
        else:
            parts.append(token["escaped"] or token["text"])
    return lambda match: _filled(parts, match)


def _translated(token: re.Match[str]) -> str:
    if token["quoted"] is not None:
        return re.escape(token["quoted"])
    if token["back"]:
        return f"(?P={token['back']})"
    if token["group"]:
        return f"(?P<{token['group']}>"
    return r"\Z" if token["end"] else token[0]


def _numbered(digits: str, groups: int) -> list[str | int]:
    """As many digits as make the number of an existing group; the rest is text."""
    number = int(digits[0])
    if number > groups:
        raise ValueError(f"no group {number}")
    used = 1
    while used < len(digits) and number * 10 + int(digits[used]) <= groups:
        number = number * 10 + int(digits[used])
        used += 1
    return [number, digits[used:]]


def _filled(parts: Sequence[str | int], match: re.Match[str]) -> str:
    return "".join(part if isinstance(part, str) else (match[part] or "") for part in parts)
