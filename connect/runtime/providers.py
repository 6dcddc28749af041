"""References in configuration values: ``${env:X}``, ``${file:/path:key}``, ``${dir:/path:key}``
and ``${secret:id}``.

They are resolved in the process that uses the values and never stored. The worker's allow-list
says what they may read: path prefixes for ``file`` and ``dir`` (compared after links are
followed), regular expressions that whole variable names must match for ``env``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final
from urllib.parse import quote

from connect.config import REFERENCE
from connect.errors import ConfigError

MASK: Final = "********"

Allowed = Mapping[str, Sequence[str]]
"""What each provider may read: ``{"file": [prefix], "dir": [prefix], "env": [pattern]}``."""


def resolve(
    values: Mapping[str, str | None], allowed: Allowed, secrets: Mapping[str, str]
) -> tuple[dict[str, str | None], frozenset[str]]:
    """The values with every reference replaced, and the texts that replaced them (for ``mask``).

    ``secrets`` holds what ``${secret:id}`` stands for. A replaced text is not resolved again.
    ConfigError names key and provider, never a value.
    """
    seen: set[str] = set()

    def text_of(key: str, reference: str) -> str:
        provider, _, rest = reference[2:-1].partition(":")
        found = _look_up(key, provider, rest, allowed, secrets)
        seen.add(found)
        return found

    resolved = {
        key: None
        if value is None
        else REFERENCE.sub(lambda match, key=key: text_of(key, match[0]), value)  # type: ignore[misc]
        for key, value in values.items()
    }
    return resolved, frozenset(seen - {""})


def mask(text: str, secrets: Collection[str]) -> str:
    """``text`` with every secret replaced, also where it was quoted or escaped.

    A secret of one to three characters is replaced only where it stands alone.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        parts = [secret, *(line for line in secret.splitlines() if len(line) > 3)]
        for part in dict.fromkeys(parts):
            for form in dict.fromkeys((part, repr(part)[1:-1], quote(part), quote(part, safe=""))):
                pattern = re.escape(form) if len(part) > 3 else rf"(?<!\w){re.escape(form)}(?!\w)"
                text = re.sub(pattern, MASK, text) if part else text
    return text


def _look_up(
    key: str, provider: str, rest: str, allowed: Allowed, secrets: Mapping[str, str]
) -> str:
    if provider == "secret":
        if rest in secrets:
            return secrets[rest]
        raise ConfigError(
            key,
            f"The stored secret of {key} is missing.",
            code="config.secret_missing",
            hint="Set the value again.",
        )
    readers: dict[str, Callable[[str, str, Sequence[str]], str]] = {
        "env": _variable,
        "file": _property,
        "dir": _file_of_directory,
    }
    if provider not in readers:
        raise ConfigError(
            key,
            f'Configuration {key} refers to the config provider "{provider}", which is not here.',
            code="config.provider_unknown",
            hint="Providers are env, file and dir.",
        )
    return readers[provider](key, rest, allowed.get(provider, ()))


def _variable(key: str, name: str, patterns: Sequence[str]) -> str:
    if not any(re.fullmatch(pattern, name) for pattern in patterns):
        raise _refused(key, "env", "config.providers.env.param.allowlist.pattern")
    try:
        return os.environ[name]
    except KeyError:
        raise _missing(key, "env", f"the variable {name} is not set") from None


def _property(key: str, rest: str, prefixes: Sequence[str]) -> str:
    path, colon, name = rest.partition(":")
    if not colon:
        raise _missing(key, "file", "write ${file:/path:key}")
    properties = parse_properties(_read(key, "file", path, prefixes))
    if name not in properties:
        raise _missing(key, "file", f"the file has no property {name}")
    return properties[name]


def _file_of_directory(key: str, rest: str, prefixes: Sequence[str]) -> str:
    directory, colon, name = rest.partition(":")
    if not colon or not name or "/" in name or name in (".", ".."):
        raise _missing(key, "dir", "write ${dir:/path:file-name}")
    # An editor's last newline is not part of a password.
    return _read(key, "dir", os.path.join(directory, name), prefixes).removesuffix("\n")


def _read(key: str, provider: str, path: str, prefixes: Sequence[str]) -> str:
    real = os.path.realpath(path)
    roots = [os.path.realpath(prefix) for prefix in prefixes]
    if not os.path.isabs(path) or not any(
        real == root or real.startswith(root.rstrip("/") + "/") for root in roots
    ):
        raise _refused(key, provider, f"config.providers.{provider}.param.allowed.paths")
    if not os.path.isfile(real):
        raise _missing(key, provider, "there is no such file")
    try:
        with open(real, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise _missing(key, provider, f"it can't be read ({type(error).__name__})") from None


def _refused(key: str, provider: str, setting: str) -> ConfigError:
    return ConfigError(
        key,
        f'Configuration {key} refers to something the config provider "{provider}" may not read.',
        code="config.provider_refused",
        hint=f"The worker's {setting} lists what it may.",
    )


def _missing(key: str, provider: str, why: str) -> ConfigError:
    return ConfigError(
        key,
        f'The reference of configuration {key} to the config provider "{provider}" '
        f"can't be resolved: {why}.",
        code="config.reference_missing",
    )


_SPLIT: Final = re.compile(r"(?P<key>(?:\\.|[^\\=:\s])*)\s*[=:]?\s*(?P<value>.*)", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


def parse_properties(text: str) -> dict[str, str]:
    """A Java properties file; the format is that of ``java.util.Properties.load``."""
    found = {}
    lines = iter(re.split(r"\r\n|\n|\r", text))
    for line in lines:
        logical = line.lstrip(" \t\f")
        if not logical or logical[0] in "#!":
            continue
        while (len(logical) - len(logical.rstrip("\\"))) % 2:
            logical = logical[:-1] + next(lines, "").lstrip(" \t\f")
        match = _SPLIT.fullmatch(logical)
        assert match
        found[_unescape(match["key"])] = _unescape(match["value"])
    return found


def _unescape(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        code = match[1]
        if len(code) == 5:
            return chr(int(code[1:], 16))
        return {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}.get(code, code)

    return _ESCAPE.sub(plain, text)
