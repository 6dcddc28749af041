"""The reference in ``docs/reference``: written from the code, committed, and checked to be fresh.

python -m api.reference           write the pages
python -m api.reference --check   exit 1 if a page is not what the code says
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from api.app import route_table
from api.cli.main import tailrace
from api.settings import IGNORED, WorkerConfig
from connect.config import Config, KeyInfo, describe
from connect.runtime.metric_names import METRICS
from connect.runtime.plugins import GROUPS, Plugin, plugins

ROOT: Final = Path(__file__).parent.parent
DIRECTORY: Final = ROOT / "docs" / "reference"
PACKAGES: Final = ("api", "connect", "connectors", "log_core")
NOTICE: Final = "<!-- Written by `python -m api.reference`; edit the code instead. -->"
CODE: Final = re.compile(r"[a-z]+(\.[a-z_]+)+")


class Raised(NamedTuple):
    """A place in the code that gives an error code."""

    code: str
    kind: str
    module: str
    hint: str


def pages() -> dict[str, str]:
    """Every page by its file's name."""
    return {
        "configuration.md": configuration(),
        "worker.md": worker(),
        "rest.md": rest(),
        "cli.md": commands(),
        "errors.md": errors(),
        "metrics.md": metrics(),
    }


def configuration() -> str:
    """Keys of every plugin of this repository."""
    parts = [_head("Plugins and their configuration keys")]
    ours = {(point.group, point.name) for point in distribution("tailrace").entry_points}
    for kind in GROUPS:
        for plugin in sorted(plugins(kind), key=lambda plugin: plugin.name):
            if (GROUPS[kind], plugin.name) in ours:
                parts += _plugin(plugin)
    return _page(parts)


def worker() -> str:
    """Keys of worker.properties."""
    parts = [
        _head("Worker settings"),
        "In `worker.properties`, as `CONNECT_*` variables, or as options of `tailrace server "
        "start`.",
        *_keys(describe(WorkerConfig)),
        *_refused(WorkerConfig),
        "## Accepted without effect",
        _table(("Key", "Why"), [(f"`{pattern}`", why) for pattern, why in IGNORED.items()]),
    ]
    return _page(parts)


def rest() -> str:
    """Every route."""
    rows = [(f"`{method}`", f"`{path}`", " ".join(text.split())) for method, path, text in
            sorted(route_table(), key=lambda route: (route[1], route[0]))]  # fmt: skip
    return _page([_head("REST paths"), _table(("Method", "Path", "What it does"), rows)])


def commands() -> str:
    """Every command of the command line."""
    context = click.Context(tailrace, info_name="tailrace")
    parts = [_head("Commands")]
    for name, command in _walk("tailrace", tailrace, context):
        parts += [f"## `{name}`", _prose(command.help or ""), *_parameters(command, context)]
    return _page(parts)


def errors() -> str:
    """Every error code."""
    by_code: dict[str, list[Raised]] = {}
    for raised in _raised():
        by_code.setdefault(raised.code, []).append(raised)
    rows = []
    for code, places in sorted(by_code.items()):
        kinds = ", ".join(sorted({place.kind for place in places}))
        modules = ", ".join(f"`{module}`" for module in sorted({p.module for p in places}))
        hints = " ".join(dict.fromkeys(place.hint for place in places if place.hint))
        rows.append((f"`{code}`", kinds, hints, modules))
    parts = [
        _head("Error codes"),
        "Codes are stable. They stand behind the message of a trace, in REST answers as `code`, "
        "and in what the command line prints. `{...}` in a remedy is filled in.",
        _table(("Code", "Kind", "Remedy", "Raised in"), rows),
    ]
    return _page(parts)


def metrics() -> str:
    """Every metric of ``/metrics``."""
    rows = [
        (f"`{name}`", found.kind, found.labels.replace(" ", ", "), found.doc)
        for name, found in METRICS.items()
    ]
    return _page([_head("Metrics"), _table(("Metric", "Type", "Labels", "Meaning"), rows)])


