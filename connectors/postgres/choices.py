"""What a configuration chooses, in the terms of the parts that act on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.cdc.naming import Naming
from connectors.cdc.tables import Filters
from connectors.postgres.types import ValueOptions

if TYPE_CHECKING:
    from connectors.postgres.config import PostgresConfig


def filters(config: PostgresConfig) -> Filters:
    """The tables and columns that are captured."""
    return Filters(
        schema_include=config.schema_include,
        schema_exclude=config.schema_exclude,
        table_include=config.table_include,
        table_exclude=config.table_exclude,
        column_include=config.column_include,
        column_exclude=config.column_exclude,
    )


def naming(config: PostgresConfig) -> Naming:
    """How topics are called."""
    return Naming(config.topic_prefix, config.topic_delimiter)


def skipped(config: PostgresConfig) -> frozenset[str]:
    """The operations that are not captured."""
    return frozenset(o.lower() for o in config.skipped_operations) - {"none"}


def value_options(config: PostgresConfig, server_money_scale: int) -> ValueOptions:
    """How values are represented."""
    return ValueOptions(
        decimal=config.decimal_mode,
        binary=config.binary_mode,
        time=config.time_mode,
        interval=config.interval_mode,
        money_scale=config.money_digits,
        server_money_scale=server_money_scale,
    )
