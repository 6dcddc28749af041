"""Secrets: found by type, masked, stored outside of the log, kept by their mask."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from connect.errors import ConfigError, FatalError
from connect.runtime.providers import MASK
from connect.runtime.sealing import masked, reusing, sealed, secret_names, unmasked
from connect.runtime.secret_store import STORED, SecretStore
from tests.kit.fakes import FAKE_PLUGINS

assert FAKE_PLUGINS  # its plugins are installed by importing it
CLASS = {"connector.class": "fake_source"}


@pytest.fixture
def store(tmp_path: Path) -> SecretStore:
    return SecretStore(tmp_path / "secrets.json")


def test_passwords_are_found_by_type_and_unknown_keys_by_name() -> None:
    config = {
        **CLASS, "fake.password": "a", "some.api.key": "b", "fake.topic": "token",
        "value.converter": "repr", "value.converter.basic.auth.secret": "d",
    }  # fmt: skip
    assert secret_names(config) == {
        "fake.password", "some.api.key", "value.converter.basic.auth.secret",
    }  # fmt: skip


def test_masks() -> None:
    config = {
        **CLASS,
        "fake.password": "hunter2",
        "other.password": "${env:PW}",
        "kept.secret": "${secret:abc}",
        "url": "jdbc:postgresql://h:1/db?user=u&password=p%40ss&x=1",
        "uri": "postgresql://bob:p:w@h/db",
        "plain": "http://h/p?q=1",
        "none": None,
    }
    assert masked(config) == {
        **config,
        "fake.password": MASK,
        "kept.secret": MASK,
        "url": f"jdbc:postgresql://h:1/db?user=u&password={MASK}&x=1",
        "uri": f"postgresql://bob:{MASK}@h/db",
    }


def test_literal_secrets_leave_the_configuration(store: SecretStore, tmp_path: Path) -> None:
    config = {**CLASS, "fake.password": "hunter2", "uri": "pg://u:pw@h/d", "p.password": "${env:P}"}
    stored = sealed(config, store, [])
    assert "hunter2" not in json.dumps(stored)
    assert "pw@" not in json.dumps(stored)
    assert stored["p.password"] == "${env:P}"
    assert set(store.behind(stored).values()) == {"hunter2", "pw"}
    mode = stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode)
    assert mode == 0o600
    # A later start reads the same.
    again = SecretStore(tmp_path / "secrets.json")
    assert again.behind(stored) == store.behind(stored)


def test_the_mask_keeps_what_is_stored(store: SecretStore) -> None:
    first = sealed({**CLASS, "fake.password": "a", "uri": "pg://u:pw@h/d"}, store, [])
    shown = masked(first)
    assert shown["uri"] == f"pg://u:{MASK}@h/d"
    changed = {**shown, "uri": f"pg://u:{MASK}@other/d"}
    second = unmasked(changed, first)
    assert second["fake.password"] == first["fake.password"]
    assert second["uri"] == (first["uri"] or "").replace("@h/", "@other/")


def test_a_mask_that_stands_for_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"No secret is stored for fake\.password"):
        unmasked({**CLASS, "fake.password": MASK}, {})


def test_somebody_elses_stored_secret_is_refused(store: SecretStore) -> None:
    theirs = sealed({**CLASS, "fake.password": "a"}, store, [])
    for key in ("fake.password", "fake.topic"):
        with pytest.raises(ConfigError, match="not its own"):
            unmasked({**CLASS, key: theirs["fake.password"]}, {})


def test_an_unchanged_secret_keeps_its_reference(store: SecretStore) -> None:
    config = {**CLASS, "fake.password": "a"}
    stored = sealed(config, store, [])
    assert reusing(config, stored, store) == stored
    assert reusing({**CLASS, "fake.password": "b"}, stored, store)["fake.password"] == "b"


def test_what_nobody_refers_to_is_dropped(store: SecretStore) -> None:
    first = sealed({**CLASS, "fake.password": "a"}, store, [])
    second = sealed({**CLASS, "fake.password": "b"}, store, first.values())
    assert set(store.behind({**first, "x": second["fake.password"]}).values()) == {"a", "b"}
    store.collect(second.values())
    assert store.behind(first) == {}
    assert list(store.behind(second).values()) == ["b"]


def test_an_interrupted_write_leaves_the_old_secrets(store: SecretStore, tmp_path: Path) -> None:
    stored = sealed({**CLASS, "fake.password": "a"}, store, [])
    (tmp_path / "secrets.new").write_text("{half")
    (tmp_path / "secrets.new").chmod(0o644)
    again = SecretStore(tmp_path / "secrets.json")
    assert list(again.behind(stored).values()) == ["a"]
    sealed({**CLASS, "fake.password": "b"}, again, stored.values())
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_a_broken_file_is_said_to_be_broken(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{half")
    with pytest.raises(FatalError, match="no JSON"):
        SecretStore(tmp_path / "secrets.json")


def test_ids_say_nothing_of_the_secret(store: SecretStore) -> None:
    one = sealed({**CLASS, "fake.password": "a"}, store, [])
    two = sealed({**CLASS, "fake.password": "a"}, store, one.values())
    assert one["fake.password"] != two["fake.password"]
    assert STORED.fullmatch(one["fake.password"] or "")
