"""Dates and times as Postgres writes them (DateStyle ISO, IntervalStyle postgres, TimeZone UTC).

Each function takes a column of texts as bytes, without NULLs, and returns its values. The fast
path is Python's own ISO parser; what that refuses (years beyond 9999 or BC, infinity, 24:00)
takes the slow one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

DATE_INFINITY: Final = 2**31 - 1
DATE_MINUS_INFINITY: Final = -(2**31)
TIMESTAMP_INFINITY: Final = 9223372036825200000  # microseconds: the numbers Debezium gives
TIMESTAMP_MINUS_INFINITY: Final = -9223372036832400000
INTERVAL_INFINITY: Final = 2**63 - 1
INTERVAL_MINUS_INFINITY: Final = -(2**63)

MICROSECONDS_A_DAY: Final = 86_400_000_000
MICROSECONDS_A_MONTH: Final = 2_629_800_000_000  # 365.25 / 12 days
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_EPOCH: Final = datetime(1970, 1, 1)

_DATE = re.compile(r"(\d{4,})-(\d\d)-(\d\d)( BC)?")
_TIMESTAMP = re.compile(r"(\d{4,})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(\+00)?( BC)?")
_TIME = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_OFFSET = re.compile(r"([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?$")
_INTERVAL = re.compile(
    r"(?:([+-]?\d+) years? ?)?(?:([+-]?\d+) mons? ?)?(?:([+-]?\d+) days? ?)?"
    r"(?:([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?"
)


def days(column: Sequence[bytes]) -> list[int]:
    """``date``: days since 1970."""
    parse = date.fromisoformat
    try:
        return [parse(text).toordinal() - _EPOCH_DAY for text in map(bytes.decode, column)]
    except ValueError:
        return [_days(text) for text in map(bytes.decode, column)]


def timestamps(column: Sequence[bytes]) -> list[int]:
    """``timestamp``: microseconds since 1970, read as if UTC."""
    parse = datetime.fromisoformat
    try:
        return [
            (d.days * 86400 + d.seconds) * 1_000_000 + d.microseconds
            for d in [parse(text) - _EPOCH for text in map(bytes.decode, column)]
        ]
    except ValueError:
        return [_timestamp(text) for text in map(bytes.decode, column)]


def zoned_timestamps(column: Sequence[bytes], precision: int) -> list[str]:
    """``timestamptz``: ISO 8601 in UTC, its fraction padded to the column's precision."""
    if precision == 6:
        return [
            f"{t[:10]}T{t[11:26]}Z" if t[26:] == "+00" and t[10] == " " else _padded(t)
            for t in map(bytes.decode, column)
        ]
    return [_zoned(text, precision) for text in map(bytes.decode, column)]


def times(column: Sequence[bytes]) -> list[int]:
    """``time``: microseconds past midnight; 24:00:00 is the end of the day."""
    return [_time(text) for text in map(bytes.decode, column)]


def zoned_times(column: Sequence[bytes]) -> list[str]:
    """``timetz``: the time of day in UTC, ``10:15:30.123456Z``."""
    return [_zoned_time(text) for text in map(bytes.decode, column)]


def durations(column: Sequence[bytes]) -> list[int]:
    """``interval``: microseconds, a month counted as 365.25 / 12 days."""
    return [_duration(text) for text in map(bytes.decode, column)]


def iso_durations(column: Sequence[bytes]) -> list[str]:
    """``interval``: ISO 8601, ``P1Y2M3DT4H5M6.78S``, every component present."""
    return [_iso_duration(text) for text in map(bytes.decode, column)]


def _days(text: str) -> int:
    if text == "infinity":
        return DATE_INFINITY
    if text == "-infinity":
        return DATE_MINUS_INFINITY
    match = _matched(_DATE, text)
    return _day(match[1], match[2], match[3], match[4])


def _day(year: str, month: str, day: str, era: str | None) -> int:
    # Python's calendar has the years 1 to 9999; 400 years are 146097 days in every era.
    number = 1 - int(year) if era else int(year)
    cycles, place = divmod(number - 1, 400)
    try:
        ordinal = date(place + 1, int(month), int(day)).toordinal()
    except ValueError:
        raise _unreadable() from None
    return cycles * 146_097 + ordinal - _EPOCH_DAY


