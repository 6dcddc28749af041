"""Debezium's keys that are not implemented: refused by name, unless they ask for what is so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connect.config import Refused

_LATER: Final = "it is not implemented yet."

REFUSED: Final[Mapping[str, Refused]] = {
    # connection
    "database.sslfactory": Refused("libpq makes the TLS connection; use database.sslmode."),
    "database.connection.factory.class": Refused("there are no Java classes here."),
    "connection.validation.timeout.ms": Refused("validation waits 10 seconds.", ("60000",)),
    "read.only": Refused("nothing is ever written to the source.", ("true", "false")),
    # slot and publication
    "slot.drop.on.stop": Refused(
        "a dropped slot loses changes; delete the connector to drop its slot.", ("false",)
    ),
    "slot.failover": Refused(_LATER, ("false",)),
    "slot.stream.params": Refused("the options of pgoutput are fixed.", ("",)),
    "slot.max.retries": Refused("the task tries until the slot is free.", ("6",)),
    "offset.mismatch.strategy": Refused(
        "a slot that is ahead of the stored position is always an error.", ("no_validation",)
    ),
    "publish.via.partition.root": Refused(_LATER, ("false",)),
    "replica.identity.autoset.values": Refused(
        "tables are not altered; validation shows the statement to run.", ("",)
    ),
    "lsn.flush.mode": Refused("positions are confirmed once durable in the log.", ("connector",)),
    "flush.lsn.source": Refused("positions are confirmed once durable in the log.", ("true",)),
    r"lsn\.flush\.timeout\.(ms|action)": Refused("confirming does not wait.", ("30000", "fail")),
    "xmin.fetch.interval.ms": Refused(_LATER, ("0",)),
    # snapshot
    r"snapshot\.mode\..*": Refused("snapshot.mode has no such variants."),
    "snapshot.isolation.mode": Refused(
        "the snapshot is the slot's, exported: repeatable read.",
        ("serializable", "repeatable_read"),
    ),
    r"snapshot\.locking\.mode.*": Refused("nothing is locked.", ("none",)),
    "snapshot.lock.timeout.ms": Refused("nothing is locked.", ("10000",)),
    r"snapshot\.query\.mode.*": Refused("all rows are read.", ("select_all",)),
    r"snapshot\.select\.statement\.overrides.*": Refused(_LATER, ("",)),
    "snapshot.include.collection.list": Refused(_LATER, ("",)),
    "snapshot.delay.ms": Refused(_LATER, ("0",)),
    "streaming.delay.ms": Refused(_LATER, ("0",)),
    r"(legacy\.)?snapshot\.max\.threads(\.multiplier)?": Refused(_LATER, ("1", "false")),
    "snapshot.tables.order.by.row.count": Refused(_LATER, ("disabled",)),
    r"incremental\.snapshot\..*": Refused(_LATER),
    # tables, columns and keys
    "table.ignore.builtin": Refused("system tables can't be captured.", ("true",)),
    "message.key.columns": Refused(_LATER, ("",)),
    r"message\.prefix\..*": Refused("logical messages are not captured yet."),
    "skip.messages.without.change": Refused(_LATER, ("false",)),
    r"column\.(truncate|mask)\..*": Refused("use the transformation MaskField instead."),
    r"(column|datatype)\.propagate\.source\.type": Refused(_LATER, ("",)),
    # values
    "hstore.handling.mode": Refused("hstore is not supported yet.", ("json",)),
    "include.unknown.datatypes": Refused(
        "columns of unknown types must be excluded by name.", ("false",)
    ),
    "unavailable.value.placeholder": Refused(
        "unchanged out-of-line values are marked by a header; the text is fixed.",
        ("__debezium_unavailable_value",),
    ),
    r"(schema|field)\.name\.adjustment\.mode": Refused(_LATER, ("none",)),
    "schema.refresh.mode": Refused(
        "the catalog is read whenever the stream announces a table.", ("columns_diff",)
    ),
    "converters": Refused("there are no Java classes here.", ("",)),
    "sourceinfo.struct.maker": Refused("there are no Java classes here."),
    "event.converting.failure.handling.mode": Refused(
        "a value that can't be converted always stops the task.", ("fail",)
    ),
    # events
    "heartbeat.interval.ms": Refused(
        "not needed: an idle slot is kept moving without heartbeats.", ("0",)
    ),
    "heartbeat.action.query": Refused("not needed: nothing is written to the source.", ("",)),
    r"topic\.heartbeat\.(prefix|name)": Refused(
        "there are no heartbeats.", ("__debezium-heartbeat", "")
    ),
    "topic.naming.strategy": Refused(
        "topics are named <prefix>.<schema>.<table>; use RegexRouter to rename them.",
        ("io.debezium.schema.schematopicnamingstrategy",),
    ),
    "topic.cache.size": Refused("names are not cached.", ("10000",)),
    "topic.transaction": Refused("there is no transaction metadata.", ("transaction",)),
    "provide.transaction.metadata": Refused(_LATER, ("false",)),
    "transaction.metadata.factory": Refused("there are no Java classes here."),
    "event.processing.failure.handling.mode": Refused(
        "an event that can't be processed always stops the task.", ("fail",)
    ),
    # errors and tuning
    "errors.max.retries": Refused("retriable failures are retried without end.", ("-1",)),
    "retriable.restart.connector.wait.ms": Refused("the worker's back-off decides.", ("10000",)),
    "internal.custom.retriable.exception": Refused("there are no Java exceptions here."),
    "max.queue.size": Refused("there is no queue between reading and writing.", ("8192",)),
    "max.queue.size.in.bytes": Refused("there is no queue between reading and writing.", ("0",)),
    "query.fetch.size": Refused("snapshot.fetch.size is used.", ("0",)),
    "queue.provider.type": Refused("there is no queue.", ("memory",)),
    "executor.shutdown.timeout.ms": Refused("the worker's stop timeout decides.", ("4000",)),
    # signals, notifications, the rest
    r"signal\.(?!poll).*": Refused("use the REST interface; signals are not implemented yet."),
    "signal.poll.interval.ms": Refused("there are no signals.", ("5000",)),
    r"notification\..*": Refused("notifications are not implemented yet."),
    "post.processors": Refused(_LATER, ("",)),
    "custom.metric.tags": Refused("metrics carry the connector's name.", ("",)),
    "statistics.metrics.enabled": Refused("metrics are always on.", ("true",)),
    "custom.sanitize.pattern": Refused("secrets are masked by declared type."),
    r"guardrail\.collections\..*": Refused("there is no limit on tables.", ("0", "warn")),
    r"memory\.management\..*": Refused("there are no Java classes here."),
    r"openlineage\..*": Refused(_LATER, ("false",)),
    r"internal\..*": Refused("it is internal to another system."),
    r"include\.schema\.(changes|comments)": Refused(_LATER, ("false",)),
}
