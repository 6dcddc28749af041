from __future__ import annotations

from api.cli.figures import (
    Progress,
    parse_exposition,
    progress,
    progress_line,
    total,
    worst,
)

TEXT = r"""# HELP x help
x 1.0
x_lag{connector="a",topic="t \"q\" \\ {}"} 2.5
x_lag{connector="a",topic="u"} 4
x_lag{connector="b"} +Inf
tailrace_snapshot_rows_total{connector="a",task="0",table="s.t"} 50.0
tailrace_snapshot_rows_estimated{connector="a",task="0",table="s.t"} 200.0
tailrace_snapshot_rows_estimated{connector="a",task="0",table="s.u"} 10.0
tailrace_snapshot_rows_estimated{connector="b",task="0",table="other"} 10.0
"""


def test_samples_are_summed_over_labels() -> None:
    figures = parse_exposition(TEXT)
    assert total(figures, "x") == 1.0
    assert total(figures, "x_lag", connector="a") == 6.5
    assert worst(figures, "x_lag", connector="a") == 4.0
    assert total(figures, "x_lag", connector="c") is None
    assert figures["x_lag"][0].labels["topic"] == 't "q" \\ {}'


def test_progress_of_one_connector() -> None:
    found = progress(parse_exposition(TEXT), "a")
    assert found == [Progress("s.t", 50, 200), Progress("s.u", 0, 10)]


def test_bars_never_show_more_than_all() -> None:
    assert progress_line(Progress("t", 50, 200), False) == "t  █████···············  50 / ~200"
    assert progress_line(Progress("t", 250, 200), False) == "t  250 rows"
    assert progress_line(Progress("t", 7, None), False) == "t  7 rows"
    assert progress_line(Progress("t", 7, 5), True).endswith("7 rows  done")
