"""Judging a connector's configuration: every key of every plugin in it, then the world it names."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from connect.config import Config, KeyInfo, Problem, describe, subkeys, validate
from connect.errors import CdcError, ConfigError
from connect.runtime import building, plugins
from connect.runtime.plugins import Plugin
from connect.runtime.providers import Allowed, mask, resolve
from connect.runtime.sealing import Values, masked, secret_texts
from connect.runtime.tables import is_internal
from connect.transforms.java_regex import java_pattern

logger = logging.getLogger(__name__)

CHECKS_AT_ONCE: Final = 4
CHECK_SECONDS: Final = 20.0
_TYPE, _PREDICATE, _NEGATE = "type", "predicate", "negate"


@dataclass(slots=True)
class Verdict:
    """What was found out about a configuration.

    ``model`` is None while there are errors. ``texts`` are the secrets in it: no message shown may
    hold one.
    """

    plugin: Plugin
    config: Values
    infos: list[KeyInfo] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    model: Any = None
    texts: frozenset[str] = frozenset()

    @property
    def errors(self) -> list[Problem]:
        """The problems that forbid the configuration."""
        return [problem for problem in self.problems if problem.severity == "error"]

    def message(self) -> str:
        """Kafka Connect's text for an invalid configuration."""
        errors = self.errors
        return "\n".join(
            (
                f"Connector configuration is invalid and contains the following {len(errors)} "
                "error(s):",
                *map(str, errors),
                "You can also find the above list of errors at the endpoint "
                "`/connector-plugins/{connectorType}/config/validate`",
            )
        )

    def config_infos(self) -> dict[str, Any]:
        """Kafka Connect's ConfigInfos: definition, value and errors of every key."""
        shown = masked(self.config)
        errors: dict[str, list[str]] = {}
        for problem in self.errors:
            errors.setdefault(problem.key, []).append(str(problem))
        known = {info.name for info in self.infos}
        configs: list[dict[str, Any]] = [
            {
                "definition": definition(info),
                "value": _value(info.name, shown.get(info.name, info.default), errors, info),
            }
            for info in self.infos
        ]
        strangers = [key for key in (*self.config, *errors) if key not in known]
        configs += [
            {"definition": None, "value": _value(key, shown.get(key), errors)}
            for key in dict.fromkeys(strangers)
        ]
        return {
            "name": self.config.get("connector.class"),
            "error_count": len(self.errors),
            "groups": list(dict.fromkeys(info.group for info in self.infos)),
            "configs": configs,
        }


def definition(info: KeyInfo) -> dict[str, Any]:
    """Kafka Connect's ConfigKeyInfo."""
    return {
        "name": info.name,
        "type": info.type,
        "required": info.required,
        "default_value": info.default,
        "importance": info.importance,
        "documentation": info.doc,
        "group": info.group,
        "width": info.width,
        "display_name": info.display,
        "dependents": [],
        "order_in_group": info.order,
    }


def examine(
    plugin: Plugin,
    config: Values,
    defaults: Mapping[str, str],
    allowed: Allowed,
    secrets: Mapping[str, str],
) -> Verdict:
    """Judge all keys, without asking anybody outside; see ``check`` for that."""
    verdict = Verdict(plugin, config, describe(plugin.cls.config))
    values = _resolved(verdict, allowed, secrets)
    judged = validate(plugin.cls.config, values)
    broken = {problem.key for problem in verdict.problems}
    verdict.problems += [problem for problem in judged.problems if problem.key not in broken]
    _examine_converters(verdict, values)
    for group, kind in (("transforms", "transform"), ("predicates", "predicate")):
        _examine_chain(verdict, values, group, kind)
    if plugin.kind == "sink":
        verdict.problems += _topics(values)
    if not verdict.errors:
        _build(verdict, values, defaults)
    verdict.problems = [_unspoken(problem, verdict.texts) for problem in verdict.problems]
    if not verdict.errors:
        verdict.model = judged.config
    return verdict


class Checks:
    """Live checks of connectors, few at once and each bounded in time."""

    def __init__(self) -> None:
        self._places = threading.BoundedSemaphore(CHECKS_AT_ONCE)

    def check(self, verdict: Verdict) -> None:
        """Add what the plugin finds wrong with the world to a verdict without errors."""
        deadline = time.monotonic() + CHECK_SECONDS
        answers: queue.SimpleQueue[list[Problem]] = queue.SimpleQueue()
        if not self._places.acquire(timeout=CHECK_SECONDS):
            verdict.problems.append(_late())
            return

        def work() -> None:
            try:
                answers.put(_ask(verdict))
            finally:
                self._places.release()

        threading.Thread(target=work, name="live-check", daemon=True).start()
        try:
            found = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            found = [_late()]
        for problem in found:
            if problem.severity == "warning":
                logger.warning("%s: %s", verdict.config.get("name"), problem)
        verdict.problems += found


def _ask(verdict: Verdict) -> list[Problem]:
    try:
        found = list(verdict.plugin.cls().check(verdict.model))
    except ConfigError as error:
        found = [Problem(error.key, error.message, error.code, error.hint)]
    except CdcError as error:
        found = [Problem("connector.class", error.message, error.code, error.hint)]
    except Exception as error:  # a plugin's bug must not become a started connector
        text = f"The plugin's check failed: {type(error).__name__}: {error}"
        found = [Problem("connector.class", text, "plugin.check_failed")]
    return [_unspoken(problem, verdict.texts) for problem in found]


