"""Pipelines built from a connector's (resolved) configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from connect import unavailable
from connect.config import Config, parse, subkeys
from connect.converter import Converter
from connect.errors import ConfigError
from connect.runtime import plugins
from connect.runtime.chain import Chain, Step, Tolerance
from connect.runtime.pipeline import Converters, SinkPipeline, SourcePipeline
from connect.transform import Predicate

HEADER_CONVERTERS: Final = (
    "org.apache.kafka.connect.storage.SimpleHeaderConverter",
    "SimpleHeaderConverter",
    "Simple",
)
_OWN_KEYS: Final = ("type", "predicate", "negate")


def build_tolerance(values: Mapping[str, str | None]) -> Tolerance:
    """errors.tolerance of a configuration."""
    return Tolerance((values.get("errors.tolerance") or "none").strip().lower() == "all")


def build_converters(
    values: Mapping[str, str | None], defaults: Mapping[str, str | None]
) -> Converters:
    """The connector's converters, or the worker's (``defaults``) where it names none."""
    name = values.get("header.converter")
    if name is not None and name.strip() not in HEADER_CONVERTERS:
        raise ConfigError(
            "header.converter",
            f"Header converter {name} is not supported.",
            code="config.unsupported",
            hint="Leave it out: headers are carried as SimpleHeaderConverter writes them.",
        )
    return Converters(
        _converter(values, defaults, "key.converter"),
        _converter(values, defaults, "value.converter"),
    )


def build_source(
    values: Mapping[str, str | None],
    defaults: Mapping[str, str | None],
    partitions: Mapping[str, int],
    default_partitions: int = 1,
) -> SourcePipeline:
    """The pipeline of a source connector's (resolved) configuration."""
    own = int(values.get("topic.creation.default.partitions") or -1)
    tolerance = build_tolerance(values)
    return SourcePipeline(
        build_chain(values, tolerance),
        build_converters(values, defaults),
        tolerance,
        partitions=partitions,
        default_partitions=own if own > 0 else default_partitions,
        placeholder=values.get("unavailable.value.placeholder") or unavailable.PLACEHOLDER,
    )


def build_sink(
    values: Mapping[str, str | None],
    defaults: Mapping[str, str | None],
    task: int = 0,
    clean: Callable[[str], str] = str,
) -> SinkPipeline:
    """The pipeline of a sink connector's (resolved) configuration."""
    tolerance = build_tolerance(values)
    headers = values.get("errors.deadletterqueue.context.headers.enable") or "false"
    return SinkPipeline(
        build_chain(values, tolerance),
        build_converters(values, defaults),
        tolerance,
        dead_letter_topic=values.get("errors.deadletterqueue.topic.name") or None,
        context_headers=headers.strip().lower() == "true",
        connector=values.get("name") or "",
        task=task,
        clean=clean,
    )


def build_chain(values: Mapping[str, str | None], tolerance: Tolerance) -> Chain:
    """The chain a configuration asks for; ConfigError at the key that can't be used."""
    predicates: dict[str, Predicate] = {}
    for alias in _aliases(values, "predicates"):
        prefix = f"predicates.{alias}."
        predicates[alias] = _build("predicate", prefix, values)
    steps = []
    for alias in _aliases(values, "transforms"):
        prefix = f"transforms.{alias}."
        name = values.get(prefix + "predicate")
        negate = (values.get(prefix + "negate") or "false").strip().lower()
        if negate not in ("true", "false"):
            raise ConfigError(prefix + "negate", f"{prefix}negate must be true or false.")
        if name is None and negate == "true":
            raise ConfigError(
                prefix + "negate",
                f"There is no config '{prefix}predicate' defining a predicate to be negated.",
            )
        if name is not None and name.strip() not in predicates:
            raise ConfigError(prefix + "predicate", f"Predicate {name} is not one of `predicates`.")
        predicate = predicates[name.strip()] if name is not None else None
        steps.append(Step(_build("transform", prefix, values), predicate, negate == "true"))
    return Chain(steps, tolerance)


def parse_under(model: type[Config], values: Mapping[str, str | None], prefix: str) -> Any:
    """The model of the keys under ``prefix``; a ConfigError names the whole key."""
    try:
        return parse(model, values)
    except ConfigError as error:
        raise ConfigError(
            prefix + error.key, error.message, code=error.code, hint=error.hint
        ) from error


def _converter(
    values: Mapping[str, str | None], defaults: Mapping[str, str | None], key: str
) -> Converter:
    chosen = values if values.get(key) else defaults
    for stray in values:
        if chosen is defaults and stray.startswith(f"{key}."):
            # Kafka Connect ignores it, and the records are not what was asked for.
            raise ConfigError(
                stray, f"{stray} is set without {key}.", hint=f"Set {key} too, or remove it."
            )
    name = chosen.get(key)
    if not name:
        raise ConfigError(key, f'"{key}" is set neither here nor at the worker.')
    plugin = plugins.find(name, "converter", key=key)
    settings = parse_under(plugin.cls.config, subkeys(chosen, f"{key}."), f"{key}.")
    converter: Converter = plugin.cls(settings, key == "key.converter")
    return converter


def _aliases(values: Mapping[str, str | None], key: str) -> list[str]:
    aliases = [alias for part in (values.get(key) or "").split(",") if (alias := part.strip())]
    if len(set(aliases)) < len(aliases):
        raise ConfigError(key, f"`{key}` names an alias twice.")
    return aliases


def _build(
    kind: Literal["transform", "predicate"], prefix: str, values: Mapping[str, str | None]
) -> Any:
    name = values.get(prefix + "type")
    if not name:
        raise ConfigError(
            prefix + "type",
            f'Missing required configuration "{prefix}type" which has no default value.',
            code="config.missing",
        )
    plugin = plugins.find(name, kind, key=prefix + "type")
    own = _OWN_KEYS if kind == "transform" else _OWN_KEYS[:1]
    settings = {k: v for k, v in subkeys(values, prefix).items() if k not in own}
    return plugin.cls(parse_under(plugin.cls.config, settings, prefix))
