"""Which parts of a configuration are secret, how they are shown, and how they are stored.

The whole value of a PASSWORD key is secret, as is that of an unknown key whose name speaks of a
password, and the password within a URL. A value that is nothing but a reference such as
``${env:PGPASSWORD}`` holds no secret and is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from connect.config import REFERENCE, Config, describe, secret_keys
from connect.errors import ConfigError
from connect.runtime import plugins
from connect.runtime.providers import MASK
from connect.runtime.secret_store import STORED, SecretStore

Values = Mapping[str, str | None]

_SPEAKING: Final = re.compile(
    r"passw(or)?d|passphrase|secret|token|credential|api[._-]?key|private[._-]?key|jaas", re.I
)
_IN_URL: Final = re.compile(
    r"(?<=://)[^/?#\s:@]*:(?P<user>[^/?#\s]*)@"
    r"|[?&;][\w.-]*(?:passw(?:or)?d|pwd|secret|token)=(?P<query>[^&;#\s]*)",
    re.I,
)


class Span(NamedTuple):
    """A secret part of a value."""

    start: int
    end: int


def masked(config: Values) -> dict[str, str | None]:
    """The configuration as it may be shown."""

    def hide(key: str, number: int, text: str) -> str:
        shown = not text or (REFERENCE.fullmatch(text) and not STORED.fullmatch(text))
        return text if shown else MASK

    return dict(_replaced(config, hide))


def unmasked(config: Values, stored: Values) -> Values:
    """The configuration with what is stored in place of every mask.

    ``stored`` is the connector's present configuration, empty for a new one. ConfigError for a
    mask that stands for nothing, and for a reference to a stored secret of something else.
    """
    for key, value in config.items():
        _check_references(key, value or "", stored.get(key) or "")
    old = {key: _parts(value, spans) for key, value, spans in _spans(stored)}

    def open_up(key: str, number: int, text: str) -> str:
        if text != MASK:
            return text
        known = old.get(key, [])
        if number >= len(known):
            raise ConfigError(key, f"No secret is stored for {key} yet.", hint="Write it out.")
        return known[number]

    return _replaced(config, open_up)


def reusing(config: Values, stored: Values, store: SecretStore) -> Values:
    """The configuration with the stored reference in place of a secret that did not change."""
    old = {key: _parts(value, spans) for key, value, spans in _spans(stored)}

    def reuse(key: str, number: int, text: str) -> str:
        known = old.get(key, [])
        if number < len(known) and STORED.fullmatch(known[number]):
            behind = store.behind({key: known[number]})
            return known[number] if text in behind.values() else text
        return text

    return _replaced(config, reuse)


def sealed(config: Values, store: SecretStore, keep: Iterable[str | None]) -> Values:
    """The configuration as it is stored: every literal secret gives way to a reference.

    ``keep`` is every value of every stored configuration: other secrets are dropped.
    """
    literal: dict[str, str] = {}

    def collect(key: str, number: int, text: str) -> str:
        if text and not REFERENCE.fullmatch(text):
            literal[f"{number} {key}"] = text
        return text

    _replaced(config, collect)
    if not literal:
        return config
    references = store.add(literal, (*keep, *config.values()))
    return _replaced(config, lambda key, n, text: references.get(f"{n} {key}", text))


def secret_texts(config: Values) -> set[str]:
    """The secrets written in a configuration: no message may hold one."""
    return {part for _, value, spans in _spans(config) for part in _parts(value, spans) if part}


def secret_names(config: Values) -> set[str]:
    """The keys of this configuration whose whole values are secret."""
    secret: set[str] = set()
    declared: set[str] = set()
    for prefix, model in _models(config):
        known = {info.name for info in describe(model)}
        passwords = secret_keys(model)
        aliases = {alias for alias, key in model.deprecated.items() if key in passwords}
        declared |= {prefix + key for key in known | model.deprecated.keys()}
        secret |= {prefix + key for key in passwords | aliases}
    return secret | {key for key in config if key not in declared and _SPEAKING.search(key)}


def _models(config: Values) -> list[tuple[str, type[Config]]]:
    """The models of every plugin a configuration names, by the prefix of their keys."""
    named: list[tuple[str, str | None, plugins.Kind]] = [
        ("", config.get("connector.class"), "source"),
        ("key.converter.", config.get("key.converter"), "converter"),
        ("value.converter.", config.get("value.converter"), "converter"),
    ]
    kinds: dict[str, plugins.Kind] = {"transforms": "transform", "predicates": "predicate"}
    for group, kind in kinds.items():
        for alias in (config.get(group) or "").split(","):
            prefix = f"{group}.{alias.strip()}."
            named.append((prefix, config.get(prefix + "type"), kind))
    models = []
    for prefix, name, kind in named:
        try:
            found = plugins.find(name or "", *(("source", "sink") if not prefix else (kind,)))
            models.append((prefix, found.cls.config))
        except ConfigError:
            pass  # an unknown plugin's keys are judged by their names
    return models


def _spans(config: Values) -> list[tuple[str, str | None, list[Span]]]:
    secret = secret_names(config)
    found = []
    for key, value in config.items():
        spans: list[Span] = []
        if value and key in secret:
            spans = [Span(0, len(value))]
        elif value and ("://" in value or "=" in value):
            spans = [Span(*m.span(m.lastgroup or 0)) for m in _IN_URL.finditer(value)]
        found.append((key, value, spans))
    return found


def _parts(value: str | None, spans: list[Span]) -> list[str]:
    return [(value or "")[span.start : span.end] for span in spans]


def _replaced(config: Values, replace: Callable[[str, int, str], str]) -> Values:
    """The configuration with each secret part replaced; parts are numbered within their value."""
    changed = dict(config)
    for key, value, spans in _spans(config):
        text = value or ""
        for number, span in reversed(list(enumerate(spans))):
            part = replace(key, number, text[span.start : span.end])
            text = text[: span.start] + part + text[span.end :]
        changed[key] = None if value is None else text
    return changed


def _check_references(key: str, value: str, stored: str) -> None:
    if set(STORED.findall(value)) - set(STORED.findall(stored)):
        raise ConfigError(
            key,
            f"{key} refers to a stored secret that is not its own.",
            code="config.secret_foreign",
            hint="Write the secret itself, or a reference such as ${env:NAME}.",
        )
