from __future__ import annotations

from pathlib import Path

import pytest

from api.authentication import hash_password, password_matches, read_users
from connect.errors import ConfigError


def test_hashes_are_salted_and_match() -> None:
    first, second = hash_password("pä:ss"), hash_password("pä:ss")
    assert first != second
    assert password_matches("pä:ss", first)
    assert not password_matches("pä:s", first)
    assert password_matches("plain", "plain")
    assert not password_matches(first, first)


def users(path: Path, text: str, mode: int = 0o600) -> dict[str, str]:
    path.write_text(text)
    path.chmod(mode)
    return read_users(path)


def test_a_file_of_users(tmp_path: Path) -> None:
    hashed = hash_password("x")
    found = users(tmp_path / "f", f"# who\n\nann:{hashed}\nbob:pass:word\n")
    assert found == {"ann": hashed, "bob": "pass:word"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names no user"),
        ("ann", "line 1 is not user:password"),
        (":hunter2", "line 1"),
        ("ann:x\nbob:", "line 2"),
        ("ann:$2y$05$hunter2", "line 1"),
        ("ann:{scrypt}hunter2", "line 1"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        users(tmp_path / "f", text)
    assert "hunter2" not in str(caught.value).replace(str(tmp_path), "")


def test_a_file_others_can_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="chmod 600"):
        users(tmp_path / "f", "ann:x", 0o640)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_users(tmp_path / "missing")
