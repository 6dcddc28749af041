"""Columns to JSON text, by column: byte for byte what Kafka Connect's JsonConverter writes.

A row's text is a join of pieces. A piece is text that all rows share (field names, punctuation,
constant columns) or one fragment per row; a column becomes fragments in two C calls where its
values allow it: ``orjson.dumps`` of the whole column, and ``split``.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterable, Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, Inexact, InvalidOperation
from functools import lru_cache
from itertools import chain, islice, repeat
from types import NoneType
from typing import Any, Final, TypeAlias

import orjson

from connect.converters.java_text import double_text, float_text
from connect.data import DECIMAL, NO_DEFAULT, Column, Constant, Schema, Struct

Piece: TypeAlias = "bytes | Sequence[bytes]"

NULL: Final = b"null"
_KINDS: Final[dict[str, set[type]]] = {
    "int8": {int}, "int16": {int}, "int32": {int}, "int64": {int}, "float": {float, int},
    "double": {float, int}, "boolean": {bool}, "string": {str}, "bytes": {bytes},
    "array": {list, tuple}, "map": {dict}, "struct": {tuple},
}  # fmt: skip
_RANGES: Final = {
    name: (-(1 << bits - 1), (1 << bits - 1) - 1)
    for name, bits in (("int8", 8), ("int16", 16), ("int32", 32), ("int64", 64))
}
_EXACT = Context(MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[Inexact, InvalidOperation])
_REMEMBERED_DECIMALS: Final = 20_000


class Unfit(ValueError):
    """A value that does not fit its schema; ``path`` leads to it."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.reason = reason
        self.path = path

    def inside(self, name: str) -> Unfit:
        """The same, seen from the struct that holds it in field ``name``."""
        return type(self)(self.reason, f"{name}.{self.path}" if self.path else name)


