"""Every kind of value arrives as it was, in the column type it asks for."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connect.data import DECIMAL, Batch, Field, Schema
from connect.errors import RecordError
from connect.sink import SinkTask
from tests.integration.sink_records import events
from tests.integration.sink_subjects import (
    PARTITION,
    TABLE,
    DuckDbSubject,
    ServerSubject,
    SqliteSubject,
    Subject,
)

pytestmark = pytest.mark.integration

UUID = "123e4567-e89b-12d3-a456-426614174000"
JSON = '{"b": 1, "a": 12345678901234567890123456789012345678901234567890}'
VARIABLE = Schema(
    "struct",
    optional=True,
    name="io.debezium.data.VariableScaleDecimal",
    fields=(Field("scale", Schema("int32")), Field("value", Schema("bytes"))),
)


def kind(type_: Any, name: str | None = None, **parameters: str) -> Schema:
    return Schema(type_, optional=True, name=name, parameters=tuple(parameters.items()))


def debezium(type_: Any, name: str, **parameters: str) -> Schema:
    return kind(type_, f"io.debezium.{name}", **parameters)


def many(items: Schema) -> Schema:
    return Schema("array", optional=True, items=items)


PRECISE = {"scale": "4", "connect.decimal.precision": "20"}

# column, schema, value, and its text in Postgres, DuckDB, MariaDB and SQLite (None: the same)
VALUES: list[tuple[str, Schema, Any, str, str | None, str | None, str | None]] = [
    ("flag", kind("boolean"), True, "true", None, "1", "1"),
    ("tiny", kind("int8"), -128, "-128", None, None, None),
    ("small", kind("int16"), -32768, "-32768", None, None, None),
    ("big", kind("int64"), (1 << 63) - 1, "9223372036854775807", None, None, None),
    ("real_", kind("float"), 0.10000000149011612, "0.1", None, None, "0.100000001490116"),
    ("double_", kind("double"), 0.1, "0.1", None, None, None),
    (
        "exact", Schema("bytes", optional=True, name=DECIMAL, parameters=tuple(PRECISE.items())),
        Decimal("-1234567890123456.7890"), "-1234567890123456.7890", None, None, None,
    ),
    (
        "loose", Schema("bytes", optional=True, name=DECIMAL, parameters=(("scale", "2"),)),
        Decimal("0.10"), "0.10", None, None, None,
    ),
    (
        "variable", VARIABLE, (30, (10**40 + 1).to_bytes(18, "big", signed=True)),
        "10000000000.000000000000000000000000000001", None, None, None,
    ),
    ("text_", kind("string"), "a'b\"c\\d\n\t🦆 %s", "a'b\"c\\d\n\t🦆 %s", None, None, None),
    ("empty", kind("string"), "", "", None, None, None),
    ("date_", debezium("int32", "time.Date"), 19782, "2024-02-29", None, None, None),
    ("date_c", kind("int32", "org.apache.kafka.connect.data.Date"), -1, "1969-12-31", None, None,
     None),
    ("time_", debezium("int32", "time.Time"), 1, "00:00:00.001", None, "00:00:00.001000",
     "00:00:00.001000"),
    ("time_us", debezium("int64", "time.MicroTime"), 86_399_999_999, "23:59:59.999999", None, None,
     None),
    ("stamp_ms", debezium("int64", "time.Timestamp"), 1709164800123, "2024-02-29 00:00:00.123",
     None, "2024-02-29 00:00:00.123000", "2024-02-29 00:00:00.123000"),
    ("stamp_us", debezium("int64", "time.MicroTimestamp"), -1, "1969-12-31 23:59:59.999999", None,
     None, None),
    ("stamp_ns", debezium("int64", "time.NanoTimestamp"), 1709164800123456000,
     "2024-02-29 00:00:00.123456", None, None, None),
    ("zoned", debezium("string", "time.ZonedTimestamp"), "2024-02-29T12:00:00.123456Z",
     "2024-02-29 12:00:00.123456+00", None, "2024-02-29 12:00:00.123456",
     "2024-02-29T12:00:00.123456Z"),
    ("zoned_time", debezium("string", "time.ZonedTime"), "10:15:30.5Z", "10:15:30.5+00", None,
     "10:15:30.5Z", "10:15:30.5Z"),
    ("iso_stamp", debezium("string", "time.IsoTimestamp"), "2024-02-29T12:00:00.123456Z",
     "2024-02-29 12:00:00.123456", None, None, None),
    ("iso_date", debezium("string", "time.IsoDate"), "2024-02-29Z", "2024-02-29", None, None,
     None),
    ("year_", debezium("int32", "time.Year"), 2024, "2024", None, None, None),
    ("lasts", debezium("int64", "time.MicroDuration"), 93784500000, "26:03:04.5", "93784500000",
     "93784500000", "93784500000"),
    ("interval_", debezium("string", "time.Interval"), "P1Y2M3DT4H5M6.78S",
     "1 year 2 mons 3 days 04:05:06.78", "P1Y2M3DT4H5M6.78S", "P1Y2M3DT4H5M6.78S",
     "P1Y2M3DT4H5M6.78S"),
    ("uuid_", debezium("string", "data.Uuid"), UUID, UUID, None, None, None),
    ("json_", debezium("string", "data.Json"), JSON, JSON, None, None, None),
    ("enum_", debezium("string", "data.Enum", allowed="a,b"), "b", "b", None, None, None),
    ("numbers", many(kind("int32")), (1, None, -3), "{1,NULL,-3}", "[1, NULL, -3]", "[1,null,-3]",
     "[1,null,-3]"),
    ("words", many(kind("string")), ['a"b', "c,d\\", "NULL", ""], '{"a\\"b","c,d\\\\","NULL",""}',
     None, '["a\\"b","c,d\\\\","NULL",""]', '["a\\"b","c,d\\\\","NULL",""]'),
    ("days", many(debezium("int32", "time.Date")), [0, None], "{1970-01-01,NULL}",
     "[1970-01-01, NULL]", '["1970-01-01",null]', '["1970-01-01",null]'),
]  # fmt: skip

FIELDS = (Field("id", Schema("int32")), *(Field(name, schema) for name, schema, *_ in VALUES))


@pytest.fixture(params=["sqlite", "duckdb", "postgres18", "postgres15", "mariadb"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    fixtures = {"postgres18": "database18", "postgres15": "database15", "mariadb": "maria_database"}
    if request.param == "sqlite":
        return SqliteSubject(tmp_path)
    if request.param == "duckdb":
        return DuckDbSubject(tmp_path)
    return ServerSubject(request.getfixturevalue(fixtures[request.param]))


def refusal(task: SinkTask, batch: Batch) -> RecordError | None:
    """The error that refuses the batch, if it is refused."""
    try:
        task.put(batch)
    except RecordError as error:
        return error
    return None


def test_values_arrive_as_they_were(subject: Subject) -> None:
    given = (1, *(value for _, _, value, *_ in VALUES))
    with subject.running() as task:
        task.put(events(("c", 1, given), ("c", 2, (2, *[None] * len(VALUES))), fields=FIELDS))
        task.flush({PARTITION: 2})
    place = {"postgres": 3, "duckdb": 4, "mysql": 5, "sqlite": 6}[subject.kind]
    text = "CHAR" if subject.kind == "mysql" else "TEXT"
    for name, *case in VALUES:
        wanted = case[2] if (special := case[place - 1]) is None else special
        quote = "`" if subject.kind == "mysql" else '"'
        found = subject.query(
            f"SELECT CAST({quote}{name}{quote} AS {text}) FROM {TABLE} ORDER BY id"
        )
        if subject.kind == "duckdb" and name == "words":
            [(words,), _] = subject.query(f"SELECT words FROM {TABLE} ORDER BY id")
            assert words == case[1]
        else:
            assert found == [(wanted,), (None,)], name


def test_bytes_and_bits(subject: Subject) -> None:
    fields = (
        Field("id", Schema("int32")),
        Field("bytes_", Schema("bytes", optional=True)),
        Field("bits_", debezium("bytes", "data.Bits", length="10")),
    )
    value = bytes(range(256))
    with subject.running() as task:
        task.put(events(("c", 1, (1, value, b"\x05")), fields=fields))
        task.flush({PARTITION: 1})
    [(found, bits)] = subject.query(f"SELECT bytes_, bits_ FROM {TABLE}")
    assert bytes(found) == value
    assert bits == ("0000000101" if subject.kind in ("postgres", "duckdb") else b"\x05")


FAR = [
    ("date_", debezium("int32", "time.Date"), -735_000, "0044-08-22 BC", "0044-08-22 (BC)"),
    ("date_far", debezium("int32", "time.Date"), 4_000_000, "12921-08-18", "12921-08-18"),
    ("date_end", debezium("int32", "time.Date"), 2**31 - 1, "infinity", "infinity"),
    ("date_start", debezium("int32", "time.Date"), -(2**31), "-infinity", "-infinity"),
    ("stamp_end", debezium("int64", "time.MicroTimestamp"), 9223372036825200000, "infinity",
     "infinity"),
    ("stamp_start", debezium("int64", "time.MicroTimestamp"), -9223372036832400000, "-infinity",
     "-infinity"),
    ("midnight", debezium("int64", "time.MicroTime"), 86_400_000_000, "24:00:00", "24:00:00"),
    ("zoned_end", debezium("string", "time.ZonedTimestamp"), "infinity", "infinity", "infinity"),
    ("zoned_bc", debezium("string", "time.ZonedTimestamp"), "-0043-03-15T12:00:00.000000Z",
     "0044-03-15 12:00:00+00 BC", "0044-03-15 (BC) 12:00:00+00"),
    ("zoned_1bc", debezium("string", "time.ZonedTimestamp"), "0000-03-15T12:00:00.000000Z",
     "0001-03-15 12:00:00+00 BC", "0001-03-15 (BC) 12:00:00+00"),
    ("zoned_far", debezium("string", "time.ZonedTimestamp"), "+10000-01-01T00:00:00.000000Z",
     "10000-01-01 00:00:00+00", "10000-01-01 00:00:00+00"),
    ("nan", kind("double"), float("nan"), "NaN", "nan"),
    ("infinite", kind("float"), float("-inf"), "-Infinity", "-inf"),
]  # fmt: skip


@pytest.mark.parametrize("case", FAR, ids=[case[0] for case in FAR])
def test_values_out_of_the_ordinary_are_exact_or_refused(
    subject: Subject, case: tuple[Any, ...]
) -> None:
    name, schema, value, postgres, duck = case
    fields = (Field("id", Schema("int32")), Field(name, schema))
    wanted = {"postgres": postgres, "duckdb": duck}.get(subject.kind)
    with subject.running() as task:
        refused = refusal(task, events(("c", 1, (1, value)), fields=fields))
        if refused is not None:
            assert wanted is None, refused
            assert list(refused.rows) == [0]
            return
        task.flush({PARTITION: 1})
    [(found,)] = subject.query(
        f"SELECT CAST({name} AS {'CHAR' if subject.kind == 'mysql' else 'TEXT'}) FROM {TABLE}"
    )
    if wanted is not None:
        assert found == wanted
    else:  # kept as text, or as a time of more than a day
        assert found in (value, "24:00:00", "24:00:00.000000")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (kind("string"), "a\0b"),
        (kind("string"), "\ud800"),
        (Schema("bytes", optional=True, name=DECIMAL, parameters=(
            ("scale", "2"), ("connect.decimal.precision", "5"))), Decimal("12345.67")),
        (debezium("int64", "time.NanoTimestamp"), 1),
        (debezium("string", "data.Uuid"), "no uuid"),
    ],
    ids=["nul", "surrogate", "overflow", "nanoseconds", "uuid"],
)  # fmt: skip
def test_values_without_a_form_are_refused_by_row(
    subject: Subject, schema: Schema, value: Any
) -> None:
    fields = (Field("id", Schema("int32")), Field("v", schema))
    with subject.running() as task:
        batch = events(("c", 1, (1, None)), ("c", 2, (2, value)), fields=fields)
        refused = refusal(task, batch)
        if refused is not None:
            assert list(refused.rows) == [1]
            assert len(str(value)) < 2 or str(value) not in str(refused)
            task.put(batch.take([0]))
            task.flush({PARTITION: 2})
            return
        task.flush({PARTITION: 2})
    found = subject.query(f"SELECT v FROM {TABLE} WHERE id = 2")
    assert str(found[0][0]) in (str(value), "1970-01-01 00:00:00.000000001", "1970-01-01 00:00:00")
