"""``tailrace describe``: everything about one connector or topic."""

from __future__ import annotations

import time
from typing import Any

import click

from api.cli.client import Client, client, with_client
from api.cli.figures import Figures, progress, progress_line, read_figures, total, worst
from api.cli.get import overall
from api.cli.output import (
    count,
    paint,
    print_json,
    print_table,
    printable,
    seconds,
    size,
    with_output,
)


@click.group()
def describe() -> None:
    """Show everything about one thing."""


@describe.command()
@with_client
@with_output
@click.option("--watch", is_flag=True, help="Follow a snapshot until it is done.")
@click.argument("name")
def connector(url: str | None, output: str, watch: bool, name: str) -> None:
    """State, tasks, lag, snapshot, offsets and configuration of the connector NAME."""
    server = client(url)
    if watch:
        _watch(server, name)
        return
    info = server.get("connectors", name)
    status = server.get("connectors", name, "status")
    offsets = server.get("connectors", name, "offsets")["offsets"]
    if output == "json":
        print_json({**info, "status": status, "offsets": offsets})
        return
    figures = read_figures(server)
    _line("Name", name)
    _line("State", _state(status))
    _line("Class", f"{info['config'].get('connector.class')} ({info['type']})")
    _line("Lag", _lag(figures, info["type"], name))
    _slot(figures, name)
    for entry in offsets:
        _line("Offset", f"{entry['partition']}  {entry['offset']}")
    done = not total(figures, "tailrace_snapshot_running", connector=name)
    for item in progress(figures, name):
        _line("Snapshot", progress_line(item, done))
    for key, value in info["config"].items():
        _line("Config", f"{key}={value}")
    for part in (status["connector"], *status["tasks"]):
        which = f"Task {part['id']}" if "id" in part else "Connector"
        if "id" in part:
            _line(which, f"{paint(part['state'])}  {part['worker_id']}")
        if part.get("trace"):
            _line(which, "failed:")
            click.echo("".join(f"    {printable(row)}\n" for row in part["trace"].splitlines()))


@describe.command()
@with_client
@with_output
@click.argument("name")
def topic(url: str | None, output: str, name: str) -> None:
    """Partitions, readers and configuration of the topic NAME (needs a Tailrace server)."""
    server = client(url)
    found = server.get("v1", "topics", name)
    readers = [entry for entry in server.get("v1", "groups") if entry["topic"] == name]
    if output == "json":
        print_json({**found, "groups": readers})
        return
    _line("Name", name)
    for key, value in found["config"].items():
        _line("Config", f"{key}={value}")
    rows = [
        [p["partition"], p["start_offset"], p["end_offset"], size(p["size_bytes"])]
        for p in found["partitions"]
    ]
    print_table(["PARTITION", "START", "END", "SIZE"], rows)
    if readers:
        rows = [[r["group"], r["partition"], r["offset"], count(r["lag"])] for r in readers]
        click.echo()
        print_table(["GROUP", "PARTITION", "OFFSET", "LAG"], rows)


def _line(title: str, text: str) -> None:
    click.echo(f"{title + ':':<10} {text if chr(27) in text else printable(text)}")


def _state(status: Any) -> str:
    tasks = status["tasks"]
    running = sum(task["state"] == "RUNNING" for task in tasks)
    return f"{paint(overall(status))} {running}/{len(tasks)}"


def _lag(figures: Figures, kind: str, name: str) -> str:
    events = total(figures, f"tailrace_{kind}_lag_records", connector=name)
    parts = [seconds(worst(figures, f"tailrace_{kind}_lag_seconds", connector=name))]
    if events is not None:
        parts.append(f"{count(events)} events")
    parts.append(size(total(figures, f"tailrace_{kind}_lag_bytes", connector=name)))
    return " · ".join(part for part in parts if part != "-") or "-"


def _slot(figures: Figures, name: str) -> None:
    retained = worst(figures, "tailrace_postgres_slot_retained_wal_bytes", connector=name)
    if retained is None:
        return
    limit = worst(figures, "tailrace_postgres_slot_wal_limit_bytes", connector=name)
    text = f"retains {size(retained)} of WAL"
    _line("Slot", text if limit is None else f"{text} of {size(limit)} limit")


def _watch(server: Client, name: str) -> None:
    """Bars redrawn on a terminal, lines elsewhere, until no snapshot runs."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    server.get("connectors", name)
    console = Console()

    def picture() -> tuple[bool, str]:
        figures = read_figures(server)
        running = bool(total(figures, "tailrace_snapshot_running", connector=name))
        lines = [progress_line(item, not running) for item in progress(figures, name)]
        return running, "\n".join(lines) or "No snapshot."

    running, text = picture()
    if not console.is_terminal:
        while running:
            click.echo(text)
            time.sleep(5)
            running, text = picture()
        click.echo(text)
        return
    with Live(Text(text), console=console, refresh_per_second=4) as live:
        while running:
            time.sleep(0.5)
            running, text = picture()
            live.update(Text(text))
