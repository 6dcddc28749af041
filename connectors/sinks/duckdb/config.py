"""Configuration of the DuckDB sink."""

from __future__ import annotations

from typing import Literal

from connect.config import key
from connectors.sinks.config import (
    DELETE,
    EVOLUTION,
    INSERT_MODE,
    KEY_MODE,
    TRUNCATE,
    KeyModeName,
    TableSinkConfig,
)
from connectors.sinks.duckdb.target import Release


class DuckDbSinkConfig(TableSinkConfig):
    """Keys of the DuckDB sink; the defaults make a copy of the source's tables."""

    path: str = key(
        "path",
        doc="The database file; created if absent. DuckDB lets one process write to it, and none "
        "read it meanwhile.",
        group="Connection",
        importance="HIGH",
        width="LONG",
        min_length=1,
    )
    release: Release = key(
        "connection.release",
        doc="When to close the file so that others can open it: `idle`, as soon as no record came "
        "for half a second; `flush`, after each transaction as well (slower under load); `never`.",
        group="Connection",
        default="idle",
    )
    insert_mode: Literal["insert", "upsert", "update"] = key(
        "insert.mode", default="upsert", **INSERT_MODE
    )
    key_mode: KeyModeName = key("primary.key.mode", default="record_key", **KEY_MODE)
    delete_enabled: bool = key("delete.enabled", default=True, **DELETE)
    truncate_enabled: bool = key("truncate.enabled", default=True, **TRUNCATE)
    schema_evolution: Literal["none", "basic"] = key(
        "schema.evolution", default="basic", **EVOLUTION
    )
