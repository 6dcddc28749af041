"""Every supported type: right in the snapshot, and the same in the stream."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from connect.data import NO_DEFAULT, Struct
from tests.integration.postgres_source import settings, source
from tests.kit.databases import PostgresDatabase
from tests.kit.postgres import Postgres

pytestmark = pytest.mark.integration

# type, literal, value
TYPES: list[tuple[str, str, object]] = [
    ("boolean", "true", True),
    ("smallint", "-32768", -32768),
    ("integer", "2147483647", 2147483647),
    ("bigint", "'-9223372036854775808'", -(2**63)),
    ("oid", "4294967295", 4294967295),
    ("real", "'1.1'", 1.1),
    ("double precision", "'-0'", -0.0),
    ("double precision", "'Infinity'", float("inf")),
    ("double precision", "0.1::float8 + 0.2::float8", 0.30000000000000004),
    ("numeric(10,2)", "12.3", Decimal("12.30")),
    ("numeric(10,2)", "-0.05", Decimal("-0.05")),
    ("numeric", "500", {"scale": 0, "value": b"\x01\xf4"}),
    ("numeric", "-12.340", {"scale": 2, "value": b"\xfb\x2e"}),
    ("money", "'-92233720368547758.08'", Decimal("-92233720368547758.08")),
    ("text", "E'a\\tb\\n\\\\ \"q\" 😀 \\\\N'", 'a\tb\n\\ "q" 😀 \\N'),
    ("text", "''", ""),
    ("varchar(10)", "'x'", "x"),
    ("char(3)", "'x'", "x  "),
    ("name", "'n'", "n"),
    ("bytea", "'\\x00ff5c'", b"\x00\xff\\"),
    ("bytea", "''", b""),
    ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("json", "'{\"a\":  1, \"a\": null}'", '{"a":  1, "a": null}'),
    ("jsonb", "'[12345678901234567890123456789012345678901]'",
     "[12345678901234567890123456789012345678901]"),
    ("date", "'2024-02-29'", 19782),
    ("date", "'0044-03-15 BC'", -735160),
    ("date", "'12345-01-02'", 3789392),
    ("date", "'infinity'", 2**31 - 1),
    ("time", "'24:00'", 86_400_000_000),
    ("time(3)", "'10:11:12.345'", 36_672_345),
    ("timestamp", "'2024-02-29 23:59:59.999999'", 1_709_251_199_999_999),
    ("timestamp(3)", "'1969-12-31 23:59:59.999'", -1),
    ("timestamp", "'-infinity'", -9223372036832400000),
    ("timestamp", "'0001-01-01 00:00:00 BC'", -62_167_219_200_000_000),
    ("timestamptz", "'2024-02-29 23:00:00.1-05'", "2024-03-01T04:00:00.100000Z"),
    ("timestamptz(0)", "'2024-02-29 23:00:00+00'", "2024-02-29T23:00:00Z"),
    ("timestamptz", "'infinity'", "infinity"),
    ("timestamptz", "'0044-03-15 12:00:00+00 BC'", "-0043-03-15T12:00:00.000000Z"),
    ("timetz", "'24:00:00-15:59:59'", "15:59:59Z"),
    ("timetz", "'10:15:30.5+05:30'", "04:45:30.5Z"),
    ("interval", "'1 year 2 mons -3 days 04:05:06.7'",
     14 * 2_629_800_000_000 - 3 * 86_400_000_000 + 14_706_700_000),
    ("interval", "'-00:00:01'", -1_000_000),
    ("mood", "'sad''ly'", "sad'ly"),
    ("positive", "5", 5),
    ("mood_domain", "'ok'", "ok"),
    ("inet", "'192.168.1.5/24'", "192.168.1.5/24"),
    ("cidr", "'10/8'", "10.0.0.0/8"),
    ("macaddr", "'08-00-2b-01-02-03'", "08:00:2b:01:02:03"),
    ("bit(1)", "B'1'", True),
    ("bit(12)", "B'000000000101'", b"\x05"),
    ("varbit", "B'100000000'", b"\x00\x01"),
    ("int4range", "'[1,5)'", "[1,5)"),
    ("integer[]", "'{1,NULL,3}'", [1, None, 3]),
    ("integer[]", "'[0:1]={7,8}'", [7, 8]),
    ("text[]", "ARRAY['a,b', NULL, 'NULL', E'q\"\\\\', '{}', '']",
     ["a,b", None, "NULL", 'q"\\', "{}", ""]),
    ("text[]", "'{}'", []),
    ("numeric(5,1)[]", "'{1.5}'", [Decimal("1.5")]),
    ("numeric[]", "'{1.50}'", [(1, b"\x0f")]),
    ("timestamptz[]", "ARRAY['2024-01-01 00:00:00+00'::timestamptz]",
     ["2024-01-01T00:00:00.000000Z"]),
    ("mood[]", "ARRAY['ok','sad''ly']::mood[]", ["ok", "sad'ly"]),
    ("bytea[]", "ARRAY['\\x01'::bytea]", [b"\x01"]),
    ("boolean[]", "'{t,f}'", [True, False]),
    ("uuid[]", "'{00000000-0000-0000-0000-000000000001}'",
     ["00000000-0000-0000-0000-000000000001"]),
]  # fmt: skip


@pytest.fixture(params=["postgres15", "postgres18"])
def database(request: pytest.FixtureRequest) -> Iterator[PostgresDatabase]:
    server: Postgres = request.getfixturevalue(request.param)
    made = server.create_database()
    made.execute(
        "CREATE TYPE mood AS ENUM ('ok', 'sad''ly')",
        "CREATE DOMAIN positive AS int CHECK (value > 0)",
        "CREATE DOMAIN mood_domain AS mood",
    )
    yield made
    made.drop()


def columns() -> str:
    return ", ".join(f"c{i} {name}" for i, (name, _, _) in enumerate(TYPES))


def literals() -> str:
    return ", ".join(literal for _, literal, _ in TYPES)


def hostile(database: PostgresDatabase) -> None:
    """A database whose settings change the text form of everything."""
    for setting in (
        "datestyle = 'SQL, DMY'",
        "timezone = 'America/New_York'",
        "intervalstyle = 'sql_standard'",
        "bytea_output = 'escape'",
        "extra_float_digits = -10",
    ):
        database.execute(f'ALTER DATABASE "{database.name}" SET {setting}')


def test_snapshot_and_stream_are_right_and_equal(database: PostgresDatabase) -> None:
    database.execute(f"CREATE TABLE t (id int PRIMARY KEY, {columns()})")
    database.execute(f"INSERT INTO t VALUES (1, {literals()})", "INSERT INTO t VALUES (2)")
    hostile(database)
    with source(settings(database)) as stream:
        stream.open()
        read, nulls = stream.snapshot()
        database.execute(f"INSERT INTO t SELECT 3, {literals()}", "INSERT INTO t VALUES (4)")
        created, created_nulls = stream.take(2)
    expected = {f"c{i}": value for i, (_, _, value) in enumerate(TYPES)}
    assert read.row == {"id": 1, **expected}
    assert str(read.row["c6"]) == "-0.0"
    assert created.row == {"id": 3, **expected}
    assert nulls.row == {"id": 2, **dict.fromkeys(expected)}
    assert created_nulls.row == {"id": 4, **dict.fromkeys(expected)}


def test_old_rows_of_every_type(database: PostgresDatabase) -> None:
    database.execute(f"CREATE TABLE t (id int PRIMARY KEY, {columns()})")
    database.execute("ALTER TABLE t REPLICA IDENTITY FULL")
    with source(settings(database)) as stream:
        stream.open()
        stream.snapshot()
        database.execute(f"INSERT INTO t VALUES (1, {literals()})")
        database.execute("UPDATE t SET c0 = false")
        database.execute("UPDATE t SET id = 2")
        _, update, _, _, _ = stream.take(5)
    expected = {f"c{i}": value for i, (_, _, value) in enumerate(TYPES)}
    assert update.value is not None
    assert update.value["before"] == {"id": 1, **expected}
    assert update.value["after"] == {"id": 1, **expected, "c0": False}


def test_schemas_are_the_same_in_snapshot_and_stream(database: PostgresDatabase) -> None:
    required = ", ".join(f"c{i} {name} NOT NULL" for i, (name, _, _) in enumerate(TYPES))
    database.execute(f"CREATE TABLE t (id int PRIMARY KEY, {required})")
    database.execute(f"INSERT INTO t VALUES (1, {literals()})")
    with source(settings(database)) as stream:
        stream.open()
        polls = [stream.poll()]
        while not (stream.offset or {}).get("snapshot_completed"):
            polls.append(stream.poll())
        database.execute("DELETE FROM t")
        while sum(len(p.batches) for p in polls if p) < 3:
            polls.append(stream.poll())
    read, deleted, _ = [b for p in polls if p for b in p.batches]
    assert isinstance(read.values, Struct)
    assert isinstance(deleted.values, Struct)
    assert read.values.schema == deleted.values.schema
    before = deleted.values["before"]
    assert isinstance(before, Struct)
    for field, column in zip(before.schema.fields, before.columns, strict=True):
        # What a delete does not carry stands as a value of its type: no NULL where none may be.
        assert field.schema.optional is False
        assert None not in list(column.rows() if isinstance(column, Struct) else column)


def test_defaults(database: PostgresDatabase) -> None:
    database.execute(
        "CREATE TABLE t (id serial PRIMARY KEY, a int DEFAULT -5, b text NOT NULL DEFAULT 'it''s',"
        " c timestamptz NOT NULL DEFAULT now(), d numeric(8,3) DEFAULT 1.5, e jsonb DEFAULT '{}',"
        " f boolean NOT NULL DEFAULT true, g date DEFAULT '2024-01-01', h int[] DEFAULT '{1,2}',"
        " i mood NOT NULL DEFAULT 'ok', j text DEFAULT NULL, k int DEFAULT 1 + 1, l bytea DEFAULT"
        " '\\x01', m uuid NOT NULL DEFAULT gen_random_uuid(), n text DEFAULT now()::text)"
    )
    database.execute("INSERT INTO t DEFAULT VALUES")
    with source(settings(database)) as stream:
        stream.open()
        poll = stream.poll()
    assert poll is not None
    schema = poll.batches[0].values.schema
    assert schema is not None
    row = schema.fields[1].schema
    found = {f.name: f.schema.default for f in row.fields if f.schema.default is not NO_DEFAULT}
    assert found == {
        "id": 0,
        "a": -5,
        "b": "it's",
        "c": "1970-01-01T00:00:00.000000Z",
        "d": Decimal("1.500"),
        "e": "{}",
        "f": True,
        "g": 19723,
        "h": [1, 2],
        "i": "ok",
        "k": 2,
        "l": b"\x01",
        "m": "00000000-0000-0000-0000-000000000000",
    } or found == {k: v for k, v in found.items() if k != "k"}
    assert str(found["d"]) == "1.500"


@pytest.mark.parametrize(
    ("mode", "type", "literal", "value"),
    [
        ("decimal.handling.mode=string", "numeric", "'1.50'", "1.50"),
        ("decimal.handling.mode=string", "numeric", "'-Infinity'", "NEGATIVE_INFINITY"),
        ("decimal.handling.mode=double", "numeric(5,2)", "1.5", 1.5),
        ("decimal.handling.mode=double", "money", "1.5", 1.5),
        ("binary.handling.mode=hex", "bytea", "'\\xff00'", "ff00"),
        ("binary.handling.mode=base64-url-safe", "bytea", "'\\xffef'", "_-8="),
        ("interval.handling.mode=string", "interval", "'1 year -2 days 1:02:03.5'",
         "P1Y0M-2DT1H2M3.5S"),
        ("time.precision.mode=connect", "timestamp", "'1970-01-01 00:00:01.5'", 1500),
        ("time.precision.mode=nanoseconds", "timestamp", "'1970-01-01 00:00:01'", 10**9),
        ("time.precision.mode=microseconds", "time(3)", "'00:00:01'", 10**6),
        ("money.fraction.digits=1", "money", "0.25", Decimal("0.3")),
    ],
)  # fmt: skip
def test_handling_modes(
    database: PostgresDatabase, mode: str, type: str, literal: str, value: object
) -> None:
    database.execute(f"CREATE TABLE t (id int PRIMARY KEY, v {type})")
    database.execute(f"INSERT INTO t SELECT 1, {literal}")
    key, setting = mode.split("=")
    with source({**settings(database), key: setting}) as stream:
        stream.open()
        (read,) = stream.snapshot()
        database.execute(f"INSERT INTO t SELECT 2, {literal}")
        (created,) = stream.take(1)
    assert read.row["v"] == created.row["v"] == value


def test_generated_columns_have_one_shape(database: PostgresDatabase) -> None:
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED)"
    )
    database.execute("INSERT INTO t VALUES (1)")
    with source(settings(database)) as stream:
        stream.open()
        (read,) = stream.snapshot()
        database.execute("INSERT INTO t VALUES (2)")
        (created,) = stream.take(1)
    assert read.row == {"id": 1}
    assert created.row == {"id": 2}
