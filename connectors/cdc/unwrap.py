"""ExtractNewRecordState: the row itself instead of the change event around it.

Works on whole columns: a batch of events becomes one batch of rows in the same order, whatever
operations it mixes, with a null row where a delete becomes a tombstone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from connect.config import Config, Refused, key
from connect.data import NO_DEFAULT, Batch, Column, Constant, Field, Headers, Schema, Struct
from connect.errors import SchemaMismatch
from connect.transform import Transform
from connect.transforms.fields import filled
from connectors.cdc.unwrap_fields import parse_references

_DELETED = Field("__deleted", Schema("string", optional=True))
_NO_LISTS = Refused("headers that hold lists of field names are not read.")


class ExtractNewRecordStateConfig(Config):
    """Keys of ExtractNewRecordState."""

    mode: Literal[
        "tombstone", "drop", "rewrite", "rewrite-with-tombstone", "delete-to-tombstone"
    ] = key(
        "delete.tombstone.handling.mode",
        doc="What becomes of a delete event and the tombstone behind it. `tombstone` and "
        "`delete-to-tombstone`: the event becomes the tombstone; `drop`: neither is left; "
        '`rewrite`: the last image of the row with `__deleted` = "true" ("false" in all '
        "others), no tombstone; `rewrite-with-tombstone`: the same, and the tombstone stays.",
        group="Deletes",
        default="tombstone",
    )
    add_fields: tuple[str, ...] = key(
        "add.fields",
        doc="Fields of the event to add to the row: `op`, `table`, `source.ts_ms`, "
        "`transaction.id`; `field:NAME` gives another name. Unknown ones are left out.",
        group="Metadata",
        default=(),
    )
    add_fields_prefix: str = key(
        "add.fields.prefix",
        doc="Put before the name of each added field.",
        group="Metadata",
        default="__",
        importance="LOW",
    )
    add_headers: tuple[str, ...] = key(
        "add.headers",
        doc="Fields of the event to add as headers, written as in `add.fields`.",
        group="Metadata",
        default=(),
    )
    add_headers_prefix: str = key(
        "add.headers.prefix",
        doc="Put before the name of each added header.",
        group="Metadata",
        default="__",
        importance="LOW",
    )
    route_by_field: str = key(
        "route.by.field",
        doc="Column whose value becomes the topic.",
        group="Routing",
        default="",
        importance="LOW",
    )
    replace_null_with_default: bool = key(
        "replace.null.with.default",
        doc="With `rewrite`: put the default value of a column in place of its null.",
        group="Deletes",
        default=True,
        importance="LOW",
    )

    refused: ClassVar = {
        "drop.fields.header.name": _NO_LISTS,
        "drop.fields.from.key": replace(_NO_LISTS, accepts=("false",)),
        "drop.fields.keep.schema.compatible": replace(_NO_LISTS, accepts=("true",)),
        "drop.tombstones": Refused('Debezium removed it; use "delete.tombstone.handling.mode".'),
        "delete.handling.mode": Refused(
            'Debezium removed it; use "delete.tombstone.handling.mode".'
        ),
    }

    @model_validator(mode="after")
    def _readable(self) -> ExtractNewRecordStateConfig:
        parse_references("add.fields", self.add_fields)
        parse_references("add.headers", self.add_headers)
        return self


class ExtractNewRecordState(Transform):
    """Unwraps Debezium's envelopes; truncate events are dropped, other records pass unchanged."""

    config = ExtractNewRecordStateConfig
    aliases = ("io.debezium.transforms.ExtractNewRecordState", "ExtractNewRecordState")

    def __init__(self, config: ExtractNewRecordStateConfig) -> None:
        self._rewrites = config.mode.startswith("rewrite")
        self._keeps_tombstones = config.mode == "rewrite-with-tombstone"
        self._drops_deletes = config.mode == "drop"
        self._fields = parse_references("add.fields", config.add_fields, config.add_fields_prefix)
        self._headers = parse_references(
            "add.headers", config.add_headers, config.add_headers_prefix
        )
        self._route = config.route_by_field
        self._fills = config.replace_null_with_default
        self._schemas: dict[Schema, Schema] = {}

    def apply(self, batch: Batch) -> Iterable[Batch]:
        """Rows instead of events: one batch, or one a topic when routed by a field."""
        values = batch.values
        if values is None:
            return [self._with_tombstone_headers(batch)] if self._keeps_tombstones else []
        if not isinstance(values, Struct):
            return [batch]
        if not _is_envelope(values):
            if self._keeps_tombstones or values.present is None:
                return [batch]
            return [batch.take([row for row, here in enumerate(values.present) if here])]
        kept = self._kept(values)
        if len(kept) < len(batch):
            batch = batch.take(kept)
        return self._unwrapped(batch) if kept else []

    def _kept(self, events: Struct) -> list[int]:
        """The rows that leave a record: not truncates, and tombstones and deletes as asked."""
        kept = []
        for row, (here, after, before) in enumerate(
            zip(_flags(events), _flags(events["after"]), _flags(events["before"]), strict=True)
        ):
            if not here:
                keep = self._keeps_tombstones
            else:
                keep = after or (before and not self._drops_deletes)
            if keep:
                kept.append(row)
        return kept

    def _unwrapped(self, batch: Batch) -> list[Batch]:
        events = batch.values
        assert isinstance(events, Struct)
        here = _flags(events)
        after = [a and b for a, b in zip(here, _flags(events["after"]), strict=True)]
        headers = self._added_headers(batch, events) if self._headers else batch.headers
        image = _image(events, after, "before" if self._rewrites or self._route else None)
        topics = self._topics(batch, image) if self._route else None
        if self._rewrites:
            rows = image.with_columns(image.schema, self._filled(image))
            flags = ["false" if a else "true" for a in after]
            deleted: Column = Constant(flags[0], len(flags)) if len(set(flags)) == 1 else flags
            rows = _added(rows, _DELETED.name, deleted, _DELETED.schema)
            present: Sequence[bool] | None = None if all(here) else here
        else:
            rows, present = image, None if all(after) else after
        rows = self._with_fields(rows, events)
        rows = Struct(self._required(rows.schema), rows.columns, len(batch), present)
        gone = present is not None and not any(present)
        made = replace(batch, values=None if gone else rows, headers=headers)
        return [made] if topics is None else _split_by(topics, made)

    def _filled(self, image: Struct) -> list[Column]:
        if not self._fills:
            return list(image.columns)
        return [filled(f, c) for f, c in zip(image.schema.fields, image.columns, strict=True)]

    def _with_fields(self, rows: Struct, events: Struct) -> Struct:
        for reference in self._fields:
            found = reference.find(events)
            if found is not None:
                schema, column = found
                rows = _added(rows, reference.name, column, schema)
        return rows

    def _required(self, schema: Schema) -> Schema:
        """The row's schema, kept so that equal tables give one object; Debezium's is not optional
        and has no default."""
        known = self._schemas.get(schema)
        if known is None:
            if len(self._schemas) >= 1000:
                self._schemas.clear()
            known = replace(schema, optional=False, default=NO_DEFAULT)
            self._schemas[schema] = known
        return known

    def _topics(self, batch: Batch, image: Struct) -> list[str]:
        """Each row's topic: what its column holds, its own where that is null or blank."""
        if self._route not in image:
            raise SchemaMismatch(
                f"route.by.field: the rows of {batch.topic} have no column {self._route}.",
                dict.fromkeys(range(len(batch)), f"no column {self._route}"),
            )
        names = image[self._route]
        if isinstance(names, Struct):
            names = list(names.rows())
        bad = {
            row: f"column {self._route} holds no text"
            for row, name in enumerate(names)
            if not isinstance(name, str | None)
        }
        if bad:
            raise SchemaMismatch("route.by.field needs a column of strings.", bad)
        return [name if name and name.strip() else batch.topic for name in names]

    def _added_headers(self, batch: Batch, events: Struct) -> Sequence[Headers]:
        """Each row's headers with those of the event added."""
        count = len(batch)
        columns = [reference.headers(events) for reference in self._headers]
        own = batch.headers
        if all(isinstance(c, Constant) for c in (*columns, own or Constant((), count))):
            added = tuple(header for column in columns for header in column[0])
            return Constant((own[0] if own else ()) + added, count)
        lists = zip(own or repeat((), count), *columns, strict=True)
        return [tuple(header for headers in row for header in headers) for row in lists]

    def _with_tombstone_headers(self, batch: Batch) -> Batch:
        added = tuple(h for reference in self._headers for h in reference.of_tombstone())
        if not added:
            return batch
        own = batch.headers or Constant((), len(batch))
        return replace(batch, headers=[headers + added for headers in own])


