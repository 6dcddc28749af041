"""The server's figures, read from ``/metrics``; empty for a server that has none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from api.cli.client import Client
from api.cli.errors import UNREACHABLE, Failure

SAMPLE: Final = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+).*")
LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Sample(NamedTuple):
    """One line of the exposition."""

    labels: Mapping[str, str]
    value: float


Figures = Mapping[str, list[Sample]]


class Progress(NamedTuple):
    """A table's snapshot: rows read and, where known, the estimate of all rows."""

    table: str
    rows: int
    estimate: int | None


def read_figures(client: Client) -> Figures:
    """Every sample by metric name."""
    try:
        text = client.ask("GET", ("metrics",)).raw.decode("utf-8")
    except Failure as failure:
        if failure.exit_code == UNREACHABLE:
            raise
        return {}  # Kafka Connect has no /metrics
    return parse_exposition(text)


def parse_exposition(text: str) -> dict[str, list[Sample]]:
    """Prometheus' text format; comments and lines that are none are skipped."""
    found: dict[str, list[Sample]] = {}
    for line in text.splitlines():
        match = None if line.startswith("#") else SAMPLE.fullmatch(line)
        if match:
            pairs = LABEL.findall(match["labels"] or "")
            labels = {name: _unescape(value) for name, value in pairs}
            found.setdefault(match["name"], []).append(Sample(labels, float(match["value"])))
    return found


def total(figures: Figures, metric: str, **labels: str) -> float | None:
    """The sum of the metric over what these labels select; None when there is no sample."""
    values = _select(figures, metric, labels)
    return sum(values) if values else None


def worst(figures: Figures, metric: str, **labels: str) -> float | None:
    """The largest value of what these labels select; None when there is no sample."""
    return max(_select(figures, metric, labels), default=None)


def progress(figures: Figures, connector: str) -> list[Progress]:
    """The tables of a snapshot, in the order of their names."""
    estimates = {
        sample.labels["table"]: int(sample.value)
        for sample in figures.get("tailrace_snapshot_rows_estimated", ())
        if sample.labels.get("connector") == connector and sample.value >= 0
    }
    rows = {
        sample.labels["table"]: int(sample.value)
        for sample in figures.get("tailrace_snapshot_rows_total", ())
        if sample.labels.get("connector") == connector
    }
    tables = sorted(rows.keys() | estimates.keys())
    return [Progress(table, rows.get(table, 0), estimates.get(table)) for table in tables]


def progress_line(item: Progress, done: bool, width: int = 20) -> str:
    """A bar; an estimate that turned out too small is dropped rather than passed."""
    if done:
        return f"{item.table}  {'█' * width}  {item.rows:,} rows  done".replace(",", " ")
    if item.estimate is None or item.estimate <= 0 or item.rows > item.estimate:
        return f"{item.table}  {item.rows:,} rows".replace(",", " ")
    filled = int(width * item.rows / item.estimate)
    bar = "█" * filled + "·" * (width - filled)
    return f"{item.table}  {bar}  {item.rows:,} / ~{item.estimate:,}".replace(",", " ")


def _select(figures: Figures, metric: str, labels: Mapping[str, str]) -> list[float]:
    return [
        sample.value
        for sample in figures.get(metric, ())
        if all(sample.labels.get(name) == value for name, value in labels.items())
    ]


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], text)
