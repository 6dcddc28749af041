"""Keys and URLs of the SQL sink."""

import pytest

from connect.config import describe, secret_keys, validate
from connect.errors import ConfigError
from connectors.sinks.duckdb.config import DuckDbSinkConfig
from connectors.sinks.sql.config import SqlSinkConfig
from connectors.sinks.sql.url import parse_url

BASE = {"name": "s", "connector.class": "sql", "topics": "t", "connection.url": "sqlite:///x"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("jdbc:postgresql://h:5433/db", "postgresql+psycopg://u:p@h:5433/db"),
        ("jdbc:postgresql://h/db?user=a&password=b", "postgresql+psycopg://u:p@h/db"),
        ("postgresql://a:b@h/db", "postgresql+psycopg://u:p@h/db"),
        ("jdbc:mysql://h/db?useSSL=false", "mysql+pymysql://u:p@h/db"),
        ("jdbc:mariadb://h:1/db", "mariadb+pymysql://u:p@h:1/db"),
        ("jdbc:sqlite:/tmp/x.db", "sqlite+pysqlite:////tmp/x.db"),
        ("sqlite:///x.db", "sqlite+pysqlite:///x.db"),
    ],
)
def test_urls(text: str, wanted: str) -> None:
    assert parse_url(text, "u", "p").render_as_string(hide_password=False) == wanted


@pytest.mark.parametrize(
    "text",
    ["jdbc:oracle:thin:@h:secret", "h/db secret", "jdbc:postgresql:secret",
     "jdbc:postgresql://h/db?loginTimeout=3&password=secret", "jdbc:postgresql://h:secret/db"],
)  # fmt: skip
def test_bad_urls_are_refused_and_never_shown(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_url(text)
    assert error.value.key == "connection.url"
    assert "secret" not in str(error.value)


def test_what_may_hold_a_secret_is_never_shown() -> None:
    assert {"connection.url", "connection.password"} <= secret_keys(SqlSinkConfig)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"insert.mode": "upsert"}, "primary.key.mode"),
        ({"delete.enabled": "true"}, "delete.enabled"),
        ({"primary.key.mode": "record_header"}, "primary.key.mode"),
        ({"primary.key.mode": "kafka", "primary.key.fields": "a"}, "primary.key.fields"),
        ({"quote.identifiers": "false"}, "quote.identifiers"),
        ({"connection.pool.max_size": "3"}, "connection.pool.max_size"),
        ({"hibernate.show_sql": "true"}, "hibernate.show_sql"),
        ({"table.name.format": "${x}"}, "table.name.format"),
    ],
)
def test_what_can_not_be_is_refused_by_key(changes: dict[str, str], key: str) -> None:
    found = validate(SqlSinkConfig, {**BASE, **changes})
    assert [problem.key for problem in found.errors] == [key]


def test_both_jdbc_sinks_words_are_understood() -> None:
    debezium = validate(
        SqlSinkConfig,
        {**BASE, "primary.key.mode": "record_key", "primary.key.fields": "a",
         "collection.name.format": "x", "connection.username": "u", "schema.evolution": "basic"},
    ).config  # fmt: skip
    confluent = validate(
        SqlSinkConfig,
        {**BASE, "pk.mode": "record_key", "pk.fields": "a", "table.name.format": "x",
         "connection.user": "u", "auto.create": "true", "auto.evolve": "true"},
    ).config  # fmt: skip
    for name in ("key_mode", "key_fields", "table_format", "user", "creates", "evolves"):
        assert getattr(debezium, name) == getattr(confluent, name), name


def test_duckdb_copies_tables_by_default() -> None:
    values = {"name": "s", "connector.class": "duckdb", "topics": "t", "path": "x"}
    config = validate(DuckDbSinkConfig, values).config
    assert config.insert_mode == "upsert"
    assert config.key_mode == "record_key"
    assert config.delete_enabled
    assert config.creates
    assert "path" in {info.name for info in describe(DuckDbSinkConfig)}
