"""Tables and JSON on standard output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

STYLES: Final = {
    "RUNNING": "32", "FAILED": "31;1", "PAUSED": "33", "STOPPED": "33", "RESTARTING": "33",
    "UNASSIGNED": "33", "✓": "32", "✗": "31;1", "⚠": "33",
    "INSERT": "32", "UPDATE": "33", "DELETE": "31", "READ": "36", "TRUNCATE": "31",
}  # fmt: skip


def with_output(command: F) -> F:
    """Add ``-o table|json`` and ``--json`` to a command; it gets ``output``."""
    choose = click.option(
        "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
    )
    short = click.option("--json", "output", flag_value="json", help="Same as -o json.")
    return choose(short(command))


def print_json(value: object) -> None:
    """One JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns separated by two spaces, as wide as their widest cell."""
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(header))]
    for row in cells:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        for place, cell in enumerate(row):
            padded[place] = padded[place].replace(cell, paint(cell), 1) if cell else padded[place]
        click.echo("  ".join(padded).rstrip())


def paint(text: str, style: str | None = None) -> str:
    """The text in its colour, on a terminal that wants colours."""
    code = style or STYLES.get(text.partition(" ")[0])
    return f"\x1b[{code}m{text}\x1b[0m" if code and colours() else text


def colours() -> bool:
    """Whether standard output is a terminal and NO_COLOR is not set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def seconds(value: float | None) -> str:
    """A duration as a person says it: ``0.4s``, ``4m12s``, ``1h03m``."""
    if value is None:
        return "-"
    if value < 60:
        return f"{value:.1f}s"
    minutes, rest = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def size(value: float | None) -> str:
    """Bytes as a person says them: ``96 kB``."""
    if value is None:
        return "-"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def count(value: float | None) -> str:
    """A number with its thousands apart."""
    return "-" if value is None else f"{int(value):,}".replace(",", " ")


def printable(text: str) -> str:
    """The text without control characters, so that a record can't drive the terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def _cell(value: object) -> str:
    return "-" if value is None else printable(str(value))
