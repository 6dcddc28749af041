"""``tailrace offsets``: where connectors stand, and how to move them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click

from api.cli.client import client, with_client
from api.cli.control import confirm
from api.cli.errors import INPUT, Failure
from api.cli.get import show_offsets
from api.cli.output import with_output


@click.group()
def offsets() -> None:
    """Show, set or reset a connector's offsets."""


@offsets.command()
@with_client
@with_output
@click.argument("name")
def show(url: str | None, output: str, name: str) -> None:
    """Where the connector NAME stands."""
    show_offsets(client(url), output, [name])


@offsets.command("set")
@with_client
@click.argument("name")
@click.argument("positions", nargs=-1, metavar="[TOPIC:PARTITION=OFFSET]...")
@click.option("-f", "--file", type=click.File("rb"), help='JSON: {"offsets": [...]}; - is stdin.')
def set_offsets(url: str | None, name: str, positions: tuple[str, ...], file: Any) -> None:
    """Set offsets of the stopped connector NAME: a sink's as arguments, a source's from a file."""
    if bool(positions) == (file is not None):
        raise Failure(INPUT, "Give either TOPIC:PARTITION=OFFSET or -f FILE.")
    entries = _read(file) if file is not None else [_position(text) for text in positions]
    answer = client(url).ask("PATCH", ("connectors", name, "offsets"), {"offsets": entries})
    click.echo(answer.body["message"])


@offsets.command()
@with_client
@click.argument("name")
@click.option("--yes", is_flag=True, help="Don't ask.")
def reset(url: str | None, name: str, yes: bool) -> None:
    """Forget every offset of the stopped connector NAME: it begins anew."""
    confirm(f"Forget the offsets of {name}?", yes)
    click.echo(client(url).ask("DELETE", ("connectors", name, "offsets")).body["message"])


def _position(text: str) -> dict[str, object]:
    found = re.fullmatch(r"(?P<topic>.+):(?P<partition>\d+)=(?P<offset>\d+)", text)
    if found is None:
        raise Failure(INPUT, f"{text} is not of the form TOPIC:PARTITION=OFFSET.")
    partition = {"kafka_topic": found["topic"], "kafka_partition": int(found["partition"])}
    return {"partition": partition, "offset": {"kafka_offset": int(found["offset"])}}


def _read(file: Any) -> object:
    name = Path(file.name).name
    try:
        value = json.loads(file.read())
    except ValueError as error:
        raise Failure(INPUT, f"{name} is not JSON: {error}") from None
    return value.get("offsets") if isinstance(value, dict) else value
