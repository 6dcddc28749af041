"""Live checks of the sinks that write tables."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from connect.config import Problem
from connectors.sinks.config import TableSinkConfig
from connectors.sinks.target import Target, Verdict


def check_target(config: TableSinkConfig, target: Target, key: str) -> Sequence[Problem]:
    """Whether the target can be reached, read-only; problems are shown at ``key``."""
    try:
        target.open()
        return [*_unwise(config), *target.check(key, config.creates)]
    except Exception as error:
        verdict = target.classify(error)
        if verdict is None:
            raise
        return [_problem(key, target.product, verdict)]
    finally:
        target.close()


def _problem(key: str, product: str, verdict: Verdict) -> Problem:
    """Only what may pass has a code that lets a starting task try again."""
    text = f"{product} can't be used: {verdict.reason}."
    if verdict.kind in ("lost", "retry"):
        return Problem(key, text, "connection.failed", verdict.hint)
    if verdict.kind == "denied":
        return Problem(key, text, "sink.authentication", verdict.hint)
    return Problem(key, text, "sink.refused", verdict.hint)


def check_absent(path: str, key: str) -> Sequence[Problem] | None:
    """Problems of a database file that is not there yet; None if it is there."""
    file = Path(path)
    if file.exists():
        return None
    if not file.parent.is_dir():
        return [Problem(key, f"There is no directory {file.parent}.", "sink.no_directory")]
    if not os.access(file.parent, os.W_OK):
        return [Problem(key, f"{file.parent} can't be written to.", "sink.privilege")]
    return []


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
