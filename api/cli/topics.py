"""``tailrace topics``: the topics of the log."""

from __future__ import annotations

import click

from api.cli.client import Client, client, with_client
from api.cli.output import count, print_json, print_table, size, with_output


@click.group()
def topics() -> None:
    """Topics of the log (needs a Tailrace server)."""


@topics.command("list")
@with_client
@with_output
@click.option("--internal", is_flag=True, help="The worker's own topics too.")
def list_topics(url: str | None, output: str, internal: bool) -> None:
    """Topics with partitions, records and size."""
    show_topics(client(url), output, internal)


def show_topics(server: Client, output: str, internal: bool) -> None:
    """Print the topics."""
    found = server.get("v1", "topics", internal=str(internal).lower())
    if output == "json":
        print_json(found)
        return
    rows = []
    for topic in found:
        parts = topic["partitions"]
        records = sum(part["end_offset"] - part["start_offset"] for part in parts)
        stored = sum(part["size_bytes"] for part in parts)
        cleanup = topic["config"].get("cleanup.policy", "delete")
        rows.append([topic["name"], len(parts), count(records), size(stored), cleanup])
    print_table(["NAME", "PARTITIONS", "RECORDS", "SIZE", "CLEANUP"], rows)
