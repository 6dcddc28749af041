"""Types and values: what the servers of the integration tests can't show cheaply."""

from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect.data import NO_DEFAULT
from connectors.postgres import arrays, defaults, temporal
from connectors.postgres.types import TimeMode, TypeInfo, UnsupportedType, ValueOptions
from connectors.postgres.values import column_type

OPTIONS = ValueOptions()


def read(oid: int, text: str, typmod: int = -1, options: ValueOptions = OPTIONS) -> object:
    (value,) = column_type(oid, typmod, {}, options).decode([text.encode()])
    return value


def typmod(precision: int, scale: int) -> int:
    return ((precision << 16) | (scale & 0x7FF)) + 4


@given(st.dates())
def test_days(day: date) -> None:
    expected = (day - date(1970, 1, 1)).days
    text = day.isoformat().encode()
    assert temporal.days([text]) == [expected]
    assert temporal.days([text, b"infinity"])[0] == expected  # the slow path


@given(st.datetimes())
def test_timestamps(moment: datetime) -> None:
    expected = (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    text = str(moment).encode()
    assert temporal.timestamps([text]) == [expected]
    assert temporal.timestamps([text, b"-infinity"])[0] == expected


@given(st.dates(), st.integers(1, 500))
def test_years_beyond_pythons(day: date, cycles: int) -> None:
    """400 years are 146097 days, whichever era they are in."""
    later = f"{day.year + 400 * cycles:04d}-{day:%m-%d}".encode()
    expected = (day - date(1970, 1, 1)).days + 146_097 * cycles
    assert temporal.days([later]) == [expected]
    year = 1 - (day.year - 400 * 25)
    earlier = f"{year:04d}-{day:%m-%d} BC".encode()
    assert temporal.days([earlier]) == [expected - 146_097 * (cycles + 25)]


@pytest.mark.parametrize("text", ["", "2024-13-01", "01/02/2024", "2024-01-01 BC x", "Infinity"])
def test_other_date_styles_are_refused(text: str) -> None:
    for function in (temporal.days, temporal.timestamps):
        with pytest.raises(ValueError, match="ISO"):
            function([text.encode()])


def test_zoned_timestamps_must_be_utc() -> None:
    with pytest.raises(ValueError, match="ISO"):
        temporal.zoned_timestamps([b"2024-01-01 00:00:00-05"], 6)
    assert temporal.zoned_timestamps([b"10000-01-01 00:00:00.5+00"], 3) == [
        "+10000-01-01T00:00:00.500Z"
    ]
    # As long as a text with microseconds, but not one.
    assert temporal.zoned_timestamps([b"10000-01-01 00:00:00.12345+00"], 6) == [
        "+10000-01-01T00:00:00.123450Z"
    ]
    assert temporal.zoned_timestamps([b"0044-03-15 12:00:00.1+00 BC"], 6) == [
        "-0043-03-15T12:00:00.100000Z"
    ]
    assert temporal.zoned_timestamps([b"0044-03-15 12:00:00.123+00 BC"], 6) == [
        "-0043-03-15T12:00:00.123000Z"
    ]


@pytest.mark.parametrize("mode", get_args(TimeMode))
def test_every_time_mode_has_every_type(mode: TimeMode) -> None:
    options = ValueOptions(time=mode)
    for oid, text in ((1082, "1970-01-02"), (1083, "00:00:01"), (1114, "1970-01-01 00:00:01")):
        assert (
            read(oid, text, options=options)
            == {
                "connect": {1082: 1, 1083: 1000, 1114: 1000},
                "nanoseconds": {1082: 1, 1083: 10**9, 1114: 10**9},
            }.get(mode, {1082: 1, 1083: 10**6, 1114: 10**6})[oid]
        )


def test_what_64_bits_do_not_hold_is_refused() -> None:
    nanoseconds = ValueOptions(time="nanoseconds")
    assert read(1114, "infinity", options=nanoseconds) == 2**63 - 1
    with pytest.raises(ValueError, match="nanoseconds"):
        read(1114, "2263-01-01 00:00:00", options=nanoseconds)
    with pytest.raises(ValueError, match="64 bits"):
        read(1114, "294276-12-31 23:59:59.999999")
    with pytest.raises(ValueError, match="64 bits"):
        read(1186, "178000000 years")


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_unbounded_numeric_is_lossless(number: Decimal) -> None:
    scale, unscaled = column_type(1700, -1, {}, OPTIONS).decode([format(number, "f").encode()])[0]
    assert scale >= 0
    exact = Context(prec=10_000)
    assert Decimal(int.from_bytes(unscaled, "big", signed=True)).scaleb(-scale, exact) == number


def test_huge_numeric() -> None:
    (scale, unscaled) = column_type(1700, -1, {}, OPTIONS).decode([b"1" + b"0" * 130_000])[0]
    assert (scale, int.from_bytes(unscaled, "big")) == (0, 10**130_000)


def test_negative_scale() -> None:
    made = column_type(1700, typmod(3, -2), {}, OPTIONS)
    assert made.schema.scale == -2
    assert made.decode([b"1200"])[0].as_tuple() == Decimal("12E2").as_tuple()


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_numeric_specials(text: str) -> None:
    for modifier in (-1, typmod(10, 2)):
        with pytest.raises(ValueError, match="NaN or Infinity"):
            read(1700, text, modifier)
        assert read(1700, text, modifier, ValueOptions(decimal="string")) in (
            "NAN", "POSITIVE_INFINITY", "NEGATIVE_INFINITY",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "scale", "value"),
    [
        ("$1,234.56", 2, "1234.56"),
        ("-$0.05", 2, "-0.05"),
        ("($5.00)", 2, "-5.00"),
        ("1.234,50 €", 2, "1234.50"),
        ("￥1,234", 0, "1234.00"),
    ],
)
def test_money_in_any_locale(text: str, scale: int, value: str) -> None:
    assert read(790, text, options=ValueOptions(server_money_scale=scale)) == Decimal(value)


