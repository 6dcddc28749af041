"""Configuration: one declaration per key drives parsing, validation, REST and the reference.

A plugin declares a ``Config`` subclass whose fields are made by ``key``. ``validate`` turns the
strings a user wrote into that model and reports every problem by key; ``describe`` gives what
REST and the generated documentation show. Words and types are Kafka Connect's.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from connect.errors import ConfigError

REQUIRED: Final[Any] = ...
HIDDEN: Final = "[hidden]"
REFERENCE: Final = re.compile(r"\$\{[^}:]+:[^}]*\}")

KeyType = Literal[
    "BOOLEAN", "STRING", "INT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"
]  # fmt: skip
Importance = Literal["HIGH", "MEDIUM", "LOW"]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one key of a configuration, or with the world it names."""

    key: str
    message: str
    code: str = "config.invalid"
    hint: str | None = None
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


@dataclass(frozen=True, slots=True)
class Refused:
    """A key of the model systems that is not implemented: refused by name, never ignored.

    ``accepts`` lists the values that ask for nothing but what happens anyway (lower case).
    """

    why: str
    accepts: tuple[str, ...] = ()


class KeyInfo(NamedTuple):
    """One documented key; ``field`` is the attribute of the model."""

    name: str
    field: str
    type: KeyType
    required: bool
    default: str | None
    importance: Importance
    doc: str
    group: str
    order: int
    width: Literal["SHORT", "MEDIUM", "LONG"]
    display: str
    recommended: tuple[str, ...]


class _Extra(NamedTuple):
    group: str
    importance: Importance
    width: Literal["SHORT", "MEDIUM", "LONG"]
    display: str | None
    type: KeyType | None
    recommended: tuple[str, ...]


def key(
    name: str,
    *,
    doc: str,
    group: str,
    default: Any = REQUIRED,
    importance: Importance = "MEDIUM",
    width: Literal["SHORT", "MEDIUM", "LONG"] = "MEDIUM",
    display: str | None = None,
    type: KeyType | None = None,
    recommended: Sequence[str] = (),
    **constraints: Any,
) -> Any:
    """Declare a configuration key.

    Args:
        name: the key as users write it, e.g. ``database.hostname``.
        default: the value when the key is absent, in Python's type; leave out when required.
        type: Connect's type where the annotation does not say it (LONG, CLASS).
        recommended: values offered; those of a Literal are found by themselves.
        constraints: pydantic's: ge, le, gt, lt, pattern, min_length ...
    """
    extra = _Extra(group, importance, width, display, type, tuple(recommended))
    return Field(
        default=default,
        alias=name,
        description=doc,
        validate_default=False,
        json_schema_extra={"tailrace": extra},  # type: ignore[dict-item]
        **constraints,
    )


