"""The three connectors of the demo, as JSON that anybody could POST."""

from pathlib import Path
from typing import Final

from api.demo.postgres import PostgresServer
from api.demo.shop import SCHEMA, TABLES

SOURCE: Final = "shop"
WAREHOUSE: Final = "warehouse"
COPY: Final = "copy"
PREFIX: Final = "demo"


def topic(table: str) -> str:
    """The topic of a table's changes."""
    return f"{PREFIX}.{SCHEMA}.{table}"


def source(postgres: PostgresServer) -> dict[str, str]:
    """Postgres into the log."""
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": postgres.host,
        "database.port": str(postgres.port),
        "database.user": postgres.user,
        "database.password": postgres.password,
        "database.dbname": "postgres",
        "topic.prefix": PREFIX,
        "slot.name": "tailrace_demo",
        "publication.name": "tailrace_demo",
        "schema.include.list": SCHEMA,
    }


def warehouse(path: Path) -> dict[str, str]:
    """The log into a DuckDB file."""
    return {"connector.class": "duckdb", "path": str(path), **_SINK}


def copy(postgres: PostgresServer, database: str) -> dict[str, str]:
    """The log into another Postgres database."""
    return {
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "connection.url": f"jdbc:postgresql://{postgres.host}:{postgres.port}/{database}",
        "connection.username": postgres.user,
        "connection.password": postgres.password,
        **_SINK,
    }


_SINK: Final = {
    "topics": ",".join(topic(table.name) for table in TABLES),
    "collection.name.format": "${source.table}",
    "insert.mode": "upsert",
    "delete.enabled": "true",
    "primary.key.mode": "record_key",
    "schema.evolution": "basic",
}
