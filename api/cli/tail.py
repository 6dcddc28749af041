"""``tailrace tail``: the records of a topic."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

import click

from api.cli.changes import describe_change
from api.cli.client import Client, client, with_client
from api.cli.errors import INPUT, Failure
from api.cli.output import paint

PAGE = 1000
WAIT_SECONDS = 20


class Wanted(NamedTuple):
    """Which records: ``limit`` None is all there are, ``follow`` waits for more."""

    topic: str
    origin: str
    partition: int | None
    limit: int | None
    follow: bool


@click.command(context_settings={"ignore_unknown_options": False})
@with_client
@click.argument("topic")
@click.option(
    "-o", "--offset", "origin", default="beginning", show_default=True,
    metavar="beginning|end|-N|OFFSET", help="Where to begin; -N is the last N of each partition.",
)  # fmt: skip
@click.option("-p", "--partition", type=click.IntRange(0), help="Only this partition.")
@click.option("-c", "--count", "limit", type=click.IntRange(1), help="Stop after so many records.")
@click.option("-e", "--exit", "stop", is_flag=True, help="Stop at the end instead of waiting.")
@click.option(
    "-f", "--format", "form", type=click.Choice(["json", "diff"]),
    help="json: an object a line; diff: what changed. Default: diff on a terminal, else json.",
)  # fmt: skip
def tail(
    url: str | None,
    topic: str,
    origin: str,
    partition: int | None,
    limit: int | None,
    stop: bool,
    form: str | None,
) -> None:
    """Print the records of TOPIC, and wait for more (needs a Tailrace server).

    json prints topic, partition, offset, timestamp, key, value and headers. A key or value that
    is JSON is printed as it is, other text as a string, anything else as {"$base64": ...}.
    """
    if not re.fullmatch(r"beginning|end|-?[0-9]{1,18}", origin):
        raise Failure(INPUT, f"{origin} is not beginning, end, -N or an offset.", key="-o")
    diff = sys.stdout.isatty() if form is None else form == "diff"
    for line in records(client(url), Wanted(topic, origin, partition, limit, not stop)):
        if diff:
            verb, text = describe_change(json.loads(line))
            click.echo(text.replace(verb, paint(verb), 1))
        else:
            sys.stdout.buffer.write(line + b"\n")
            sys.stdout.buffer.flush()


def records(server: Client, wanted: Wanted) -> Iterator[bytes]:
    """The records, each a line of JSON exactly as the server wrote it."""
    where: dict[str, str] = {"from": wanted.origin}
    if wanted.partition is not None:
        where["partition"] = str(wanted.partition)
    path = ("v1", "topics", wanted.topic, "records")
    left = wanted.limit
    while left is None or left > 0:
        query = {
            **where,
            "limit": str(PAGE if left is None else min(PAGE, left)),
            "wait": str(WAIT_SECONDS if wanted.follow else 0),
        }
        lines, following = split_page(server.ask("GET", path, query=query).raw)
        yield from lines
        if not lines and not wanted.follow:
            return
        left = None if left is None else left - len(lines)
        where = {"positions": ",".join(f"{p}:{offset}" for p, offset in following.items())}


def split_page(raw: bytes) -> tuple[list[bytes], dict[str, int]]:
    """The record lines of a page and the positions to ask for next."""
    head, *lines = raw.rstrip(b"\n").split(b"\n")
    following: dict[str, int] = json.loads(head + b"]}")["next"]
    return [line.removesuffix(b",") for line in lines[:-1] if line], following
