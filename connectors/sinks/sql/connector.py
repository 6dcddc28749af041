"""The SQL sink plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from sqlalchemy.engine import URL

from connect.config import Problem
from connect.connector_config import SinkConfig
from connect.context import Context
from connect.log import TopicPartition
from connect.sink import SinkConnector, SinkTask
from connectors.sinks.check import check_absent, check_target
from connectors.sinks.config import CONFLUENT
from connectors.sinks.sql.config import SqlSinkConfig
from connectors.sinks.sql.mysql import MySqlTarget
from connectors.sinks.sql.postgres import PostgresTarget
from connectors.sinks.sql.sqlite import SqliteTarget
from connectors.sinks.sql.target import SqlTarget
from connectors.sinks.task import TableSinkTask, move_positions
from connectors.version import VERSION

_TARGETS: Mapping[str, type[SqlTarget]] = {
    "postgresql": PostgresTarget,
    "mysql": MySqlTarget,
    "mariadb": MySqlTarget,
    "sqlite": SqliteTarget,
}


def sql_target(url: URL) -> SqlTarget:
    """The target an URL names."""
    return _TARGETS[url.get_backend_name()](url)


class SqlSinkConnector(SinkConnector):
    """Keeps tables of a SQL database equal to what the topics say."""

    config = SqlSinkConfig
    aliases: ClassVar[tuple[str, ...]] = (
        "sql",
        "io.debezium.connector.jdbc.JdbcSinkConnector",
        CONFLUENT,
    )
    version = VERSION

    def check(self, config: SinkConfig) -> Sequence[Problem]:
        """Connect, and look whether tables can be made and written."""
        assert isinstance(config, SqlSinkConfig)
        address = config.address
        if address.get_backend_name() == "sqlite" and address.database:
            problems = check_absent(address.database, "connection.url")
            if problems is not None:
                return problems
        return check_target(config, sql_target(address), "connection.url")

    def task(self, config: SinkConfig, context: Context) -> SinkTask:
        """A task with a connection of its own."""
        assert isinstance(config, SqlSinkConfig)
        return TableSinkTask(config, context, sql_target(config.address))

    def move_positions(
        self, config: SinkConfig, context: Context, positions: Mapping[TopicPartition, int | None]
    ) -> None:
        """Set or forget positions in the target's own table."""
        assert isinstance(config, SqlSinkConfig)
        move_positions(sql_target(config.address), context, positions)
