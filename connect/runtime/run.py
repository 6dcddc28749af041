"""What both loops share: their view of the task's run, and how they let go of things."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Protocol

from connect.context import Metrics
from connect.runtime.chain import Rejected

logger = logging.getLogger(__name__)


class Run(Protocol):
    """A task's run as its loop sees it."""

    @property
    def metrics(self) -> Metrics:
        """Where its figures go."""

    @property
    def log_errors(self) -> bool:
        """errors.log.enable"""

    def stop_asked(self) -> bool:
        """Whether to end after what is under way."""

    def opened(self) -> None:
        """The task works: it is RUNNING."""

    def uses(self, topics: Iterable[str]) -> None:
        """These topics were written to or read from."""


class Closable(Protocol):
    """Something with an end."""

    def close(self) -> None:
        """End it."""


def release(resource: Closable) -> None:
    """Close it. A failure to close changes nothing that was committed and must not hide why the
    task ends, so it is only logged."""
    try:
        resource.close()
    except Exception as error:
        name = type(resource).__name__
        logger.warning("closing %s failed: %s", name, type(error).__name__)


def log_rejected(run: Run, rejected: Sequence[Rejected]) -> None:
    """Say which records were left out, if errors.log.enable asks for it."""
    if not run.log_errors:
        return
    for each in rejected:
        place = "" if each.partition is None else f" partition {each.partition}"
        logger.warning(
            "%s: record of topic %s%s at %d was left out: %s",
            each.stage, each.topic, place, each.position, each.reason,
        )  # fmt: skip
