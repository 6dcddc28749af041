"""``tailrace pause``, ``resume``, ``stop``, ``restart`` and ``delete``."""

from __future__ import annotations

import re
import sys

import click

from api.cli.client import Client, client, with_client
from api.cli.errors import INPUT, Failure

NOUNS = ("connector", "connectors", "cn")


def _names(server: Client, words: tuple[str, ...], pattern: str | None) -> list[str]:
    """The connectors meant: a leading ``connector`` may be said or left out."""
    named = list(words[1:] if len(words) > (pattern is None) and words[0] in NOUNS else words)
    if pattern is not None:
        try:
            named += [n for n in server.get("connectors") if re.fullmatch(pattern, n)]
        except re.error as error:
            raise Failure(INPUT, f"Not a regular expression: {error}", key="-e") from None
        if not named:
            raise Failure(INPUT, f"No connector matches {pattern}", key="-e")
    if not named:
        raise Failure(INPUT, "Name a connector.", hint="See: tailrace get connectors")
    return list(dict.fromkeys(named))


def confirm(question: str, yes: bool) -> None:
    """Ask on a terminal; elsewhere only ``--yes`` will do."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failure(INPUT, f"{question} Pass --yes to do it without being asked.")
    click.confirm(question, abort=True)


_words = click.argument("names", nargs=-1)
_regex = click.option("-e", "--regex", metavar="REGEX", help="Every connector whose name matches.")


def _change(
    url: str | None, words: tuple[str, ...], pattern: str | None, verb: str, done: str
) -> None:
    server = client(url)
    for name in _names(server, words, pattern):
        server.ask("PUT", ("connectors", name, verb))
        click.echo(f"{name} {done}")


@click.command()
@with_client
@_words
@_regex
def pause(url: str | None, names: tuple[str, ...], regex: str | None) -> None:
    """Stop moving data of [connector] NAMES; their tasks stay listed."""
    _change(url, names, regex, "pause", "pauses")


@click.command()
@with_client
@_words
@_regex
def resume(url: str | None, names: tuple[str, ...], regex: str | None) -> None:
    """Go on with [connector] NAMES after pause or stop."""
    _change(url, names, regex, "resume", "resumes")


@click.command()
@with_client
@_words
@_regex
def stop(url: str | None, names: tuple[str, ...], regex: str | None) -> None:
    """Stop [connector] NAMES and remove their tasks; their offsets can then be edited."""
    _change(url, names, regex, "stop", "stops")


@click.command()
@with_client
@_words
@_regex
@click.option(
    "-t", "--tasks", type=click.Choice(["none", "all", "failed"]), default="all",
    show_default=True, help="Which tasks to restart with the connector.",
)  # fmt: skip
def restart(url: str | None, names: tuple[str, ...], regex: str | None, tasks: str) -> None:
    """Restart [connector] NAMES with their tasks, or task NAME/ID."""
    server = client(url)
    if len(names) > 1 and names[0] == "task":
        for name in names[1:]:
            connector, slash, task = name.rpartition("/")
            if not slash:
                raise Failure(INPUT, f"A task is named NAME/ID, not {name}.")
            server.ask("POST", ("connectors", connector, "tasks", task, "restart"))
            click.echo(f"{name} restarts")
        return
    query = {
        "includeTasks": str(tasks != "none").lower(),
        "onlyFailed": str(tasks == "failed").lower(),
    }
    for name in _names(server, names, regex):
        server.ask("POST", ("connectors", name, "restart"), query=query)
        click.echo(f"{name} restarts")


@click.command()
@with_client
@_words
@_regex
@click.option("--yes", is_flag=True, help="Don't ask.")
def delete(url: str | None, names: tuple[str, ...], regex: str | None, yes: bool) -> None:
    """Delete [connector] NAMES and what they made in the source, e.g. a replication slot."""
    server = client(url)
    chosen = _names(server, names, regex)
    confirm(f"Delete {', '.join(chosen)}?", yes)
    for name in chosen:
        server.ask("DELETE", ("connectors", name))
        click.echo(f"{name} deleted")
