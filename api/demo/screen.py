"""What the demo shows: bars and live changes on a terminal, plain lines anywhere else."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from api.cli.changes import describe_change

LINE_SECONDS: Final = 5.0
LINE_WIDTH: Final = 118
CHANGES_SHOWN: Final = 6
STYLES: Final = {"INSERT": "green", "UPDATE": "yellow", "DELETE": "red", "TOMBSTONE": "dim"}


class Screen:
    """Writes to stdout, or to stderr when stdout carries the JSON result."""

    def __init__(self, out: TextIO) -> None:
        self.console = Console(file=out, highlight=False)
        self._live: Live | None = None
        self._last_line = 0.0
        self._changes: list[Text] = []
        self._step_began = time.monotonic()

    def title(self, text: str) -> None:
        """The first line."""
        self.console.print(f"{text}\n", markup=False, soft_wrap=True)

    def step(self, text: str) -> None:
        """A step that has been done; its duration is the time since the last one."""
        now = time.monotonic()
        spent, self._step_began = now - self._step_began, now
        self.console.print(f"  ✓ {text:<68} {spent:5.1f} s", markup=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A line of its own."""
        self.console.print(text, markup=False, soft_wrap=True)

    def snapshot(self, done: Mapping[str, int], totals: Mapping[str, int]) -> None:
        """How many rows of each table the snapshot has brought to the log."""
        if self.console.is_terminal:
            self._draw([_bars(done, totals)])
        elif self._line_is_due():
            parts = (f"{table} {done[table]}/{totals[table]}" for table in totals)
            self.say(f"  snapshot   {'   '.join(parts)}")

    def streaming(self, figures: str, changes: Sequence[Mapping[str, Any]]) -> None:
        """Rate and lag, and the newest changes as they are in the log."""
        lines = [change_line(record) for record in changes if record["value"] is not None][-1:]
        if self.console.is_terminal:
            for line in lines:
                if all(line.plain != shown.plain for shown in self._changes):
                    self._changes.append(line)
            self._changes = self._changes[-CHANGES_SHOWN:]
            self._draw([Text(f"  Streaming  {figures}\n"), *self._changes])
        elif self._line_is_due():
            self.say(f"  streaming  {figures}")
            for line in lines:
                self.say(line.plain)

    def settle(self) -> None:
        """Leave what is drawn where it is; later lines go below."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._last_line = 0.0
        self._step_began = time.monotonic()

    def _draw(self, parts: Sequence[Any]) -> None:
        if self._live is None:
            self._live = Live(console=self.console, refresh_per_second=8)
            self._live.start()
        self._live.update(Group(*parts))

    def _line_is_due(self) -> bool:
        now = time.monotonic()
        if now - self._last_line < LINE_SECONDS:
            return False
        self._last_line = now
        return True


def _bars(done: Mapping[str, int], totals: Mapping[str, int]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for table, total in totals.items():
        rows = done[table]
        state = "done" if rows >= total else "waiting" if rows == 0 else "reading"
        bar = ProgressBar(total=total, completed=min(rows, total), width=24)
        grid.add_row("  Snapshot", f"shop.{table}", bar, f"{rows:,} / {total:,}", state)
    return grid


def change_line(record: Mapping[str, Any]) -> Text:
    """One record of the log as a person reads it."""
    verb, line = describe_change(dict(record))
    table = str(record["topic"]).rpartition(".")[2]
    text = Text(f"  {table:<12} {line}", STYLES.get(verb, ""), no_wrap=True)
    text.truncate(LINE_WIDTH, overflow="ellipsis")
    return text


def output(json_result: bool) -> TextIO:
    """Where progress goes."""
    return sys.stderr if json_result else sys.stdout
