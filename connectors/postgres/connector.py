"""The Postgres source plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from psycopg import Error, sql

from connect.config import Problem
from connect.connector_config import SourceConfig
from connect.context import Context
from connect.errors import CdcError
from connect.source import Offset, SourceConnector, SourceTask
from connectors.postgres import catalog, offsets, preflight
from connectors.postgres.config import PostgresConfig
from connectors.postgres.session import classify, connect
from connectors.postgres.task import PostgresTask
from connectors.version import VERSION


class PostgresConnector(SourceConnector):
    """Captures the changes of tables of one Postgres database."""

    config: ClassVar[type[SourceConfig]] = PostgresConfig
    aliases: ClassVar[tuple[str, ...]] = (
        "io.debezium.connector.postgresql.PostgresConnector",
        "postgres",
        "postgresql",
    )
    version: ClassVar[str] = VERSION

    def check(self, config: SourceConfig) -> Sequence[Problem]:
        """Whether the server can be captured; see ``preflight``."""
        return preflight.check(_mine(config))

    def task(self, config: SourceConfig, context: Context) -> SourceTask:
        """The one task."""
        return PostgresTask(_mine(config), context)

    def partition(self, config: SourceConfig) -> Mapping[str, str]:
        """Debezium's: the logical name of the server."""
        return {"server": _mine(config).topic_prefix}

    def validate_offset(self, config: SourceConfig, offset: Offset) -> None:
        """At least a ``lsn`` of the right form."""
        offsets.decode(offset)

    def forget(self, config: SourceConfig) -> Sequence[str]:
        """Drop the slot, and the publication if it is one made for the captured tables."""
        mine = _mine(config)
        done = []
        try:
            with connect(mine) as connection:
                slot = catalog.slot(connection, mine.slot_name)
                if slot is not None:
                    catalog.query(connection, "SELECT pg_drop_replication_slot(%s)", slot.name)
                    done.append(f"Dropped the replication slot {slot.name}.")
                publication = catalog.publication(connection, mine.publication_name)
                if publication is not None and mine.publication_mode != "disabled":
                    name = sql.Identifier(mine.publication_name)
                    connection.execute(sql.SQL("DROP PUBLICATION {}").format(name))
                    done.append(f"Dropped the publication {mine.publication_name}.")
        except (CdcError, Error) as error:
            cause = error if isinstance(error, CdcError) else classify(error)
            done.append(
                f"Left behind in the database: slot {mine.slot_name} or publication "
                f"{mine.publication_name} ({cause.message}). A slot that nobody reads keeps "
                f"write-ahead log for ever: SELECT pg_drop_replication_slot('{mine.slot_name}');"
            )
        return done


def _mine(config: SourceConfig) -> PostgresConfig:
    assert isinstance(config, PostgresConfig)
    return config
