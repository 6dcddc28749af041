"""The exactly-once checker: what the log and a sink hold, against the source's own truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.fault.ledger import Change


class Finding(NamedTuple):
    """A fault found: its kind and where."""

    kind: str
    table: str
    what: str


def check_log(
    table: str, truth: Sequence[Change], log: Sequence[Change], limit: int = 5
) -> list[Finding]:
    """Findings of one topic: the log must hold the truth's changes, each once, in its order.

    Kinds: LOST, DUPLICATE, PHANTOM (invented or rolled back), VALUE CHANGED, PER-KEY ORDER,
    COMMIT ORDER (transactions swapped or torn).
    """
    findings: list[Finding] = []
    wanted = [_identity(c) for c in truth]
    seen = Counter(_identity(c) for c in log)
    known = set(wanted)
    findings += [Finding("LOST", table, repr(i)) for i in wanted if not seen[i]]
    findings += [Finding("DUPLICATE", table, f"{i} x{n}") for i, n in seen.items() if n > 1]
    findings += [Finding("PHANTOM", table, repr(i)) for i in seen if i not in known]
    values = {_identity(c): c for c in truth}
    for change in log:
        want = values.get(_identity(change))
        if want is not None and want.rest != change.rest:
            findings.append(Finding("VALUE CHANGED", table, f"{want!r:.200} is {change!r:.200}"))
    findings += _order(table, wanted, [_identity(c) for c in log])
    return _first(findings, limit)


def check_sink(
    table: str,
    source: Mapping[int, tuple[object, ...]],
    sink: Mapping[int, tuple[object, ...]],
    limit: int = 5,
) -> list[Finding]:
    """Findings of one target table: it must equal the source's table."""
    findings = []
    for key in sorted(source.keys() | sink.keys()):
        ours, theirs = source.get(key), sink.get(key)
        if theirs is None:
            findings.append(Finding("SINK MISSING ROW", table, f"{key}"))
        elif ours is None:
            findings.append(Finding("SINK RESURRECTED ROW", table, f"{key}"))
        elif ours != theirs:
            findings.append(
                Finding("SINK DIVERGED", table, f"{key}: {ours!r:.120} / {theirs!r:.120}")
            )
    return _first(findings, limit)


def _identity(change: Change) -> tuple[object, ...]:
    return change.op, change.key, change.ver, change.tx


def _order(
    table: str, wanted: list[tuple[object, ...]], got: list[tuple[object, ...]]
) -> list[Finding]:
    place = {identity: n for n, identity in enumerate(wanted)}
    findings: list[Finding] = []
    last = -1
    last_of_key: dict[object, int] = {}
    for identity in got:
        here = place.get(identity)
        if here is None:
            continue
        if here < last_of_key.get(identity[1], -1):
            findings.append(Finding("PER-KEY ORDER", table, repr(identity)))
        elif here < last:
            findings.append(Finding("COMMIT ORDER", table, repr(identity)))
        last_of_key[identity[1]] = here
        last = max(last, here)
    return findings


def _first(findings: list[Finding], limit: int) -> list[Finding]:
    """At most ``limit`` findings of each kind, and how many more there are."""
    counts = Counter(f.kind for f in findings)
    shown: Counter[str] = Counter()
    kept = []
    for finding in findings:
        shown[finding.kind] += 1
        if shown[finding.kind] <= limit:
            kept.append(finding)
        elif shown[finding.kind] == limit + 1:
            kept.append(Finding(finding.kind, finding.table, f"... {counts[finding.kind]} in all"))
    return kept
