"""Levels of loggers, as REST sets them: in the worker at once, in its tasks by a command."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Final

# Connect's names; Python has no TRACE, so it asks for all there is.
LEVELS: Final[Mapping[str, int]] = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
    "OFF": logging.CRITICAL + 10,
}
ROOT: Final = "root"


class Levels:
    """The loggers of this worker and its tasks: logger names are module names."""

    def __init__(self) -> None:
        self._set: dict[str, tuple[str, int]] = {}
        self._lock = threading.Lock()

    def set(self, name: str, level: str) -> list[str]:
        """Set a logger and those below it; the names of the loggers whose level changed.

        KeyError for a level that does not exist.
        """
        number = LEVELS[level.upper()]
        now = int(time.time() * 1000)
        changed = []
        with self._lock:
            below = name + "."
            known = [n for n in self._names() if n.startswith(below) or name == ROOT]
            for each in sorted({name, *known}):
                target = logging.getLogger(None if each == ROOT else each)
                if each in self._set and self._set[each][0] == level.upper():
                    continue
                if each not in self._set and target.level == number:
                    continue
                if each == name or target.level != logging.NOTSET:
                    target.setLevel(number)
                    self._set[each] = (level.upper(), now)
                    changed.append(each)
        return changed

    def all(self) -> Mapping[str, tuple[str, int | None]]:
        """Level and time of the last change (ms) of the loggers that have a level of their own."""
        with self._lock:
            names = [n for n in self._names() if logging.getLogger(n).level != logging.NOTSET]
            return {name: self._of(name) for name in sorted({ROOT, *names, *self._set})}

    def get(self, name: str) -> tuple[str, int | None] | None:
        """Level and time of the last change of one logger; None when there is no such logger."""
        with self._lock:
            known = name == ROOT or name in self._set or name in self._names()
            return self._of(name) if known else None

    def for_tasks(self) -> Mapping[str, str]:
        """What was set, for the tasks."""
        with self._lock:
            return {name: level for name, (level, _) in self._set.items()}

    def _of(self, name: str) -> tuple[str, int | None]:
        if name in self._set:
            return self._set[name]
        number = logging.getLogger(None if name == ROOT else name).getEffectiveLevel()
        return _name(number), None

    def _names(self) -> list[str]:
        known = list(logging.root.manager.loggerDict.items())
        return [name for name, it in known if isinstance(it, logging.Logger)]


def _name(number: int) -> str:
    for name in ("DEBUG", "INFO", "WARN", "ERROR", "FATAL"):
        if number <= LEVELS[name]:
            return name
    return "OFF"
