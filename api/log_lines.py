"""The server's own log: text on a terminal, a JSON object a line anywhere else."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from typing import Final, TextIO

from connect.runtime.logs_setup import FORMAT_VARIABLE

TEXT: Final = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"


class JsonLines(logging.Formatter):
    """``{"time", "level", "logger", "message"}`` and ``trace`` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_to(stream: TextIO) -> None:
    """Send the root logger's records to ``stream``; the tasks' processes follow by environment."""
    form = os.environ.setdefault(FORMAT_VARIABLE, "text" if stream.isatty() else "json")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # the server says itself where it is
