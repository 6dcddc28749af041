"""Offsets of connectors as people see and change them.

A source's offsets are records of the offsets topic; a sink's are positions of the consumer group
``connect-NAME`` and, for sinks that keep them, positions in the target. A change first fences the
tasks of the stopped connector, so that none that still lingers can overwrite it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from connect.context import Context
from connect.errors import CdcError, ConfigError
from connect.log import Records, TopicPartition, Writer
from connect.logs.embedded import EmbeddedLog
from connect.runtime import planner, tables
from connect.runtime.herder_errors import BadRequest, HerderError
from connect.runtime.offset_table import group_name, writer_name
from connect.runtime.tables import OFFSETS, CompactedTable
from connect.runtime.validation import Verdict

if TYPE_CHECKING:
    from log_core import Log

Entry = Mapping[str, Any]
"""``{"partition": {...}, "offset": {...} | None}``"""

STOP_FIRST: Final = (
    "Connectors must be in the STOPPED state before their offsets can be modified. This can be "
    "done for the specified connector by issuing a 'PUT' request to the '/connectors/{}/stop' "
    "endpoint"
)
NEEDED: Final = "Partitions / offsets need to be provided for an alter offsets request"


class SourceChange(NamedTuple):
    """A source offset to set, or with None to delete."""

    partition: Mapping[str, Any]
    offset: Mapping[str, Any] | None


class OffsetDesk:
    """Reads and changes offsets. The herder calls it under its lock."""

    def __init__(self, log: Log, log_id: str) -> None:
        self._log = log
        self._log_id = log_id
        self._embedded = EmbeddedLog(log)
        self._table = CompactedTable(self._embedded, OFFSETS)

    def show(self, name: str, kind: str) -> list[dict[str, Any]]:
        """The offsets of a connector, in Kafka Connect's form."""
        if kind == "sink":
            committed = sorted(self._log.group_offsets(group_name(name)).items())
            return [
                {
                    "partition": {"kafka_topic": topic, "kafka_partition": partition},
                    "offset": {"kafka_offset": offset},
                }
                for (topic, partition), offset in committed
            ]
        self._table.refresh()
        return [
            {"partition": partition, "offset": dict(offset)}
            for partition, offset in tables.source_offsets(self._table, name).values()
        ]

    def initial_source(self, verdict: Verdict, name: str, entries: Sequence[Entry]) -> Records:
        """The records that give a new source exactly these offsets."""
        changes = parse_source(verdict, entries)
        self._table.refresh()
        values: dict[str, Mapping[str, Any] | None] = {}
        values.update(dict.fromkeys(tables.source_offsets(self._table, name)))
        for change in changes:
            values[self._key(name, change.partition)] = change.offset
        return self._table.records(values)

    def initial_sink(self, verdict: Verdict, name: str, entries: Sequence[Entry]) -> None:
        """Give a new sink exactly these offsets."""
        wanted = self._existing(parse_sink(entries))
        self._log.forget_group(group_name(name))
        self._move(verdict, name, wanted)

    def alter_source(self, verdict: Verdict, name: str, entries: Sequence[Entry]) -> None:
        """Set or delete offsets of a stopped source."""
        changes = parse_source(verdict, entries)
        self._table.refresh()
        values = {self._key(name, change.partition): change.offset for change in changes}
        self._writer(name).append([self._table.records(values)])

    def reset_source(self, name: str) -> None:
        """Delete all offsets of a stopped source."""
        self._table.refresh()
        values = dict.fromkeys(tables.source_offsets(self._table, name))
        writer = self._writer(name)
        if values:
            writer.append([self._table.records(values)])

    def alter_sink(self, verdict: Verdict, name: str, entries: Sequence[Entry]) -> None:
        """Move a stopped sink: a None offset forgets where it stood."""
        self._move(verdict, name, self._existing(parse_sink(entries)))

    def reset_sink(self, verdict: Verdict, name: str) -> None:
        """Let a stopped sink begin anew."""
        topics = {topic: it.partitions for topic, it in self._log.topics().items()}
        read = {
            *planner.partitions(verdict.config, topics),
            *(TopicPartition(*at) for at in self._log.group_offsets(group_name(name))),
        }
        self._move(verdict, name, dict.fromkeys(read))

    def _existing(
        self, wanted: Mapping[TopicPartition, int | None]
    ) -> Mapping[TopicPartition, int | None]:
        topics = self._log.topics()
        for at, offset in wanted.items():
            if offset is None:
                continue
            if at.topic not in topics or at.partition >= topics[at.topic].partitions:
                raise BadRequest(f"The topic partition {at.topic}-{at.partition} does not exist.")
            start, end = self._log.start_offset(*at), self._log.end_offset(*at)
            if not start <= offset <= end:
                raise BadRequest(
                    f"Offset {offset} of {at.topic}-{at.partition} does not exist: the partition "
                    f"holds {start} to {end}."
                )
        return wanted

    def _move(
        self,
        verdict: Verdict,
        name: str,
        wanted: Mapping[TopicPartition, int | None],
    ) -> None:
        """Fence the sink's tasks, then move the target's positions, then the group's."""
        count = max(1, int(verdict.config.get("tasks.max") or 1))
        group = group_name(name)
        readers = [self._embedded.reader(group, (), str(task)) for task in range(count)]
        context = Context(name, epoch=readers[-1].epoch, log_id=self._log_id)
        try:
            verdict.plugin.cls().move_positions(verdict.model, context, wanted)
        except CdcError as error:
            raise HerderError(500, error.message, code=error.code, hint=error.hint) from error
        moved = {at: offset for at, offset in wanted.items() if offset is not None}
        if moved:
            readers[-1].commit(moved)
        forgotten = [at for at, offset in wanted.items() if offset is None]
        if forgotten:
            self._log.forget_group(group, forgotten)

    def _writer(self, name: str) -> Writer:
        return self._embedded.writer(writer_name(name))

    def _key(self, name: str, partition: Mapping[str, Any]) -> str:
        """The key of a source partition: that of the stored offset where there is one."""
        for key, (known, _) in tables.source_offsets(self._table, name).items():
            if known == partition:
                return key
        return tables.offset_key(name, partition)


