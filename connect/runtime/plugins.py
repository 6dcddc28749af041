"""Plugins: entry points, found by short name or alias.

A plugin is a class named by an entry point of one of five groups; the entry point's name is its
short name. Tailrace's own plugins register the same way as a stranger's. A class lists in
``aliases`` the Java class names it stands in for.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Literal

from connect.errors import ConfigError

logger = logging.getLogger(__name__)

Kind = Literal["source", "sink", "converter", "transform", "predicate"]

GROUPS: Final[dict[Kind, str]] = {
    "source": "tailrace.sources",
    "sink": "tailrace.sinks",
    "converter": "tailrace.converters",
    "transform": "tailrace.transforms",
    "predicate": "tailrace.predicates",
}
JAVA_CLASS: Final = re.compile(r"([a-z_][a-z0-9_]*\.)+[A-Z]\w*(\$\w+)?")


@dataclass(frozen=True, slots=True)
class Plugin:
    """An installed plugin. ``cls`` is None when it can't be imported; ``error`` then says why."""

    kind: Kind
    name: str
    version: str
    cls: Any
    aliases: tuple[str, ...] = ()
    error: str | None = None

    @property
    def path(self) -> str:
        """The class's Python name, by which it can be found too."""
        return f"{self.cls.__module__}.{self.cls.__qualname__}" if self.cls else self.name


def plugins(*kinds: Kind) -> list[Plugin]:
    """The installed plugins of these kinds (none named: of all), the broken ones included."""
    return [_load(kind, point) for kind in kinds or GROUPS for point in _points(kind)]


def find(name: str, *kinds: Kind, key: str = "connector.class") -> Plugin:
    """The plugin of one of ``kinds`` with this short name, alias or Python class name.

    Only what is needed is imported: a short name imports one plugin. ConfigError at ``key`` when
    there is none, or when the one there is can't be imported.
    """
    wanted = name.strip()
    for plugin in _candidates(wanted, kinds):
        if wanted in (plugin.name, plugin.path, *plugin.aliases):
            if plugin.cls is None:
                raise ConfigError(
                    key,
                    f"Plugin {plugin.name} can't be loaded: {plugin.error}",
                    code="plugin.broken",
                    hint="Install what it needs, or a version that fits.",
                )
            return plugin
    raise _unknown(wanted, kinds, key)


def _candidates(wanted: str, kinds: tuple[Kind, ...]) -> Iterator[Plugin]:
    points = [(kind, point) for kind in kinds for point in _points(kind)]
    named = [pair for pair in points if pair[1].name == wanted]
    # Without a short name every class must be asked for its aliases.
    for kind, point in named or points:
        yield _load(kind, point)


@cache
def _points(kind: Kind) -> tuple[EntryPoint, ...]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUPS[kind]):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            logger.warning("two %s plugins are named %s; using %s", kind, point.name, other.value)
    return tuple(sorted(found.values(), key=lambda point: point.name))


@cache
def _load(kind: Kind, point: EntryPoint) -> Plugin:
    version = point.dist.version if point.dist else "unknown"
    try:
        cls = point.load()
        aliases = tuple(cls.aliases)
        version = str(getattr(cls, "version", version))
    except Exception as error:  # a stranger's module may raise anything; the others must live
        cause = f"{type(error).__name__}: {error}"
        logger.warning("plugin %s can't be loaded: %s", point.name, cause)
        return Plugin(kind, point.name, version, None, error=cause)
    return Plugin(kind, point.name, version, cls, aliases)


def _unknown(wanted: str, kinds: tuple[Kind, ...], key: str) -> ConfigError:
    installed = plugins(*kinds)
    names = [name for plugin in installed for name in (plugin.name, *plugin.aliases)]
    near = difflib.get_close_matches(wanted, names, 3, 0.6)
    offered = near or sorted(plugin.name for plugin in installed)
    what = " or ".join(kinds)
    hint = f"{'Nearest' if near else 'Installed'}: {', '.join(offered)}." if offered else None
    if JAVA_CLASS.fullmatch(wanted):
        return ConfigError(
            key,
            f"{wanted} is a Java plugin; Java plugins are not run here, and no installed {what} "
            "plugin stands in for it.",
            code="plugin.java",
            hint=hint,
        )
    return ConfigError(
        key, f"There is no {what} plugin named {wanted}.", code="plugin.unknown", hint=hint
    )
