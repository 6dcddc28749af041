"""The configuration: Debezium's keys are implemented or refused by name."""

import re

import pytest

from connect.config import describe, validate
from connect.errors import ConfigError, FatalError
from connectors.cdc.naming import Naming
from connectors.cdc.tables import Filters, TableId
from connectors.postgres import offsets
from connectors.postgres.config import PostgresConfig
from connectors.postgres.offsets import Identity, SnapshotState, SourceOffset
from connectors.postgres.pgoutput import Position

LEAST = {
    "name": "n",
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "database.hostname": "h",
    "database.user": "u",
    "database.dbname": "d",
    "topic.prefix": "srv",
}


def codes(**more: str) -> list[tuple[str, str]]:
    values = LEAST | {name.replace("__", "."): value for name, value in more.items()}
    return [(p.key, p.code) for p in validate(PostgresConfig, values).problems]


def test_least_configuration() -> None:
    assert codes() == []
    assert codes(database__port="5432", plugin__name="PGOUTPUT") == []


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("plugin.name", "decoderbufs", "config.invalid"),
        ("slot.name", "Bad-Name", "config.invalid"),
        ("slot.name", "x" * 64, "config.invalid"),
        ("slot.name", "pg_x", "config.invalid"),
        ("snapshot.mode", "always", "config.invalid"),
        ("skipped.operations", "c,x", "config.invalid"),
        ("skipped.operations", "none,c", "config.invalid"),
        ("table.include.list", "public.(", "config.invalid"),
        ("topic.prefix", "a b", "config.invalid"),
        ("heartbeat.interval.ms", "1000", "config.unsupported"),
        ("provide.transaction.metadata", "true", "config.unsupported"),
        ("slot.drop.on.stop", "true", "config.unsupported"),
        ("snapshot.select.statement.overrides", "public.t", "config.unsupported"),
        ("column.mask.with.5.chars", "a.b.c", "config.unsupported"),
        ("signal.data.collection", "public.signals", "config.unsupported"),
        ("converters", "a", "config.unsupported"),
        ("event.processing.failure.handling.mode", "skip", "config.unsupported"),
        ("time.precision.mode", "isostring", "config.invalid"),
        ("databse.port", "1", "config.unknown"),
    ],
)
def test_refused(key: str, value: str, code: str) -> None:
    (found,) = codes(**{key: value})
    assert found == (key, code)


@pytest.mark.parametrize(
    ("key", "value"),
    [("heartbeat.interval.ms", "0"), ("slot.drop.on.stop", "false"), ("max.queue.size", "8192"),
     ("offset.mismatch.strategy", "no_validation"), ("schema.name.adjustment.mode", "none"),
     ("topic.naming.strategy", "io.debezium.schema.SchemaTopicNamingStrategy")],
)  # fmt: skip
def test_values_that_ask_for_nothing_are_accepted(key: str, value: str) -> None:
    assert codes(**{key: value}) == []


def test_lists_exclude_each_other() -> None:
    (found,) = codes(table__include__list="a.b", table__exclude__list="a.c")
    assert found[0] == "table.exclude.list"


def test_no_key_is_both_implemented_and_refused() -> None:
    names = [info.name for info in describe(PostgresConfig)]
    assert len(names) == len(set(names))
    for pattern in PostgresConfig.refused:
        if pattern.startswith("topic\\.creation"):
            continue  # its one implemented key is looked up first
        assert not [name for name in names if re.fullmatch(pattern, name)]


def test_filters() -> None:
    chosen = Filters(
        schema_exclude=["audit"],
        table_include=[r"public\.ord.*", "Shop.T"],
        column_exclude=[r".*\.secret"],
    )
    assert chosen.table(TableId("public", "orders"))
    assert chosen.table(TableId("SHOP", "t"))
    assert not chosen.table(TableId("public", "my_orders"))
    assert not chosen.table(TableId("audit", "orders"))
    assert not chosen.column(TableId("public", "orders"), "secret")
    assert chosen.column(TableId("public", "orders"), "secrets")
    assert chosen.unmatched([TableId("public", "orders")]) == ["Shop.T"]


def test_naming() -> None:
    names = Naming("srv")
    assert names.topic(TableId("public", "t")) == "srv.public.t"
    assert Naming("srv", "-").topic(TableId("a b", "ü.x")) == "srv-a_b-_.x"
    with pytest.raises(FatalError) as collision:
        names.check([TableId("a.b", "c"), TableId("a", "b.c")])
    assert collision.value.code == "naming.collision"
    with pytest.raises(FatalError) as long:
        names.check([TableId("a", "x" * 250)])
    assert long.value.code == "naming.too_long"


@pytest.mark.parametrize(
    "offset",
    [
        SourceOffset(Position(5)),
        SourceOffset(Position(5, 4, 9, 3, 8), Identity("1", "2", "s"), SnapshotState(True)),
        SourceOffset(Position(5), Identity("1"), SnapshotState(False, ("a.b", "a.c"), "a.d")),
    ],
)
def test_offsets(offset: SourceOffset) -> None:
    assert offsets.decode(offsets.encode(offset)) == offset


@pytest.mark.parametrize(
    "offset",
    [{}, {"lsn": "5"}, {"lsn": -1}, {"lsn": True}, {"lsn": 5, "index": 1}, {"lsn": 2**64},
     {"lsn": 5, "snapshot_completed": "no"}],
)  # fmt: skip
def test_offsets_of_another_form_are_refused(offset: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        offsets.decode(offset)
