"""Live checks before a start: every fault at the key it belongs to, with what mends it."""

from __future__ import annotations

from connect.config import Problem
from connect.errors import CdcError, ConfigError
from connectors.postgres import catalog
from connectors.postgres.config import PostgresConfig
from connectors.postgres.session import connect


def check(config: PostgresConfig) -> list[Problem]:
    """The problems of the server and the tables this configuration names."""
    try:
        connection = connect(config)
    except CdcError as error:
        key = error.key if isinstance(error, ConfigError) else "database.hostname"
        return [Problem(key, error.message, error.code, error.hint)]
    with connection:
        catalog.server(connection)
    return []
