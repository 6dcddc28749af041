"""Writes expected.jsonl: what Kafka Connect's JsonConverter makes of the cases.

    python -m tests.golden.connect_json.generate JARS [OUT]

JARS is a directory with connect-json, connect-api, kafka-clients (4.3), jackson-{core,databind,
annotations,datatype-jdk8,module-blackbird} (2.21) and slf4j-api from Maven Central. Needs javac 17
or newer, and for running ``java`` 19 or newer (JAVA_HOME), where ``Double.toString`` is shortest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.golden.connect_json.cases import cases, neutral

HERE = Path(__file__).parent
EXPECTED = HERE / "expected.jsonl"


def generate(jars: Path, out: Path = EXPECTED) -> None:
    """Compile, run, and write one line per case: JSON, ``!null`` or ``!DataException``."""
    home = os.environ.get("JAVA_HOME")
    java = f"{home}/bin/java" if home else "java"
    with tempfile.TemporaryDirectory() as work:
        path = f"{jars}/*:{work}"
        subprocess.run(
            ["javac", "--release", "17", "-cp", path, "-d", work, str(HERE / "Golden.java")],
            check=True,
        )
        lines = Path(work) / "cases.jsonl"
        lines.write_text("".join(neutral(case) + "\n" for case in cases()))
        subprocess.run([java, "-cp", path, "Golden", str(lines), str(out)], check=True)


if __name__ == "__main__":
    generate(Path(sys.argv[1]), *map(Path, sys.argv[2:]))