class JsonEncoder:
    """Turns columns into JSON; keeps what it can know of a schema."""

    def __init__(
        self, *, numeric_decimals: bool = False, replace_nulls: bool = True, remember: int = 1000
    ) -> None:
        self._numeric_decimals = numeric_decimals
        self._replace_nulls = replace_nulls
        self._remember = remember
        self._names: dict[Schema, list[bytes]] = {}
        self._decimals: dict[Schema, dict[Decimal, bytes]] = {}

    def texts(
        self, schema: Schema, column: Column, count: int, before: bytes = b"", after: bytes = b""
    ) -> list[bytes]:
        """JSON text of every row, between two constant texts. Unfit if a value does not fit."""
        return render([before, *self.pieces(schema, column, count), after], count)

    def pieces(self, schema: Schema, column: Column, count: int) -> list[Piece]:
        """The rows of one column as pieces."""
        if isinstance(column, Struct):
            return self._structs(schema, column)
        if isinstance(column, Constant):
            if count == 0:
                return []
            return [self._constant(schema, column.value)]
        values = column if type(column) is list or type(column) is tuple else list(column)
        kinds = set(map(type, values))
        if NoneType not in kinds:
            return self._values(schema, values, kinds)
        null = self.null(schema)
        return [_spread(self._values_of_some(schema, values, kinds), values, null)]

    def _constant(self, schema: Schema, value: Any) -> bytes:
        if value is None:
            return self.null(schema)
        if schema.type == "string" and type(value) is str and len(value) < 256:
            return text_of(value)
        return self.texts(schema, [value], 1)[0]

    def null(self, schema: Schema) -> bytes:
        """What null becomes: its default, null if optional, else Unfit."""
        if self._replace_nulls and schema.default not in (NO_DEFAULT, None):
            return self.texts(schema, [schema.default], 1)[0]
        if schema.optional:
            return NULL
        raise Unfit("null value for a field that is required and has no default value")

    def _values_of_some(
        self, schema: Schema, values: Sequence[Any], kinds: set[type]
    ) -> list[bytes]:
        some = [value for value in values if value is not None]
        return render(self._values(schema, some, kinds - {NoneType}), len(some))

    def _values(self, schema: Schema, values: Sequence[Any], kinds: set[type]) -> list[Piece]:
        """Pieces of a column without nulls, whose values have these types."""
        if not values:
            return []
        if schema.name == DECIMAL:
            _expect(schema, kinds, {Decimal})
            return self._decimal(schema, values)
        _expect(schema, kinds, _KINDS[schema.type])
        match schema.type:
            case "string":
                return [b'"', _strings(values), b'"']
            case "boolean":
                return [_split(values)]
            case "bytes":
                return [b'"', [b2a_base64(value, newline=False) for value in values], b'"']
            case "double":
                return [_doubles(list(map(float, values)) if int in kinds else values)]
            case "float":
                return [[float_text(value) for value in values]]
            case "array":
                return self._arrays(schema, values)
            case "map":
                return self._maps(schema, values)
            case "struct":
                return self._tuples(schema, values)
            case _:
                return [_integers(schema, values)]

    def _structs(self, schema: Schema, struct: Struct) -> list[Piece]:
        present = struct.present
        if present is None or all(present):
            return self._fields(schema, struct.columns, struct.count)
        null = self.null(schema)
        rows = [row for row, here in enumerate(present) if here]
        if not rows:
            return [null]
        some = struct.take(rows)
        texts = render(self._fields(schema, some.columns, some.count), some.count)
        return [_spread(texts, [here or None for here in present], null)]

    def _tuples(self, schema: Schema, values: Sequence[tuple[Any, ...]]) -> list[Piece]:
        if set(map(len, values)) != {len(schema.fields)}:
            raise Unfit(f"a struct needs {len(schema.fields)} values")
        return self._fields(schema, list(zip(*values, strict=True)), len(values))

    def _fields(self, schema: Schema, columns: Sequence[Column], count: int) -> list[Piece]:
        if not schema.fields:
            return [b"{}"]
        names = self._names.get(schema)
        if names is None:
            if len(self._names) >= self._remember:
                self._names.clear()
            names = [b"," + text_of(field.name) + b":" for field in schema.fields]
            names[0] = b"{" + names[0][1:]
            self._names[schema] = names
        pieces: list[Piece] = []
        for name, field, column in zip(names, schema.fields, columns, strict=True):
            pieces.append(name)
            try:
                pieces += self.pieces(field.schema, column, count)
            except Unfit as error:
                raise error.inside(field.name) from error
        pieces.append(b"}")
        return pieces

    def _arrays(self, schema: Schema, values: Sequence[Sequence[Any]]) -> list[Piece]:
        assert schema.items is not None
        flat = list(chain.from_iterable(values))
        items = self.texts(schema.items, flat, len(flat))
        return [b"[", _regroup(items, values), b"]"]

    def _maps(self, schema: Schema, values: Sequence[dict[Any, Any]]) -> list[Piece]:
        assert schema.keys is not None
        assert schema.items is not None
        flat_keys: list[Any] = list(chain.from_iterable(values))
        flat = list(chain.from_iterable(value.values() for value in values))
        items = self.texts(schema.items, flat, len(flat))
        if schema.keys.type == "string":
            if None in flat_keys:
                raise Unfit("a map with string keys can't hold a null key")
            keys = self.texts(schema.keys, flat_keys, len(flat_keys))
            return [b"{", _regroup(map(b":".join, zip(keys, items, strict=True)), values), b"}"]
        keys = self.texts(schema.keys, flat_keys, len(flat_keys), before=b"[", after=b",")
        entries = [key + item + b"]" for key, item in zip(keys, items, strict=True)]
        return [b"[", _regroup(entries, values), b"]"]

    def _decimal(self, schema: Schema, values: Sequence[Decimal]) -> list[Piece]:
        known = self._decimals.get(schema)
        if known is None or len(known) > _REMEMBERED_DECIMALS:
            if len(self._decimals) >= self._remember:
                self._decimals.clear()
            known = self._decimals[schema] = {}
        convert = _number if self._numeric_decimals else _unscaled
        scale = schema.scale
        if scale > 0 and not self._numeric_decimals:
            plain = _plain_decimals(values, scale)
            if plain is not None:
                return [b'"', plain, b'"']
        one = Decimal((0, (1,), -scale))
        found = list(map(known.get, values))
        if None in found:
            for place, text in enumerate(found):
                if text is None:
                    value = values[place]
                    found[place] = known[value] = convert(value, one, scale)
        texts: list[bytes] = found  # type: ignore[assignment]
        return [texts] if self._numeric_decimals else [b'"', texts, b'"']


def render(pieces: Iterable[Piece], count: int) -> list[bytes]:
    """The rows' texts: pieces joined row by row."""
    merged: list[Piece] = []
    for piece in pieces:
        if merged and isinstance(piece, bytes) and isinstance(merged[-1], bytes):
            merged[-1] += piece
        elif piece != b"":
            merged.append(piece)
    if all(isinstance(piece, bytes) for piece in merged):
        return [b"".join(merged)] * count  # type: ignore[arg-type]
    columns = [repeat(piece, count) if isinstance(piece, bytes) else piece for piece in merged]
    texts = list(map(b"".join, zip(*columns, strict=True)))  # strict: columns of one length
    assert len(texts) == count
    return texts


@lru_cache(maxsize=4096)
def text_of(value: str) -> bytes:
    """JSON text of one string."""
    return b'"' + _strings([value])[0] + b'"'


