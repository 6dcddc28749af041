"""Plugins by entry point, short name and alias; a broken one harms nobody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connect.errors import ConfigError
from connect.runtime import plugins
from tests.kit.fakes import FAKE_PLUGINS  # noqa: F401  puts the fakes on the path


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    plugins._points.cache_clear()
    plugins._load.cache_clear()
    yield
    plugins._points.cache_clear()
    plugins._load.cache_clear()


@pytest.mark.parametrize(
    ("name", "kind", "found"),
    [
        ("fake_source", "source", "fake_source"),
        (" fake_source ", "source", "fake_source"),
        ("com.example.CountingSource", "source", "fake_source"),
        ("tailrace_fakes.CountingSource", "source", "fake_source"),
        ("postgres", "source", "postgres"),
        ("io.debezium.connector.postgresql.PostgresConnector", "source", "postgres"),
        ("io.debezium.connector.jdbc.JdbcSinkConnector", "sink", "sql"),
        ("io.confluent.connect.jdbc.JdbcSinkConnector", "sink", "sql"),
        ("org.apache.kafka.connect.json.JsonConverter", "converter", "json"),
        ("org.apache.kafka.connect.storage.StringConverter", "converter", "string"),
        ("org.apache.kafka.connect.converters.ByteArrayConverter", "converter", "bytes"),
        ("org.apache.kafka.connect.transforms.RegexRouter", "transform", "regex_router"),
        ("org.apache.kafka.connect.transforms.MaskField$Value", "transform", "mask_field_value"),
        ("org.apache.kafka.connect.transforms.MaskField$Key", "transform", "mask_field_key"),
        ("io.debezium.transforms.ExtractNewRecordState", "transform", "unwrap"),
        (
            "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
            "predicate",
            "topic_name_matches",
        ),
    ],
)
def test_a_plugin_answers_to_its_names(name: str, kind: plugins.Kind, found: str) -> None:
    plugin = plugins.find(name, kind)
    assert (plugin.name, plugin.kind, plugin.error) == (found, kind, None)


def test_connectors_of_both_kinds_are_found_at_once() -> None:
    assert plugins.find("fake_sink", "source", "sink").kind == "sink"
    assert plugins.find("com.example.FileSink", "source", "sink").version == "1.0"


def test_a_broken_plugin_is_listed_with_its_reason_and_the_others_live() -> None:
    listed = {plugin.name: plugin for plugin in plugins.plugins("source")}
    assert listed["fake_source"].error is None
    assert "tailrace_fakes_missing" in str(listed["broken"].error)
    with pytest.raises(ConfigError) as caught:
        plugins.find("broken", "source")
    assert caught.value.code == "plugin.broken"
    assert plugins.find("com.example.CountingSource", "source").name == "fake_source"


@pytest.mark.parametrize(
    ("name", "code", "word"),
    [
        ("postgress", "plugin.unknown", "postgres"),
        ("io.debezium.connector.oracle.OracleConnector", "plugin.java", "Java plugin"),
        ("org.example.Transform$Value", "plugin.java", "Java plugin"),
        ("", "plugin.unknown", "Installed"),
    ],
)
def test_an_unknown_name_is_refused_with_what_there_is(name: str, code: str, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plugins.find(name, "source", key="connector.class")
    assert (caught.value.key, caught.value.code) == ("connector.class", code)
    assert word in str(caught.value)


def test_no_two_plugins_answer_to_one_name() -> None:
    for kind in plugins.GROUPS:
        names = [n for p in plugins.plugins(kind) for n in {p.name, *p.aliases}]
        assert len(names) == len(set(names)), kind