def _plugin(plugin: Plugin) -> Iterator[str]:
    yield f"## {plugin.kind} `{plugin.name}`"
    if plugin.cls is None:
        raise RuntimeError(f"plugin {plugin.name} can't be imported: {plugin.error}")
    yield (plugin.cls.__doc__ or "").strip().partition("\n\n")[0]
    if plugin.aliases:
        yield "Answers to " + ", ".join(f"`{alias}`" for alias in plugin.aliases) + "."
    yield from _keys(describe(plugin.cls.config))
    yield from _refused(plugin.cls.config)


def _keys(infos: Sequence[KeyInfo]) -> Iterator[str]:
    for group in dict.fromkeys(info.group for info in infos):
        yield f"### {group}"
        rows = [
            (f"`{i.name}`", i.type, _default(i), i.importance.lower(), _with_choices(i))
            for i in infos
            if i.group == group
        ]
        yield _table(("Key", "Type", "Default", "Importance", "Meaning"), rows)


def _default(info: KeyInfo) -> str:
    if info.required:
        return "required"
    return f"`{info.default}`" if info.default else ""


def _with_choices(info: KeyInfo) -> str:
    if info.type == "BOOLEAN" or not info.recommended:
        return info.doc
    return f"{info.doc} One of {', '.join(f'`{choice}`' for choice in info.recommended)}."


def _refused(model: type[Config]) -> Iterator[str]:
    rows = [
        (f"`{pattern}`", refusal.why, ", ".join(f"`{value}`" for value in refusal.accepts))
        for pattern, refusal in sorted(model.refused.items())
    ]
    if rows:
        yield "### Refused by name"
        yield _table(("Key", "Why", "Values accepted all the same"), rows)


def _walk(
    name: str, command: click.Command, context: click.Context
) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for word in command.list_commands(context):
            found = command.get_command(context, word)
            assert found is not None
            yield from _walk(f"{name} {word}", found, context)
    else:
        yield name, command


def _parameters(command: click.Command, context: click.Context) -> Iterator[str]:
    rows = []
    usage = []
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            text, meaning = parameter.get_help_record(context) or ("", "")
            rows.append((f"`{text}`", meaning))
        else:
            usage.append(parameter.make_metavar(context))
    if usage:
        yield f"Arguments: `{' '.join(usage)}`"
    if rows:
        yield _table(("Option", "Meaning"), rows)


def _raised() -> Iterator[Raised]:
    for path in (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield from _codes(node, module)


def _codes(node: ast.AST, module: str) -> Iterator[Raised]:
    if isinstance(node, ast.ClassDef):
        for statement in node.body:
            if isinstance(statement, ast.Assign) and _names(statement) == ["default_code"]:
                yield Raised(str(ast.literal_eval(statement.value)), node.name, module, "")
    elif isinstance(node, ast.Call):
        kind = node.func.attr if isinstance(node.func, ast.Attribute) else _name(node.func)
        named = {word.arg: _text(word.value) for word in node.keywords}
        placed = [_text(argument) for argument in node.args]
        code = named.get("code") or (placed[2] if kind == "Problem" and len(placed) > 2 else "")
        hint = named.get("hint") or (placed[3] if kind == "Problem" and len(placed) > 3 else "")
        if CODE.fullmatch(code):
            yield Raised(code, kind, module, hint)


def _names(statement: ast.Assign) -> list[str]:
    return [_name(target) for target in statement.targets]


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.AST) -> str:
    """A string literal; of an f-string the fixed parts."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) if isinstance(part, ast.Constant) else "{...}"
                       for part in node.values)  # fmt: skip
    return ""


def _head(title: str) -> str:
    return f"{NOTICE}\n\n# {title}"


def _prose(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with ``--check`` compare them."""
    stale = []
    for name, text in pages().items():
        path = DIRECTORY / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                DIRECTORY.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if stale and "--check" in arguments:
        print(f"Not fresh: {', '.join(stale)}. Run: python -m api.reference", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
