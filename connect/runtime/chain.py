"""The chain of transforms of one connector, and what happens to rows that can't be processed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

from connect.data import Batch
from connect.errors import RecordError
from connect.transform import Predicate, Transform

T = TypeVar("T")

Stage = Literal["KEY_CONVERTER", "VALUE_CONVERTER", "TRANSFORMATION", "TASK_PUT"]
"""Where a row failed, in Kafka Connect's words."""


class Rejected(NamedTuple):
    """A row that was left out: where it came from (``position`` as in its Batch), and why."""

    topic: str
    partition: int | None
    position: int
    stage: Stage
    plugin: str
    reason: str
    error: RecordError


class Outcome(NamedTuple):
    """What ``tolerate`` made of ``rows``, the batch less the rejected ones; nothing was made when
    no row is left."""

    made: Any
    rows: Batch
    rejected: list[Rejected]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """errors.tolerance: only RecordErrors are tolerated, and only for the rows they name."""

    all: bool = False

    def attempt(
        self, stage: Stage, plugin: object, act: Callable[[Batch], T], batch: Batch
    ) -> Outcome:
        """Do ``act`` with the batch, and again without the rows a RecordError names.

        Not tolerated, the RecordError is raised with the place of its first row.
        """
        rejected: list[Rejected] = []
        while len(batch):
            try:
                return Outcome(act(batch), batch, rejected)
            except RecordError as error:
                batch, more = self.reject(stage, plugin, batch, error)
                rejected += more
        return Outcome(None, batch, rejected)

    def reject(
        self, stage: Stage, plugin: object, batch: Batch, error: RecordError
    ) -> tuple[Batch, list[Rejected]]:
        """The batch without the rows of ``error``, and those rows; raises when not tolerated."""
        named = {row: reason for row, reason in error.rows.items() if 0 <= row < len(batch)}
        if not self.all or not named:
            raise located(stage, batch, error) from error
        name = f"{type(plugin).__module__}.{type(plugin).__qualname__}"
        rejected = [
            Rejected(batch.topic, batch.partition, batch.positions[row], stage, name, reason, error)
            for row, reason in sorted(named.items())
        ]
        return batch.take([row for row in range(len(batch)) if row not in named]), rejected


def located(stage: Stage, batch: Batch, error: RecordError) -> RecordError:
    """The same error, its message naming stage, topic, and the first row's place and reason."""
    place = f"topic {batch.topic}"
    reason = error.message
    rows = sorted(row for row in error.rows if 0 <= row < len(batch))
    if rows:
        position = batch.positions[rows[0]]
        if batch.partition is None:
            place += f", row {position} of the poll"
        else:
            place += f", partition {batch.partition}, offset {position}"
        reason = f"{error.rows[rows[0]]} ({len(rows)} of {len(batch)} records; {error.message})"
    return RecordError(
        f"{stage} failed for {place}: {reason}",
        error.rows,
        code=error.code,
        hint=error.hint
        or "Mend the record, or set errors.tolerance=all to leave such records out.",
    )


@dataclass(frozen=True, slots=True)
class Step:
    """A transform, and the predicate that says which rows it is for."""

    transform: Transform
    predicate: Predicate | None = None
    negate: bool = False

    def split(self, batch: Batch) -> tuple[Batch | None, Batch | None]:
        """The rows it is for, and the others; None for no rows."""
        if self.predicate is None:
            return batch, None
        answers = self.predicate.test(batch)
        chosen = [row for row, answer in enumerate(answers) if bool(answer) is not self.negate]
        if len(chosen) == len(batch):
            return batch, None
        if not chosen:
            return None, batch
        marked = set(chosen)
        return batch.take(chosen), batch.take([r for r in range(len(batch)) if r not in marked])


class Chain:
    """The transforms of a connector, in order."""

    def __init__(self, steps: Sequence[Step], tolerance: Tolerance) -> None:
        self.steps = tuple(steps)
        self._tolerance = tolerance

    def apply(self, batch: Batch) -> tuple[list[Batch], list[Rejected]]:
        """The batches the transforms make of this one (not empty), and the rows left out.

        Rows keep their positions; batches may interleave.
        """
        batches = [batch]
        rejected: list[Rejected] = []
        for step in self.steps:
            made: list[Batch] = []
            for before in batches:
                chosen, others = step.split(before)
                if chosen is not None:
                    outcome = self._tolerance.attempt(
                        "TRANSFORMATION",
                        step.transform,
                        lambda rows, step=step: list(step.transform.apply(rows)),  # type: ignore[misc]
                        chosen,
                    )
                    made.extend(after for after in outcome.made or () if len(after))
                    rejected += outcome.rejected
                if others is not None:
                    made.append(others)
            batches = made
        return batches, rejected
