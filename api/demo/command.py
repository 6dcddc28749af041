"""`tailrace demo`: a live pipeline on this machine that leaves nothing behind."""

import json
import shutil
import signal
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path
from types import FrameType

import click

from api.demo.latency import Latency
from api.demo.postgres import PostgresUnavailable
from api.demo.screen import Screen, output
from api.demo.server import DemoFailed
from api.demo.shop import TABLES
from api.demo.story import Options, Result, run

FAILED, UNREACHABLE, DIFFERENT, INTERRUPTED = 1, 3, 4, 130
UNITS = {"s": 1, "m": 60, "h": 3600}


class Duration(click.ParamType[float]):
    """Seconds, or a number with a unit: 20s, 5m, 1h."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse what was typed."""
        text = str(value)
        unit = UNITS.get(text[-1:])
        try:
            seconds = float(text[:-1]) * unit if unit else float(text)
        except ValueError:
            self.fail(f"{text!r} is not a duration like 20s or 5m", param, ctx)
        if not 0 < seconds < 1e9:
            self.fail("a duration is more than nothing", param, ctx)
        return seconds


@click.command()
@click.option("--rows", type=click.IntRange(100), default=50_000, help="Rows seeded, about.")
@click.option("--rate", type=click.FloatRange(1), default=500.0, help="Changed rows a second.")
@click.option("--for", "seconds", type=Duration(), help="How long, e.g. 20s; else until Ctrl-C.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep log and DuckDB file here.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser (there is no console yet).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout at the end.")
def demo(
    rows: int,
    rate: float,
    seconds: float | None,
    keep: Path | None,
    no_browser: bool,
    as_json: bool,
) -> None:
    """Watch rows travel: a real Postgres, through the log, into DuckDB and a second Postgres.

    On Ctrl-C, or after --for, it compares the source with both sinks row by row and removes all it
    made. A second Ctrl-C removes it at once. Exit code 0: equal, 4: not equal.
    """
    started = time.time()
    stop = threading.Event()
    _catch_signals(stop)
    screen = Screen(output(as_json))
    directory = _directory(keep)
    kept = f"kept in {directory}" if keep else f"lives in {directory}, removed on exit"
    screen.title(f"tailrace {version('tailrace')}  demo · everything {kept}")
    try:
        result = run(Options(rows, rate, seconds, directory), screen, stop, started)
    except PostgresUnavailable as error:
        raise SystemExit(_give_up(screen, str(error), UNREACHABLE)) from None
    except DemoFailed as error:
        raise SystemExit(_give_up(screen, str(error), FAILED)) from None
    except KeyboardInterrupt:
        raise SystemExit(_give_up(screen, "interrupted, nothing compared", INTERRUPTED)) from None
    finally:
        screen.settle()
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)
    _report(screen, result)
    if as_json:
        click.echo(json.dumps(as_object(result)))
    sys.exit(0 if result.equal else DIFFERENT)


def as_object(result: Result) -> dict[str, object]:
    """The result for `--json`."""
    latency: Latency = result.latency
    return {
        "equal": result.equal,
        "tables": len(TABLES),
        "rows": result.rows,
        "changes": result.changes,
        "records": result.records,
        "first_event_seconds": result.first_event_seconds,
        "snapshot_seconds": result.snapshot_seconds,
        "latency_ms": {"p50": latency.p50, "p99": latency.p99, "rows": latency.rows},
        "latency_of": "commit in the source to commit in the second Postgres",
        "differences": result.differences,
    }


def _report(screen: Screen, result: Result) -> None:
    for where, difference in result.differences.items():
        screen.say(f"  ✗ {where}: {difference}")
    verdict = "source = both sinks" if result.equal else "source and sinks DIFFER"
    latency = result.latency
    screen.say(
        f"{'✓' if result.equal else '✗'} {result.changes:,} changes · {verdict} on "
        f"{len(TABLES)} tables, {result.rows:,} rows (checksum) · commit to commit "
        f"p50 {latency.p50} ms, p99 {latency.p99} ms"
    )


def _give_up(screen: Screen, message: str, code: int) -> int:
    screen.settle()
    screen.say(f"✗ {message}")
    return code


def _directory(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="tailrace-demo-"))
    keep = keep.absolute()
    if keep.exists() and any(keep.iterdir()):
        raise click.BadParameter(f"{keep} is not empty", param_hint="--keep")
    keep.mkdir(parents=True, exist_ok=True)
    return keep


def _catch_signals(stop: threading.Event) -> None:
    """The first Ctrl-C ends the changes; the second, or any other request to end, all at once."""

    def interrupt(number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and not stop.is_set():
            stop.set()
            return
        # From here on only the clean-up runs, and nothing may cut that short.
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)
        raise KeyboardInterrupt

    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, interrupt)
