"""The task of every sink that writes tables: batches in, one transaction a flush out.

``put`` writes inside an open transaction and ``flush`` commits it with the positions. A batch
with a bad row is undone as a whole; then its rows are tried by halves to name the bad ones.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

from connect.context import Context
from connect.data import Batch
from connect.errors import (
    CdcError,
    ConnectionLost,
    FatalError,
    RecordError,
    RetriableError,
    SchemaMismatch,
)
from connect.log import TopicPartition
from connect.sink import SinkTask
from connectors.sinks import plan
from connectors.sinks.config import TableSinkConfig
from connectors.sinks.naming import TableName
from connectors.sinks.positions import Positions
from connectors.sinks.rows import Rows, read
from connectors.sinks.shapes import Shapes
from connectors.sinks.target import Staged, Table, Target, Verdict
from connectors.sinks.types import column_type

logger = logging.getLogger(__name__)

Action: TypeAlias = Callable[[], None]


class RowFault(Exception):
    """The database refuses some row of what was written."""


class TableSinkTask(SinkTask):
    """Writes batches to the tables of one target."""

    def __init__(self, config: TableSinkConfig, context: Context, target: Target) -> None:
        self._config = config
        self._context = context
        self._target = target
        self._positions = Positions(target, context)
        self._shapes = Shapes(config, target)
        self._moving: set[str] = set()
        self._ordered: set[str] = set()
        self._begun = False
        # What was written since the last flush, for targets that lose it with a failed statement.
        self._accepted: list[Action] = []

    def open(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Connect, fence earlier runs, and return the positions the target holds."""
        counts: dict[str, int] = {}
        for partition in partitions:
            counts[partition.topic] = max(counts.get(partition.topic, 0), partition.partition + 1)
        self._ordered = {topic for topic, count in counts.items() if count == 1}
        self._moving = self._ordered if self._config.tasks_max == 1 else set()
        found: Mapping[TopicPartition, int] = self._driven("open", self._claim, partitions)
        return found

    def _claim(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        self._target.open()
        self._target.begin()
        self._positions.create()
        found = self._positions.claim(partitions)
        self._target.commit()
        return found

    def put(self, batch: Batch) -> None:
        """Write the batch inside the open transaction."""
        self._driven("put", self._put, batch)

    def _put(self, batch: Batch) -> None:
        self._begin()
        mark = len(self._accepted)
        try:
            with self._target.savepoint():
                self._write(batch, self._do)
        except RowFault:
            self._undo(mark)
            raise self._name_faults(batch, mark) from None

    def flush(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit what was put together with the positions."""
        self._driven("flush", self._flush, positions)

    def _flush(self, positions: Mapping[TopicPartition, int]) -> None:
        self._begin()
        self._positions.save(positions)
        self._target.commit()
        self._begun = False
        self._accepted.clear()

    def _begin(self) -> None:
        if not self._begun:
            self._target.begin()
            self._begun = True

    def idle(self) -> None:
        """Let others in, where the target takes one process at a time."""
        self._driven("idle", self._target.release)

    def close(self) -> None:
        """Disconnect; what was not flushed is undone."""
        self._target.close()

    def _write(self, batch: Batch, do: Callable[[str, Action], None]) -> None:
        """Write all pieces of a batch, every action through ``do``."""
        for name, places in self._config.naming.tables(batch):
            size = self._config.batch_size
            for start in range(0, len(places), size):
                piece = batch.take(places[start : start + size])
                self._write_piece(name, piece, places[start : start + size], do)

    def _write_piece(
        self, name: TableName, batch: Batch, places: Sequence[int], do: Callable[..., None]
    ) -> None:
        where = f"{name} ({batch.topic}-{batch.partition or 0})"
        reading = self._config.reading(moves=batch.topic in self._moving)
        try:
            rows = read(batch, reading)
            steps = plan.steps(rows, self._config.insert_mode)
        except RecordError as error:
            raise _moved(error, places) from error
        except plan.Incomplete as error:
            raise self._record_error(batch, {error.row: f"{where}: {error}"}, places) from error
        if not steps:
            return
        table = self._driven(where, self._shape, name, batch.topic, rows)
        for step in steps:
            self._check_order(step, batch)
            do(where, _Work(self._target, table, rows, step, self._config.insert_mode, places))

    def _shape(self, name: TableName, topic: str, rows: Rows) -> Table:
        """The table, made to fit; DDL that would commit rows runs before them."""
        changes, table = self._shapes.fit(name, topic, rows.columns)
        if not changes:
            assert table is not None
            return table
        restores = self._target.transactional_ddl
        if not restores and self._accepted:
            self._target.rollback()
        for change in changes:
            change()
            if restores and not self._target.savepoints:
                self._accepted.append(change)
        if not restores:
            for action in self._accepted:
                action()
        return self._shapes.read(name)

    def _check_order(self, step: plan.Step, batch: Batch) -> None:
        if isinstance(step, plan.Truncate) and batch.topic not in self._ordered:
            raise FatalError(
                f'Topic "{batch.topic}" has several partitions: what came before its truncate '
                "can't be known.",
                code="sink.truncate_order",
                hint="Use one partition for the topic, or truncate.enabled=false.",
            )

    def _do(self, where: str, action: Action) -> None:
        """Run one action; remember it where a later failure would lose it."""
        self._driven(where, action)
        if not (self._target.savepoints and self._target.transactional_ddl):
            self._accepted.append(action)

    def _undo(self, mark: int) -> None:
        """Go back to what was accepted before ``mark``."""
        del self._accepted[mark:]
        self._shapes.forget()
        if not self._target.savepoints:
            self._driven("undo", self._target.rollback)
            self._driven("undo", self._target.begin)
            for action in self._accepted:
                self._driven("undo", action)

    def _name_faults(self, batch: Batch, mark: int) -> CdcError:
        """Write the batch again by halves, undo it, and name the rows that failed."""
        faults: dict[int, str] = {}

        def locate(where: str, action: Action) -> None:
            assert isinstance(action, _Work)
            for part in action.parts():
                tried = len(self._accepted)
                try:
                    with self._target.savepoint():
                        self._do(where, part)
                except RowFault as fault:
                    self._undo(tried)
                    if part.is_single:
                        faults[part.row] = f"{fault}"
                    else:
                        locate(where, part)

        try:
            with self._target.savepoint():
                self._write(batch, locate)
                raise RowFault
        except RowFault:
            self._undo(mark)
        if not faults:
            return RetriableError("A batch was refused once, but not again.", code="sink.refused")
        return self._record_error(batch, faults)

    def _record_error(
        self, batch: Batch, faults: Mapping[int, str], places: Sequence[int] | None = None
    ) -> SchemaMismatch:
        rows = {row if places is None else places[row]: why for row, why in faults.items()}
        named = {
            row: f"{why} (offset {batch.positions[row if places is None else places.index(row)]})"
            for row, why in rows.items()
        }
        first = min(named)
        more = f" and {len(named) - 1} more" if len(named) > 1 else ""
        return SchemaMismatch(f"{named[first]}{more}.", named, code="sink.row_refused")

    def _driven(self, where: str, action: Callable[..., Any], *arguments: Any) -> Any:
        """Call the driver; its exceptions become ours."""
        try:
            return action(*arguments)
        except (CdcError, RowFault):
            raise
        except Exception as error:
            verdict = self._target.classify(error)
            if verdict is None:
                raise
            raise _error(self._target.product, where, verdict) from error


class _Work:
    """One step of a plan, as an action that can be cut in halves.

    ``places`` maps the rows of the piece to those of the batch that was put.
    """

    def __init__(
        self,
        target: Target,
        table: Table,
        rows: Rows,
        step: plan.Step,
        mode: plan.Mode,
        places: Sequence[int],
    ) -> None:
        self._target, self._table, self._rows = target, table, rows
        self._step, self._mode, self._places = step, mode, places

    @property
    def is_single(self) -> bool:
        """Whether it touches one row."""
        step = self._step
        return not isinstance(step, plan.Write) or len(step.deletes) + len(step.writes) == 1

    @property
    def row(self) -> int:
        """The row of a single step, in the batch that was put."""
        step = self._step
        row = (*step.deletes, *step.writes)[0] if isinstance(step, plan.Write) else step.row
        return self._places[row]

    def parts(self) -> list[_Work]:
        """The same work in two halves, deletions before writes."""
        step = self._step
        if not isinstance(step, plan.Write) or self.is_single:
            return [self]
        if step.deletes and step.writes:
            halves = [plan.Write(step.deletes, ()), plan.Write((), step.writes)]
        else:
            middle_d, middle_w = len(step.deletes) // 2, len(step.writes) // 2
            halves = [
                plan.Write(step.deletes[:middle_d], step.writes[:middle_w]),
                plan.Write(step.deletes[middle_d:], step.writes[middle_w:]),
            ]
        return [
            _Work(self._target, self._table, self._rows, half, self._mode, self._places)
            for half in halves
        ]

    def __call__(self) -> None:
        step = self._step
        if isinstance(step, plan.Truncate):
            self._target.truncate(self._table)
        elif isinstance(step, plan.Move):
            old = self._keys([step.row])
            new = Staged(old.names, old.types, old.keys, [[cell] for cell in step.new], 1)
            self._target.move(self._table, old, new)
        else:
            if step.deletes:
                self._target.delete(self._table, self._keys(step.deletes))
            for holes, group in self._groups(step.writes):
                self._write(holes, group)

    def _groups(self, writes: Sequence[int]) -> list[tuple[frozenset[int], list[int]]]:
        groups: dict[frozenset[int], list[int]] = {}
        for row in writes:
            groups.setdefault(self._rows.holes.get(row, frozenset()), []).append(row)
        return list(groups.items())

    def _write(self, holes: frozenset[int], group: list[int]) -> None:
        staged = self._staged(holes, group)
        if self._mode == "update":
            self._target.update(self._table, staged)
            return
        if holes:
            if self._target.update(self._table, staged) < staged.count:
                raise RowFault(
                    f"{self._table.name}: an unavailable value of a row that the table lacks; set "
                    "REPLICA IDENTITY FULL at the source, or take a new snapshot"
                )
            return
        write = self._target.insert if self._mode == "insert" else self._target.upsert
        written = write(self._table, staged)
        if written is not None and written < staged.count:
            raise FatalError(
                f'Table "{self._table.name}" took {written} of {staged.count} rows.',
                code="sink.rows_swallowed",
                hint="A rule, trigger or view of the target discards rows; remove it.",
            )

    def _keys(self, group: Sequence[int]) -> Staged:
        places = [p for p, c in enumerate(self._rows.columns) if c.key]
        return self._stage(places, group)

    def _staged(self, holes: frozenset[int], group: Sequence[int]) -> Staged:
        columns = self._table.columns
        places = [
            place
            for place, column in enumerate(self._rows.columns)
            if place not in holes and not columns[column.name].generated
        ]
        return self._stage(places, group)

    def _stage(self, places: Sequence[int], group: Sequence[int]) -> Staged:
        rows = self._rows
        chosen = [rows.columns[place] for place in places]
        whole = len(group) == len(rows.ops)  # then the rows are in order and all there
        return Staged(
            names=[c.name for c in chosen],
            types=[column_type(c.schema) for c in chosen],
            keys=[c.name for c in chosen if c.key],
            cells=[
                rows.cells[place] if whole else [rows.cells[place][row] for row in group]
                for place in places
            ],
            count=len(group),
        )


def _moved(error: RecordError, places: Sequence[int]) -> RecordError:
    """The same error for the batch of which a piece was read."""
    rows = {places[row]: why for row, why in error.rows.items()}
    return type(error)(error.message, rows, code=error.code, hint=error.hint)


def _error(product: str, where: str, verdict: Verdict) -> Exception:
    column = f", column {verdict.column}" if verdict.column else ""
    text = f"{where}{column}: {verdict.reason}"
    if verdict.kind == "row":
        return RowFault(text)
    if verdict.kind == "lost":
        return ConnectionLost(f"{product}: {text}.", hint=verdict.hint)
    if verdict.kind == "retry":
        return RetriableError(f"{product}: {text}.", code="sink.busy", hint=verdict.hint)
    if verdict.kind == "denied":
        return FatalError(f"{product}: {text}.", code="sink.authentication", hint=verdict.hint)
    return FatalError(f"{product}: {text}.", code="sink.refused", hint=verdict.hint)


def move_positions(
    target: Target, context: Context, positions: Mapping[TopicPartition, int | None]
) -> None:
    """Set or forget the positions a target holds for a stopped connector."""
    try:
        target.open()
        target.begin()
        mine = Positions(target, context)
        mine.create()
        mine.move(positions)
        target.commit()
    except CdcError:
        raise
    except Exception as error:
        verdict = target.classify(error)
        if verdict is None:
            raise
        raise _error(target.product, "positions", verdict) from error
    finally:
        target.close()
