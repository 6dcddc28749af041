"""Slot and publication: made in the right order, and checked on every start."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from connect.errors import CdcError, FatalError, RetriableError
from connectors.cdc.tables import TableId
from connectors.postgres import catalog
from connectors.postgres.catalog import Connection, Publication, Slot
from connectors.postgres.choices import skipped
from connectors.postgres.config import PostgresConfig
from connectors.postgres.offsets import Identity, SourceOffset
from connectors.postgres.pgoutput import lsn_text
from connectors.postgres.replication import NewSlot, ReplicationConnection, System
from connectors.postgres.session import classify

_log = logging.getLogger(__name__)

CREATION_SECONDS = 90.0
_WORDS = {"c": "insert", "u": "update", "d": "delete", "t": "truncate"}


def ensure_publication(
    connection: Connection, config: PostgresConfig, tables: Sequence[TableId]
) -> None:
    """Make the publication, or see that it covers every captured table.

    Must come before the slot: a slot older than its publication can't be read.
    """
    found = catalog.publication(connection, config.publication_name)
    if found is None and config.publication_mode != "disabled":
        _run(connection, create_statement(config, tables))
        return
    check_publication(connection, config, found, tables)
    assert found is not None
    if _ours(config, found) and set(tables) != found.tables:
        _log.info("publication %s is set to the captured tables", config.publication_name)
        _run(connection, _alter(config, "SET", tables))


def check_publication(
    connection: Connection,
    config: PostgresConfig,
    found: Publication | None,
    tables: Sequence[TableId],
) -> None:
    """FatalError unless the publication sends every change that is captured, or will once it is
    altered."""
    if found is None:
        raise FatalError(
            f"Publication {config.publication_name} does not exist, and "
            "publication.autocreate.mode is disabled.",
            code="postgres.publication.missing",
            hint=create_statement(config, tables).as_string(connection),
        )
    missing = [table for table in tables if table not in found.tables]
    if missing and not _ours(config, found):
        raise FatalError(
            f"Publication {config.publication_name} does not cover "
            f"{', '.join(map(str, missing))}: their changes would be lost.",
            code="postgres.publication.incomplete",
            hint=_alter(config, "ADD", missing).as_string(connection),
        )
    lacking = {"c", "u", "d", "t"} - skipped(config) - found.operations
    if lacking:
        words = ", ".join(word for o, word in _WORDS.items() if o in lacking)
        name = sql.Identifier(config.publication_name).as_string(connection)
        raise FatalError(
            f"Publication {config.publication_name} does not publish {words}.",
            code="postgres.publication.operations",
            hint=f"ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate'); "
            "or name the operations in skipped.operations.",
        )


def _ours(config: PostgresConfig, found: Publication) -> bool:
    """Whether the publication's tables are set by this connector."""
    return config.publication_mode == "filtered" and not found.all_tables


def create_statement(config: PostgresConfig, tables: Sequence[TableId]) -> sql.Composed:
    """The statement that makes the publication."""
    operations = [word for o, word in _WORDS.items() if o not in skipped(config)]
    return sql.SQL("CREATE PUBLICATION {} FOR {} WITH (publish = {})").format(
        sql.Identifier(config.publication_name),
        sql.SQL("ALL TABLES")
        if config.publication_mode == "all_tables"
        else sql.SQL("TABLE ") + _names(tables),
        sql.Literal(", ".join(operations)),
    )


def _alter(config: PostgresConfig, action: str, tables: Sequence[TableId]) -> sql.Composed:
    verb: Any = action
    return sql.SQL("ALTER PUBLICATION {} {} TABLE {}").format(
        sql.Identifier(config.publication_name), sql.SQL(verb), _names(tables)
    )


def _names(tables: Sequence[TableId]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(*table) for table in tables)


def _run(connection: Connection, statement: sql.Composed) -> None:
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        cause = classify(error)
        text = statement.as_string(connection)
        raise FatalError(
            f"The publication can't be made or changed: {cause.message}",
            code="postgres.publication.privilege",
            hint=f"As a role that may: {text}; then set publication.autocreate.mode=disabled.",
        ) from error