def _late() -> Problem:
    return Problem(
        "connector.class",
        f"The live check did not end within {CHECK_SECONDS:.0f} s.",
        "check.timeout",
        "Is the server reachable from the worker?",
    )


def _unspoken(problem: Problem, texts: Iterable[str]) -> Problem:
    hint = problem.hint and mask(problem.hint, list(texts))
    message = mask(problem.message, list(texts))
    return Problem(problem.key, message, problem.code, hint, problem.severity)


def _resolved(verdict: Verdict, allowed: Allowed, secrets: Mapping[str, str]) -> Values:
    values: dict[str, str | None] = {}
    texts: set[str] = set()
    for key, value in verdict.config.items():
        try:
            found, seen = resolve({key: value}, allowed, secrets)
            values.update(found)
            texts |= seen
        except ConfigError as error:
            values[key] = value
            verdict.problems.append(Problem(key, error.message, error.code, error.hint))
    verdict.texts = frozenset(texts | secret_texts(values))
    return values


def _examine_converters(verdict: Verdict, values: Values) -> None:
    for key in ("key.converter", "value.converter"):
        if values.get(key):
            _examine_plugin(verdict, values, f"{key}.", key, "converter", ())


def _examine_chain(verdict: Verdict, values: Values, group: str, kind: str) -> None:
    own = (_TYPE, _PREDICATE, _NEGATE) if kind == "transform" else (_TYPE,)
    for alias in dict.fromkeys(part.strip() for part in (values.get(group) or "").split(",")):
        if alias:
            prefix = f"{group}.{alias}."
            title = f"{group.capitalize()}: {alias}"
            verdict.infos += _own_keys(prefix, title, own)
            _examine_plugin(verdict, values, prefix, prefix + _TYPE, kind, own)


def _examine_plugin(
    verdict: Verdict, values: Values, prefix: str, key: str, kind: Any, own: Sequence[str]
) -> None:
    """Judge the keys under ``prefix``, which belong to the plugin that ``key`` names."""
    name = values.get(key)
    if not name:
        text = f'Missing required configuration "{key}" which has no default value.'
        verdict.problems.append(Problem(key, text, "config.missing"))
        return
    try:
        model: type[Config] = plugins.find(name, kind, key=key).cls.config
    except ConfigError as error:
        verdict.problems.append(Problem(key, error.message, error.code, error.hint))
        return
    title = prefix.rstrip(".")
    group = title if kind == "converter" else "{}: {}".format(*title.capitalize().split(".", 1))
    verdict.infos += [
        info._replace(name=prefix + info.name, group=group, order=info.order + len(own))
        for info in describe(model)
    ]
    mine = {k: v for k, v in subkeys(values, prefix).items() if k not in own}
    for problem in validate(model, mine).problems:
        text = problem.message.replace(f'"{problem.key}"', f'"{prefix}{problem.key}"')
        verdict.problems.append(
            Problem(prefix + problem.key, text, problem.code, problem.hint, problem.severity)
        )


def _own_keys(prefix: str, title: str, own: Sequence[str]) -> list[KeyInfo]:
    kinds: dict[str, Any] = {_TYPE: "CLASS", _PREDICATE: "STRING", _NEGATE: "BOOLEAN"}
    docs = {
        _TYPE: "Class or alias of the plugin.",
        _PREDICATE: "Alias of a predicate: only rows it is true for are transformed.",
        _NEGATE: "Apply to the rows the predicate is false for.",
    }
    return [
        KeyInfo(
            prefix + name, name, kinds[name], name == _TYPE,
            "false" if name == _NEGATE else None,
            "HIGH" if name == _TYPE else "LOW", docs[name], title, order, "LONG", prefix + name, (),
        )
        for order, name in enumerate(own, 1)
    ]  # fmt: skip


def _topics(values: Values) -> list[Problem]:
    names = [name.strip() for name in (values.get("topics") or "").split(",") if name.strip()]
    regex = values.get("topics.regex")
    if names and regex:
        text = "topics and topics.regex are mutually exclusive options, but both are set."
        return [Problem("topics", text)]
    if not names and not regex:
        return [Problem("topics", "Must configure one of topics or topics.regex")]
    dead = values.get("errors.deadletterqueue.topic.name")
    problems = [
        Problem("topics", f"{name} is an internal topic; no sink reads it.")
        for name in names
        if is_internal(name)
    ]
    try:
        pattern = java_pattern(regex or "")
    except ValueError as error:
        text = f"Invalid value {regex} for configuration topics.regex: {error}"
        return [Problem("topics.regex", text)]
    if dead and (dead in names or (regex and pattern.fullmatch(dead))):
        text = f"The DLQ topic '{dead}' may not be one of the topics the connector reads."
        problems.append(Problem("errors.deadletterqueue.topic.name", text))
    return problems


def _build(verdict: Verdict, values: Values, defaults: Mapping[str, str]) -> None:
    """Build the pipeline as the task will: what only building finds."""
    try:
        if verdict.plugin.kind == "source":
            building.build_source(values, defaults, {})
        else:
            building.build_sink(values, defaults)
    except ConfigError as error:
        verdict.problems.append(Problem(error.key, error.message, error.code, error.hint))


def _value(
    key: str, value: str | None, errors: Mapping[str, list[str]], info: KeyInfo | None = None
) -> dict[str, Any]:
    return {
        "name": key,
        "value": value,
        "recommended_values": list(info.recommended) if info else [],
        "errors": errors.get(key, []),
        "visible": True,
    }
