"""Rows whose JSON is compared with what Kafka Connect's own JsonConverter writes."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from connect.data import DECIMAL, NO_DEFAULT, Field, Schema, parameters

PLAIN = {"schemas.enable": "false"}
WITH_SCHEMA = {"schemas.enable": "true"}
NUMERIC = {**PLAIN, "decimal.format": "NUMERIC"}
KEEP_NULLS = {**WITH_SCHEMA, "replace.null.with.default": "false"}

TYPES = ("int8", "int16", "int32", "int64", "float", "double", "boolean", "string", "bytes")


class Case(NamedTuple):
    """One row: schema (None: schemaless), value, options of the converter."""

    schema: Schema | None
    value: Any
    options: dict[str, str] = PLAIN
    key: bool = False


def decimal(scale: int, optional: bool = False, default: Any = NO_DEFAULT) -> Schema:
    more = parameters({"scale": str(scale), "connect.decimal.precision": "10"})
    return Schema("bytes", optional, DECIMAL, 1, parameters=more, default=default)


def record(*fields: tuple[str, Schema], **more: Any) -> Schema:
    return Schema("struct", fields=tuple(Field(n, s) for n, s in fields), **more)


SAMPLES: dict[str, list[Any]] = {
    "int8": [0, 1, -128, 127],
    "int16": [-32768, 32767],
    "int32": [-(2**31), 2**31 - 1],
    "int64": [-(2**63), 2**63 - 1],
    "boolean": [True, False],
    "bytes": [b"", b"\0", b"\xff\xfe", bytes(range(256)), b"abcd"],
    "double": [
        0.0, -0.0, 1.0, -1.5, 1e-3, 9.999e-4, 1e7, 9999999.999, 12345678.9, 1e21, 1e22, 1e23, 2e23,
        5e-324, 1e-323, 1.5e-323, 2.2250738585072014e-308, 1.7976931348623157e308, 2.0**-44, 0.1,
        1 / 3, 100.0, 123456789012345680.0, float("nan"), float("inf"), float("-inf"), 9.5e-322,
    ],
    "float": [
        0.0, -0.0, 1.0, 0.1, 1.1, 3.4028235e38, 1.4e-45, 2.8e-45, 1.17549435e-38, 1e-3, 9.99e-4,
        1e7, 9999999.0, 1.6777216e7, 1 / 3, 2.0**-44, 2.0**-96, 8.5e-44, 1e10, 1.0e23, 123456.79,
        float("nan"), float("inf"), float("-inf"), 8.41e21, 2.0e-3, 5.0e-4, 33554432.0,
    ],
    "string": [
        "", "plain", 'q"uote', "back\\slash", "sl/ash", "\b\t\n\f\r", "".join(map(chr, range(32))),
        "\x7f\x80\x9f", "é ü ß", "\u2028\u2029", "日本", "😀 𝄞", "\ufffd\uffff", 'a",', '","', ",",
        "\\", '\\"', "\\u001f", "</script>&'", "%s %d %%", "\ud7ff\ue000", "\U00010000\U0010ffff",
        "\\\x1f\\", 'end\\",',
    ],
}  # fmt: skip


def cases() -> list[Case]:
    """All cases, always the same."""
    return [
        *_primitives(), *_schemas(), *_decimals(), *_nested(), *_nulls(), *_schemaless(),
        *_random(random.Random(20260915)),
    ]  # fmt: skip


def _primitives() -> Iterator[Case]:
    for kind in TYPES:
        for value in SAMPLES[kind]:
            yield Case(Schema(kind), value)  # type: ignore[arg-type]
        yield Case(Schema(kind), SAMPLES[kind][0], WITH_SCHEMA, key=True)  # type: ignore[arg-type]


def _schemas() -> Iterator[Case]:
    for kind in TYPES:
        for value in SAMPLES[kind][:3]:
            full = Schema(
                kind, True, f"na.me/{kind}", 7, 'a "doc"\n', parameters(z="1", a="é😀"),  # type: ignore[arg-type]
                default=value,
            )  # fmt: skip
            yield Case(full, value, WITH_SCHEMA)
            row = record(
                (f'fi"eld {kind}', full), name="t.Value", optional=True, version=2, doc="d"
            )
            yield Case(row, (value,), WITH_SCHEMA)
    yield Case(record(), (), WITH_SCHEMA)
    for name in ("Date", "Time", "Timestamp"):
        kind = "int64" if name == "Timestamp" else "int32"
        logical = Schema(kind, name=f"org.apache.kafka.connect.data.{name}", version=1)  # type: ignore[arg-type]
        for value in (0, 12345, 86_399_999):
            yield Case(logical, value if name != "Date" else value % 30000, WITH_SCHEMA)


def _decimals() -> Iterator[Case]:
    units = [
        0,
        1,
        -1,
        127,
        128,
        -128,
        -129,
        255,
        256,
        32767,
        32768,
        -32768,
        2**63,
        -(2**63),
        10**40,
    ]
    for scale in (0, 2, 8, 30, -3):
        for unit in units:
            value = Decimal((int(unit < 0), tuple(map(int, str(abs(unit)))), -scale))
            yield Case(decimal(scale), value)
            yield Case(decimal(scale), value, NUMERIC)
    yield Case(decimal(2, True, Decimal("1.50")), Decimal("7.00"), WITH_SCHEMA)
    yield Case(decimal(2, True, Decimal("1.50")), Decimal("7.00"), {**NUMERIC, **WITH_SCHEMA})


def _nested() -> Iterator[Case]:
    text, number = Schema("string", True), Schema("int32")
    inner = record(("a", number), ("b", text), name="Inner")
    array, map_ = Schema("array", items=text), Schema("map", keys=Schema("string"), items=number)
    pairs = Schema("map", keys=number, items=text)
    outer = record(
        ("id", number), ("inner", inner.as_optional()), ("tags", array),
        ("rows", Schema("array", True, items=inner)), ("map", map_), ("pairs", pairs),
        ("deep", Schema("map", keys=text, items=Schema("array", items=pairs))),
        name="Outer",
    )  # fmt: skip
    values = [
        (1, (2, "x"), ["a", None, 'q",'], [(3, None), (4, "y")], {"k": 1, 'q"': 2},
         {5: "z", 6: None}, {"d": [{1: "2"}, {}]}),
        (1, None, [], None, {}, {}, {}),
        (1, (2, None), [""], [], {"": 0}, {0: ""}, {"": []}),
    ]  # fmt: skip
    for value in values:
        yield Case(outer, value)
        yield Case(outer, value, WITH_SCHEMA)
    yield Case(array, ["1"], WITH_SCHEMA)
    yield Case(map_, {"a": 1}, WITH_SCHEMA)
    yield Case(pairs, {1: "a"}, WITH_SCHEMA)
    yield Case(Schema("array", items=decimal(2)), [Decimal("1.00"), Decimal("-2.55")], WITH_SCHEMA)


def _nulls() -> Iterator[Case]:
    for kind in TYPES:
        default = SAMPLES[kind][1]
        fields = (
            ("plain", Schema(kind, True)),  # type: ignore[arg-type]
            ("default", Schema(kind, True, default=default)),  # type: ignore[arg-type]
        )
        for options in (PLAIN, WITH_SCHEMA, KEEP_NULLS):
            yield Case(record(*fields), (None, None), options)
    yield Case(None, None)


def _schemaless() -> Iterator[Case]:
    values: list[Any] = [
        True, 5, -(2**63), 1.5, 1e10, "x😀\x1f", b"\x00\xff", [], {}, [1, "a", None, [True]],
        {"a": 1, "b": {"c": [1.0, None]}, 'q"': "é"}, {1: "a", 2: None}, {"a": 1, 2: "mixed"},
    ]  # fmt: skip
    for value in values:
        yield Case(None, value)
        yield Case(None, value, WITH_SCHEMA)


def _random(draw: random.Random) -> Iterator[Case]:
    for _ in range(400):
        bits = draw.getrandbits(64)
        yield Case(Schema("double"), struct.unpack(">d", struct.pack(">Q", bits))[0])
        bits = draw.getrandbits(32)
        yield Case(Schema("float"), struct.unpack(">f", struct.pack(">I", bits))[0])
    for _ in range(200):
        yield Case(Schema("double"), round(draw.uniform(-1e9, 1e9), draw.randrange(8)))
        yield Case(Schema("float"), round(draw.uniform(-1e5, 1e5), draw.randrange(5)))
        power = draw.choice((1.0, -1.0)) * 2.0 ** draw.randrange(-149, 128)
        yield Case(Schema("float"), power)
        yield Case(Schema("double"), 2.0 ** draw.randrange(-1074, 1024))
        value = struct.unpack(">f", struct.pack(">I", draw.getrandbits(10)))[0]
        yield Case(Schema("float"), value)
        yield Case(
            Schema("double"), struct.unpack(">d", struct.pack(">Q", draw.getrandbits(10)))[0]
        )
        text = "".join(
            draw.choice('",\\/ aé\x1f\x7f\u2028日😀%:{}[]') for _ in range(draw.randrange(12))
        )
        yield Case(Schema("string"), text)


def neutral(case: Case) -> str:
    """The case as a line of JSON for Golden.java."""
    schema = case.schema
    value = _tagged(case.value) if schema is None else _neutral(schema, case.value)
    node = None if schema is None else _schema(schema)
    return json.dumps({"schema": node, "value": value, "options": case.options, "key": case.key})


def _schema(schema: Schema) -> dict[str, Any]:
    node: dict[str, Any] = {
        "type": schema.type,
        "optional": schema.optional,
        "parameters": [list(pair) for pair in schema.parameters],
        "fields": [[field.name, _schema(field.schema)] for field in schema.fields],
    }
    more = {"name": schema.name, "version": schema.version, "doc": schema.doc}
    node |= {name: value for name, value in more.items() if value is not None}
    if schema.keys:
        node["keys"] = _schema(schema.keys)
    if schema.items:
        node["items"] = _schema(schema.items)
    if schema.default is not NO_DEFAULT:
        node["default"] = _neutral(schema, schema.default)
    return node


def _neutral(schema: Schema, value: Any) -> Any:
    if value is None:
        return None
    if schema.name == DECIMAL:
        return str(int(value.scaleb(schema.scale)))
    match schema.type:
        case "float" | "double":
            return str(struct.unpack(">q", struct.pack(">d", value))[0])
        case "bytes":
            return value.hex()
        case "array":
            return [_neutral(_known(schema.items), item) for item in value]
        case "map":
            keys, items = _known(schema.keys), _known(schema.items)
            return [[_neutral(keys, k), _neutral(items, v)] for k, v in value.items()]
        case "struct":
            return [_neutral(f.schema, v) for f, v in zip(schema.fields, value, strict=True)]
    return value


def _known(schema: Schema | None) -> Schema:
    assert schema is not None
    return schema


def _tagged(value: Any) -> Any:
    match value:
        case None | bool():
            return value
        case int():
            return {"l": str(value)}
        case float():
            return {"d": str(struct.unpack(">q", struct.pack(">d", value))[0])}
        case str():
            return {"s": value}
        case bytes():
            return {"x": value.hex()}
        case list():
            return {"a": [_tagged(item) for item in value]}
    return {"m": [[_tagged(k), _tagged(v)] for k, v in value.items()]}
