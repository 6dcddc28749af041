"""The exactly-once checker must catch every fault planted in a clean history."""

import random
from collections.abc import Callable

import pytest

from tests.fault.history import check_log, check_sink
from tests.fault.ledger import Change


def history(seed: int) -> list[Change]:
    """A clean history of one table: transactions over a few keys."""
    dice = random.Random(seed)
    changes: list[Change] = []
    alive: set[int] = set()
    for tx in range(100, 300):
        for _ in range(dice.randint(1, 4)):
            key = dice.randrange(20)
            op = "c" if key not in alive else dice.choice("uud")
            (alive.discard if op == "d" else alive.add)(key)
            changes.append(Change(tx, op, key, len(changes) + 1, (dice.randrange(1000),)))
    return changes


def drop_one(log: list[Change], dice: random.Random) -> None:
    del log[dice.randrange(len(log))]


def drop_last(log: list[Change], dice: random.Random) -> None:
    log.pop()


def repeat_one(log: list[Change], dice: random.Random) -> None:
    place = dice.randrange(len(log))
    log.insert(place, log[place])


def replay_batch(log: list[Change], dice: random.Random) -> None:
    place = dice.randrange(20, len(log))
    log[place:place] = log[place - 9 : place]


def drop_transaction(log: list[Change], dice: random.Random) -> None:
    gone = dice.choice(log).tx
    log[:] = [change for change in log if change.tx != gone]


def show_rolled_back(log: list[Change], dice: random.Random) -> None:
    log.insert(dice.randrange(len(log)), Change(999, "c", 777, 999_999, (0,)))


def swap_versions(log: list[Change], dice: random.Random) -> None:
    places = [n for n, c in enumerate(log) if c.key == log[50].key]
    a, b = places[0], places[-1]
    log[a], log[b] = log[b], log[a]


def swap_transactions(log: list[Change], dice: random.Random) -> None:
    tx = dice.randrange(110, 290)
    first = [c for c in log if c.tx == tx]
    second = [c for c in log if c.tx == tx + 1]
    place = log.index(first[0])
    log[place : place + len(first) + len(second)] = second + first


def tear_transaction(log: list[Change], dice: random.Random) -> None:
    last = max(n for n, c in enumerate(log) if c.tx == 200)
    log.insert(last + 3, log.pop(last))


def change_value(log: list[Change], dice: random.Random) -> None:
    place = dice.randrange(len(log))
    log[place] = log[place]._replace(rest=(None,))


FAULTS = {
    drop_one: {"LOST"},
    drop_last: {"LOST"},
    repeat_one: {"DUPLICATE"},
    replay_batch: {"DUPLICATE"},
    drop_transaction: {"LOST"},
    show_rolled_back: {"PHANTOM"},
    swap_versions: {"PER-KEY ORDER"},
    swap_transactions: {"COMMIT ORDER", "PER-KEY ORDER"},
    tear_transaction: {"COMMIT ORDER", "PER-KEY ORDER"},
    change_value: {"VALUE CHANGED"},
}


def test_clean_history_has_no_finding() -> None:
    for seed in range(20):
        changes = history(seed)
        assert check_log("t", changes, list(changes)) == []


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_planted_fault_is_caught(plant: Callable[[list[Change], random.Random], None]) -> None:
    for seed in range(50):
        changes = history(seed)
        log = list(changes)
        plant(log, random.Random(seed))
        kinds = {finding.kind for finding in check_log("t", changes, log)}
        assert kinds & FAULTS[plant], f"seed {seed}: {kinds}"


def test_sink_faults_are_caught() -> None:
    source = {1: (1, 10), 2: (2, 20)}
    assert check_sink("t", source, dict(source)) == []
    assert check_sink("t", source, {1: (1, 10)})[0].kind == "SINK MISSING ROW"
    assert check_sink("t", source, {**source, 3: (3, 1)})[0].kind == "SINK RESURRECTED ROW"
    assert check_sink("t", source, {**source, 2: (2, 21)})[0].kind == "SINK DIVERGED"