def parse_source(verdict: Verdict, entries: Sequence[Entry]) -> list[SourceChange]:
    """A person's source offsets; BadRequest for what the plugin can't use."""
    if not entries:
        raise BadRequest(NEEDED)
    own = dict(verdict.plugin.cls().partition(verdict.model))
    changes = []
    for entry in entries:
        partition, offset = entry.get("partition"), entry.get("offset")
        if partition is None:
            raise BadRequest(
                "The partition for a source connector offset cannot be null or missing"
            )
        # Offsets of another partition may be deleted: a former configuration left them.
        if partition != own and offset is not None:
            raise BadRequest(
                f"The partition {partition} is not this connector's; it reads {own}.",
                code="offsets.partition",
            )
        if offset is not None:
            try:
                verdict.plugin.cls().validate_offset(verdict.model, offset)
            except ConfigError as error:
                raise BadRequest(
                    error.message, code=error.code, hint=error.hint, key=error.key
                ) from error
        changes.append(SourceChange(partition, offset))
    return changes


def parse_sink(entries: Sequence[Entry]) -> dict[TopicPartition, int | None]:
    """A person's sink offsets, with Kafka Connect's texts for what is wrong with them."""
    if not entries:
        raise BadRequest(NEEDED)
    parsed: dict[TopicPartition, int | None] = {}
    for entry in entries:
        partition, offset = entry.get("partition"), entry.get("offset")
        if partition is None:
            raise BadRequest("The partition for a sink connector offset cannot be null or missing")
        if "kafka_topic" not in partition or "kafka_partition" not in partition:
            raise BadRequest(
                "The partition for a sink connector offset must contain the keys 'kafka_topic' "
                "and 'kafka_partition'"
            )
        number = _integer("partition", partition["kafka_partition"])
        at = TopicPartition(str(partition["kafka_topic"]), number)
        if offset is not None and "kafka_offset" not in offset:
            raise BadRequest(
                "The offset for a sink connector should either be null or contain the key "
                "'kafka_offset'"
            )
        parsed[at] = None if offset is None else _integer("offset", offset["kafka_offset"])
    return parsed


def _integer(what: str, value: object) -> int:
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadRequest(
            f"Failed to parse the following Kafka {what} value in the provided offsets: '{value}'. "
            f"{what.capitalize()} values for sink connectors need to be integers."
        )
    return int(text)
