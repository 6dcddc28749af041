from __future__ import annotations

import os
import random
import shutil
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from log_core import Append, Log, errors, records
from tests.unit.log_core.conftest import batch, fill, put, rows, values

SEGMENT = f"{0:020d}"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A closed log: topic a of a few small segments, its rows their own offsets."""
    with Log(tmp_path / "made") as log:
        log.create_topic("a", 1, {"segment.bytes": "12000"})
        fill(log, "a", [b"%d" % n + bytes(150) for n in range(200)])
    return tmp_path / "made"


def check_rows(log: Log) -> None:
    found = rows(log, "a")
    assert [offset for offset, _ in found] == list(range(200))
    assert all((value or b"").startswith(b"%d\0" % offset) for offset, value in found)


def active(directory: Path) -> Path:
    return max((directory / "a-0").glob("*.log"))


def test_reopening_keeps_everything(made: Path):
    for _ in range(3):
        with Log(made) as log:
            check_rows(log)
            assert log.topics()["a"].config == {"segment.bytes": "12000"}


@pytest.mark.parametrize("tail", ["garbage", "zeros", "a whole batch", "half a batch"])
def test_bytes_beyond_the_committed_end_never_happened(made: Path, tail: str):
    extra = {
        "garbage": random.Random(1).randbytes(1000),
        "zeros": bytes(5000),
        "a whole batch": b"".join(records.with_offset(batch(b"ghost"), 200)),
        "half a batch": batch(b"ghost")[:40],
    }[tail]
    with active(made).open("ab") as file:
        file.write(extra)
    size = active(made).stat().st_size - len(extra)
    with Log(made) as log:
        assert active(made).stat().st_size == size
        check_rows(log)
        assert put(log, "a", b"next") == 200
        assert values(log, "a")[200:] == [b"next"]


def test_a_segment_cut_at_every_byte_below_the_end_is_corruption(tmp_path: Path):
    with Log(tmp_path / "log") as log:
        log.create_topic("a")
        fill(log, "a", [b"0", b"1", b"2"])
    file = tmp_path / "log" / "a-0" / f"{SEGMENT}.log"
    whole = file.read_bytes()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        with pytest.raises(errors.CorruptLog) as caught:
            Log(tmp_path / "log")
        assert caught.value.path == str(file)
        assert caught.value.position == size
        assert file.stat().st_size == size  # the evidence stays as it was
    file.write_bytes(whole)
    with Log(tmp_path / "log") as log:
        assert values(log, "a") == [b"0", b"1", b"2"]


def test_every_flipped_byte_is_noticed(tmp_path: Path):
    """By recovery or by the first who reads it; never handed out."""
    with Log(tmp_path / "log") as log:
        log.create_topic("a")
        fill(log, "a", [b"0", b"1", b"2"])
    file = tmp_path / "log" / "a-0" / f"{SEGMENT}.log"
    whole = file.read_bytes()
    harmless = {n * (len(whole) // 3) + at for n in range(3) for at in range(12, 16)}
    for at in set(range(len(whole))) - harmless:  # the leader epoch tells nothing here
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        with pytest.raises(errors.CorruptLog):
            Log(tmp_path / "log")


def test_damage_in_a_closed_segment_is_found_by_its_reader(made: Path):
    first = made / "a-0" / f"{SEGMENT}.log"
    data = bytearray(first.read_bytes())
    data[len(data) // 2] ^= 1
    first.write_bytes(data)
    with Log(made) as log, pytest.raises(errors.CorruptLog, match=SEGMENT):
        check_rows(log)


def test_a_missing_segment_is_corruption(made: Path):
    second = sorted((made / "a-0").glob("*.log"))[1]
    second.unlink()
    with pytest.raises(errors.CorruptLog, match=second.name):
        Log(made)


def test_segments_without_metadata_are_never_taken_for_an_empty_log(made: Path):
    for file in made.glob("log.db*"):
        file.unlink()
    with pytest.raises(errors.CorruptLog, match=r"log\.db"):
        Log(made)
    assert active(made).exists()


def test_damaged_metadata_is_reported(made: Path):
    (made / "log.db").write_bytes(b"no database" * 1000)
    with pytest.raises(errors.CorruptLog, match=r"log\.db"):
        Log(made)


def test_a_newer_format_is_refused(made: Path):
    import sqlite3

    database = sqlite3.connect(made / "log.db")
    database.execute("pragma user_version=99")
    database.close()
    with pytest.raises(errors.LogError, match="format 99"):
        Log(made)


INDEX_FAULTS = {
    "missing": lambda data, other: None,
    "empty": lambda data, other: b"",
    "cut": lambda data, other: data[:-3],
    "too long": lambda data, other: data + data,
    "zeros": lambda data, other: bytes(len(data)),
    "zeros at the end": lambda data, other: data + bytes(64),
    "of another segment": lambda data, other: other,
    "random": lambda data, other: random.Random(2).randbytes(len(data)),
    "one bit": lambda data, other: data[:7] + bytes([data[7] ^ 4]) + data[8:],
}


@pytest.mark.parametrize("suffix", ["index", "timeindex", "*index"])
@pytest.mark.parametrize("fault", INDEX_FAULTS)
def test_a_doubtful_index_is_made_anew(made: Path, fault: str, suffix: str):
    files = sorted((made / "a-0").glob(f"*.{suffix}"))
    assert len(files) > 2
    assert any(file.stat().st_size for file in files)
    contents = {file: file.read_bytes() for file in files}
    for place, file in enumerate(files):
        data = INDEX_FAULTS[fault](contents[file], contents[files[place - 1]])
        file.unlink() if data is None else file.write_bytes(data)
    with Log(made) as log:
        check_rows(log)
        for offset in range(200):
            assert records.decode(log.fetch("a", 0, offset, 1))[0].offsets == [offset]
        put(log, "a", b"next")
        assert log.offset_at("a", 0, 0) == 0


def test_an_index_that_points_too_far_skips_nothing(made: Path):
    """Every entry names a real batch, but a later one than it says."""
    for file in (made / "a-0").glob("*.index"):
        entries = list(struct.iter_unpack(">ii", file.read_bytes()))
        wrong = [(offset - 3, position) for offset, position in entries]
        file.write_bytes(b"".join(struct.pack(">ii", *entry) for entry in wrong))
        times = file.with_suffix(".timeindex")
        entries = list(struct.iter_unpack(">qi", times.read_bytes()))
        wrong = [(time, offset - 3) for time, offset in entries]
        times.write_bytes(b"".join(struct.pack(">qi", *entry) for entry in wrong))
    with Log(made) as log:
        for offset in range(200):
            assert log.offset_at("a", 0, offset) == offset
            assert records.decode(log.fetch("a", 0, offset, 1))[0].offsets == [offset]


def test_leftover_segments_go_and_other_peoples_files_stay(made: Path):
    directory = made / "a-0"
    leftovers = [
        directory / f"{200:020d}.log",
        directory / f"{200:020d}.index",
        directory / f"{0:020d}.3.log",
    ]
    strangers = [directory / "notes.txt", directory / "1.log", made / "b-0", made / "x.log"]
    for file in leftovers + strangers:
        file.write_bytes(b"something")
    with Log(made) as log:
        check_rows(log)
        put(log, "a", b"next")
    assert [file for file in leftovers if file.exists() and b"something" in file.read_bytes()] == []
    assert all(file.read_bytes() == b"something" for file in strangers)


def test_only_one_owner(tmp_path: Path):
    with Log(tmp_path / "log"), pytest.raises(errors.LogLocked, match=f"pid {os.getpid()}"):
        Log(tmp_path / "log")
    (tmp_path / "log" / "lock").write_text("1\n")  # a stale number does not matter
    Log(tmp_path / "log").close()


def test_another_process_is_kept_out_and_let_in_after_a_kill(tmp_path: Path):
    code = "import sys; from log_core import Log; Log(sys.argv[1]); print('up'); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(errors.LogLocked, match=f"pid {child.pid}"):
            Log(tmp_path / "log")
        child.kill()
    Log(tmp_path / "log").close()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_files_are_private_whatever_the_umask(tmp_path: Path, umask: int):
    before = os.umask(umask)
    try:
        with Log(tmp_path / "data") as log:
            log.create_topic("a", 1, {"segment.bytes": "5000"})
            fill(log, "a", [b"%d" % n + bytes(500) for n in range(60)])
            modes = {
                (stat.S_ISDIR(path.stat().st_mode), stat.S_IMODE(path.stat().st_mode))
                for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]
            }
            names = {path.suffix for path in (tmp_path / "data").rglob("*")}
    finally:
        os.umask(before)
    assert modes == {(True, 0o700), (False, 0o600)}
    assert {".log", ".index", ".timeindex", ".db", ".db-wal"} <= names


def test_missing_directories_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Log("data").close()
    Log(Path("deep") / "deeper" / "log").close()
    assert (tmp_path / "deep" / "deeper" / "log" / "log.db").exists()


def test_a_copy_opens(made: Path, tmp_path: Path):
    shutil.copytree(made, tmp_path / "copy")
    with Log(tmp_path / "copy") as log, Log(made):
        check_rows(log)


def test_many_open_files_are_not_needed(tmp_path: Path):
    """Readers open what they read, writers keep a bounded number open."""
    with Log(tmp_path / "log") as log:
        log._store.handles._limit = 4
        log.create_topic("a", 30)
        log.append([Append("a", n, batch(b"%d" % n)) for n in range(30)])
        assert len(log._store.handles._handles) == 4
        log.append([Append("a", n, batch(b"again")) for n in range(30)])
        assert [values(log, "a", n) for n in range(30)] == [
            [b"%d" % n, b"again"] for n in range(30)
        ]
