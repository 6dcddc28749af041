"""The configuration keys that every connector has, and those of every source and every sink."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from connect.config import Config, Refused, key


class ConnectorConfig(Config):
    """Keys of every connector."""

    prefixes: ClassVar[tuple[str, ...]] = (
        "key.converter.", "value.converter.", "header.converter.", "transforms.", "predicates.",
    )  # fmt: skip

    name: str = key(
        "name",
        doc="Globally unique name of the connector.",
        group="Common",
        importance="HIGH",
        display="Connector name",
        min_length=1,
    )
    connector_class: str = key(
        "connector.class",
        doc="Name or alias of the plugin: a short name, or the Java class name it stands for.",
        group="Common",
        importance="HIGH",
        width="LONG",
        display="Connector class",
    )
    tasks_max: int = key(
        "tasks.max",
        doc="Largest number of tasks. A source has one task; a sink's partitions are spread over "
        "its tasks.",
        group="Common",
        default=1,
        importance="HIGH",
        width="SHORT",
        display="Tasks max",
        ge=1,
        le=1000,
    )
    key_converter: str | None = key(
        "key.converter",
        doc="Converter between keys and bytes; the worker's when absent.",
        group="Common",
        default=None,
        importance="LOW",
        width="SHORT",
        display="Key converter class",
        type="CLASS",
    )
    value_converter: str | None = key(
        "value.converter",
        doc="Converter between values and bytes; the worker's when absent.",
        group="Common",
        default=None,
        importance="LOW",
        width="SHORT",
        display="Value converter class",
        type="CLASS",
    )
    header_converter: str | None = key(
        "header.converter",
        doc="Only org.apache.kafka.connect.storage.SimpleHeaderConverter, the default.",
        group="Common",
        default=None,
        importance="LOW",
        width="SHORT",
        display="Header converter class",
        type="CLASS",
    )
    transforms: tuple[str, ...] = key(
        "transforms",
        doc="Aliases of the transformations, in the order in which they are applied.",
        group="Transforms",
        default=(),
        importance="LOW",
        width="LONG",
        display="Transforms",
    )
    predicates: tuple[str, ...] = key(
        "predicates",
        doc="Aliases of the predicates used by transformations.",
        group="Predicates",
        default=(),
        importance="LOW",
        width="LONG",
        display="Predicates",
    )
    errors_tolerance: Literal["none", "all"] = key(
        "errors.tolerance",
        doc="`none`: the first record that can't be processed fails the task. `all`: such records "
        "are skipped (a sink sends them to its dead-letter topic if it has one). Only errors of "
        "records are tolerated, never bugs, configuration or connections.",
        group="Error Handling",
        default="none",
        width="SHORT",
        display="Error Tolerance",
    )
    errors_log_enable: bool = key(
        "errors.log.enable",
        doc="Log each tolerated error with topic, partition and offset (never the record).",
        group="Error Handling",
        default=False,
        width="SHORT",
        display="Log Errors",
    )

    refused: ClassVar[Mapping[str, Refused]] = {
        "tasks.max.enforce": Refused("tasks.max is always enforced.", ("true",)),
        "config.action.reload": Refused(
            "references are resolved when a task starts; restart the connector instead.",
            ("none", "restart"),
        ),
        "errors.retry.timeout": Refused(
            "a retriable failure restarts the task with exponential back-off for as long as it "
            "lasts.",
            ("0", "-1"),
        ),
        "errors.retry.delay.max.ms": Refused(
            "the back-off between restarts is the worker's.", ("60000",)
        ),
        "errors.log.include.messages": Refused(
            "records are never written to the application log.", ("false",)
        ),
        r"(producer|consumer|admin)\.override\..*": Refused(
            "there is no Kafka client between this connector and the log."
        ),
        r"connector\.plugin\.version|.*\.plugin\.version": Refused(
            "one version of a plugin is installed at a time."
        ),
    }


class SourceConfig(ConnectorConfig):
    """Keys of every source connector."""

    topic_partitions: int = key(
        "topic.creation.default.partitions",
        doc="Partitions of the topics this connector creates; -1: the worker's default (1).",
        group="Topic Creation",
        default=-1,
        importance="LOW",
        width="SHORT",
        display="Default partitions",
        ge=-1,
        le=1000,
    )
    exactly_once: Literal["requested", "required"] = key(
        "exactly.once.support",
        doc="Every source that stores its position with its records is exactly once; both values "
        "are met.",
        group="Exactly Once Support",
        default="requested",
        width="SHORT",
        display="Exactly once support",
    )

    refused: ClassVar[Mapping[str, Refused]] = {
        **ConnectorConfig.refused,
        "topic.creation.default.replication.factor": Refused(
            "the bundled log keeps one copy.", ("-1", "1")
        ),
        "topic.creation.enable": Refused("topics are created on first use.", ("true",)),
        r"topic\.creation\..*": Refused(
            "only topic.creation.default.partitions is implemented yet."
        ),
        r"transaction\.boundary": Refused("a poll is a transaction.", ("poll",)),
        r"transaction\.boundary\.interval\.ms": Refused("a poll is a transaction."),
        "offsets.storage.topic": Refused("offsets are kept in the worker's offsets topic."),
    }


class SinkConfig(ConnectorConfig):
    """Keys of every sink connector."""

    topics: tuple[str, ...] = key(
        "topics",
        doc="Topics to read, comma-separated. Either this or topics.regex.",
        group="Common",
        default=(),
        importance="HIGH",
        width="LONG",
        display="Topics",
    )
    topics_regex: str | None = key(
        "topics.regex",
        doc="Regular expression that whole topic names must match. Internal topics never do.",
        group="Common",
        default=None,
        importance="HIGH",
        width="LONG",
        display="Topics regex",
    )
    dead_letter_topic: str | None = key(
        "errors.deadletterqueue.topic.name",
        doc="Topic for records that can't be processed, with their original bytes; needs "
        "errors.tolerance=all.",
        group="Error Handling",
        default=None,
        display="Dead Letter Queue Topic Name",
    )
    dead_letter_headers: bool = key(
        "errors.deadletterqueue.context.headers.enable",
        doc="Add headers `__connect.errors.*` that say where and why a record failed.",
        group="Error Handling",
        default=False,
        display="Enable Error Context Headers",
    )

    refused: ClassVar[Mapping[str, Refused]] = {
        **ConnectorConfig.refused,
        "errors.deadletterqueue.topic.replication.factor": Refused(
            "the bundled log keeps one copy.", ("1", "3", "-1")
        ),
    }
