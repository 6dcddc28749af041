"""Levels of loggers."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from connect.runtime.levels import Levels


@pytest.fixture
def names() -> Iterator[tuple[str, str]]:
    pair = ("tailrace_test", "tailrace_test.inner")
    yield pair
    for name in pair:
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_setting_creates_a_logger_and_setting_again_changes_nothing(
    names: tuple[str, str],
) -> None:
    levels = Levels()
    assert levels.set(names[0], "warn") == [names[0]]
    assert logging.getLogger(names[1]).getEffectiveLevel() == logging.WARNING
    assert levels.set(names[0], "WARN") == []
    level = levels.get(names[0])
    assert level is not None
    assert level[0] == "WARN"
    assert level[1] is not None
    assert levels.for_tasks() == {names[0]: "WARN"}
    assert levels.all()[names[0]][0] == "WARN"


def test_loggers_below_follow(names: tuple[str, str]) -> None:
    levels = Levels()
    levels.set(names[1], "ERROR")
    assert levels.set(names[0], "DEBUG") == list(names)
    assert logging.getLogger(names[1]).level == logging.DEBUG


def test_unknown_levels_and_loggers() -> None:
    levels = Levels()
    with pytest.raises(KeyError):
        levels.set("x", "LOUD")
    assert levels.get("no.such.logger.anywhere") is None
    assert levels.get("root") is not None
