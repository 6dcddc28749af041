"""Positions kept in the target, in the transaction of the rows: exactly once, and fencing.

One row per partition in ``tailrace_positions``. A writer raises ``epoch`` when it opens; whoever
finds a higher one has been replaced.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from connect.errors import FencedError
from connect.log import TopicPartition
from connectors.sinks.naming import POSITIONS
from connectors.sinks.target import Target


class Positions:
    """The positions of one connector."""

    def __init__(self, target: Target, connector: str, epoch: int) -> None:
        self._target = target
        self._connector = connector
        self._epoch = epoch
        self._names = {
            name: target.quote(name)
            for name in ("connector", "topic", "partition", "next_offset", "epoch")
        }

    def create(self) -> None:
        """Make the table where there is none."""
        if self._target.describe(POSITIONS) is not None:
            return
        n = self._names
        self._target.execute(
            f"CREATE TABLE IF NOT EXISTS {self._target.table_sql(POSITIONS)} ("
            f"{n['connector']} VARCHAR(255) NOT NULL, {n['topic']} VARCHAR(255) NOT NULL, "
            f"{n['partition']} INTEGER NOT NULL, {n['next_offset']} BIGINT, "
            f"{n['epoch']} BIGINT NOT NULL, "
            f"PRIMARY KEY ({n['connector']}, {n['topic']}, {n['partition']}))"
            + self._target.positions_options
        )

    def claim(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Fence earlier writers of these partitions and return the positions that are known."""
        found: dict[TopicPartition, int] = {}
        for partition in sorted(partitions):  # one order, so that two claims can't deadlock
            touched = self._run(
                "UPDATE {table} SET {epoch} = ? WHERE {where} AND {epoch} <= ?",
                (self._epoch, *self._key(partition), self._epoch),
            )
            if not touched and not self._insert(partition, None):
                raise self._fenced()
            offset = self._offset(partition)
            if offset is not None:
                found[partition] = offset
        return found

    def save(self, positions: Mapping[TopicPartition, int]) -> None:
        """Set the next offsets; FencedError once a newer writer has claimed one."""
        for partition, offset in sorted(positions.items()):
            touched = self._run(
                "UPDATE {table} SET {next_offset} = ?, {epoch} = ? WHERE {where} AND {epoch} <= ?",
                (offset, self._epoch, *self._key(partition), self._epoch),
            )
            if not touched and not self._insert(partition, offset):
                raise self._fenced()

    def move(self, positions: Mapping[TopicPartition, int | None]) -> None:
        """Set or forget positions of a stopped connector, whoever wrote them."""
        for partition, offset in sorted(positions.items(), key=lambda item: item[0]):
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
            "INSERT INTO {table} ({connector}, {topic}, {partition}, {next_offset}, {epoch}) "
            "VALUES (?, ?, ?, ?, ?)",
            (*self._key(partition), offset, self._epoch),
        )
        return True

    def _offset(self, partition: TopicPartition) -> int | None:
        query = self._sql("SELECT {next_offset} FROM {table} WHERE {where}")
        [(offset,)] = self._target.query(query, self._key(partition))
        return None if offset is None else int(offset)

    def _key(self, partition: TopicPartition) -> tuple[str, str, int]:
        return self._connector, partition.topic, partition.partition

    def _run(self, template: str, values: tuple[object, ...]) -> int:
        return self._target.execute(self._sql(template), values)

    def _sql(self, template: str) -> str:
        where = "{connector} = ? AND {topic} = ? AND {partition} = ?".format(**self._names)
        table = self._target.table_sql(POSITIONS)
        sql = template.format(table=table, where=where, **self._names)
        return sql.replace("?", self._target.mark)

    def _fenced(self) -> FencedError:
        return FencedError(
            f'A newer run of connector "{self._connector}" writes to this target.',
            hint="If there is none, the target's positions are those of another log: delete this "
            "connector's rows of tailrace_positions.",
        )
