"""Byte for byte what Kafka Connect's own JsonConverter writes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from connect.config import parse
from connect.converters.json import JsonConverter, JsonConverterConfig
from connect.data import Plain, Schema, Struct
from tests.golden.connect_json.cases import Case, cases
from tests.golden.connect_json.generate import EXPECTED, generate

CASES = cases()
LINES = EXPECTED.read_bytes().decode().split("\n")[:-1]
JARS = os.environ.get("TAILRACE_CONNECT_JARS")


def converter(case: Case) -> JsonConverter:
    return JsonConverter(parse(JsonConverterConfig, case.options), case.key)


def data(schema: Schema | None, values: list[Any]) -> Struct | Plain:
    if schema is not None and schema.type == "struct":
        columns = [
            column(field.schema, [None if v is None else v[place] for v in values])
            for place, field in enumerate(schema.fields)
        ]
        present = None if None not in values else [v is not None for v in values]
        return Struct(schema, columns, len(values), present)
    return Plain(schema, values)


def column(schema: Schema, values: list[Any]) -> Any:
    return data(schema, values) if schema.type == "struct" else values


def text(case: Case) -> str:
    made = converter(case).encode("topic", data(case.schema, [case.value]))[0]
    return "!null" if made is None else made.decode()


def test_every_case_has_an_answer() -> None:
    assert len(CASES) == len(LINES) > 2000


def test_texts_are_those_of_kafka_connect() -> None:
    wrong = [
        (case, line, text(case))
        for case, line in zip(CASES, LINES, strict=True)
        if text(case) != line
    ]
    assert wrong == []


def test_texts_of_columns_are_those_of_single_rows() -> None:
    """Cases of one schema and options, encoded together."""
    groups: dict[Any, list[int]] = {}
    for place, case in enumerate(CASES):
        # Not by the schema: a default of 0.0 equals one of -0.0.
        groups.setdefault((repr(case.schema), str(case.options)), []).append(place)
    for places in groups.values():
        first = CASES[places[0]]
        made = converter(first).encode("t", data(first.schema, [CASES[p].value for p in places]))
        assert [m and m.decode() for m in made] == [
            None if LINES[p] == "!null" else LINES[p] for p in places
        ]


def test_texts_read_back_as_the_values() -> None:
    for case, line in zip(CASES, LINES, strict=True):
        if case.schema is None or case.options.get("schemas.enable") != "true":
            continue
        if line == "!null" or "replace.null.with.default" in case.options:
            continue
        (read,) = converter(case).decode("topic", [line.encode()])
        assert read.schema == case.schema
        (again,) = converter(case).encode("topic", read)
        assert again is not None
        assert again.decode() == line


@pytest.mark.skipif(
    JARS is None or shutil.which("javac") is None, reason="needs a JDK and TAILRACE_CONNECT_JARS"
)
def test_expected_lines_are_what_java_writes_now(tmp_path: Path) -> None:
    home = os.environ.get("JAVA_HOME")
    java = f"{home}/bin/java" if home else "java"
    shown = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr
    release = re.search(r'version "(\d+)', shown)
    assert release is not None
    if int(release[1]) < 19:
        pytest.skip("before JDK 19 Double.toString is not the shortest")
    generate(Path(str(JARS)), tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == EXPECTED.read_bytes()
