"""The repository's own files agree with each other: containers, CLI, lock files, size of files."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
import yaml

from api.cli.main import tailrace
from api.demo import connectors
from api.settings import WorkerConfig, environment_keys
from connect.config import describe, validate
from connect.runtime.plugins import find

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "connect", "connectors", "log_core")
LONGEST_FILE = 400
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCKERFILE = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())


def instructions(name):
    """The arguments of every Dockerfile instruction of this name, in the last stage and before."""
    return re.findall(rf"^\s*{name}\s+(.+)$", DOCKERFILE, re.MULTILINE)


def last_stage(name):
    stage = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    return re.findall(rf"^\s*{name}\s+(.+)$", stage, re.MULTILINE)


def command_of(arguments):
    """Walk down the CLI; the command and what is left of the arguments."""
    command, rest = tailrace, list(arguments)
    while isinstance(command, click.Group):
        child = command.get_command(click.Context(command), rest.pop(0))
        assert child is not None, f"no such command: {arguments}"
        command = child
    return command, rest


def assert_cli_accepts(arguments):
    command, rest = command_of(arguments)
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    unknown = [word for word in rest if word.startswith("-") and word not in known]
    assert not unknown, f"`tailrace {' '.join(arguments)}` has no option {unknown}"


def value_of(arguments, option):
    return arguments[arguments.index(option) + 1]


def shipped_connectors():
    """Every connector that a reader may copy: containers, documents, the demo."""
    for path in (ROOT / "docker/connectors").glob("*.json"):
        yield pytest.param(json.loads(path.read_text())["config"], id=path.name)
    for name in ("README.md", "docs/getting-started.md"):
        blocks = re.findall(
            r"^\{$.*?^\}$|(?<=-d ')\{$.*?^\}(?='$)", (ROOT / name).read_text(), re.M | re.S
        )
        assert blocks, name
        for number, block in enumerate(blocks):
            yield pytest.param(json.loads(block)["config"], id=f"{name}-{number}")
    postgres = SimpleNamespace(host="h", port=1, user="u", password="p")
    yield pytest.param(connectors.source(postgres), id="demo-source")
    yield pytest.param(connectors.copy(postgres, "d"), id="demo-copy")
    yield pytest.param(connectors.warehouse("/w"), id="demo-warehouse")


@pytest.mark.parametrize("config", list(shipped_connectors()))
def test_shipped_connectors_are_valid(config):
    plugin = find(config["connector.class"], "source", "sink")
    assert [
        p
        for p in validate(plugin.cls.config, {"name": "x", **config}).problems
        if p.severity == "error"
    ] == []


def test_images_are_pinned():
    images = [s["image"] for s in COMPOSE["services"].values()]
    images += [line.split()[0] for line in instructions("FROM")]
    for image in images:
        tag = image.rpartition(":")[2]
        assert re.match(r"\d+\.\d+", tag), f"{image} is not pinned"


def test_compose_commands_are_commands_of_the_cli():
    commands = [
        s["command"] for s in COMPOSE["services"].values() if s["image"].startswith("tailrace:")
    ]
    assert len(commands) == 2
    for arguments in commands:
        assert_cli_accepts(arguments)


def test_dockerfile_command_is_a_command_of_the_cli():
    (command,) = last_stage("CMD")[-1:]
    assert_cli_accepts(yaml.safe_load(command))
    (entry,) = last_stage("ENTRYPOINT")
    assert yaml.safe_load(entry) == list(PYPROJECT["project"]["scripts"])


def test_port_and_data_directory_are_the_same_everywhere():
    image_command = yaml.safe_load(last_stage("CMD")[-1])
    service = COMPOSE["services"]["tailrace"]
    for arguments in (image_command, service["command"]):
        port, data = value_of(arguments, "--port"), value_of(arguments, "--data-dir")
        assert last_stage("EXPOSE") == [port]
        assert f"http://127.0.0.1:{port}/health" in " ".join(last_stage("HEALTHCHECK"))
        assert last_stage("VOLUME") == [data]
        assert [v.partition(":")[2] for v in service["volumes"]] == [data]
        assert [p.rpartition(":")[2] for p in service["ports"]] == [port]
        assert f":{port}" in COMPOSE["services"]["register"]["environment"]["TAILRACE_URL"]
    assert all(p.startswith("127.0.0.1:") for p in service["ports"]), "reachable from outside"


def test_a_server_open_to_the_network_has_a_token():
    service = COMPOSE["services"]["tailrace"]
    assert value_of(service["command"], "--host") == "0.0.0.0"
    assert service["environment"]["TAILRACE_API_TOKEN"]
    token = COMPOSE["services"]["register"]["environment"]["TAILRACE_API_TOKEN"]
    assert token == service["environment"]["TAILRACE_API_TOKEN"]


def test_image_runs_as_an_ordinary_user_and_stops_politely():
    assert last_stage("USER") == ["1000"]
    assert last_stage("STOPSIGNAL") == ["SIGTERM"]
    assert "uid 1000" in " ".join(last_stage("RUN"))


def test_image_holds_every_package():
    copied = " ".join(instructions("COPY"))
    for package in PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        assert f"{package} {package}" in copied
        assert f"!{package}" in (ROOT / ".dockerignore").read_text().split()


def test_compose_services_wait_for_health():
    services = COMPOSE["services"]
    for name, service in services.items():
        assert "healthcheck" in service or service.get("build"), f"{name} has no health check"
        for other, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert other in services


def test_compose_volumes_exist():
    for service in COMPOSE["services"].values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            known = (ROOT / source).exists() if "/" in source else source in COMPOSE["volumes"]
            assert known, volume


def test_compose_worker_settings_are_keys_of_the_worker():
    known = {info.name for info in describe(WorkerConfig)}
    for service in COMPOSE["services"].values():
        assert set(environment_keys(service["environment"])) <= known


def test_compose_references_are_allowed():
    environment = COMPOSE["services"]["tailrace"]["environment"]
    allowed = environment["CONNECT_CONFIG_PROVIDERS_ENV_PARAM_ALLOWLIST_PATTERN"]
    for path in (ROOT / "docker/connectors").glob("*.json"):
        for name in re.findall(r"\$\{env:([^}]+)\}", path.read_text()):
            assert re.fullmatch(allowed, name), f"{path.name}: {name}"
            assert name in environment


@pytest.mark.parametrize("lock", ["requirements.lock", "docker/requirements.lock"])
def test_locks_pin_every_dependency_and_name_no_host(lock):
    text = (ROOT / lock).read_text()
    assert "://" not in text
    entries = re.findall(
        r"^([a-z0-9-]+)==\S+.*?\n((?:    --hash=sha256:[0-9a-f]{64}.*\n?)+)", text, re.M
    )
    pinned = {name for name, _ in entries}
    assert len(pinned) == len(re.findall(r"^\S", text, re.MULTILINE)), "a line without hashes"
    wanted = list(PYPROJECT["project"]["dependencies"])
    if lock == "requirements.lock":
        wanted += PYPROJECT["dependency-groups"]["dev"]
        wanted += [
            d for extra in PYPROJECT["project"]["optional-dependencies"].values() for d in extra
        ]
    names = {re.split(r"[\[>=<]", d)[0].lower().replace("_", "-") for d in wanted}
    assert names <= pinned, names - pinned


def test_both_locks_hold_the_same_versions():
    def pins(lock):
        return dict(re.findall(r"^(\S+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))

    every = pins("requirements.lock")
    assert all(every[name] == pin for name, pin in pins("docker/requirements.lock").items())


def test_ci_runs_the_readmes_test_command():
    assert "./run test" in (ROOT / ".ci/run").read_text()
    assert "./run test" in (ROOT / "README.md").read_text()
    assert "./run demo" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("script", ["run", ".ci/run"])
def test_scripts_are_posix_sh(script):
    path = ROOT / script
    assert path.stat().st_mode & 0o111 == 0o111
    shell = shutil.which("dash") or "sh"
    subprocess.run([shell, "-n", path], check=True)


def test_run_explains_every_command():
    said = subprocess.run([ROOT / "run"], capture_output=True, text=True, check=True).stdout
    commands = re.findall(r"^([a-z]+)\)", (ROOT / "run").read_text(), re.MULTILINE)
    assert {"demo", "test", "check", "bench"} <= set(commands)
    assert [c for c in commands if f"\n  {c} " not in said] == []


def test_run_refuses_an_unknown_command():
    done = subprocess.run([ROOT / "run", "dance"], capture_output=True, check=False)
    assert done.returncode == 2


def test_files_stay_short():
    long = [
        f"{path.relative_to(ROOT)}: {lines} lines"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > LONGEST_FILE
    ]
    assert long == []
