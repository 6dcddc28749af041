"""The seam between snapshot and stream: together they are the source's history, each change once.

Also the wider ledger that snapshots are taken of: so many rows that taking it lasts a while, and
changes all over them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg

from tests.fault.history import Finding, check_log
from tests.fault.ledger import SCHEMA, UNCHANGED, Change

Rows = dict[int, tuple[object, ...]]


def widen(connection: psycopg.Connection[tuple[object, ...]], rows: int) -> None:
    """Fill the ledger with about ``rows`` rows; from now on its steps touch all of them."""
    half = rows // 2
    step = SCHEMA[SCHEMA.index("CREATE FUNCTION") :]
    step = step.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
    step = step.replace("random() * 300)", f"random() * {half})")
    step = step.replace("random() * 100)", f"random() * {2 * half})")
    connection.execute(step)
    connection.execute(
        "INSERT INTO note (id, txt) SELECT n, md5(n::text) FROM generate_series(1, %s) n", (half,)
    )
    connection.execute(
        "INSERT INTO moved (id, tag) SELECT n, 'start' FROM generate_series(51, %s) n", (half,)
    )


def check_seam(
    base: Mapping[str, Rows],
    truth: Mapping[str, Sequence[Change]],
    log: Mapping[str, Sequence[Change]],
) -> list[Finding]:
    """Findings where the log isn't one consistent snapshot followed by all later changes.

    Args:
        base: the tables before the first change of ``truth``.
        truth: every change since, in commit order.
        log: snapshot rows (op r) and changes, of an undisturbed source.
    """
    findings: list[Finding] = []
    before: set[int] = set()
    after: set[int] = set()
    for table, entries in log.items():
        changes = [e for e in entries if e.op != "r"]
        cut = _place(truth[table], changes[0]) if changes else len(truth[table])
        findings += check_log(table, truth[table][cut:], changes)
        before |= {c.tx for c in truth[table][:cut]}
        after |= {c.tx for c in changes}
        taken = {e.key: (e.ver, *e.rest) for e in entries if e.op == "r"}
        if len(taken) != sum(e.op == "r" for e in entries):
            findings.append(Finding("SNAPSHOT ROW TWICE", table, ""))
        was = replay(base[table], truth[table][:cut])
        findings += [
            Finding("SNAPSHOT", table, f"{key}: {was.get(key)!r:.120} is {taken.get(key)!r:.120}")
            for key in sorted(was.keys() | taken.keys())
            if was.get(key) != taken.get(key)
        ][:5]
    findings += [Finding("TRANSACTION TORN BY THE SEAM", "", str(tx)) for tx in before & after]
    return findings


def check_versions(table: str, entries: Sequence[Change]) -> list[Finding]:
    """Findings where a record is older than one before it of the same key, or a deleted row
    comes back. Holds for interrupted snapshots too."""
    findings: list[Finding] = []
    newest: dict[int, int] = {}
    dead: set[int] = set()
    for entry in entries:
        version = entry.ver or 0
        last = newest.get(entry.key, -1)
        if version < last:
            findings.append(Finding("OLDER AFTER NEWER", table, f"{entry!r:.120} after {last}"))
        elif version == last and entry.key in dead and entry.op != "d":
            findings.append(Finding("DELETED ROW CAME BACK", table, f"{entry!r:.120}"))
        newest[entry.key] = max(last, version)
        (dead.add if entry.op == "d" else dead.discard)(entry.key)
    return findings[:5]


def replay(base: Rows, changes: Sequence[Change]) -> Rows:
    """The table after these changes."""
    rows = dict(base)
    for change in changes:
        if change.op == "d":
            del rows[change.key]
            continue
        old = rows.get(change.key, ())[1:]
        rest = (old[n] if v == UNCHANGED else v for n, v in enumerate(change.rest))
        rows[change.key] = (change.ver, *rest)
    return rows


def _place(truth: Sequence[Change], first: Change) -> int:
    wanted = first._replace(rest=())
    places = (n for n, change in enumerate(truth) if change._replace(rest=()) == wanted)
    return next(places, len(truth))
