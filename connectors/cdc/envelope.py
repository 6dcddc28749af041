"""Debezium's change event: the envelope around a table's rows, its keys and its tombstones.

Field order, names and versions are those of Debezium 3.6. Everything is built by column: what is
the same for all rows of a batch is a ``Constant``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from connect.data import Batch, Column, Constant, Field, Headers, Schema, Struct, parameters

Operation = Literal["r", "c", "u", "d", "t"]

INT64: Final = Schema("int64")
OPTIONAL_INT64: Final = Schema("int64", optional=True)
STRING: Final = Schema("string")
OPTIONAL_STRING: Final = Schema("string", optional=True)

SNAPSHOT: Final = Schema(
    "string",
    optional=True,
    name="io.debezium.data.Enum",
    version=1,
    parameters=parameters(
        allowed="true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"
    ),
    default="false",
)

TRANSACTION: Final = Schema(
    "struct",
    optional=True,
    name="event.block",
    version=1,
    fields=(
        Field("id", STRING),
        Field("total_order", INT64),
        Field("data_collection_order", INT64),
    ),
)


def source_schema(name: str, extra: Sequence[Field]) -> Schema:
    """The schema of a connector's ``source`` block: the common fields, then its own."""
    common = (
        Field("version", STRING),
        Field("connector", STRING),
        Field("name", STRING),
        Field("ts_ms", INT64),
        Field("snapshot", SNAPSHOT),
        Field("db", STRING),
        Field("sequence", OPTIONAL_STRING),
        Field("ts_us", OPTIONAL_INT64),
        Field("ts_ns", OPTIONAL_INT64),
    )
    return Schema("struct", name=name, version=1, fields=(*common, *extra))


@dataclass(frozen=True, slots=True)
class Rows:
    """What all rows of a batch share besides their images.

    Args:
        source: the ``source`` block, one row each.
        positions: place of each row in the poll.
        now: nanoseconds since 1970 at which the rows are processed.
        headers: one entry per row, or None.
    """

    source: Struct
    positions: Sequence[int]
    now: int
    headers: Sequence[Headers] | None


class Envelope:
    """Change events of one version of a table.

    Args:
        topic: where they go; also the root of the schemas' names.
        row: fields of the row's value.
        key: fields of the key; none: the keys are null and there are no tombstones.
        source: schema of the ``source`` block.
    """

    def __init__(
        self, topic: str, row: Sequence[Field], key: Sequence[Field], source: Schema
    ) -> None:
        self.topic = topic
        self.row = Schema("struct", optional=True, name=f"{topic}.Value", fields=tuple(row))
        self.key = Schema("struct", name=f"{topic}.Key", fields=tuple(key)) if key else None
        self.schema = Schema(
            "struct",
            name=f"{topic}.Envelope",
            version=2,
            fields=(
                Field("before", self.row),
                Field("after", self.row),
                Field("source", source),
                Field("transaction", TRANSACTION),
                Field("op", STRING),
                Field("ts_ms", OPTIONAL_INT64),
                Field("ts_us", OPTIONAL_INT64),
                Field("ts_ns", OPTIONAL_INT64),
            ),
        )

    def events(
        self,
        operation: Operation,
        rows: Rows,
        *,
        keys: Struct | None = None,
        before: Column | None = None,
        after: Column | None = None,
    ) -> Batch:
        """One change event per row; an image left out is null."""
        count = len(rows.positions)
        nothing = Constant(None, count)
        milliseconds = rows.now // 1_000_000
        columns: list[Column] = [
            nothing if before is None else before,
            nothing if after is None else after,
            rows.source,
            nothing,
            Constant(operation, count),
            Constant(milliseconds, count),
            Constant(rows.now // 1000, count),
            Constant(rows.now, count),
        ]
        return Batch(
            self.topic,
            keys,
            Struct(self.schema, columns, count),
            Constant(milliseconds, count),
            rows.positions,
            rows.headers,
        )

    def tombstones(
        self,
        keys: Struct,
        now: int,
        positions: Sequence[int],
        headers: Sequence[Headers] | None,
    ) -> Batch:
        """Records without a value: the rows of these keys are gone."""
        stamps = Constant(now // 1_000_000, len(positions))
        return Batch(self.topic, keys, None, stamps, positions, headers)
