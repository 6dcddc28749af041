"""ExtractNewRecordState beside Debezium's own, on the same records."""

from __future__ import annotations

import json

import pytest

from connect.config import parse
from connect.converters.json import JsonConverter, JsonConverterConfig
from connect.data import Batch
from connectors.cdc.unwrap import ExtractNewRecordState
from tests.golden.unwrap.generate import CONFIGURATIONS, EXPECTED
from tests.unit.transforms.events import build, events

A, B = (1, "a", "x"), (2, "b", None)
RECORDS = events(
    ("c", None, A), ("u", A, B), ("d", B, None), None, ("t", None, None), ("c", None, (4, " ", "y"))
)  # fmt: skip


def expected() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in EXPECTED.read_text(encoding="utf-8").split("# ")[1:]:
        configuration, *lines = part.rstrip("\n").split("\n")
        found[configuration] = lines
    return found


def shown(batch: Batch) -> dict[int, str]:
    """Each row by position: topic, value with schema, headers."""
    converter = JsonConverter(
        parse(JsonConverterConfig, {"replace.null.with.default": "false"}), False
    )
    values = [None] * len(batch) if batch.values is None else converter.encode("", batch.values)
    headers = batch.headers or [()] * len(batch)
    lines = {}
    for position, value, pairs in zip(batch.positions, values, headers, strict=True):
        parts = [batch.topic, text(value), *(f"{name}={text(data)}" for name, data in pairs)]
        lines[position] = " ".join(parts)
    return lines


def text(data: bytes | None) -> str:
    return "null" if data is None else data.decode()


@pytest.mark.parametrize("options", CONFIGURATIONS, ids=json.dumps)
def test_records_are_those_of_debezium(options: dict[str, str]) -> None:
    made: dict[int, str] = {}
    for batch in build(ExtractNewRecordState, options).apply(RECORDS):
        made |= shown(batch)
    assert [made[position] for position in sorted(made)] == expected()[json.dumps(options)]
