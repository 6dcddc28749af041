"""The source offset: where to go on, and in which server, database and slot that place is. Pure.

``lsn``: every transaction whose commit begins before it is done. ``lsn_commit``, ``index`` and
``lsn_proc``: of the transaction that commits at ``lsn_commit`` the first ``index`` changes are
done, too, the last of them at ``lsn_proc``. ``lsn_before``: the end of the transaction before.
While the initial snapshot runs: ``snapshot`` (``INITIAL``), ``snapshot_completed`` (false),
``snapshot_tables`` (those wholly read) and ``snapshot_table`` (the one that was begun).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connect.errors import ConfigError
from connect.source import Offset
from connectors.postgres.pgoutput import Position


@dataclass(frozen=True, slots=True)
class Identity:
    """Which log the positions belong to; empty strings: not known."""

    system: str = ""
    database: str = ""
    slot: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotState:
    """How far the initial snapshot got."""

    completed: bool
    tables: tuple[str, ...] = ()
    table: str | None = None


@dataclass(frozen=True, slots=True)
class SourceOffset:
    """A whole offset."""

    position: Position
    identity: Identity = field(default_factory=Identity)
    snapshot: SnapshotState | None = None

    @property
    def snapshot_running(self) -> bool:
        """Whether the initial snapshot was begun and not finished."""
        return self.snapshot is not None and not self.snapshot.completed


def encode(offset: SourceOffset) -> dict[str, Any]:
    """The offset as a JSON object."""
    position, identity, snapshot = offset.position, offset.identity, offset.snapshot
    values: dict[str, Any] = {
        "lsn": position.lsn,
        "system": identity.system,
        "database": identity.database,
        "slot": identity.slot,
    }
    if position.before is not None:
        values["lsn_before"] = position.before
    if position.commit_lsn is not None:
        values["lsn_commit"] = position.commit_lsn
        values["index"] = position.index
        values["lsn_proc"] = position.last_lsn
    if snapshot is not None:
        values["snapshot_completed"] = snapshot.completed
        if not snapshot.completed:
            values["snapshot"] = "INITIAL"
            values["snapshot_tables"] = list(snapshot.tables)
            values["snapshot_table"] = snapshot.table
    return values


def decode(values: Offset) -> SourceOffset:
    """The offset of a JSON object. ConfigError if it is none of ours."""
    position = Position(
        _integer(values, "lsn"),
        _integer(values, "lsn_before") if values.get("lsn_before") is not None else None,
        _integer(values, "lsn_commit") if values.get("index") is not None else None,
        _integer(values, "index") if values.get("index") is not None else 0,
        _integer(values, "lsn_proc") if values.get("index") is not None else 0,
    )
    identity = Identity(
        str(values.get("system") or ""),
        str(values.get("database") or ""),
        str(values.get("slot") or ""),
    )
    snapshot = None
    completed = values.get("snapshot_completed")
    if completed is not None:
        tables = values.get("snapshot_tables") or []
        if not isinstance(completed, bool) or not isinstance(tables, list):
            raise _unusable("snapshot_completed")
        table = values.get("snapshot_table")
        snapshot = SnapshotState(completed, tuple(map(str, tables)), table and str(table))
    return SourceOffset(position, identity, snapshot)


def _integer(values: Mapping[str, Any], key: str) -> int:
    value = values.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**64:
        raise _unusable(key)
    return value


def _unusable(key: str) -> ConfigError:
    return ConfigError(
        "offset",
        f"The offset's {key} is missing or has the wrong type.",
        code="postgres.offset.invalid",
        hint='An offset has at least {"lsn": <number>}; see the connector\'s documentation.',
    )
