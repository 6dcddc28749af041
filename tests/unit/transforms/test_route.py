"""RegexRouter, and Java's expressions on Python's."""

from __future__ import annotations

import pytest

from connect.config import validate
from connect.transforms.java_regex import java_pattern, java_replacement
from connect.transforms.route import RegexRouter, RegexRouterConfig
from tests.unit.transforms.events import batch, build, dicts


@pytest.mark.parametrize(
    ("regex", "replacement", "topic", "expected"),
    [
        (r"(.*)\.(.*)", "$2", "srv.t", "t"),
        (r"srv\.(?<table>.*)", "x-${table}", "srv.t", "x-t"),
        ("a|ab", "X", "ab", "Xb"),  # Java: the whole name matches, then the first match goes
        ("nomatch", "X", "srv", "srv"),
        ("sr", "X", "srv", "srv"),
        (r"\Qa.b\E(.)", "$1", "a.bc", "c"),
        (r"(.)\1", r"\$$1", "aa", "$a"),
        (r"(?<c>.)\k<c>", "$c0", "aa", None),
        ("(a)(b)?", "$1$2!", "a", "a!"),
        ("(a)", "$12", "a", "a2"),
        (r"(?i)ABC\z", "y", "abc", "y"),
        (r"\d+", "n", "٣", "٣"),
        ("[a&]+", "y", "a&", "y"),
    ],
)
def test_routes(regex: str, replacement: str, topic: str, expected: str | None) -> None:
    settings = {"regex": regex, "replacement": replacement}
    if expected is None:
        assert validate(RegexRouterConfig, settings).errors
        return
    (made,) = build(RegexRouter, settings).apply(batch(dicts(1), topic=topic))
    assert made.topic == expected


@pytest.mark.parametrize(
    "regex", [r"\p{Alpha}", "[a[b]]", "[a-z&&[^b]]", "(", r"\Z", r"\cA", r"\h", "(?<a>.)(?<a>.)"]
)
def test_what_cant_be_translated_is_refused(regex: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        java_pattern(regex)
    (problem,) = validate(RegexRouterConfig, {"regex": regex, "replacement": ""}).errors
    assert problem.key == "regex"


@pytest.mark.parametrize("replacement", ["$1", "$", "${x}", "\\", "$a"])
def test_replacements_without_their_group_are_refused(replacement: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        java_replacement(replacement, java_pattern("a"))
