"""Live checks before a start: every fault at the key it belongs to, with what mends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connect.config import Problem
from connect.errors import CdcError, ConfigError
from connectors.cdc.naming import Naming
from connectors.postgres import catalog, slots
from connectors.postgres.catalog import Candidate, Connection
from connectors.postgres.choices import filters, naming, skipped, value_options
from connectors.postgres.config import PostgresConfig
from connectors.postgres.replication import ReplicationConnection
from connectors.postgres.session import connect
from connectors.postgres.table import CatalogTable, from_catalog, unsupported
from connectors.postgres.types import UnsupportedType

OLDEST, NEWEST = 13, 18
_KINDS = {
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "p": "a partitioned table (its partitions are captured under their own names)",
}


def check(config: PostgresConfig) -> list[Problem]:
    """The problems of the server and the tables this configuration names."""
    problems: list[Problem] = []
    try:
        with connect(config) as connection:
            for part in (_server, _replication, _slot, _tables, _publication):
                problems += part(config, connection)
    except CdcError as error:
        problems.append(_problem(error, "database.hostname"))
    return problems


def _problem(error: CdcError, key: str) -> Problem:
    key = error.key if isinstance(error, ConfigError) else key
    return Problem(key, error.message, error.code, error.hint)


def _server(config: PostgresConfig, connection: Connection) -> Iterator[Problem]:
    version = connection.info.server_version // 10000
    if version < OLDEST:
        yield Problem(
            "database.hostname",
            f"PostgreSQL {version} is not supported; {OLDEST} to {NEWEST} are.",
            "postgres.version",
            "Upgrade the server.",
        )
    elif version > NEWEST:
        yield Problem(
            "database.hostname",
            f"PostgreSQL {version} was never tested; {OLDEST} to {NEWEST} are.",
            "postgres.version",
            severity="warning",
        )
    settings = dict(
        catalog.query(
            connection,
            "SELECT name, setting FROM pg_settings WHERE name IN "
            "('wal_level', 'server_encoding', 'max_slot_wal_keep_size')",
        )
    )
    if settings["wal_level"] != "logical":
        yield Problem(
            "database.hostname",
            f"The server's wal_level is {settings['wal_level']}; it must be logical.",
            "postgres.wal_level",
            "ALTER SYSTEM SET wal_level = 'logical'; then restart the server.",
        )
    if settings["server_encoding"] == "SQL_ASCII":
        yield Problem(
            "database.dbname",
            "The database's encoding is SQL_ASCII: texts that are not UTF-8 will stop the task.",
            "postgres.encoding",
            severity="warning",
        )


def _replication(config: PostgresConfig, _connection: Connection) -> Iterator[Problem]:
    try:
        with ReplicationConnection(config) as link:
            link.identify()
    except CdcError as error:
        role = config.user.replace('"', '""')
        hint = error.hint
        if "REPLICATION" in error.message or "replication" in error.message:
            hint = f'ALTER ROLE "{role}" REPLICATION; and allow replication in pg_hba.conf.'
        key = error.key if isinstance(error, ConfigError) else "database.user"
        yield Problem(key, f"No replication connection: {error.message}", error.code, hint)


def _slot(config: PostgresConfig, connection: Connection) -> Iterator[Problem]:
    found = catalog.slot(connection, config.slot_name)
    if found is not None:
        try:
            slots.check_slot(found, config)
        except CdcError as error:
            active = error.code == "postgres.slot.active"
            yield Problem(
                "slot.name",
                error.message,
                error.code,
                error.hint,
                severity="warning" if active else "error",
            )
        return
    ((slots_left, senders_left),) = catalog.query(
        connection,
        "SELECT current_setting('max_replication_slots')::int "
        "- (SELECT count(*) FROM pg_replication_slots), "
        "current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_replication)",
    )
    for left, setting in ((slots_left, "max_replication_slots"), (senders_left, "max_wal_senders")):
        if left < 1:
            yield Problem(
                "slot.name",
                f"All of the server's {setting} are in use.",
                "postgres.slots.exhausted",
                f"ALTER SYSTEM SET {setting} = ...; then restart the server; or drop slots that "
                "nobody reads (SELECT slot_name FROM pg_replication_slots WHERE NOT active).",
            )


def _tables(config: PostgresConfig, connection: Connection) -> Iterator[Problem]:
    chosen = filters(config)
    candidates = catalog.candidates(connection, chosen)
    found = [candidate for candidate in candidates if candidate.capturable]
    if not found:
        yield Problem(
            "table.include.list",
            "No table is captured: the include and exclude lists match none that exists.",
            "postgres.tables.none",
            "Names are schema.table, each expression must match the whole name.",
        )
    yield from _not_capturable(candidates)
    for expression in chosen.unmatched([candidate.table for candidate in candidates]):
        yield Problem(
            "table.include.list",
            f"{expression} matches no table.",
            "postgres.tables.unmatched",
            severity="warning",
        )
    yield from _names(naming(config), found)
    tables = catalog.tables(connection, [c.oid for c in found], config.publication_name)
    covered = catalog.publication(connection, config.publication_name)
    for table in tables:
        yield from _types(config, connection, table)
        harmless = covered is not None and table.table in covered.tables
        yield from _identity(config, table, harmless)
    if config.snapshot_mode in ("initial", "initial_only"):
        yield from _readable(config, connection, found)


def _not_capturable(candidates: Sequence[Candidate]) -> Iterator[Problem]:
    for candidate in candidates:
        if candidate.capturable:
            continue
        kind = _KINDS.get(candidate.kind, "an unlogged table")
        yield Problem(
            "table.include.list",
            f"{candidate.table} is {kind}: it is not captured.",
            "postgres.table.kind",
            "Name it in table.exclude.list to be rid of this warning.",
            severity="warning",
        )


def _names(names: Naming, found: Sequence[Candidate]) -> Iterator[Problem]:
    try:
        names.check(candidate.table for candidate in found)
    except CdcError as error:
        yield _problem(error, "table.exclude.list")


def _types(
    config: PostgresConfig, connection: Connection, table: CatalogTable
) -> Iterator[Problem]:
    types = catalog.types(connection, {column.oid for column in table.columns})
    try:
        from_catalog(table, types, filters(config), value_options(config, 2))
    except UnsupportedType as error:
        yield unsupported(error)


def _identity(config: PostgresConfig, table: CatalogTable, covered: bool) -> Iterator[Problem]:
    """Tables whose updates and deletes Postgres refuses once they are published."""
    named = {"d": bool(table.primary), "i": bool(table.index), "f": True, "n": False}
    if named[table.identity] or {"u", "d"} <= skipped(config):
        return
    why = "has no primary key" if table.identity == "d" else "has no replica identity"
    name = f'"{table.table.schema}"."{table.table.name}"'
    yield Problem(
        "table.exclude.list",
        f"Table {table.table} {why}: while it is published, Postgres refuses to update it or to "
        "delete from it.",
        "postgres.replica_identity",
        f"ALTER TABLE {name} REPLICA IDENTITY FULL; or give it a primary key, or exclude it.",
        severity="warning" if covered else "error",
    )


def _readable(
    config: PostgresConfig, connection: Connection, found: Sequence[Candidate]
) -> Iterator[Problem]:
    rows = catalog.query(
        connection,
        "SELECT c.oid, has_table_privilege(c.oid, 'SELECT'), row_security_active(c.oid) "
        "FROM pg_class c WHERE c.oid = ANY(%s)",
        [candidate.oid for candidate in found],
    )
    tables = {candidate.oid: candidate.table for candidate in found}
    for oid, selectable, hidden in rows:
        name = '"{}"."{}"'.format(*tables[oid])
        if not selectable:
            yield Problem(
                "database.user",
                f"The role may not read table {tables[oid]}.",
                "postgres.privilege.select",
                f'GRANT SELECT ON {name} TO "{config.user}"; '
                f'GRANT USAGE ON SCHEMA "{tables[oid].schema}" TO "{config.user}";',
            )
        elif hidden:
            yield Problem(
                "database.user",
                f"Row-level security hides rows of {tables[oid]} from the role.",
                "postgres.row_security",
                f'ALTER ROLE "{config.user}" BYPASSRLS;',
            )


def _publication(config: PostgresConfig, connection: Connection) -> Iterator[Problem]:
    found = [c for c in catalog.candidates(connection, filters(config)) if c.capturable]
    tables = [candidate.table for candidate in found]
    covered = catalog.publication(connection, config.publication_name)
    if covered is None and config.publication_mode != "disabled":
        if found:
            yield from _may_create(config, connection, found)
        return
    try:
        slots.check_publication(connection, config, covered, tables)
    except CdcError as error:
        yield _problem(error, "publication.name")
    if connection.info.server_version < 150000:
        return
    for table in catalog.tables(connection, [c.oid for c in found], config.publication_name):
        if table.row_filter is not None:
            yield Problem(
                "publication.name",
                f"The publication has a row filter for {table.table}: rows that do not pass are "
                "not captured, and a row that leaves the filter is captured as deleted.",
                "postgres.publication.filter",
                severity="warning",
            )


def _may_create(
    config: PostgresConfig, connection: Connection, found: Sequence[Candidate]
) -> Iterator[Problem]:
    ((superuser, may_create, owner),) = catalog.query(
        connection,
        "SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user), "
        "has_database_privilege(current_database(), 'CREATE'), "
        "(SELECT bool_and(pg_has_role(relowner, 'USAGE')) FROM pg_class WHERE oid = ANY(%s))",
        [candidate.oid for candidate in found],
    )
    everything = config.publication_mode == "all_tables"
    if superuser or (may_create and owner and not everything):
        return
    tables = [candidate.table for candidate in found]
    statement = slots.create_statement(config, tables).as_string(connection)
    yield Problem(
        "publication.name",
        f"The publication {config.publication_name} does not exist, and the role may not make it.",
        "postgres.publication.privilege",
        f"As a role that may: {statement}; then set publication.autocreate.mode=disabled.",
    )