def _added(rows: Struct, name: str, column: Column, schema: Schema) -> Struct:
    """The rows with one more column; one that is there already must not be overwritten."""
    if name in rows:
        raise SchemaMismatch(
            f"The rows of {rows.schema.name} have a column {name} already.",
            dict.fromkeys(range(len(rows)), f"column {name} is there already"),
            hint="Choose another add.fields.prefix, or add it as field:NEW_NAME.",
        )
    return rows.with_column(name, column, schema)


def _is_envelope(values: Struct) -> bool:
    named = (values.schema.name or "").endswith(".Envelope")
    return named and "before" in values and "after" in values


def _flags(column: Column) -> Sequence[bool]:
    """Which rows hold something."""
    if isinstance(column, Constant):
        return Constant(column.value is not None, len(column))
    if isinstance(column, Struct):
        return Constant(True, len(column)) if column.present is None else column.present
    return [value is not None for value in column]


def _image(events: Struct, after: Sequence[bool], other: str | None) -> Struct:
    """The rows' last images: ``after``, and where that is null ``other``."""
    rows, others = events["after"], events[other] if other else None
    if not isinstance(others, Struct) or (isinstance(rows, Struct) and all(after)):
        if isinstance(rows, Struct):
            return Struct(rows.schema, rows.columns, len(rows))
        schema = _schema(events, "after")
        nothing: list[Column] = [Constant(None, len(events))] * len(schema.fields)
        return Struct(schema, nothing, len(events))
    if not isinstance(rows, Struct):
        return Struct(others.schema, others.columns, len(others))
    if rows.schema.fields != others.schema.fields:
        raise SchemaMismatch(
            "before and after of one batch have different columns.",
            dict.fromkeys(range(len(events)), "before and after differ in columns"),
        )
    return _merged(rows, others, after)


def _merged(rows: Struct, others: Struct, choose: Sequence[bool]) -> Struct:
    columns: list[Column] = []
    for own, other in zip(rows.columns, others.columns, strict=True):
        if isinstance(own, Struct) and isinstance(other, Struct):
            columns.append(_merged(own, other, choose))
        else:
            cells: Any = zip(choose, _cells(own), _cells(other), strict=True)
            columns.append([a if yes else b for yes, a, b in cells])
    present: list[bool] | None = None
    if rows.present is not None or others.present is not None:
        flags = zip(choose, _flags(rows), _flags(others), strict=True)
        present = [a if yes else b for yes, a, b in flags]
    return Struct(rows.schema, columns, len(rows), present)


def _cells(column: Column) -> Iterable[Any]:
    return column.rows() if isinstance(column, Struct) else column


def _schema(events: Struct, name: str) -> Schema:
    return events.schema.fields[events.index(name)].schema


def _split_by(topics: Sequence[str], batch: Batch) -> list[Batch]:
    rows: dict[str, list[int]] = {}
    for row, topic in enumerate(topics):
        rows.setdefault(topic, []).append(row)
    return [replace(batch.take(places), topic=topic) for topic, places in rows.items()]