def _expect(schema: Schema, kinds: set[type], allowed: set[type]) -> None:
    if not kinds <= allowed:
        found = ", ".join(sorted(kind.__name__ for kind in kinds - allowed))
        raise Unfit(f"{schema.name or schema.type} can't hold a value of type {found}")


def _spread(texts: Iterable[bytes], values: Iterable[Any], null: bytes) -> list[bytes]:
    """The texts of the values that are not None, and ``null`` for those that are."""
    following = iter(texts)
    return [null if value is None else next(following) for value in values]


def _regroup(texts: Iterable[bytes], groups: Sequence[Any]) -> list[bytes]:
    """Texts joined by commas, as many to each group as it has members."""
    following = iter(texts)
    return [b",".join(islice(following, len(group))) for group in groups]


def _split(values: Sequence[Any]) -> list[bytes]:
    return orjson.dumps(values)[1:-1].split(b",")


def _integers(schema: Schema, values: Sequence[int]) -> list[bytes]:
    least, most = _RANGES[schema.type]
    if min(values) < least or max(values) > most:
        raise Unfit(f"a number out of the range of {schema.type}")
    return _split(values)


def _doubles(values: Sequence[float]) -> list[bytes]:
    texts = _split(values)
    if NULL not in texts and min(values) >= 1e-3 and max(values) < 1e7:
        return texts  # where orjson's layout is Java's; NaN (null to orjson) would hide in min
    return [
        text if 1e-3 <= abs(value) < 1e7 else double_text(value)
        for text, value in zip(texts, values, strict=True)
    ]


def _strings(values: Sequence[str]) -> list[bytes]:
    """Texts of strings, without the quotes around them."""
    try:
        text = orjson.dumps(values)
    except TypeError:
        raise Unfit("a string with an unpaired surrogate") from None
    if not text.isascii() or b"\\u00" in text:
        text = _as_jackson(text)
    # A false border '","' needs a string that ends in an escaped quote and a comma.
    if b'\\","' not in text:
        return text[2:-2].split(b'","')
    if len(values) == 1:
        return [text[2:-2]]
    return [_strings([value])[0] for value in values]


_ESCAPE = re.compile(rb"\\(?:u(00..)|.)")
_BEYOND = re.compile("[\U00010000-\U0010ffff]")
_BEYOND_LEADS = (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")  # their first bytes in UTF-8


def _as_jackson(text: bytes) -> bytes:
    """Jackson writes hexadecimal digits in capitals, and escapes what UTF-16 writes as a pair."""
    if b"\\u00" in text:
        text = _ESCAPE.sub(_capitals, text)
    if text.isascii():
        return text
    if not any(lead in text for lead in _BEYOND_LEADS):
        return text
    return _BEYOND.sub(_pair, text.decode()).encode()


def _capitals(escape: re.Match[bytes]) -> bytes:
    return b"\\u" + escape[1].upper() if escape[1] else escape[0]


def _pair(character: re.Match[str]) -> str:
    code = ord(character[0]) - 0x10000
    return f"\\u{0xD800 + (code >> 10):04X}\\u{0xDC00 + (code & 0x3FF):04X}"


def _plain_decimals(values: Sequence[Decimal], scale: int) -> list[bytes] | None:
    """What ``_unscaled`` gives, several times as fast, if all values are written with exactly
    ``scale`` digits behind the point, as a database writes them; else None."""
    texts = list(map(str, values))
    point = -scale - 1
    if not all(text[point : point + 1] == "." for text in texts):
        return None
    try:
        numbers = list(map(int, ",".join(texts).replace(".", "").split(",")))
    except ValueError:
        return None  # an exponent, or more digits than int takes from a text
    return [
        b2a_base64(
            number.to_bytes((number + (number < 0)).bit_length() // 8 + 1, "big", signed=True),
            newline=False,
        )
        for number in numbers
    ]


def _unscaled(value: Decimal, one: Decimal, scale: int) -> bytes:
    """Base64 of the two's complement of the unscaled value, shortest, big-endian."""
    try:
        number = int(_EXACT.scaleb(_EXACT.quantize(value, one), scale))
    except (ArithmeticError, ValueError):
        raise Unfit("a decimal that its scale can't hold") from None
    size = (number + (number < 0)).bit_length() // 8 + 1
    return b2a_base64(number.to_bytes(size, "big", signed=True), newline=False)


def _number(value: Decimal, one: Decimal, scale: int) -> bytes:
    """Java's ``BigDecimal.toString``, which knows no negative zero."""
    try:
        scaled = _EXACT.quantize(value, one)
    except ArithmeticError:
        raise Unfit("a decimal that its scale can't hold") from None
    if scaled.is_nan():
        raise Unfit("a decimal that its scale can't hold")
    return str(scaled if scaled else scaled.copy_abs()).encode()
