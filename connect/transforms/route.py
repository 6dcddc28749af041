"""RegexRouter: another topic for rows whose topic matches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pydantic import model_validator

from connect.config import Config, key
from connect.data import Batch
from connect.errors import ConfigError
from connect.transform import Transform
from connect.transforms.java_regex import java_pattern, java_replacement


class RegexRouterConfig(Config):
    """Keys of the RegexRouter."""

    regex: str = key(
        "regex",
        doc="Regular expression in Java's syntax that the whole topic name must match.",
        group="Routing",
        importance="HIGH",
        min_length=1,
    )
    replacement: str = key(
        "replacement",
        doc="The new topic name; $1 or ${name} is what a group of the expression matched.",
        group="Routing",
        importance="HIGH",
    )

    @model_validator(mode="after")
    def _usable(self) -> RegexRouterConfig:
        try:
            pattern = java_pattern(self.regex)
        except ValueError as error:
            raise ConfigError("regex", f"The regular expression can't be used: {error}") from None
        try:
            java_replacement(self.replacement, pattern)
        except ValueError as error:
            raise ConfigError("replacement", f"The replacement can't be used: {error}") from None
        return self


class RegexRouter(Transform):
    """Renames the topic of a whole batch."""

    config = RegexRouterConfig
    aliases = ("org.apache.kafka.connect.transforms.RegexRouter", "RegexRouter")

    def __init__(self, config: RegexRouterConfig) -> None:
        self._pattern = java_pattern(config.regex)
        self._replacement = java_replacement(config.replacement, self._pattern)

    def apply(self, batch: Batch) -> Iterable[Batch]:
        """The batch, under its new topic if the old one matches."""
        if self._pattern.fullmatch(batch.topic) is None:
            return [batch]
        # Like Java: the whole name must match, then the first match found is replaced.
        return [replace(batch, topic=self._pattern.sub(self._replacement, batch.topic, count=1))]
