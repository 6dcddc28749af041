"""Numbers as Java writes them: ``Double.toString``, ``Float.toString`` of JDK 19 and newer.

Shortest digits that read back as the same number, as Python's ``repr``; what differs is the form:
plain between 1e-3 and 1e7, else one digit, a point, digits and an exponent (``1.0E10``). Jackson
writes what is not finite as a string.
"""

from __future__ import annotations

import struct

_FLOAT = struct.Struct(">f")
_NOT_FINITE = {"nan": b'"NaN"', "inf": b'"Infinity"', "-inf": b'"-Infinity"'}
_TINY_DOUBLE = 1e-321
_NORMAL_FLOAT = 2.0**-126


def double_text(number: float) -> bytes:
    """JSON text of a float64."""
    text = repr(number)
    if text in _NOT_FINITE:
        return _NOT_FINITE[text]
    if 0 < abs(number) < _TINY_DOUBLE:
        text = _two_digits(number, text)
    return _java_form(number, text)


def float_text(number: float) -> bytes:
    """JSON text of a float32; the number is rounded to one first."""
    text = repr(number)
    if len(text) <= 7 and 1e-3 <= abs(number) < 1e7:
        return text.encode()  # no other decimal of six digits is the same float32
    single = _single(number)
    text = repr(single)
    if text in _NOT_FINITE:
        return _NOT_FINITE[text]
    if single == 0:
        return text.encode()
    return _java_form(single, _shortest_single(single))


def _single(number: float) -> float:
    """The nearest float32; beyond its range infinity, as Java's cast does."""
    try:
        rounded: float = _FLOAT.unpack(_FLOAT.pack(number))[0]
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
    return rounded


def _shortest_single(single: float) -> str:
    """Fewest decimal digits that read back as this float32, the nearest of those."""
    # Six digits always survive, but for subnormal numbers, which hold fewer; Java shows two.
    for digits in range(6 if abs(single) >= _NORMAL_FLOAT else 2, 10):
        text = f"{single:.{digits}g}"
        if _single(float(text)) == single:
            return text
        # Below a power of two the gap is half as wide: the nearest decimal may miss where the
        # next one further from zero hits.
        mantissa, exponent = f"{single:.{digits - 1}e}".split("e")
        further = float(mantissa) + (1 if single > 0 else -1) * 10.0 ** (1 - digits)
        text = f"{further:.{digits - 1}f}e{exponent}"
        if _single(float(text)) == single:
            return text
    raise AssertionError(f"nine digits identify every float32: {single!r}")


def _two_digits(number: float, text: str) -> str:
    """Java shows two digits at least and takes the nearest such decimal: 4.9E-324, not 5E-324."""
    candidate = f"{number:.1e}"
    return candidate if float(candidate) == number else text


def _java_form(number: float, text: str) -> bytes:
    """Digits of ``text``, in Java's layout."""
    size = abs(number)
    plain = size == 0 or 1e-3 <= size < 1e7
    if plain and "e" not in text:
        return (text if "." in text else text + ".0").encode()
    sign = "-" if text.startswith("-") else ""
    mantissa, _, exponent = text.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = int(exponent or 0) + len(whole) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0") or "0"
    if plain:
        if point <= 0:
            return f"{sign}0.{'0' * -point}{digits}".encode()
        padded = digits.ljust(point, "0")
        return f"{sign}{padded[:point]}.{padded[point:] or '0'}".encode()
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{point - 1}".encode()
