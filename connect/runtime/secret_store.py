"""Secrets of connector configurations, outside of the log.

A secret that somebody wrote into a configuration is kept here under a random id, and the config
topic holds ``${secret:ID}`` in its place. The file is replaced as a whole: after a crash it is the
old one or the new one.
"""

from __future__ import annotations

import json
import os
import re
import secrets as random_source
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from connect.errors import FatalError

STORED: Final = re.compile(r"\$\{secret:([^}]*)\}")


class SecretStore:
    """``secrets.json`` of a data directory; many threads may use it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._values = _load(path)

    def add(self, values: Mapping[str, str], keep: Iterable[str | None]) -> Mapping[str, str]:
        """Keep these secrets durably; the reference that stands for each, by the same keys.

        ``keep`` is every configuration value there is: what none of them refers to is dropped.
        """
        ids = {key: random_source.token_hex(16) for key in values}
        with self._lock:
            kept = self._referred(keep)
            kept.update({ids[key]: value for key, value in values.items()})
            if kept != self._values:
                self._store(kept)
        return {key: f"${{secret:{id}}}" for key, id in ids.items()}

    def collect(self, keep: Iterable[str | None]) -> None:
        """Drop every secret that no value of ``keep`` refers to."""
        self.add({}, keep)

    def behind(self, config: Mapping[str, str | None]) -> dict[str, str]:
        """The secrets a configuration refers to, by id."""
        with self._lock:
            return self._referred(config.values())

    def _referred(self, values: Iterable[str | None]) -> dict[str, str]:
        ids = {id for value in values if value for id in STORED.findall(value)}
        return {id: self._values[id] for id in ids if id in self._values}

    def _store(self, values: Mapping[str, str]) -> None:
        temporary = self._path.with_suffix(".new")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)  # also when an interrupted write left the file
            json.dump(values, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self._values = dict(values)


def _load(path: Path) -> dict[str, str]:
    try:
        values: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise FatalError(
            f"{path} is no JSON file.",
            code="secrets.corrupt",
            hint="Restore it from a backup, or remove it and set the connectors' secrets again.",
        ) from error
    return values
