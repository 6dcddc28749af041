"""numeric and money: exact decimals, doubles or texts. Pure."""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Final

from connect.data import DECIMAL, Field, Schema, parameters
from connectors.postgres.types import ColumnType, Decode, ValueOptions

VARIABLE_SCALE: Final = Schema(
    "struct",
    name="io.debezium.data.VariableScaleDecimal",
    version=1,
    doc="Variable scaled decimal",
    fields=(Field("scale", Schema("int32")), Field("value", Schema("bytes"))),
)
_EXACT: Final = decimal.Context(prec=decimal.MAX_PREC, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX)


def _finite(column: Sequence[bytes]) -> list[Decimal]:
    values = list(map(Decimal, map(bytes.decode, column)))
    if not all(map(Decimal.is_finite, values)):
        raise ValueError("the value is NaN or Infinity, which the precise mode can't represent")
    return values


def _rescaled(column: Sequence[bytes], scale: int) -> list[Decimal]:
    """Decimals of exactly this scale: Postgres writes them so, but for negative scales."""
    values = _finite(column)
    unit = Decimal(1).scaleb(-scale)
    return [v.quantize(unit, decimal.ROUND_HALF_UP, _EXACT) for v in values]


def _variable(column: Sequence[bytes]) -> list[tuple[int, bytes]]:
    """(scale, unscaled value) with trailing zeros stripped and the scale not below 0."""
    found = []
    for value in _finite(column):
        sign, digits, exponent = value.normalize(_EXACT).as_tuple()
        unscaled = _long(digits)
        if int(exponent) > 0:
            unscaled, exponent = unscaled * 10 ** int(exponent), 0
        found.append((-int(exponent), _twos_complement(-unscaled if sign else unscaled)))
    return found


def _long(digits: tuple[int, ...]) -> int:
    """int() of many digits: Python refuses texts of more than 4300."""
    if len(digits) < 4000:
        return int("".join(map(str, digits)))
    half = len(digits) // 2
    high: int = _long(digits[:-half]) * 10**half
    return high + _long(digits[-half:])


def _twos_complement(number: int) -> bytes:
    size = (number + (number < 0)).bit_length() // 8 + 1
    return number.to_bytes(size, "big", signed=True)


_SPECIAL: Final = {
    b"NaN": "NAN",
    b"Infinity": "POSITIVE_INFINITY",
    b"-Infinity": "NEGATIVE_INFINITY",
}


def _plain_decimals(column: Sequence[bytes]) -> list[str]:
    return [_SPECIAL.get(text) or text.decode() for text in column]


def numeric(typmod: int, options: ValueOptions) -> ColumnType:
    """The type of a numeric column; without precision and scale every value has its own."""
    if options.decimal == "double":
        return ColumnType(Schema("double"), floats, 0.0)
    if options.decimal == "string":
        return ColumnType(Schema("string"), _plain_decimals, "0")
    if typmod < 0:
        return ColumnType(VARIABLE_SCALE, _variable, (0, b"\0"))
    precision = ((typmod - 4) >> 16) & 0xFFFF
    scale = (((typmod - 4) & 0x7FF) ^ 0x400) - 0x400
    decode: Decode = _finite if scale >= 0 else partial(_rescaled, scale=scale)
    return ColumnType(_decimal_schema(scale, precision), decode, Decimal(0).scaleb(-scale))


def _decimal_schema(scale: int, precision: int | None = None) -> Schema:
    values = {"scale": str(scale)}
    if precision is not None:
        values["connect.decimal.precision"] = str(precision)
    return Schema("bytes", name=DECIMAL, version=1, parameters=parameters(values))


def _amounts(column: Sequence[bytes], scale: int) -> list[Decimal]:
    """``money`` in whatever locale: its digits, over the fraction digits of that locale."""
    amounts = []
    for text in column:
        digits = bytes(filter(_DIGITS.__contains__, text))
        if not digits:
            raise ValueError("the text is not an amount of money")
        amount = Decimal(digits.decode()).scaleb(-scale, _EXACT)
        amounts.append(-amount if b"-" in text or b"(" in text else amount)
    return amounts


_DIGITS: Final = frozenset(b"0123456789")


def money(_typmod: int, options: ValueOptions) -> ColumnType:
    """The type of a money column."""
    read = partial(_amounts, scale=options.server_money_scale)
    if options.decimal == "double":
        return ColumnType(Schema("double"), lambda column: [float(a) for a in read(column)], 0.0)
    unit = Decimal(1).scaleb(-options.money_scale)

    def rounded(column: Sequence[bytes]) -> list[Decimal]:
        return [a.quantize(unit, decimal.ROUND_HALF_UP, _EXACT) for a in read(column)]

    if options.decimal == "string":
        return ColumnType(
            Schema("string"), lambda column: [format(a, "f") for a in rounded(column)], "0"
        )
    return ColumnType(_decimal_schema(options.money_scale), rounded, 0 * unit)


def floats(column: Sequence[bytes]) -> list[float]:
    """Texts of numbers, NaN and infinities, as floats."""
    return list(map(float, column))