def _timestamp(text: str) -> int:
    if text == "infinity":
        return TIMESTAMP_INFINITY
    if text == "-infinity":
        return TIMESTAMP_MINUS_INFINITY
    match = _matched(_TIMESTAMP, text)
    day = _day(match[1], match[2], match[3], match[9])
    seconds = int(match[4]) * 3600 + int(match[5]) * 60 + int(match[6])
    return day * MICROSECONDS_A_DAY + seconds * 1_000_000 + int((match[7] or "").ljust(6, "0"))


def _zoned(text: str, precision: int) -> str:
    if text in ("infinity", "-infinity"):
        return text
    match = _matched(_TIMESTAMP, text)
    if match[8] is None:
        raise _unreadable()  # not UTC: the session's settings were not applied
    number = 1 - int(match[1]) if match[9] else int(match[1])
    sign = "-" if number < 0 else "+" if number > 9999 else ""
    fraction = "." + (match[7] or "").ljust(precision, "0") if precision else ""
    clock = f"{match[4]}:{match[5]}:{match[6]}{fraction}"
    return f"{sign}{abs(number):04d}-{match[2]}-{match[3]}T{clock}Z"


def _padded(text: str) -> str:
    """Six digits of a second, of which the server leaves the last zeros away."""
    if text[-3:] == "+00" and text[10:11] == " " and text[19:20] == "." and len(text) < 29:
        return f"{text[:10]}T{text[11:-3].ljust(15, '0')}Z"
    return _zoned(text, 6)


def _time(text: str) -> int:
    match = _matched(_TIME, text)
    seconds = int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3])
    return seconds * 1_000_000 + int((match[4] or "").ljust(6, "0"))


def _zoned_time(text: str) -> str:
    offset = _OFFSET.search(text)
    if offset is None:
        raise _unreadable()
    shift = int(offset[2]) * 3600 + int(offset[3] or 0) * 60 + int(offset[4] or 0)
    clock = text[: offset.start()]
    seconds, micros = divmod(_time(clock), 1_000_000)
    seconds = (seconds + (shift if offset[1] == "-" else -shift)) % 86400
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    fraction = f".{micros:06d}".rstrip("0").rstrip(".")
    return f"{hour:02d}:{minute:02d}:{second:02d}{fraction}Z"


def _interval(text: str) -> tuple[int, int, int, int]:
    """Years, months, days and microseconds."""
    match = _matched(_INTERVAL, text)
    micros = 0
    if match[5] is not None:
        seconds = int(match[5]) * 3600 + int(match[6]) * 60 + int(match[7])
        micros = seconds * 1_000_000 + int((match[8] or "").ljust(6, "0"))
        micros = -micros if match[4] == "-" else micros
    return int(match[1] or 0), int(match[2] or 0), int(match[3] or 0), micros


def _duration(text: str) -> int:
    if text == "infinity":
        return INTERVAL_INFINITY
    if text == "-infinity":
        return INTERVAL_MINUS_INFINITY
    years, months, whole_days, micros = _interval(text)
    result = (years * 12 + months) * MICROSECONDS_A_MONTH + whole_days * MICROSECONDS_A_DAY + micros
    if not -(2**63) < result < 2**63 - 1:
        raise ValueError("the interval has more microseconds than 64 bits hold")
    return result


def _iso_duration(text: str) -> str:
    if text in ("infinity", "-infinity"):
        return text
    years, months, whole_days, micros = _interval(text)
    sign = "-" if micros < 0 else ""
    seconds, fraction = divmod(abs(micros), 1_000_000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    part = f".{fraction:06d}".rstrip("0").rstrip(".")

    def signed(number: int) -> str:
        return f"{sign}{number}" if number else "0"

    tail = f"{sign}{second}{part}" if second or fraction else "0"
    return f"P{years}Y{months}M{whole_days}DT{signed(hours)}H{signed(minute)}M{tail}S"


def _matched(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    match = pattern.fullmatch(text)
    if match is None or not text:
        raise _unreadable()
    return match


def _unreadable() -> ValueError:
    return ValueError("the text is not in Postgres's ISO form")