def quoted(element: str | None) -> str:
    if element is None:
        return "NULL"
    return '"' + element.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.lists(st.none() | st.text()))
def test_arrays(elements: list[str | None]) -> None:
    text = "{" + ",".join(map(quoted, elements)) + "}"
    (found,) = arrays.split([text.encode()])
    assert [None if e is None else e.decode() for e in found] == elements


@pytest.mark.parametrize("text", ["{{1,2},{3,4}}", '{{"a"},{"b"}}', "[1:1][1:1]={{1}}"])
def test_arrays_of_two_dimensions_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="dimension"):
        arrays.split([text.encode()])


@pytest.mark.parametrize("text", ["", "1", "{", "{1,2", '{"a}', '{"a"b}'])
def test_what_is_no_array_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="array"):
        arrays.split([text.encode()])


def test_unknown_types_are_named() -> None:
    types = {600: TypeInfo(600, "point", "b", 0, -1, 0, ())}
    types[1017] = TypeInfo(1017, "_point", "b", 0, -1, 600, ())
    with pytest.raises(UnsupportedType, match="point"):
        column_type(600, -1, types, OPTIONS)
    with pytest.raises(UnsupportedType, match="point"):
        column_type(1017, -1, types, OPTIONS)
    with pytest.raises(UnsupportedType, match="4711"):
        column_type(4711, -1, {}, OPTIONS)


@pytest.mark.parametrize(
    ("oid", "expression", "required", "value"),
    [
        (23, "5", False, 5),
        (23, "'-5'::integer", False, -5),
        (23, "(-5)", True, -5),
        (23, "nextval('t_id_seq'::regclass)", True, 0),
        (23, "nextval('t_id_seq'::regclass)", False, NO_DEFAULT),
        (23, "(1 + 1)", False, NO_DEFAULT),
        (25, "'it''s'::text", False, "it's"),
        (25, "NULL::character varying", False, NO_DEFAULT),
        (25, "('a'::text || 'b'::text)", False, NO_DEFAULT),
        (1043, "'a'::character varying(10)", False, "a"),
        (16, "true", False, True),
        (1082, "'2024-01-01'::date", False, 19723),
        (1114, "'now'::timestamp without time zone", True, 0),
        (3802, "'{}'::jsonb", False, "{}"),
        (17, "'\\x01'::bytea", False, b"\x01"),
        (1700, "1.5", False, (1, b"\x0f")),
        (25, None, True, NO_DEFAULT),
    ],
)
def test_defaults(oid: int, expression: str | None, required: bool, value: object) -> None:
    type = column_type(oid, -1, {}, OPTIONS)
    if oid == 1700:
        value = NO_DEFAULT  # a struct has no literal
    found = defaults.value(expression, type, required)
    assert found is value if value is NO_DEFAULT else found == value


def test_default_takes_the_columns_scale() -> None:
    found = defaults.value("1.5", column_type(1700, typmod(8, 3), {}, OPTIONS), False)
    assert str(found) == "1.500"
