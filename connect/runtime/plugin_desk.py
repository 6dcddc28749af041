"""What is installed, and whether a configuration is good: the herder's questions to plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from connect.config import describe
from connect.errors import ConfigError
from connect.runtime import plugins
from connect.runtime.herder_errors import BadRequest, NotFound
from connect.runtime.plugins import Plugin
from connect.runtime.sealing import Values, reusing, unmasked
from connect.runtime.secret_store import SecretStore
from connect.runtime.settings import WorkerSettings
from connect.runtime.validation import Checks, Verdict, definition, examine

# Kafka Connect's words where they differ.
_TYPES: Final[Mapping[str, str]] = {"transform": "transformation"}


def shown_class(plugin: Plugin) -> str:
    """The name by which tools of Kafka Connect know a plugin, or its short name."""
    return next((alias for alias in plugin.aliases if "." in alias), plugin.name)


class PluginDesk:
    """Lists plugins and judges configurations; any thread."""

    def __init__(self, settings: WorkerSettings, secrets: SecretStore) -> None:
        self._settings = settings
        self._secrets = secrets
        self._checks = Checks()

    def plugins(self, connectors_only: bool) -> list[dict[str, Any]]:
        """The installed plugins that can be used."""
        kinds: tuple[plugins.Kind, ...] = ("sink", "source") if connectors_only else ()
        return [
            {
                "class": shown_class(plugin),
                "type": _TYPES.get(plugin.kind, plugin.kind),
                "version": plugin.version,
            }
            for plugin in plugins.plugins(*kinds)
            if plugin.cls is not None
        ]

    def keys(self, name: str) -> list[dict[str, Any]]:
        """The configuration keys of a plugin of any kind."""
        try:
            found = plugins.find(name, *plugins.GROUPS)
        except ConfigError as error:
            raise NotFound(f"Unknown plugin {name}. {error.hint or ''}".strip()) from error
        return [definition(info) for info in describe(found.cls.config)]

    def opened(self, config: Values, stored: Values) -> Values:
        """The configuration with what is stored in place of masks and of unchanged secrets."""
        try:
            return reusing(unmasked(config, stored), stored, self._secrets)
        except ConfigError as error:
            raise BadRequest(str(error), code=error.code, hint=error.hint, key=error.key) from error

    def judged(self, config: Values) -> Verdict:
        """The verdict on a configuration without errors; BadRequest for one that has some."""
        verdict = self._judge(config)
        _refuse(verdict)
        return verdict

    def check(self, verdict: Verdict) -> None:
        """Ask the plugin whether the world is as the configuration says; BadRequest if not."""
        self._checks.check(verdict)
        _refuse(verdict)

    def approve(self, config: Values) -> None:
        """Judge and check; BadRequest for what is wrong."""
        self.check(self.judged(config))

    def validate(self, plugin: str, config: Values, stored: Values) -> dict[str, Any]:
        """Kafka Connect's ConfigInfos; ``plugin`` is the one named in the URL."""
        named = _class_of(config)
        found = _connector(named)
        try:
            same = plugins.find(plugin, "source", "sink").cls is found.cls
        except ConfigError:
            same = named.removesuffix("Connector").endswith(plugin.removesuffix("Connector"))
        if not same:
            raise BadRequest(
                f"Included connector type {named} does not match request type {plugin}"
            )
        verdict = self._judge(self.opened(config, stored))
        if not verdict.errors:
            self._checks.check(verdict)
        return verdict.config_infos()

    def _judge(self, config: Values) -> Verdict:
        plugin = _connector(_class_of(config))
        settings = self._settings
        secrets = self._secrets.behind(config)
        return examine(plugin, config, settings.defaults, settings.providers, secrets)


def _class_of(config: Values) -> str:
    name = config.get("connector.class")
    if not name:
        keys = ", ".join(sorted(config))
        raise BadRequest(
            f"Connector config {{{keys}}} contains no connector type", key="connector.class"
        )
    return name


def _connector(name: str) -> Plugin:
    try:
        return plugins.find(name, "source", "sink")
    except ConfigError as error:
        raise BadRequest(
            f"Failed to find any class that implements Connector and which name matches {name}. "
            f"{error.message}",
            code=error.code,
            hint=error.hint,
            key=error.key,
        ) from error


def _refuse(verdict: Verdict) -> None:
    if verdict.errors:
        first = verdict.errors[0]
        raise BadRequest(verdict.message(), code=first.code, hint=first.hint, key=first.key)
