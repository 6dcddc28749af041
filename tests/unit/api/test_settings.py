from __future__ import annotations

from pathlib import Path

import pytest

from api.settings import Settings, environment_keys, load_settings
from connect.errors import ConfigError

JSON = "org.apache.kafka.connect.json.JsonConverter"


def settings(text: str = "", options: dict[str, str] | None = None, **env: str) -> Settings:
    path = None
    if text:
        path = Path("worker.properties")
        path.write_text(text)
    return load_settings(path, env, options or {})


@pytest.fixture(autouse=True)
def _directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults(tmp_path: Path) -> None:
    found = settings()
    assert (found.host, found.port) == ("127.0.0.1", 8083)
    assert found.data_dir == tmp_path / "tailrace-data"
    assert found.defaults == {
        "key.converter": JSON, "key.converter.schemas.enable": "true",
        "value.converter": JSON, "value.converter.schemas.enable": "true",
    }  # fmt: skip
    assert (found.notes, found.token, found.auth_file) == ((), None, None)


def test_options_go_before_variables_before_the_file() -> None:
    text = "rest.port=1\ndata.dir=file\nkey.converter=string\n"
    found = settings(text, {"rest.port": "3"}, CONNECT_REST_PORT="2", CONNECT_KEY_CONVERTER="bytes")
    assert found.port == 3
    assert found.data_dir.name == "file"
    assert found.defaults["key.converter"] == "bytes"
    assert "key.converter.schemas.enable" not in found.defaults


def test_java_properties() -> None:
    found = settings(
        "# comment\n! comment\nlisteners : http\\://localhost\\:90\\\n  91\n"
        "data.dir\tdir\\u0020x\nvalue.converter.schemas.enable=false\n"
    )
    assert (found.host, found.port) == ("localhost", 9091)
    assert found.data_dir.name == "dir x"
    assert found.defaults["value.converter.schemas.enable"] == "false"


@pytest.mark.parametrize(
    ("variable", "key"),
    [
        ("CONNECT_VALUE_CONVERTER_SCHEMAS_ENABLE", "value.converter.schemas.enable"),
        ("CONNECT_A__B___C_D", "a-b_c.d"),
        ("TAILRACE_DATA_DIR", "data.dir"),
        ("BOOTSTRAP_SERVERS", "bootstrap.servers"),
    ],
)
def test_variables(variable: str, key: str) -> None:
    assert environment_keys({variable: "x", "PATH": "/bin", "CONNECT_": "y"}) == {key: "x"}


@pytest.mark.parametrize(
    ("listener", "place"),
    [
        ("http://127.0.0.1:1", ("127.0.0.1", 1)),
        ("http://[::1]:2", ("::1", 2)),
        ("http://:8083", ("0.0.0.0", 8083)),
    ],
)
def test_listeners(listener: str, place: tuple[str, int]) -> None:
    found = settings(options={"listeners": listener})
    assert (found.host, found.port) == place


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("listeners=https://localhost:1", "listeners"),
        ("listeners=http://a:1,http://b:2", "listeners"),
        ("listeners=http://a:99999", "listeners"),
        ("listeners=PLAINTEXT", "listeners"),
        ("rest.port=http", "rest.port"),
        ("bootstrap.servers=localhost:9092", "bootstrap.servers"),
        ("data.dri=x", "data.dri"),
        ("ssl.keystore.location=x", "ssl.keystore.location"),
        ("topic.creation.enable=false", "topic.creation.enable"),
    ],
)
def test_refused(text: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(text)
    assert caught.value.key == key


def test_keys_without_effect_are_noted() -> None:
    found = settings("group.id=x\nplugin.path=/jars\nproducer.acks=all\ntopic.creation.enable=true")
    assert [note.partition(" ")[0] for note in found.notes] == [
        "group.id", "plugin.path", "producer.acks",
    ]  # fmt: skip


def test_a_missing_file() -> None:
    with pytest.raises(ConfigError, match=r"Can't read nothing.properties: No such file"):
        load_settings(Path("nothing.properties"), {}, {})


def test_references_are_allowed_by_name_only() -> None:
    found = settings(
        "config.providers=env,file\n"
        "config.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider\n"
        "config.providers.env.param.allowlist.pattern=PG.*, X\n"
        "config.providers.file.param.allowed.paths=/run/secrets\n"
    )
    assert found.providers == {"env": ("PG.*", "X"), "file": ("/run/secrets",), "dir": ()}
    assert settings().providers == {"env": (), "file": (), "dir": ()}


def test_the_token_is_not_shown() -> None:
    from api.authentication import Authentication

    assert "hunter2" not in repr(Authentication("hunter2", {"a": "hunter2"}))
