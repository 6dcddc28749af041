"""The DuckDB sink plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from connect.config import Problem
from connect.connector_config import SinkConfig
from connect.context import Context
from connect.log import TopicPartition
from connect.sink import SinkConnector, SinkTask
from connectors.sinks.check import check_absent, check_target
from connectors.sinks.duckdb.config import DuckDbSinkConfig
from connectors.sinks.duckdb.target import DuckDbTarget
from connectors.sinks.task import TableSinkTask, move_positions
from connectors.version import VERSION


class DuckDbSinkConnector(SinkConnector):
    """Keeps tables of a DuckDB file equal to what the topics say."""

    config = DuckDbSinkConfig
    aliases: ClassVar[tuple[str, ...]] = ("duckdb", "io.tailrace.duckdb.DuckDbSink")
    version = VERSION
    exclusive = True

    def check(self, config: SinkConfig) -> Sequence[Problem]:
        """Look whether the file can be opened, without making it."""
        assert isinstance(config, DuckDbSinkConfig)
        problems = check_absent(config.path, "path")
        if problems is not None:
            return problems
        return check_target(config, DuckDbTarget(config.path, read_only=True), "path")

    def task(self, config: SinkConfig, context: Context) -> SinkTask:
        """The one task that has the file."""
        assert isinstance(config, DuckDbSinkConfig)
        return TableSinkTask(config, context, DuckDbTarget(config.path, config.release))

    def move_positions(
        self, config: SinkConfig, context: Context, positions: Mapping[TopicPartition, int | None]
    ) -> None:
        """Set or forget positions in the file's own table."""
        assert isinstance(config, DuckDbSinkConfig)
        move_positions(DuckDbTarget(config.path), context, positions)
