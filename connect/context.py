"""What a task knows of where it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class Metrics(Protocol):
    """Where a task reports its figures; names as in docs/reference/metrics.md."""

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Raise a counter."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Put a value in a histogram."""


class NoMetrics:
    """Forgets everything: for tests and for validation."""

    def set(self, name: str, value: float, **labels: str) -> None:
        """Forget it."""

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Forget it."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Forget it."""


@dataclass(frozen=True, slots=True)
class Context:
    """A task's identity: connector name, task number, the id of this run, its writer epoch (a
    later run has a higher one: sinks fence with it), where its figures go, and the id of the log
    (offsets and epochs kept anywhere else belong to that log only; "" is one without an id)."""

    connector: str
    task: int = 0
    run_id: str = ""
    epoch: int = 0
    metrics: Metrics = field(default_factory=NoMetrics)
    log_id: str = ""
