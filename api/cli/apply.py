"""``tailrace apply`` and ``tailrace validate``: connectors from files."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click

from api.cli.client import Client, client, with_client
from api.cli.errors import INPUT, Failure
from api.cli.output import paint, print_json, with_output
from api.connector_files import ConnectorFile, read_connectors
from connect.errors import ConfigError

MASK: Final = "********"
UNKNOWABLE: Final = ("config.provider_refused", "config.reference_missing")

_files = click.option(
    "-f", "--file", "sources", multiple=True, required=True, metavar="FILE|DIR|-",
    help="JSON or properties; a directory's *.json and *.properties; - is JSON on stdin.",
)  # fmt: skip


@click.command()
@with_client
@_files
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
def apply(url: str | None, sources: tuple[str, ...], dry_run: bool) -> int:
    """Create or update connectors; those that are equal already are left alone."""
    connectors = load_connectors(sources)
    server = client(url)
    failed = False
    present = set(server.get("connectors"))
    for connector in connectors:
        try:
            click.echo(_apply(server, connector, connector.name in present, dry_run))
        except Failure as failure:
            if failure.exit_code != INPUT:
                raise
            failed = True
            failure.show()
    return INPUT if failed else 0


def _apply(server: Client, connector: ConnectorFile, exists: bool, dry_run: bool) -> str:
    name, config = connector.name, connector.config
    if not exists:
        if not dry_run:
            body: dict[str, object] = {"name": name, "config": config}
            if connector.initial_state is not None:
                body["initial_state"] = connector.initial_state
            if connector.initial_offsets is not None:
                body["initial_offsets"] = connector.initial_offsets
            server.ask("POST", ("connectors",), body)
        return f"+ {name}  {'would be created' if dry_run else 'created'}"
    changes = changed_keys(server.get("connectors", name, "config"), config)
    if not changes:
        return f"= {name}  unchanged"
    if not dry_run:
        server.ask("PUT", ("connectors", name, "config"), config)
    return f"~ {name}  {'would change' if dry_run else 'changed'}: {', '.join(changes)}"


def changed_keys(stored: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """What differs; a masked secret counts as different, since nobody can compare it."""
    keys = sorted(stored.keys() | wanted.keys())
    marks = {True: "+ ", False: ""}
    changes = []
    for key in keys:
        if key not in wanted:
            changes.append(f"- {key}")
        elif stored.get(key) == MASK != wanted[key]:
            changes.append(f"{key} (secret, may be equal)")
        elif stored.get(key) != wanted[key]:
            changes.append(marks[key not in stored] + key)
    return changes


@click.command()
@with_client
@with_output
@_files
@click.option("--offline", is_flag=True, help="Without a server; databases are not asked.")
def validate(url: str | None, output: str, sources: tuple[str, ...], offline: bool) -> int:
    """Check every key of connector files; nothing is created. Exit 2 if one is wrong."""
    results = {}
    for connector in load_connectors(sources):
        check = _check_offline if offline else _check
        results[connector.name] = check(connector, None if offline else client(url))
    if output == "json":
        print_json(results)
    else:
        for name, errors in results.items():
            _print_errors(name, errors)
    return INPUT if any(results.values()) else 0


def _check(connector: ConnectorFile, server: Client | None) -> dict[str, list[str]]:
    assert server is not None
    plugin = connector.config.get("connector.class", "").strip()
    if not plugin:
        missing = 'Missing required configuration "connector.class" which has no default value.'
        return {"connector.class": [missing]}
    path = ("connector-plugins", plugin, "config", "validate")
    found: Any = server.ask("PUT", path, connector.config).body
    values = [entry["value"] for entry in found["configs"]]
    return {value["name"]: value["errors"] for value in values if value["errors"]}


def _check_offline(connector: ConnectorFile, _: Client | None) -> dict[str, list[str]]:
    """The same keys judged here; only the server can tell what references stand for."""
    from connect.runtime.plugins import find
    from connect.runtime.settings import DEFAULT_CONVERTERS
    from connect.runtime.validation import examine

    try:
        plugin = find(connector.config.get("connector.class", ""), "source", "sink")
        verdict = examine(plugin, connector.config, DEFAULT_CONVERTERS, {}, {})
    except ConfigError as error:
        return {error.key: [str(error)]}
    errors: dict[str, list[str]] = {}
    for problem in verdict.errors:
        if problem.code not in UNKNOWABLE:
            errors.setdefault(problem.key, []).append(str(problem))
    return errors


def _print_errors(name: str, errors: dict[str, list[str]]) -> None:
    if not errors:
        click.echo(f"{paint('✓')} {name}")
        return
    number = sum(map(len, errors.values()))
    click.echo(f"{paint('✗')} {name}: {number} error{'s' if number > 1 else ''}")
    width = max(map(len, errors))
    for key, messages in errors.items():
        for message in messages:
            click.echo(f"  {key.ljust(width)}  {message}")


def load_connectors(sources: Iterable[str]) -> list[ConnectorFile]:
    """The connectors of these files, directories or standard input."""
    found = []
    try:
        for source in sources:
            found += [c for name, data in _contents(source) for c in read_connectors(name, data)]
    except ConfigError as error:
        raise Failure(INPUT, error.message, hint=error.hint) from None
    except OSError as error:
        raise Failure(INPUT, f"Can't read {error.filename}: {error.strerror}") from None
    return found


def _contents(source: str) -> list[tuple[str, bytes]]:
    if source == "-":
        return [("stdin", sys.stdin.buffer.read())]
    path = Path(source)
    paths = [path]
    if path.is_dir():
        paths = sorted(p for p in path.iterdir() if p.suffix in (".json", ".properties"))
    return [(str(p), p.read_bytes()) for p in paths]
