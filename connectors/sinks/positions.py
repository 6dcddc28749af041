"""Positions kept in the target, in the transaction of the rows: exactly once, and fencing.

One row per partition in ``tailrace_positions``. A writer raises ``epoch`` when it opens; whoever
finds a higher one has been replaced. Positions and epochs mean something in one log only, so a row
names its log, and is no one else's. Rows of a table made before it did are adopted once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from connect.context import Context
from connect.errors import CdcError, FatalError, FencedError
from connect.log import TopicPartition
from connectors.sinks.naming import POSITIONS
from connectors.sinks.target import Target, Wanted
from connectors.sinks.types import ColumnType, Kind

_LOG_ID = Wanted("log_id", ColumnType(Kind.TEXT, length=64))


class Positions:
    """The positions of one connector."""

    def __init__(self, target: Target, context: Context) -> None:
        self._target = target
        self._connector = context.connector
        self._epoch = context.epoch
        self._log_id = context.log_id
        self._names = {
            name: target.quote(name)
            for name in ("connector", "topic", "partition", "next_offset", "epoch", "log_id")
        }

    def create(self) -> None:
        """Make the table where there is none, and give it the columns of this version."""
        found = self._target.describe(POSITIONS)
        if found is None:
            self._change(self._create)
        elif _LOG_ID.name not in found.columns:
            self._change(lambda: self._target.add_column(POSITIONS, _LOG_ID))

    def _create(self) -> None:
        n = self._names
        self._target.execute(
            f"CREATE TABLE IF NOT EXISTS {self._target.table_sql(POSITIONS)} ("
            f"{n['connector']} VARCHAR(255) NOT NULL, {n['topic']} VARCHAR(255) NOT NULL, "
            f"{n['partition']} INTEGER NOT NULL, {n['next_offset']} BIGINT, "
            f"{n['epoch']} BIGINT NOT NULL, "
            f"{n['log_id']} {self._target.column_sql(_LOG_ID.type, False)}, "
            f"PRIMARY KEY ({n['connector']}, {n['topic']}, {n['partition']}))"
            + self._target.positions_options
        )

    def _change(self, change: Callable[[], None]) -> None:
        """Change the table, unless another task does it at this very moment."""
        if not self._target.savepoints and self._target.transactional_ddl:
            change()  # such a target takes one task, and a failure would cost its transaction
            return
        try:
            with self._target.savepoint():
                change()
        except Exception:
            found = self._target.describe(POSITIONS)
            if found is None or _LOG_ID.name not in found.columns:
                raise

    def claim(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Fence earlier writers of these partitions and return the positions that are known."""
        found: dict[TopicPartition, int] = {}
        for partition in sorted(partitions):  # one order, so that two claims can't deadlock
            touched = self._run(
                "UPDATE {table} SET {epoch} = ?, {log_id} = ? WHERE {where} AND {mine}",
                (self._epoch, self._log_id, *self._key(partition), *self._mine),
            )
            if not touched and not self._insert(partition, None):
                raise self._refused(partition)
            offset = self._offset(partition)
            if offset is not None:
                found[partition] = offset
        return found

    def save(self, positions: Mapping[TopicPartition, int]) -> None:
        """Set the next offsets; FencedError once a newer writer has claimed one."""
        for partition, offset in sorted(positions.items()):
            touched = self._run(
                "UPDATE {table} SET {next_offset} = ?, {epoch} = ?, {log_id} = ? "
                "WHERE {where} AND {mine}",
                (offset, self._epoch, self._log_id, *self._key(partition), *self._mine),
            )
            if not touched and not self._insert(partition, offset):
                raise self._refused(partition)

    def move(self, positions: Mapping[TopicPartition, int | None]) -> None:
        """Set or forget positions of a stopped connector, whoever wrote them.

        What another log left is removed, for all partitions: a person has chosen this one.
        """
        self._run(
            "DELETE FROM {table} WHERE {connector} = ? AND COALESCE({log_id}, '') NOT IN ('', ?)",
            (self._connector, self._log_id),
        )
        for partition, offset in sorted(positions.items(), key=lambda item: item[0]):
            # The epoch of a row that names no log may be another log's, too high for this one.
            self._run(
                "DELETE FROM {table} WHERE {where} AND COALESCE({log_id}, '') <> ?",
                (*self._key(partition), self._log_id),
            )
            touched = self._run(
                "UPDATE {table} SET {next_offset} = ? WHERE {where}",
                (offset, *self._key(partition)),
            )
            if not touched:
                self._insert(partition, offset)

    def _insert(self, partition: TopicPartition, offset: int | None) -> bool:
        """Add the row of a partition; False if there is one."""
        query = self._sql("SELECT {epoch} FROM {table} WHERE {where}")
        if self._target.query(query, self._key(partition)):
            return False
        self._run(
            "INSERT INTO {table} ({connector}, {topic}, {partition}, {next_offset}, {epoch}, "
            "{log_id}) VALUES (?, ?, ?, ?, ?, ?)",
            (*self._key(partition), offset, self._epoch, self._log_id),
        )
        return True

    def _offset(self, partition: TopicPartition) -> int | None:
        query = self._sql("SELECT {next_offset} FROM {table} WHERE {where}")
        [(offset,)] = self._target.query(query, self._key(partition))
        return None if offset is None else int(offset)

    def _key(self, partition: TopicPartition) -> tuple[str, str, int]:
        return self._connector, partition.topic, partition.partition

    @property
    def _mine(self) -> tuple[int, str]:
        """The values of the condition ``{mine}``."""
        return self._epoch, self._log_id

    def _run(self, template: str, values: tuple[object, ...]) -> int:
        return self._target.execute(self._sql(template), values)

    def _sql(self, template: str) -> str:
        where = "{connector} = ? AND {topic} = ? AND {partition} = ?".format(**self._names)
        mine = "{epoch} <= ? AND COALESCE({log_id}, '') IN ('', ?)".format(**self._names)
        table = self._target.table_sql(POSITIONS)
        sql = template.format(table=table, where=where, mine=mine, **self._names)
        return sql.replace("?", self._target.mark)

    def _refused(self, partition: TopicPartition) -> CdcError:
        """Why a row that is there was not touched: its log is another, or its run is newer."""
        query = self._sql("SELECT COALESCE({log_id}, '') FROM {table} WHERE {where}")
        [(log_id,)] = self._target.query(query, self._key(partition))
        if log_id in ("", self._log_id):
            return FencedError(
                f'A newer run of connector "{self._connector}" writes to this target.',
                hint="If there is none, the target's positions are those of another log: delete "
                "this connector's rows of tailrace_positions.",
            )
        name, quoted = self._connector, self._connector.replace("'", "''")
        return FatalError(
            f'The position of {partition.topic}-{partition.partition} that connector "{name}" has '
            f"in this target is one of another log ({log_id}; this one is {self._log_id}).",
            code="sink.positions.other_log",
            hint="If that log is gone for good, run in the target: DELETE FROM tailrace_positions "
            f"WHERE connector = '{quoted}' AND log_id <> '{self._log_id}'; and restart the task. "
            f"Or stop the connector, run `tailrace offsets reset {name}` and resume it. The rows "
            "of this log are then written again: upserts replace those that are there, other "
            "insert modes may repeat them. If another worker writes here under this name, rename "
            "one of the two connectors.",
        )
