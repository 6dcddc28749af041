from __future__ import annotations

import pytest

from api.cli.output import count, print_table, seconds, size


def test_tables_line_up_and_hold_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["NAME", "STATE"], [["a\x1b[31m\nb", "RUNNING"], [None, "FAILED"]])
    assert capsys.readouterr().out.splitlines() == [
        "NAME      STATE",
        "a [31m b  RUNNING",
        "-         FAILED",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"), [(0.44, "0.4s"), (252.0, "4m12s"), (3780.0, "1h03m"), (None, "-")]
)
def test_durations(value: float | None, text: str) -> None:
    assert seconds(value) == text


def test_sizes_and_counts() -> None:
    assert [size(n) for n in (0, 999, 96_000, 9_100_000)] == ["0 B", "999 B", "96.0 kB", "9.1 MB"]
    assert count(38112) == "38 112"
