"""Table names from topics."""

import pytest

from connect.data import Batch, Constant, Field, Schema, Struct
from connect.errors import ConfigError, FatalError
from connectors.sinks.naming import Naming, TableName

SOURCE = Schema("struct", fields=(Field("schema", Schema("string")),))


def batch(topic: str, schemas: list[str] | None = None) -> Batch:
    values = None
    if schemas is not None:
        source = Struct(SOURCE, [schemas], len(schemas))
        values = Struct(Schema("struct", fields=(Field("source", SOURCE),)), [source], len(schemas))
    count = len(schemas or [""])
    return Batch(topic, None, values, Constant(0, count), range(count))


@pytest.mark.parametrize(
    ("format_", "qualified", "table"),
    [
        ("${topic}", False, TableName(None, "a_b_c")),
        ("cdc.${topic}_x", False, TableName("cdc", "a_b_c_x")),
        ("all", False, TableName(None, "all")),
        ("raw.${source.schema}", False, TableName("raw", "p.q")),
    ],
)
def test_formats(format_: str, qualified: bool, table: TableName) -> None:
    [(found, rows)] = Naming(format_, qualified).tables(batch("a.b.c", ["p.q", "p.q"]))
    assert (found, list(rows)) == (table, [0, 1])


def test_confluents_topics_are_qualified_names() -> None:
    [(found, _)] = Naming("${topic}", True).tables(batch("sales.items"))
    assert found == TableName("sales", "items")
    with pytest.raises(FatalError):
        Naming("${topic}", True).tables(batch("a.b.c"))


def test_rows_are_dealt_by_their_source_block() -> None:
    found = Naming("${source.schema}").tables(batch("t", ["a", "b", "a"]))
    assert [(str(name), list(rows)) for name, rows in found] == [("a", [0, 2]), ("b", [1])]


def test_tombstones_alone_belong_to_no_table() -> None:
    assert Naming("${source.schema}").tables(batch("t")) == []


@pytest.mark.parametrize("format_", ["${table}", "a.b.c", ".x", "x.", "${source.}"])
def test_bad_formats_are_refused(format_: str) -> None:
    with pytest.raises(ConfigError) as error:
        Naming(format_).check("table.name.format")
    assert error.value.key == "table.name.format"
