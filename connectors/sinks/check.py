"""Live checks of the sinks that write tables."""

from __future__ import annotations

from collections.abc import Sequence

from connect.config import Problem
from connectors.sinks.config import TableSinkConfig
from connectors.sinks.target import Target


def check_target(config: TableSinkConfig, target: Target, key: str) -> Sequence[Problem]:
    """Whether the target can be reached, read-only; problems are shown at ``key``."""
    try:
        target.open()
        return [*_unwise(config), *target.check(key, config.creates)]
    except Exception as error:
        verdict = target.classify(error)
        if verdict is None:
            raise
        text = f"{target.product} can't be used: {verdict.reason}."
        return [Problem(key, text, "connection.failed", verdict.hint)]
    finally:
        target.close()


def _unwise(config: TableSinkConfig) -> list[Problem]:
    problems = []
    if config.insert_mode == "upsert" and not config.delete_enabled:
        problems.append(
            Problem(
                "delete.enabled",
                "Rows deleted at the source stay in the target.",
                "sink.deletes_ignored",
                "Set delete.enabled=true to delete them.",
                "warning",
            )
        )
    return problems