class Config(BaseModel):
    """A frozen model of configuration keys.

    Subclasses may set ``refused`` (exact keys or ``re.fullmatch`` patterns to ``Refused``) and
    ``prefixes`` (key prefixes that belong to other plugins, as ``transforms.``). Rules over
    several keys are ``model_validator(mode="after")`` methods that raise ConfigError.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=False, hide_input_in_errors=True
    )

    refused: ClassVar[Mapping[str, Refused]] = {}
    prefixes: ClassVar[tuple[str, ...]] = ()
    deprecated: ClassVar[Mapping[str, str]] = {}  # other spellings of a key -> the key


class Validation(NamedTuple):
    """The model, or None when there are errors; problems of every key, warnings too."""

    config: Any
    problems: list[Problem]

    @property
    def errors(self) -> list[Problem]:
        """The problems that forbid a start."""
        return [p for p in self.problems if p.severity == "error"]


def describe(model: type[Config]) -> list[KeyInfo]:
    """The documented keys of a model, in declaration order within their groups."""
    infos = []
    orders: dict[str, int] = {}
    for attribute, info in model.model_fields.items():
        extra = _extra(info)
        orders[extra.group] = orders.get(extra.group, 0) + 1
        infos.append(
            KeyInfo(
                name=str(info.alias),
                field=attribute,
                type=extra.type or _type(info.annotation),
                required=info.is_required(),
                default=None if info.is_required() else _text(info.default),
                importance=extra.importance,
                doc=info.description or "",
                group=extra.group,
                order=orders[extra.group],
                width=extra.width,
                display=extra.display or str(info.alias),
                recommended=extra.recommended or _choices(info.annotation),
            )
        )
    return infos


def validate(model: type[Config], values: Mapping[str, str | None]) -> Validation:
    """Parse the strings a user wrote; every problem is reported, at its key.

    ``values`` must be resolved already: a reference such as ``${env:X}`` is an ordinary string
    here.
    """
    infos = {info.name: info for info in describe(model)}
    problems: list[Problem] = []
    parsed: dict[str, Any] = {}
    for name, value in values.items():
        known = model.deprecated.get(name, name)
        if known in infos:
            if value is None:
                continue
            try:
                parsed[known] = _parse(infos[known], value)
            except ConfigError as error:
                problems.append(_problem(error))
        else:
            problems.extend(_unknown(model, infos, name, value))
    broken = {p.key for p in problems}
    for info in infos.values():
        if info.required and info.name not in parsed and info.name not in broken:
            problems.append(
                Problem(
                    info.name,
                    f'Missing required configuration "{info.name}" which has no default value.',
                    "config.missing",
                )
            )
            broken.add(info.name)
    config = None
    try:
        config = model.model_validate(parsed)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            name = str(detail["loc"][0]) if detail["loc"] else ""
            if name not in broken and name in infos:
                shown = _shown(infos[name], values.get(name))
                text = f"Invalid value {shown} for configuration {name}: {detail['msg']}"
                problems.append(Problem(name, text))
    except ConfigError as error:
        problems.append(_problem(error))
    if any(p.severity == "error" for p in problems):
        config = None
    return Validation(config, problems)


def parse(model: type[Config], values: Mapping[str, str | None]) -> Any:
    """The model of these values; ConfigError for the first error."""
    result = validate(model, values)
    for problem in result.errors:
        raise ConfigError(problem.key, problem.message, code=problem.code, hint=problem.hint)
    return result.config


def secret_keys(model: type[Config]) -> set[str]:
    """The keys whose values are secrets, by declared type."""
    return {info.name for info in describe(model) if info.type == "PASSWORD"}


def subkeys(values: Mapping[str, str | None], prefix: str) -> dict[str, str | None]:
    """The keys under ``prefix``, without it."""
    cut = len(prefix)
    return {name[cut:]: value for name, value in values.items() if name.startswith(prefix)}


def _extra(info: FieldInfo) -> _Extra:
    extra = info.json_schema_extra
    assert isinstance(extra, dict), "declare configuration fields with key(...)"
    found: Any = extra["tailrace"]
    return found  # type: ignore[no-any-return]


def _bare(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        return next(a for a in get_args(annotation) if a is not type(None))
    return annotation


def _type(annotation: Any) -> KeyType:
    bare = _bare(annotation)
    if get_origin(bare) is tuple:
        return "LIST"
    simple: dict[Any, KeyType] = {
        bool: "BOOLEAN", int: "INT", float: "DOUBLE", SecretStr: "PASSWORD",
    }  # fmt: skip
    return simple.get(bare, "STRING")


def _choices(annotation: Any) -> tuple[str, ...]:
    bare = _bare(annotation)
    if get_origin(bare) is Literal:
        return tuple(str(a) for a in get_args(bare))
    return ("true", "false") if bare is bool else ()


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, SecretStr):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)


def _shown(info: KeyInfo, value: object) -> str:
    return HIDDEN if info.type == "PASSWORD" else str(value)


def _parse(info: KeyInfo, value: str) -> Any:
    text = value.strip()

    def refuse(expected: str) -> ConfigError:
        shown = _shown(info, value)
        return ConfigError(
            info.name, f"Invalid value {shown} for configuration {info.name}: {expected}"
        )

    match info.type:
        case "BOOLEAN":
            if text.lower() not in ("true", "false"):
                raise refuse("Expected value to be either true or false")
            return text.lower() == "true"
        case "INT" | "LONG":
            bits = 31 if info.type == "INT" else 63
            if not re.fullmatch(r"[+-]?[0-9]{1,20}", text):
                raise refuse(f"Not a number of type {info.type}")
            number = int(text)
            if not -(1 << bits) <= number < 1 << bits:
                raise refuse(f"Not a number of type {info.type}")
            return number
        case "DOUBLE":
            try:
                return float(text)
            except ValueError:
                raise refuse("Not a number of type DOUBLE") from None
        case "LIST":
            return tuple(part for part in (p.strip() for p in text.split(",")) if part)
        case "PASSWORD":
            return SecretStr(value)
        case _:
            choices = info.recommended
            if choices and text.lower() in choices:
                return text.lower()  # enumerations are accepted in any case, as Connect does
            return text


def _unknown(
    model: type[Config], infos: Mapping[str, KeyInfo], name: str, value: str | None
) -> list[Problem]:
    if name.startswith(model.prefixes):
        return []
    for pattern, refusal in model.refused.items():
        if name == pattern or re.fullmatch(pattern, name):
            if (value or "").strip().lower() in refusal.accepts:
                return []
            text = f'Configuration "{name}" is not supported: {refusal.why}'
            return [Problem(name, text, "config.unsupported")]
    near = difflib.get_close_matches(name, [*infos, *model.refused], 1, 0.75)
    hint = f'Did you mean "{near[0]}"?' if near else "Remove it, or see the reference."
    return [Problem(name, f'Unknown configuration "{name}".', "config.unknown", hint)]


def _problem(error: ConfigError) -> Problem:
    return Problem(error.key, error.message, error.code, error.hint)
