"""Configuration of the SQL sink."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import SecretStr, model_validator
from sqlalchemy.engine import URL

from connect.config import Refused, key
from connectors.sinks.config import TableSinkConfig
from connectors.sinks.sql.url import parse_url


class SqlSinkConfig(TableSinkConfig):
    """Keys of the SQL sink: those of Debezium's and Confluent's JDBC sinks."""

    url: SecretStr = key(
        "connection.url",
        doc="Address of the database: `postgresql://host:port/database`, `mysql://`, `mariadb://`, "
        "`sqlite:///file`, or the same as a JDBC URL. Never shown, since it may hold a password.",
        group="Connection",
        importance="HIGH",
        width="LONG",
    )
    user: str | None = key(
        "connection.username",
        doc="User of the connection.",
        group="Connection",
        default=None,
        importance="HIGH",
    )
    password: SecretStr | None = key(
        "connection.password",
        doc="Password of that user.",
        group="Connection",
        default=None,
        importance="HIGH",
    )

    deprecated: ClassVar[Mapping[str, str]] = {
        **TableSinkConfig.deprecated,
        "connection.user": "connection.username",
    }
    refused: ClassVar[Mapping[str, Refused]] = {
        **TableSinkConfig.refused,
        r"connection\.pool\..*": Refused("a task has one connection."),
        "connection.provider": Refused("a task has one connection."),
        "connection.restart.on.errors": Refused(
            "a task whose connection is lost is always restarted.", ("true",)
        ),
        r"connection\.(attempts|backoff\.ms)": Refused(
            "a lost connection restarts the task, with back-off."
        ),
        r"(flush\.max\.retries|flush\.retry\.delay\.ms|max\.retries|retry\.backoff\.ms)": Refused(
            "a write that may succeed later restarts the task, with back-off."
        ),
        r"connection\.credentials\.provider\..*": Refused("give connection.password."),
        "dialect.name": Refused("the URL names the database."),
        "quote.identifiers": Refused("identifiers are always quoted.", ("true",)),
        "quote.sql.identifiers": Refused("identifiers are always quoted.", ("always",)),
        "use.time.zone": Refused("times are written as UTC.", ("utc",)),
        "database.time_zone": Refused("times are written as UTC.", ("utc",)),
        "db.timezone": Refused("times are written as UTC.", ("utc",)),
        "date.timezone": Refused("dates have no zone.", ("utc", "db_timezone")),
        "date.calendar.system": Refused("dates are proleptic Gregorian.", ("proleptic_gregorian",)),
        r"timestamp\.(precision\.mode|fields\.list)": Refused(
            "columns follow the schema's types.", ("", "microseconds")
        ),
        "fields.whitelist": Refused("use a ReplaceField transform.", ("",)),
        "table.types": Refused("rows go to tables.", ("table",)),
        "replace.null.with.default": Refused("a null stays a null.", ("false",)),
        "string.output.value.column.name": Refused("values are structs."),
        "trim.sensitive.log": Refused("values are never logged.", ("true", "false")),
        r"dialect\..*": Refused("there are no options of a dialect."),
        r"hibernate\..*": Refused("Hibernate is not used."),
        "cloud.events.schema.name.pattern": Refused("CloudEvents are not supported."),
    }

    @model_validator(mode="after")
    def _readable(self) -> SqlSinkConfig:
        _ = self.address
        return self

    @property
    def address(self) -> URL:
        """Where to connect to."""
        password = None if self.password is None else self.password.get_secret_value()
        return parse_url(self.url.get_secret_value(), self.user, password)
