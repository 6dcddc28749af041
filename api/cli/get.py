"""``tailrace get``: lists."""

from __future__ import annotations

from typing import Any

import click

from api.cli.client import Client, client, with_client
from api.cli.figures import Figures, read_figures, total, worst
from api.cli.output import count, print_json, print_table, seconds, with_output
from api.cli.topics import show_topics


@click.group()
def get() -> None:
    """List connectors, plugins, topics, offsets or loggers."""


@get.command()
@with_client
@with_output
def connectors(url: str | None, output: str) -> None:
    """Connectors with their states, lag and errors; the unhealthy ones first."""
    server = client(url)
    found = server.ask(
        "GET", ("connectors",), query=[("expand", "status"), ("expand", "info")]
    ).body
    if output == "json":
        print_json(found)
        return
    if not found:
        click.echo("No connectors. Create one with: tailrace apply -f FILE")
        return
    figures = read_figures(server)
    statuses = [entry["status"] for entry in found.values() if "status" in entry]
    rows = [_row(status, figures) for status in sorted(statuses, key=_health_first)]
    print_table(["NAME", "TYPE", "STATE", "TASKS", "LAG", "EVENTS", "ERROR"], rows)


def _health_first(status: Any) -> tuple[int, str]:
    return ("FAILED RESTARTING UNASSIGNED".find(overall(status)) < 0, status["name"])


def overall(status: Any) -> str:
    """The worst of a connector's own state and its tasks'."""
    states = [status["connector"]["state"], *(task["state"] for task in status["tasks"])]
    for state in ("FAILED", "RESTARTING", "UNASSIGNED"):
        if state in states:
            return state
    return str(states[0])


def _row(status: Any, figures: Figures) -> list[object]:
    name, tasks = status["name"], status["tasks"]
    running = sum(task["state"] == "RUNNING" for task in tasks)
    state = overall(status)
    if state == "RUNNING" and total(figures, "tailrace_snapshot_running", connector=name):
        ratio = worst(figures, "tailrace_snapshot_progress_ratio", connector=name)
        state += "·snapshot" + ("" if ratio is None else f" {ratio:.0%}")
    kind = status["type"]
    waiting = total(figures, f"tailrace_{kind}_lag_records", connector=name)
    lag = 0.0 if waiting == 0 else worst(figures, f"tailrace_{kind}_lag_seconds", connector=name)
    tasks_text = f"{running}/{len(tasks)}"
    return [name, kind, state, tasks_text, seconds(lag), count(waiting), first_error(status)]


def first_error(status: Any) -> str:
    """The first line of the first trace."""
    traces = [part.get("trace") for part in (status["connector"], *status["tasks"])]
    lines = [trace.strip().splitlines()[0] for trace in traces if trace and trace.strip()]
    return lines[0][:100] if lines else ""


@get.command()
@with_client
@with_output
@click.option("--all", "everything", is_flag=True, help="Converters, transforms, predicates too.")
def plugins(url: str | None, output: str, everything: bool) -> None:
    """Installed plugins."""
    only = "false" if everything else "true"
    found = client(url).get("connector-plugins", connectorsOnly=only)
    if output == "json":
        print_json(found)
        return
    rows = [[p["class"], p["type"], p.get("version")] for p in found]
    print_table(["CLASS", "TYPE", "VERSION"], rows)


@get.command()
@with_client
@with_output
@click.option("--internal", is_flag=True, help="The worker's own topics too.")
def topics(url: str | None, output: str, internal: bool) -> None:
    """Topics of the log (needs a Tailrace server)."""
    show_topics(client(url), output, internal)


@get.command()
@with_client
@with_output
@click.argument("names", nargs=-1)
def offsets(url: str | None, output: str, names: tuple[str, ...]) -> None:
    """Offsets of the named connectors, or of all."""
    server = client(url)
    show_offsets(server, output, list(names) or server.get("connectors"))


def show_offsets(server: Client, output: str, names: list[str]) -> None:
    """Print where these connectors stand."""
    found = {name: server.get("connectors", name, "offsets")["offsets"] for name in names}
    if output == "json":
        print_json(found)
        return
    rows = [
        [name, _pairs(entry["partition"]), _pairs(entry["offset"])]
        for name, entries in found.items()
        for entry in entries
    ]
    print_table(["CONNECTOR", "PARTITION", "OFFSET"], rows)


def _pairs(values: Any) -> str:
    return " ".join(f"{key}={value}" for key, value in (values or {}).items()) or "-"


@get.command()
@with_client
@with_output
def loggers(url: str | None, output: str) -> None:
    """Loggers and their levels."""
    found = client(url).get("admin", "loggers")
    if output == "json":
        print_json(found)
        return
    print_table(["LOGGER", "LEVEL"], [[name, entry["level"]] for name, entry in found.items()])