def create(
    connection: Connection, link: ReplicationConnection, name: str, *, temporary: bool
) -> NewSlot:
    """Make a slot; names what it waits for when it takes too long."""
    try:
        return link.create_slot(name, temporary=temporary, timeout=CREATION_SECONDS)
    except TimeoutError:
        raise RetriableError(
            f"The slot {name} could not be made within {CREATION_SECONDS:.0f} seconds: Postgres "
            f"waits for transactions that are older: {_blockers(connection)}.",
            code="postgres.slot.blocked",
            hint="End them: COMMIT or ROLLBACK, pg_terminate_backend(pid), or ROLLBACK PREPARED.",
        ) from None


def _blockers(connection: Connection) -> str:
    rows = catalog.query(
        connection,
        "SELECT format('pid %s in database %s since %s', pid, datname, xact_start) "
        "FROM pg_stat_activity WHERE backend_xid IS NOT NULL "
        "UNION ALL SELECT format('prepared transaction %s in database %s since %s', gid, "
        "database, prepared) FROM pg_prepared_xacts",
    )
    return "; ".join(str(row[0]) for row in rows) or "none is visible to this role"


def check_position(
    offset: SourceOffset, slot: Slot | None, system: System, identity: Identity
) -> None:
    """FatalError unless the slot still has every change after the offset."""
    stored = offset.identity
    remedy = "Reset the connector's offsets to take a new snapshot."
    if stored.system and stored.system != identity.system:
        raise FatalError(
            "This is another server than the one the stored position belongs to "
            f"(system identifier {identity.system}, stored {stored.system}).",
            code="postgres.identity.system",
            hint="Correct database.hostname, or " + remedy[0].lower() + remedy[1:],
        )
    if stored.database and stored.database != identity.database:
        raise FatalError(
            f"This is another database ({identity.database}) than the one the stored position "
            f"belongs to ({stored.database}).",
            code="postgres.identity.database",
            hint="Correct database.dbname, or " + remedy[0].lower() + remedy[1:],
        )
    if slot is None:
        raise FatalError(
            f"The replication slot {identity.slot} is gone; changes since "
            f"{lsn_text(offset.position.lsn)} are lost to this connector.",
            code="postgres.slot.missing",
            hint=remedy,
        )
    if slot.confirmed is not None and slot.confirmed > offset.position.lsn:
        raise FatalError(
            f"The replication slot {slot.name} begins at {lsn_text(slot.confirmed)}, after the "
            f"stored position {lsn_text(offset.position.lsn)}: it was made anew or moved, and "
            "the changes between are lost to this connector.",
            code="postgres.slot.ahead",
            hint=remedy,
        )
    if system.wal_end < offset.position.lsn:
        raise FatalError(
            f"The server is at {lsn_text(system.wal_end)}, before the stored position "
            f"{lsn_text(offset.position.lsn)}: it was restored from a backup.",
            code="postgres.server.behind",
            hint=remedy,
        )


def check_slot(slot: Slot, config: PostgresConfig) -> None:
    """Raise unless the slot is of use to this connector now."""
    if slot.plugin != "pgoutput" or slot.database != config.dbname:
        raise FatalError(
            f"The slot {slot.name} belongs to database {slot.database} and plug-in {slot.plugin}.",
            code="postgres.slot.foreign",
            hint="Choose another slot.name, or drop the slot: "
            f"SELECT pg_drop_replication_slot('{slot.name}');",
        )
    if slot.status == "lost":
        raise FatalError(
            f"The slot {slot.name} was invalidated: the write-ahead log it needs is gone.",
            code="postgres.slot.lost",
            hint=f"SELECT pg_drop_replication_slot('{slot.name}'); then reset the connector's "
            "offsets to take a new snapshot. Raise max_slot_wal_keep_size.",
        )
    if slot.pid is not None:
        raise in_use(slot, config)


def in_use(slot: Slot, config: PostgresConfig) -> CdcError:
    """Somebody reads the slot."""
    return RetriableError(
        f"The slot {slot.name} is in use by process {slot.pid} of the server.",
        code="postgres.slot.active",
        hint="Another connector or tool reads it; this task takes over once it stops.",
        after=config.slot_retry_delay_ms / 1000,
    )
