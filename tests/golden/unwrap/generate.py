"""Writes expected.txt: what Debezium's own ExtractNewRecordState makes of the test's records.

    python -m tests.golden.unwrap.generate JARS

JARS: those of tests/golden/connect_json, and from Maven Central debezium-connect-plugins,
-connector-common, -config, -api, -util, -openlineage-api (3.6.1.Final) and connect-transforms.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
EXPECTED = HERE / "expected.txt"
MODE = "delete.tombstone.handling.mode"
CONFIGURATIONS: list[dict[str, str]] = [
    {},
    *({MODE: m} for m in ("tombstone", "delete-to-tombstone", "drop", "rewrite")),
    {MODE: "rewrite", "replace.null.with.default": "false"},
    {MODE: "rewrite-with-tombstone", "add.headers": "op,lsn"},
    {
        "add.fields": "op,table,source.lsn,source.lsn:LSN,transaction.id,ts_ms,nothing,snapshot",
        "add.headers": "op,lsn,ts_ms:AT,snapshot,transaction.id",
        "add.headers.prefix": "h.",
    },
    {MODE: "rewrite", "add.fields": "op", "add.fields.prefix": ""},
    {"route.by.field": "name"},
    {MODE: "rewrite", "route.by.field": "name", "add.fields": "op:OP"},
]


def generate(jars: Path, out: Path = EXPECTED) -> None:
    """Compile and run; a line ``# configuration``, then a line per record."""
    with tempfile.TemporaryDirectory() as work:
        path = f"{jars}/*:{work}"
        subprocess.run(["javac", "-cp", path, "-d", work, str(HERE / "Unwrap.java")], check=True)
        lines = Path(work) / "configurations.jsonl"
        lines.write_text("".join(json.dumps(c) + "\n" for c in CONFIGURATIONS))
        subprocess.run(["java", "-cp", path, "Unwrap", str(lines), str(out)], check=True)


if __name__ == "__main__":
    generate(Path(sys.argv[1]))
