"""Defaults of columns, from the expressions the catalog keeps, to defaults of schemas. Pure.

As in Debezium a literal becomes the schema's default; what only the server can evaluate becomes
the type's zero value when the column is NOT NULL, and nothing when it is not.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal
from typing import Any, Final

from connect.data import DECIMAL, NO_DEFAULT
from connectors.postgres.types import ColumnType

_CAST: Final = (
    r"""(?:::(?:"[^"]+"|[a-z_][\w ]*)(?:\.(?:"[^"]+"|\w+))?(?:\(\d+(?:,\d+)?\))?(?:\[\])?)*"""
)
_QUOTED: Final = re.compile(rf"\(?[BE]?'((?:[^']|'')*)'{_CAST}\)?{_CAST}", re.DOTALL)
_NUMBER: Final = re.compile(rf"\(?(-?\d+(?:\.\d+)?)\)?{_CAST}")
_BOOLEAN: Final = re.compile(r"(true|false)")
_NULL: Final = re.compile(rf"NULL{_CAST}", re.IGNORECASE)
_MOVING: Final = {"now", "today", "tomorrow", "yesterday", "allballs"}


def value(expression: str | None, type: ColumnType, required: bool) -> Any:
    """The schema's default for a column's default expression; NO_DEFAULT for none."""
    if expression is None or type.schema.type == "struct":
        return NO_DEFAULT
    if _NULL.fullmatch(expression):
        return NO_DEFAULT
    text = _literal(expression)
    if text is not None:
        try:
            return _read(text, type)
        except (ValueError, ArithmeticError):
            pass  # not in the form of a stored value: as good as a function
    if not required or (type.schema.name or "").endswith(".Enum"):
        return NO_DEFAULT
    return type.zero


def _literal(expression: str) -> str | None:
    if match := _BOOLEAN.fullmatch(expression):
        return match[1][0]
    if match := _NUMBER.fullmatch(expression):
        return match[1]
    if (match := _QUOTED.fullmatch(expression)) and match[1] not in _MOVING:
        return match[1].replace("''", "'")
    return None


def _read(text: str, type: ColumnType) -> Any:
    (read,) = type.decode([text.encode()])
    if type.schema.name == DECIMAL and isinstance(read, Decimal):
        return read.quantize(Decimal(1).scaleb(-type.schema.scale), context=Context(prec=2000))
    return read
