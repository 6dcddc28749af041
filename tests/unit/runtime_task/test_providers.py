"""References in configurations: what they may read, and that no value is ever told."""

from __future__ import annotations

from pathlib import Path

import pytest

from connect.errors import ConfigError
from connect.runtime.providers import mask, parse_properties, resolve


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    directory = tmp_path / "secrets"
    directory.mkdir()
    (directory / "db.properties").write_text("user=me\npassword = p w\n")
    (directory / "token").write_text("t0ken-value\n")
    (tmp_path / "outside").write_text("password=no")
    (directory / "link").symlink_to(tmp_path / "outside")
    return directory


def test_references_are_replaced_and_told_apart(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_PORT", "5433")
    allowed = {"env": ["PG_.*"], "file": [str(secrets)], "dir": [str(secrets)]}
    path = secrets / "db.properties"
    values = {
        "url": "jdbc:postgresql://h:${env:PG_PORT}/db",
        "pair": f"${{file:{path}:user}}/${{file:{path}:password}}",
        "token": f"${{dir:{secrets}:token}}",
        "kept": "${secret:1}",
        "plain": "${topic}-x",
        "none": None,
    }
    resolved, seen = resolve(values, allowed, {"1": "${env:PG_PORT}"})
    assert resolved == {
        "url": "jdbc:postgresql://h:5433/db",
        "pair": "me/p w",
        "token": "t0ken-value",
        "kept": "${env:PG_PORT}",
        "plain": "${topic}-x",
        "none": None,
    }
    assert seen == {"5433", "me", "p w", "t0ken-value", "${env:PG_PORT}"}


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("${env:HOME}", "config.provider_refused"),
        ("${env:XPG_PORT}", "config.provider_refused"),
        ("${env:PG_UNSET}", "config.reference_missing"),
        ("${file:/etc/passwd:root}", "config.provider_refused"),
        ("${file:DIR/../outside:password}", "config.provider_refused"),
        ("${file:DIR/link:password}", "config.provider_refused"),
        ("${file:DIRx/db.properties:user}", "config.provider_refused"),
        ("${file:relative:user}", "config.provider_refused"),
        ("${file:DIR/db.properties:nothing}", "config.reference_missing"),
        ("${file:DIR/db.properties}", "config.reference_missing"),
        ("${file:DIR/absent:user}", "config.reference_missing"),
        ("${file:DIR:user}", "config.reference_missing"),
        ("${dir:DIR:../outside}", "config.reference_missing"),
        ("${dir:DIR:link}", "config.provider_refused"),
        ("${secret:9}", "config.secret_missing"),
        ("${vault:a:b}", "config.provider_unknown"),
    ],
)
def test_what_may_not_be_read_is_refused_by_key_and_provider(
    secrets: Path, reference: str, code: str
) -> None:
    allowed = {"env": ["PG_.*"], "file": [str(secrets)], "dir": [str(secrets)]}
    with pytest.raises(ConfigError) as caught:
        resolve({"database.password": reference.replace("DIR", str(secrets))}, allowed, {})
    assert (caught.value.key, caught.value.code) == ("database.password", code)
    assert "database.password" in str(caught.value)
    assert "root:" not in str(caught.value)


def test_nothing_may_be_read_unless_it_is_allowed(secrets: Path) -> None:
    for reference in ("${env:PATH}", f"${{file:{secrets}/db.properties:user}}"):
        with pytest.raises(ConfigError):
            resolve({"k": reference}, {}, {})


def test_properties_are_javas() -> None:
    text = (
        "# comment\n! comment\n\na=b\n  c : d e \\\n    f\ng h\n\\ i\\=\\:j=k=l\nu=\\u00e9\\t\\q\n"
        "last\\\\=x\r\nempty\nmulti=1\\\\\nnext=2"
    )
    assert parse_properties(text) == {
        "a": "b",
        "c": "d e f",
        "g": "h",
        " i=:j": "k=l",
        "u": "é\tq",
        "last\\": "x",
        "empty": "",
        "multi": "1\\",
        "next": "2",
    }


@pytest.mark.parametrize(
    ("text", "secrets", "expected"),
    [
        ("password=hunter2 failed", {"hunter2"}, "password=******** failed"),
        ("hunter2hunter2", {"hunter2"}, "****************"),
        ("postgres://u:p%40ss%2Fw@h", {"p@ss/w"}, "postgres://u:********@h"),
        (repr("quo'te\n"), {"quo'te\n"}, '"********"'),
        ("-----KEY\nMIIEvQIB\n---", {"MIIEvQIB\nAAAA"}, "-----KEY\n********\n---"),
        ("a cat at port 5", {"a", "5"}, "******** cat at port ********"),
        ("long and longer", {"long", "longer"}, "******** and ********"),
        ("nothing", set(), "nothing"),
    ],
)
def test_secrets_are_masked_in_any_dress(text: str, secrets: set[str], expected: str) -> None:
    assert mask(text, secrets) == expected
