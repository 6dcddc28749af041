"""The Postgres source's configuration: Debezium's keys, each implemented or refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import SecretStr, model_validator

from connect.config import Refused, key
from connect.connector_config import SourceConfig
from connect.errors import ConfigError
from connectors.postgres import choices
from connectors.postgres.refused import REFUSED
from connectors.postgres.types import (
    BinaryMode,
    DecimalMode,
    IntervalMode,
    TimeMode,
)

_CONNECTION = "Postgres"
_SLOT = "Replication"
_TABLES = "Tables"
_VALUES = "Values"
_EVENTS = "Events"
_SNAPSHOT = "Snapshot"
_TUNING = "Tuning"

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class PostgresConfig(SourceConfig):
    """Keys of the Postgres source."""

    refused: ClassVar[Mapping[str, Refused]] = {**SourceConfig.refused, **REFUSED}
    deprecated: ClassVar[Mapping[str, str]] = {
        "schema.whitelist": "schema.include.list",
        "schema.blacklist": "schema.exclude.list",
        "table.whitelist": "table.include.list",
        "table.blacklist": "table.exclude.list",
        "column.whitelist": "column.include.list",
        "column.blacklist": "column.exclude.list",
        "database.server.name": "topic.prefix",
    }

    hostname: str = key(
        "database.hostname",
        doc="Host name or address of the Postgres server, or the directory of its socket.",
        group=_CONNECTION,
        importance="HIGH",
        display="Hostname",
        min_length=1,
    )
    port: int = key(
        "database.port",
        doc="Port of the Postgres server.",
        group=_CONNECTION,
        default=5432,
        importance="HIGH",
        width="SHORT",
        display="Port",
        ge=1,
        le=65535,
    )
    user: str = key(
        "database.user",
        doc="Role to connect as; it needs REPLICATION and SELECT on the captured tables.",
        group=_CONNECTION,
        importance="HIGH",
        display="User",
        min_length=1,
    )
    password: SecretStr | None = key(
        "database.password",
        doc="Password of the role.",
        group=_CONNECTION,
        default=None,
        importance="HIGH",
        display="Password",
    )
    dbname: str = key(
        "database.dbname",
        doc="Database whose changes are captured.",
        group=_CONNECTION,
        importance="HIGH",
        display="Database",
        min_length=1,
    )
    sslmode: SslMode = key(
        "database.sslmode",
        doc="Whether and how strictly the connection uses TLS, as libpq's sslmode.",
        group=_CONNECTION,
        default="prefer",
        display="SSL mode",
    )
    sslcert: str | None = key(
        "database.sslcert",
        doc="File with the client's certificate.",
        group=_CONNECTION,
        default=None,
        display="SSL client certificate",
    )
    sslkey: str | None = key(
        "database.sslkey",
        doc="File with the client's private key (PEM).",
        group=_CONNECTION,
        default=None,
        display="SSL client key",
    )
    sslpassword: SecretStr | None = key(
        "database.sslpassword",
        doc="Password of the client's private key.",
        group=_CONNECTION,
        default=None,
        display="SSL key password",
    )
    sslrootcert: str | None = key(
        "database.sslrootcert",
        doc="File with the certificates that may have signed the server's.",
        group=_CONNECTION,
        default=None,
        display="SSL root certificate",
    )
    tcp_keep_alive: bool = key(
        "database.tcpKeepAlive",
        doc="Whether the system probes idle connections.",
        group=_CONNECTION,
        default=True,
        display="TCP keep-alive",
    )
    initial_statements: str = key(
        "database.initial.statements",
        doc="SQL run on each connection that is not a replication connection; statements are "
        "separated by `;`, a semicolon itself is written `;;`.",
        group=_CONNECTION,
        default="",
        importance="LOW",
        width="LONG",
        display="Initial statements",
    )
    query_timeout_ms: int = key(
        "database.query.timeout.ms",
        doc="Longest time a query may take, in milliseconds (not the snapshot's reading); 0: any.",
        group=_CONNECTION,
        default=600_000,
        importance="LOW",
        display="Query timeout",
        ge=0,
    )

    topic_prefix: str = key(
        "topic.prefix",
        doc="First part of the topics' names and name of this server in the events; also the key "
        "of its offsets. Don't change it later.",
        group=_EVENTS,
        importance="HIGH",
        display="Topic prefix",
        pattern=r"^[A-Za-z0-9._-]+$",
    )
    topic_delimiter: str = key(
        "topic.delimiter",
        doc="Between the parts of a topic's name.",
        group=_EVENTS,
        default=".",
        importance="LOW",
        display="Topic delimiter",
        pattern=r"^[A-Za-z0-9._-]+$",
    )
    tombstones: bool = key(
        "tombstones.on.delete",
        doc="Whether a delete is followed by a record without value, so that compaction may "
        "forget the key.",
        group=_EVENTS,
        default=True,
        display="Tombstones on delete",
    )
    skipped_operations: tuple[str, ...] = key(
        "skipped.operations",
        doc="Operations that are not captured: c, u, d, t, or none. They are left out of a "
        "publication made by this connector, too.",
        group=_EVENTS,
        default=("t",),
        importance="LOW",
        display="Skipped operations",
    )
    extended_headers: bool = key(
        "extended.headers.enabled",
        doc="Whether records carry the headers `__debezium.context.*`.",
        group=_EVENTS,
        default=True,
        importance="LOW",
        display="Extended headers",
    )

    plugin_name: Literal["pgoutput"] = key(
        "plugin.name",
        doc="The server's output plug-in: `pgoutput`, part of Postgres. (Debezium's default is "
        "decoderbufs, an extension; it is not supported.)",
        group=_SLOT,
        default="pgoutput",
        display="Output plug-in",
    )
    slot_name: str = key(
        "slot.name",
        doc="Replication slot; created when missing. One connector a slot.",
        group=_SLOT,
        default="debezium",
        importance="HIGH",
        display="Slot",
        pattern=r"^[a-z0-9_]{1,63}$",
    )
    slot_retry_delay_ms: int = key(
        "slot.retry.delay.ms",
        doc="Least wait before the next try when the slot is in use; tries go on until it is free.",
        group=_SLOT,
        default=10_000,
        importance="LOW",
        display="Slot retry delay",
        ge=1,
    )
    publication_name: str = key(
        "publication.name",
        doc="Publication that names the captured tables.",
        group=_SLOT,
        default="dbz_publication",
        display="Publication",
        min_length=1,
        max_length=63,
    )
    publication_mode: Literal["filtered", "all_tables", "disabled"] = key(
        "publication.autocreate.mode",
        doc="`filtered`: made for the captured tables and altered when these change. "
        "`all_tables`: made FOR ALL TABLES when missing (Debezium's default; needs a superuser, "
        "and tables without replica identity then refuse updates). `disabled`: must exist.",
        group=_SLOT,
        default="filtered",
        display="Publication mode",
    )
    status_interval_ms: int = key(
        "status.update.interval.ms",
        doc="Longest time between reports of the position to the server, in milliseconds.",
        group=_SLOT,
        default=10_000,
        importance="LOW",
        display="Status interval",
        ge=10,
    )

    schema_include: tuple[str, ...] = key(
        "schema.include.list",
        doc="Regular expressions; only schemas whose whole name matches one are captured.",
        group=_TABLES,
        default=(),
        width="LONG",
        display="Included schemas",
    )
    schema_exclude: tuple[str, ...] = key(
        "schema.exclude.list",
        doc="Regular expressions; schemas whose whole name matches one are not captured.",
        group=_TABLES,
        default=(),
        width="LONG",
        display="Excluded schemas",
    )
    table_include: tuple[str, ...] = key(
        "table.include.list",
        doc="Regular expressions over `schema.table`; only matching tables are captured.",
        group=_TABLES,
        default=(),
        importance="HIGH",
        width="LONG",
        display="Included tables",
    )
    table_exclude: tuple[str, ...] = key(
        "table.exclude.list",
        doc="Regular expressions over `schema.table`; matching tables are not captured.",
        group=_TABLES,
        default=(),
        width="LONG",
        display="Excluded tables",
    )
    column_include: tuple[str, ...] = key(
        "column.include.list",
        doc="Regular expressions over `schema.table.column`; only matching columns are part of "
        "values.",
        group=_TABLES,
        default=(),
        width="LONG",
        display="Included columns",
    )
    column_exclude: tuple[str, ...] = key(
        "column.exclude.list",
        doc="Regular expressions over `schema.table.column`; matching columns are not part of "
        "values.",
        group=_TABLES,
        default=(),
        width="LONG",
        display="Excluded columns",
    )

    decimal_mode: DecimalMode = key(
        "decimal.handling.mode",
        doc="numeric and money as exact decimals, doubles, or texts. `precise` can't represent "
        "NaN and Infinity: such a value stops the task.",
        group=_VALUES,
        default="precise",
        display="Decimal handling",
    )
    binary_mode: BinaryMode = key(
        "binary.handling.mode",
        doc="bytea as bytes, or as text in base64 or hex.",
        group=_VALUES,
        default="bytes",
        importance="LOW",
        display="Binary handling",
    )
    time_mode: TimeMode = key(
        "time.precision.mode",
        doc="Units of date, time and timestamp values.",
        group=_VALUES,
        default="adaptive",
        display="Time precision",
    )
    interval_mode: IntervalMode = key(
        "interval.handling.mode",
        doc="interval as microseconds (a month is 365.25 / 12 days) or as ISO 8601 text.",
        group=_VALUES,
        default="numeric",
        importance="LOW",
        display="Interval handling",
    )
    money_digits: int = key(
        "money.fraction.digits",
        doc="Fraction digits of money values; others are rounded half up.",
        group=_VALUES,
        default=2,
        importance="LOW",
        display="Money fraction digits",
        ge=0,
        le=30,
    )

    snapshot_mode: Literal["initial", "initial_only", "no_data", "never"] = key(
        "snapshot.mode",
        doc="`initial`: read the tables once, then stream. `initial_only`: read them, then rest. "
        "`no_data` (or `never`): stream only.",
        group=_SNAPSHOT,
        default="initial",
        importance="HIGH",
        display="Snapshot mode",
    )
    snapshot_fetch_size: int = key(
        "snapshot.fetch.size",
        doc="Rows of a snapshot taken up at a time.",
        group=_SNAPSHOT,
        default=10_240,
        importance="LOW",
        display="Snapshot fetch size",
        ge=1,
        le=1_000_000,
    )

    max_batch_size: int = key(
        "max.batch.size",
        doc="Changes taken up at a time from the stream.",
        group=_TUNING,
        default=2048,
        display="Batch size",
        ge=1,
        le=1_000_000,
    )
    poll_interval_ms: int = key(
        "poll.interval.ms",
        doc="Longest wait for changes at a time, in milliseconds; those that are there are taken "
        "at once.",
        group=_TUNING,
        default=500,
        display="Poll interval",
        ge=1,
    )

    @model_validator(mode="after")
    def _rules(self) -> PostgresConfig:
        choices.filters(self)  # refuses lists that exclude each other
        operations = {o.lower() for o in self.skipped_operations}
        if not operations <= {"c", "u", "d", "t", "none"} or (
            "none" in operations and len(operations) > 1
        ):
            raise ConfigError(
                "skipped.operations",
                "Invalid value for configuration skipped.operations: expected c, u, d, t or none",
            )
        if self.slot_name.startswith("pg_"):
            raise ConfigError("slot.name", "Names of slots that begin with pg_ are reserved.")
        return self
