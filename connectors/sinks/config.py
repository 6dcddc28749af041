"""Configuration keys of the sinks that write tables: Debezium's and Confluent's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

from pydantic import model_validator

from connect.config import Refused, key
from connect.connector_config import SinkConfig
from connect.errors import ConfigError
from connectors.sinks.naming import Naming
from connectors.sinks.rows import Reading

CONFLUENT: Final = "io.confluent.connect.jdbc.JdbcSinkConnector"

_GROUP: Final = "Data Mapping"

INSERT_MODE: Final[Mapping[str, Any]] = {
    "doc": "`insert`: add each record as a row. `upsert`: add the row, or replace the one with "
    "its key. `update`: change rows that exist, and only those.",
    "group": "Writes",
    "importance": "HIGH",
}
KEY_MODE: Final[Mapping[str, Any]] = {
    "doc": "Where a row's primary key comes from: `none`, `kafka` (topic, partition and offset of "
    "the record), `record_key` or `record_value`.",
    "group": _GROUP,
    "importance": "HIGH",
    "recommended": ("none", "kafka", "record_key", "record_value"),
}
DELETE: Final[Mapping[str, Any]] = {
    "doc": "Delete rows on `d` events and tombstones; needs primary.key.mode=record_key. When "
    "false they are passed over.",
    "group": "Writes",
    "importance": "MEDIUM",
}
TRUNCATE: Final[Mapping[str, Any]] = {
    "doc": "Empty the table on `t` events (topics of one partition only). When false they are "
    "passed over.",
    "group": "Writes",
    "importance": "MEDIUM",
}
EVOLUTION: Final[Mapping[str, Any]] = {
    "doc": "`none`: tables must be as the records need them. `basic`: create tables, add columns "
    "and widen types; never drop or narrow.",
    "group": "DDL Support",
    "importance": "HIGH",
}

KeyModeName = Literal["none", "kafka", "record_key", "record_value", "record_header"]


class TableSinkConfig(SinkConfig):
    """Keys of every sink that writes tables."""

    insert_mode: Literal["insert", "upsert", "update"] = key(
        "insert.mode", default="insert", **INSERT_MODE
    )
    key_mode: KeyModeName = key("primary.key.mode", default="none", **KEY_MODE)
    key_fields: tuple[str, ...] = key(
        "primary.key.fields",
        doc="Names of the key columns: fields of the record key or value (all when empty), the "
        "name for a primitive key, or three names for mode `kafka`.",
        group=_GROUP,
        default=(),
        width="LONG",
    )
    delete_enabled: bool = key("delete.enabled", default=False, **DELETE)
    truncate_enabled: bool = key("truncate.enabled", default=False, **TRUNCATE)
    schema_evolution: Literal["none", "basic"] = key(
        "schema.evolution", default="none", **EVOLUTION
    )
    auto_create: bool = key(
        "auto.create",
        doc="Create tables that are missing (Confluent's key for half of schema.evolution).",
        group="DDL Support",
        default=False,
    )
    auto_evolve: bool = key(
        "auto.evolve",
        doc="Add columns and widen types (Confluent's key for half of schema.evolution).",
        group="DDL Support",
        default=False,
    )
    table_format: str = key(
        "table.name.format",
        doc="Name of the table: `${topic}`, its dots replaced by underscores, `${source.FIELD}` "
        "of the envelope, and text; a dot in the format parts schema and table.",
        group=_GROUP,
        default="${topic}",
        min_length=1,
    )
    batch_size: int = key(
        "batch.size",
        doc="Most records written by one set of statements.",
        group="Writes",
        default=10_000,
        ge=1,
        le=1_000_000,
    )

    deprecated: ClassVar[Mapping[str, str]] = {
        "pk.mode": "primary.key.mode",
        "pk.fields": "primary.key.fields",
        "collection.name.format": "table.name.format",
    }
    refused: ClassVar[Mapping[str, Refused]] = {
        **SinkConfig.refused,
        "field.include.list": Refused("use a ReplaceField transform."),
        "field.exclude.list": Refused("use a ReplaceField transform."),
        "collection.table.format": Refused("use table.name.format.", ("${table}",)),
        r"(collection|column)\.naming\.strategy": Refused(
            "names follow table.name.format; rename with transforms.",
            (
                "io.debezium.sink.naming.defaultcollectionnamingstrategy",
                "io.debezium.sink.naming.defaultcolumnnamingstrategy",
            ),
        ),
        "use.reduction.buffer": Refused(
            "upserts are always reduced to the last state of a key; inserts never are."
        ),
    }

    @model_validator(mode="after")
    def _rules(self) -> TableSinkConfig:
        if self.key_mode == "record_header":
            raise ConfigError(
                "primary.key.mode", "record_header is not supported.", code="config.unsupported"
            )
        if self.insert_mode != "insert" and self.key_mode == "none":
            raise ConfigError(
                "primary.key.mode", f"insert.mode={self.insert_mode} needs a primary key.",
                hint="Set primary.key.mode=record_key.",
            )  # fmt: skip
        if self.delete_enabled and self.key_mode != "record_key":
            raise ConfigError("delete.enabled", "Deleting needs primary.key.mode=record_key.")
        if self.key_mode == "kafka" and len(self.key_fields) not in (0, 3):
            raise ConfigError(
                "primary.key.fields", "primary.key.mode=kafka needs three names, or none."
            )
        self.naming.check("table.name.format")
        return self

    @property
    def confluent(self) -> bool:
        """Whether the configuration speaks of Confluent's sink, which differs in places."""
        return self.connector_class == CONFLUENT

    @property
    def creates(self) -> bool:
        """Whether missing tables are created."""
        return self.schema_evolution == "basic" or self.auto_create

    @property
    def evolves(self) -> bool:
        """Whether tables are changed to fit the records."""
        return self.schema_evolution == "basic" or self.auto_evolve

    @property
    def naming(self) -> Naming:
        """Which table a record goes to."""
        return Naming(self.table_format, qualified=self.confluent)

    def reading(self, moves: bool) -> Reading:
        """How records become rows; ``moves`` if a key change may be told by the deletion."""
        assert self.key_mode != "record_header"
        return Reading(
            key_mode=self.key_mode,
            key_fields=self.key_fields,
            deletes=self.delete_enabled,
            truncates=self.truncate_enabled,
            null_is_error=self.confluent,
            moves=moves and self.insert_mode == "upsert",
        )
