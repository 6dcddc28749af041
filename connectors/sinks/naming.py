"""Which table a record goes to: the table name format, applied. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from connect.data import Batch, Constant, Struct
from connect.errors import ConfigError, FatalError

_PLACEHOLDER: Final = re.compile(r"\$\{([^}]*)\}")


class TableName(NamedTuple):
    """A table, in the connection's own schema when ``schema`` is None."""

    schema: str | None
    name: str

    def __str__(self) -> str:
        return self.name if self.schema is None else f"{self.schema}.{self.name}"


POSITIONS: Final = TableName(None, "tailrace_positions")
"""The table of a target that holds the positions of its sinks."""


@dataclass(frozen=True, slots=True)
class Naming:
    """A parsed table name format.

    ``${topic}`` is the topic, its dots replaced by ``_`` (Debezium's way) or, with
    ``qualified``, read as ``schema.table`` (Confluent's way); ``${source.x}`` is a field of the
    envelope's source block. A dot written in the format itself parts schema and table.
    """

    format: str
    qualified: bool = False

    def check(self, key: str) -> None:
        """Raise ConfigError for a format that can't be used."""
        for name in _PLACEHOLDER.findall(self.format):
            if name != "topic" and not re.fullmatch(r"source\.[A-Za-z0-9_]+", name):
                raise ConfigError(key, f"${{{name}}} is neither ${{topic}} nor ${{source.FIELD}}.")
        if not 1 <= len(self._parts()) <= 2 or not all(self._parts()):
            raise ConfigError(key, "The format must give a table, or a schema, a dot and a table.")

    @property
    def varies(self) -> bool:
        """Whether different topics are meant to go to different tables."""
        return bool(_PLACEHOLDER.search(self.format))

    def tables(self, batch: Batch) -> list[tuple[TableName, Sequence[int]]]:
        """The tables of a batch with their rows, in order; rows without a value have no source
        block and belong to no table of a format that needs one."""
        fields = [n[7:] for n in _PLACEHOLDER.findall(self.format) if n.startswith("source.")]
        everything = range(len(batch))
        if not fields:
            return [(self._name(batch.topic, {}), everything)]
        source = _source(batch)
        if source is None:
            return []
        columns = [_texts(source, f, batch.topic) for f in fields]
        present = batch.values.present if isinstance(batch.values, Struct) else None
        places: dict[tuple[str, ...], list[int]] = {}
        for row, found in enumerate(zip(*columns, strict=True)):
            if present is None or present[row]:
                places.setdefault(found, []).append(row)
        return [
            (self._name(batch.topic, dict(zip(fields, found, strict=True))), rows)
            for found, rows in places.items()
        ]

    def _parts(self) -> list[str]:
        hidden = _PLACEHOLDER.sub(lambda m: m.group().replace(".", "\0"), self.format)
        return [part.replace("\0", ".") for part in hidden.split(".")]

    def _name(self, topic: str, source: dict[str, str]) -> TableName:
        def fill(match: re.Match[str]) -> str:
            name = match.group(1)
            if name == "topic":
                return topic if self.qualified else topic.replace(".", "_")
            return source[name[7:]]

        parts = [_PLACEHOLDER.sub(fill, part) for part in self._parts()]
        if self.qualified and self.format == "${topic}":
            parts = topic.split(".")
            if len(parts) > 2:
                raise FatalError(
                    f'Topic "{topic}" read as a table name has {len(parts)} parts.',
                    code="sink.table_name",
                    hint="Set table.name.format, or rename topics with a RegexRouter.",
                )
        return TableName(parts[0] if len(parts) == 2 else None, parts[-1])


def _source(batch: Batch) -> Struct | None:
    values = batch.values
    if not isinstance(values, Struct):
        return None
    if "source" in values:
        source = values["source"]
        if isinstance(source, Struct):
            return source
    raise FatalError(
        f'Values of topic "{batch.topic}" have no source block, which table.name.format needs.',
        code="sink.table_name",
        hint="Use ${topic}, or leave the envelope as it is.",
    )


def _texts(source: Struct, field: str, topic: str) -> Sequence[Any]:
    if field not in source:
        raise FatalError(
            f'The source block of topic "{topic}" has no field "{field}".',
            code="sink.table_name",
            hint="See table.name.format.",
        )
    column = source[field]
    if isinstance(column, Constant):
        return column
    assert not isinstance(column, Struct)
    return [str(value) for value in column]
