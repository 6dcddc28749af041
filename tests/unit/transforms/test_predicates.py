"""Predicates and Filter."""

from __future__ import annotations

import pytest

from connect.errors import ConfigError
from connect.transforms.filter import Filter
from connect.transforms.predicates import HasHeaderKey, RecordIsTombstone, TopicNameMatches
from tests.unit.transforms.events import ROW, batch, build, dicts, structs


def test_topic_name_must_match_as_a_whole() -> None:
    two = batch(dicts(1, 2), topic="srv.orders")
    assert list(build(TopicNameMatches, {"pattern": r"srv\..*"}).test(two)) == [True, True]
    assert list(build(TopicNameMatches, {"pattern": r"srv"}).test(two)) == [False, False]
    with pytest.raises(ConfigError):
        build(TopicNameMatches, {"pattern": "("})


def test_header_by_name() -> None:
    two = batch(dicts(1, 2), headers=[(("a", b"1"),), ()])
    assert list(build(HasHeaderKey, {"name": "a"}).test(two)) == [True, False]
    assert list(build(HasHeaderKey, {"name": "a"}).test(batch(dicts(1)))) == [False]


def test_tombstones_are_rows_without_value() -> None:
    test = build(RecordIsTombstone).test
    assert list(test(batch(None, dicts(1)))) == [True]
    assert list(test(batch(dicts(1, None)))) == [False, True]
    assert list(test(batch(structs(ROW, [(1, "a", "b"), None])))) == [False, True]
    assert list(test(batch(structs(ROW, [(1, "a", "b")])))) == [False]


def test_filter_drops_what_it_is_given() -> None:
    assert list(build(Filter).apply(batch(dicts(1)))) == []
