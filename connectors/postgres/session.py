"""Connections to Postgres, and what its errors mean."""

from __future__ import annotations

import re
import select
from typing import Any, Final, Literal, LiteralString

import psycopg
from psycopg import errors as pg
from psycopg import pq
from psycopg.pq.abc import PGresult

from connect.errors import CdcError, ConfigError, ConnectionLost, FatalError, RetriableError
from connectors.postgres.config import PostgresConfig

# The text form of values depends on these: a role or a database may set them otherwise.
SETTINGS: Final = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "xmloption": "content",
}


SILENCE_MS: Final = 60_000
"""A peer that acknowledges nothing for so long is gone: without it the system waits 15 minutes.
The stream's feedback, every ten seconds at most, is what it has to acknowledge."""


def connect(
    config: PostgresConfig, *, replication: bool = False, timeout: int = 10
) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection with the settings on which values depend. Raises CdcError.

    Args:
        replication: a walsender bound to the database, for replication commands and simple SQL.
        timeout: seconds to wait for the server.
    """
    options = dict(SETTINGS)
    if not replication:
        options["statement_timeout"] = str(config.query_timeout_ms)
        options["idle_in_transaction_session_timeout"] = "0"
    flags = " ".join(f"-c {name}={value}" for name, value in options.items())
    password = config.password.get_secret_value() if config.password is not None else None
    ssl_password = config.sslpassword.get_secret_value() if config.sslpassword else None
    parameters: dict[str, Any] = {
        "host": config.hostname,
        "port": config.port,
        "user": config.user,
        "password": password,
        "dbname": config.dbname,
        "sslmode": config.sslmode,
        "sslcert": config.sslcert,
        "sslkey": config.sslkey,
        "sslpassword": ssl_password,
        "sslrootcert": config.sslrootcert,
        "keepalives": int(config.tcp_keep_alive),
        "tcp_user_timeout": SILENCE_MS,
        "connect_timeout": timeout,
        "client_encoding": "UTF8",
        "application_name": f"tailrace {config.name}",
        "options": flags,
        "replication": "database" if replication else None,
    }
    given = {name: value for name, value in parameters.items() if value is not None}
    try:
        connection = psycopg.connect(**given, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        raise _refused(_message(error)) or classify(error) from error
    if not replication:
        try:
            for statement in _statements(config.initial_statements):
                connection.execute(statement)
        except psycopg.Error as error:
            connection.close()
            raise ConfigError(
                "database.initial.statements",
                f"A statement of database.initial.statements failed: {_message(error)}",
            ) from error
    return connection


def _statements(text: str) -> list[LiteralString]:
    parts: Any = [p.replace("\0", ";").strip() for p in text.replace(";;", "\0").split(";")]
    return [part for part in parts if part]


def classify(error: psycopg.Error) -> CdcError:
    """What an error of the driver means for the task; no value of a row is repeated."""
    message = _message(error)
    state = error.sqlstate or ""
    if isinstance(error, pg.ObjectInUse):
        return RetriableError(
            f"The replication slot is in use: {message}",
            code="postgres.slot.active",
            hint="Another connector or tool reads it; this task takes over once it stops.",
        )
    if state == "53400":
        return FatalError(
            f"The server has no replication slot left: {message}",
            code="postgres.slots.exhausted",
            hint="Drop slots that nobody reads, or raise max_replication_slots.",
        )
    if state == "55000" and "wal_level" in message:
        return FatalError(
            message,
            code="postgres.wal_level",
            hint="ALTER SYSTEM SET wal_level = 'logical'; then restart the server.",
        )
    if state == "55000" and "replication slot" in message:
        return FatalError(
            f"The replication slot can't be read any more: {message}",
            code="postgres.slot.lost",
            hint="The write-ahead log it needs was removed. Drop the slot and reset the "
            "connector's offsets to take a new snapshot.",
        )
    if state.startswith(("08", "57P", "53", "40", "58")):
        return ConnectionLost(message, code="postgres.unavailable")
    if state == "57014":
        return RetriableError(f"A query took too long: {message}", code="postgres.query.timeout")
    if isinstance(error, pg.InsufficientPrivilege):
        return FatalError(
            message, code="postgres.privilege.missing", hint="Grant the privilege and restart."
        )
    if not state and isinstance(error, psycopg.OperationalError):
        return ConnectionLost(message, code="postgres.unavailable")
    return FatalError(message, code=f"postgres.{state or 'error'}")


def failure(result: PGresult) -> psycopg.Error:
    """The driver's exception for an error that libpq hands out as a result."""
    message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message
    text = message.decode("utf-8", "replace").strip()
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    kind: type[psycopg.Error] = psycopg.OperationalError
    if state:
        try:
            kind = pg.lookup(state)
        except KeyError:
            kind = psycopg.DatabaseError
    error = kind(text)
    error.sqlstate = state or None
    return error


def readable(descriptor: int, timeout: float) -> bool:
    """Whether something can be read within ``timeout`` seconds."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(0, round(timeout * 1000))))


def _refused(message: str) -> CdcError | None:
    """Refusals of a connection: libpq gives no SQLSTATE for them.

    A name that can't be resolved, and a connection cut while it is made, may pass.
    """
    if re.search(r"could not translate host name|resolve host|SSL SYSCALL", message):
        return None
    rules: tuple[tuple[str, Literal["config", "pooler"], str, str | None], ...] = (
        (r"password authentication failed|no password supplied", "config", "database.password",
         None),
        (r"role \".*\" does not exist", "config", "database.user", None),
        (r"database \".*\" does not exist", "config", "database.dbname", None),
        (r"no pg_hba.conf entry", "config", "database.hostname",
         "Allow the connection (and replication connections) in pg_hba.conf."),
        (r"must be (superuser or replication role|superuser, replication role)|"
         r"permission denied to start WAL sender|Only roles with the REPLICATION", "config",
         "database.user", "ALTER ROLE the_user REPLICATION;"),
        (r"unsupported startup parameter|pgbouncer|no such database", "pooler",
         "database.hostname", "Give the address of Postgres itself."),
        (r"certificate|SSL", "config", "database.sslmode", None),
    )  # fmt: skip
    for pattern, kind, key, hint in rules:
        if re.search(pattern, message, re.IGNORECASE):
            if kind == "pooler":
                message = f"A connection pooler answers, not Postgres: {message}"
                return ConfigError(key, message, code="postgres.pooler", hint=hint)
            return ConfigError(key, message, code="postgres.connection.refused", hint=hint)
    return None


def _message(error: psycopg.Error) -> str:
    """The error's own message without its detail, which may quote rows."""
    primary = error.diag.message_primary
    return primary or " ".join(str(error).split())
