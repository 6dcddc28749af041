"""The demo, its parts on a real Postgres and as a user runs it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from api.demo import changes, compare, shop

pytestmark = pytest.mark.integration

DEMO = [sys.executable, "-c", "from api.cli.main import main; main()", "demo"]


@pytest.fixture
def seeded(database18):
    with database18.connect() as connection:
        counts = shop.seed(connection, 1000)
        yield database18, connection, counts


def digests(connection):
    connection.execute("SET TimeZone = 'UTC'")
    return {
        table.name: compare.digest(
            table, connection.execute(compare.query(table, f"shop.{table.name}"))
        )
        for table in shop.TABLES
    }


def test_shop_is_seeded_as_asked(seeded):
    _, connection, counts = seeded
    assert {name: d.rows for name, d in digests(connection).items()} == counts
    assert sum(counts.values()) == pytest.approx(1000, rel=0.05)


def test_large_texts_are_kept_out_of_line(seeded):
    database, _, _ = seeded
    ((size,),) = database.query(
        "SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 'shop.products'::regclass"
    )
    assert size > 0


def test_changes_touch_every_table_and_are_counted(seeded):
    database, connection, counts = seeded
    before = digests(connection)
    with database.connect() as own:
        writer = changes.Changes(own, counts, rate=1e6)
        writer.start()
        while writer.count < 500 and writer.is_alive():
            writer.join(0.01)
        writer.stop()
    after = digests(connection)
    assert writer.count >= 500
    assert [name for name in before if before[name] == after[name]] == []
    moved = connection.execute("SELECT count(*) FROM shop.payments WHERE reference LIKE 'MOVED-%'")
    assert moved.fetchone()[0] > 0


def test_a_failing_writer_says_so(seeded):
    database, connection, counts = seeded
    connection.execute("DROP TABLE shop.payments")
    with database.connect() as own:
        writer = changes.Changes(own, counts, rate=1e6)
        writer.start()
        writer.join(60)
        with pytest.raises(Exception, match="payments"):
            writer.stop()


def test_marks_find_their_rows(seeded):
    _, connection, _ = seeded
    for table, (condition, updated_at) in changes.mark(connection).items():
        found = connection.execute(f"SELECT updated_at FROM shop.{table} WHERE {condition}")
        assert found.fetchall() == [(updated_at,)]


def run_demo(*arguments, timeout=300, **options):
    return subprocess.run(
        [*DEMO, *arguments], capture_output=True, text=True, timeout=timeout, check=False, **options
    )


def test_demo_ends_with_source_and_sinks_equal(tmp_path):
    kept = tmp_path / "kept"
    done = run_demo(
        *("--for", "5s", "--rows", "2000", "--rate", "200", "--no-browser", "--json"),
        *("--keep", str(kept)),
    )
    assert done.returncode == 0, done.stderr[-5000:]
    result = json.loads(done.stdout)
    assert result["equal"] is True
    assert result["tables"] == 5
    assert result["changes"] > 100
    assert 0 < result["first_event_seconds"] < 60
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p99"]
    assert result["latency_ms"]["rows"] > 50
    # One record for each seeded row and each change, one more for each delete and moved key.
    assert result["records"] >= 2000 + result["changes"]
    assert (kept / "warehouse.duckdb").exists()


def test_demo_without_a_postgres_says_what_to_install(tmp_path):
    code = (
        "import api.demo.story as s; s.find_binaries = lambda: None;"
        "from api.demo.command import demo; demo()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 1
    assert "tailrace[demo]" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def room():
    """A temporary directory for the demo alone; Postgres's user must be able to enter it."""
    directory = Path(tempfile.mkdtemp(prefix="tailrace-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def start_demo(room, *arguments):
    return subprocess.Popen(
        [*DEMO, "--rows", "1000", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(room), "PYTHONUNBUFFERED": "1"},
    )


def read_until(demo, text):
    lines = []
    for line in demo.stdout:
        lines.append(line)
        if text in line:
            return
    pytest.fail(f"the demo ended without {text!r}:\n{''.join(lines)[-5000:]}")


def leftovers(room):
    """Processes that the demo started, known by its directory in their command or their cwd."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = [*(process.info["cmdline"] or []), process.info["cwd"] or ""]
        if any(str(room) in word for word in words):
            found.append(words)
    return found


def test_ctrl_c_compares_and_leaves_nothing(room):
    demo = start_demo(room)
    read_until(demo, "Ctrl-C to stop")
    read_until(demo, "streaming")
    assert leftovers(room) != []
    demo.send_signal(signal.SIGINT)
    said, _ = demo.communicate(timeout=120)
    assert "source = both sinks" in said
    assert demo.returncode == 0
    assert leftovers(room) == []
    assert list(room.iterdir()) == []


@pytest.mark.parametrize("numbers", [[signal.SIGINT, signal.SIGINT], [signal.SIGTERM]])
def test_an_impatient_end_leaves_nothing_either(room, numbers):
    demo = start_demo(room)
    read_until(demo, "Ctrl-C to stop")
    for number in numbers:
        demo.send_signal(number)
    demo.communicate(timeout=120)
    assert demo.returncode in (0, 130)  # two signals at once may arrive as one
    assert leftovers(room) == []
    assert list(room.iterdir()) == []
