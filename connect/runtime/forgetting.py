"""Cleaning up after a deleted source: its slot and publication, then its offsets.

Deleting a connector never waits for its database. The herder leaves a ``forget-connector-`` record
in place of the configuration; the worker asks the plugin once, bounded in time, when the tasks are
gone, says in its log what was dropped and what is left, and removes the record. Until then no
connector of that name starts.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from connect.config import parse
from connect.runtime import plugins
from connect.runtime.providers import Allowed, mask, resolve
from connect.source import SourceConnector

logger = logging.getLogger(__name__)

SECONDS: Final = 30.0


class Forgotten(NamedTuple):
    """What came of it. ``clean``: nothing in the source remembers the connector, so its offsets
    are worthless."""

    connector: str
    request: int
    clean: bool
    sentences: Sequence[str]


def start(
    connector: str,
    request: int,
    config: Mapping[str, str | None],
    allowed: Allowed,
    secrets: Mapping[str, str],
    events: queue.SimpleQueue[Any],
) -> None:
    """Ask the plugin in a thread of its own; a ``Forgotten`` event tells the outcome.

    ``request`` is the offset of the ``forget-connector-`` record.
    """

    def work() -> None:
        events.put(Forgotten(connector, request, *_forget(config, allowed, secrets)))

    threading.Thread(target=work, name=f"forget-{connector}", daemon=True).start()


def _forget(
    config: Mapping[str, str | None], allowed: Allowed, secrets: Mapping[str, str]
) -> tuple[bool, Sequence[str]]:
    seen: frozenset[str] = frozenset()
    try:
        cls = plugins.find(config.get("connector.class") or "", "source", "sink").cls
        if not issubclass(cls, SourceConnector) or cls.forget is SourceConnector.forget:
            return False, ()
        values, seen = resolve(config, allowed, secrets)
        return True, cls().forget(parse(cls.config, values))
    except Exception as error:  # the connector is deleted all the same; say what stays behind
        cause = mask(f"{type(error).__name__}: {error}", {*seen, *secrets.values()})
        return False, [f"What it made in its source is left behind: {cause}"]
