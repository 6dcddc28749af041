"""Kafka Connect's predicates: by topic, by header, by absence of a value."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import model_validator

from connect.config import Config, key
from connect.data import Batch, Constant, Struct
from connect.errors import ConfigError
from connect.transform import Predicate
from connect.transforms.java_regex import java_pattern


class TopicNameMatchesConfig(Config):
    """Keys of TopicNameMatches."""

    pattern: str = key(
        "pattern",
        doc="Regular expression in Java's syntax that the whole topic name must match.",
        group="Predicate",
        min_length=1,
    )

    @model_validator(mode="after")
    def _usable(self) -> TopicNameMatchesConfig:
        try:
            java_pattern(self.pattern)
        except ValueError as error:
            raise ConfigError("pattern", f"The regular expression can't be used: {error}") from None
        return self


class TopicNameMatches(Predicate):
    """True for rows whose whole topic name matches."""

    config = TopicNameMatchesConfig
    aliases = (
        "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
        "TopicNameMatches",
    )

    def __init__(self, config: TopicNameMatchesConfig) -> None:
        self._pattern = java_pattern(config.pattern)

    def test(self, batch: Batch) -> Sequence[bool]:
        """One answer for all rows."""
        return Constant(self._pattern.fullmatch(batch.topic) is not None, len(batch))


class HasHeaderKeyConfig(Config):
    """Keys of HasHeaderKey."""

    header: str = key("name", doc="The name of the header.", group="Predicate", min_length=1)


class HasHeaderKey(Predicate):
    """True for rows with at least one header of that name."""

    config = HasHeaderKeyConfig
    aliases = ("org.apache.kafka.connect.transforms.predicates.HasHeaderKey", "HasHeaderKey")

    def __init__(self, config: HasHeaderKeyConfig) -> None:
        self._name = config.header

    def test(self, batch: Batch) -> Sequence[bool]:
        """Whether each row has the header."""
        if batch.headers is None:
            return Constant(False, len(batch))
        return [any(name == self._name for name, _ in headers) for headers in batch.headers]


class RecordIsTombstoneConfig(Config):
    """RecordIsTombstone has no keys."""


class RecordIsTombstone(Predicate):
    """True for rows without a value."""

    config = RecordIsTombstoneConfig
    aliases = (
        "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
        "RecordIsTombstone",
    )

    def __init__(self, config: RecordIsTombstoneConfig) -> None:
        pass

    def test(self, batch: Batch) -> Sequence[bool]:
        """Whether each row is a tombstone."""
        values = batch.values
        if values is None:
            return Constant(True, len(batch))
        if not isinstance(values, Struct):
            return [value is None for value in values.column]
        if values.present is None:
            return Constant(False, len(batch))
        return [not here for here in values.present]
