"""Change events as a sink gets them: short to write in a test."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from connect.data import DECIMAL, Batch, Field, Schema, Struct

TOPIC = "srv.public.items"
KEY = Schema("struct", name="Key", fields=(Field("id", Schema("int32")),))
ROW = (
    Field("id", Schema("int32")),
    Field("name", Schema("string", optional=True)),
    Field("body", Schema("string", optional=True)),
    Field(
        "price",
        Schema(
            "bytes",
            optional=True,
            name=DECIMAL,
            parameters=(("scale", "2"), ("connect.decimal.precision", "10")),
        ),
    ),
)
SOURCE = Schema(
    "struct",
    name="Source",
    fields=(Field("schema", Schema("string")), Field("table", Schema("string"))),
)

Event = tuple[Any, ...]


def row(id_: int, name: Any = "a", body: Any = "body", price: Any = Decimal("1.50")) -> Event:
    return id_, name, body, price


def create(*cells: Any) -> Event:
    return "c", cells[0], row(*cells)


def update(*cells: Any) -> Event:
    return "u", cells[0], row(*cells)


def delete(id_: int, new: int | None = None) -> Event:
    return "d", id_, None, new


def tombstone(id_: int, new: int | None = None) -> Event:
    return "", id_, None, new


TRUNCATE: Event = ("t", None, None)


def events(
    *given: Event,
    start: int = 0,
    topic: str = TOPIC,
    partition: int = 0,
    fields: Sequence[Field] = ROW,
) -> Batch:
    """A batch of envelopes whose first offset is ``start``."""
    count = len(given)
    value = Schema("struct", optional=True, fields=tuple(fields))
    envelope = Schema(
        "struct",
        name=f"{topic}.Envelope",
        fields=(
            Field("before", value),
            Field("after", value),
            Field("source", SOURCE),
            Field("op", Schema("string")),
        ),
    )
    nothing = Struct(value, [[None] * count] * len(fields), count, [False] * count)
    source = Struct(SOURCE, [["public"] * count, ["items"] * count], count)
    operations = [event[0] for event in given]
    keys = Struct(
        KEY, [[event[1] for event in given]], count, [event[1] is not None for event in given]
    )
    values = Struct(
        envelope,
        [nothing, image(value, [event[2] for event in given]), source, operations],
        count,
        [bool(operation) for operation in operations],
    )
    headers = [
        (("__debezium.newkey", b'{"id":%d}' % event[3]),)
        if len(event) > 3 and event[3] is not None
        else ()
        for event in given
    ]
    offsets = list(range(start, start + count))
    return Batch(topic, keys, values, [0] * count, offsets, headers, partition)


def flat(
    rows: Sequence[tuple[Any, ...] | None],
    fields: Sequence[Field],
    keys: Sequence[int] | None = None,
    start: int = 0,
    topic: str = TOPIC,
) -> Batch:
    """A batch of flattened rows; None is a tombstone."""
    count = len(rows)
    key = None if keys is None else Struct(KEY, [list(keys)], count)
    values = image(Schema("struct", fields=tuple(fields)), rows)
    return Batch(topic, key, values, [0] * count, list(range(start, start + count)), None, 0)


def image(schema: Schema, rows: Sequence[tuple[Any, ...] | None]) -> Struct:
    """A struct column; None rows are null."""
    width = len(schema.fields)
    filled = [(None,) * width if r is None else r for r in rows]
    columns = [[r[place] for r in filled] for place in range(width)]
    return Struct(schema, columns, len(rows), [r is not None for r in rows])
