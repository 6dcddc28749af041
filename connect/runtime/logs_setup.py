"""Logging of a task's process: connector and task in each line, no secret in any."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from connect.runtime.levels import LEVELS, ROOT

FORMAT_VARIABLE: Final = "TAILRACE_LOG_FORMAT"  # text (default) or json


class LineFormatter(logging.Formatter):
    """One line a message (tracebacks follow in text, are a field in JSON).

    ``clean`` removes secrets from the finished line.
    """

    def __init__(self, task: str, as_json: bool, clean: Callable[[str], str]) -> None:
        super().__init__()
        self._task = task
        self._as_json = as_json
        self._clean = clean

    def format(self, record: logging.LogRecord) -> str:
        """The line for a log record."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        trace = self.formatException(record.exc_info) if record.exc_info else None
        message = record.getMessage()
        if self._as_json:
            fields = {
                "time": at,
                "level": record.levelname,
                "logger": record.name,
                "task": self._task,
                "message": message,
                "trace": trace,
            }
            return self._clean(json.dumps({k: v for k, v in fields.items() if v is not None}))
        line = f"{at} {record.levelname} [{self._task}] {record.name}: {message}"
        return self._clean(f"{line}\n{trace}" if trace else line)


def set_up(task: str, levels: Mapping[str, str], clean: Callable[[str], str]) -> None:
    """Log to standard error; called once at the start of a task's process."""
    handler = logging.StreamHandler(sys.stderr)
    as_json = os.environ.get(FORMAT_VARIABLE, "text").lower() == "json"
    handler.setFormatter(LineFormatter(task, as_json, clean))
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.INFO)
    set_levels(levels)


def set_levels(levels: Mapping[str, str]) -> None:
    """Set loggers to Connect's level names."""
    for name, level in levels.items():
        logging.getLogger(None if name == ROOT else name).setLevel(LEVELS[level.upper()])
