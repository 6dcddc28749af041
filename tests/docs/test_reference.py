"""The documentation says what the code does: no key, path, command, code or metric is left out."""

from __future__ import annotations

import re

import pytest

from api import reference
from api.app import route_table
from api.cli.main import COMMANDS
from connect.config import describe
from connect.runtime.metric_names import METRICS
from connect.runtime.plugins import plugins

DOCS = reference.ROOT / "docs"


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return reference.pages()


@pytest.mark.parametrize(
    "name", ["configuration.md", "worker.md", "rest.md", "cli.md", "errors.md", "metrics.md"]
)
def test_the_committed_page_is_fresh(pages: dict[str, str], name: str) -> None:
    committed = (reference.DIRECTORY / name).read_text(encoding="utf-8")
    assert committed == pages[name], "Run: python -m api.reference"


def test_every_key_of_every_plugin_is_documented(pages: dict[str, str]) -> None:
    text = pages["configuration.md"]
    for plugin in plugins():
        if plugin.cls is not None and plugin.path.startswith(("connect.", "connectors.")):
            section = text.partition(f"## {plugin.kind} `{plugin.name}`")[2].partition("\n## ")[0]
            for info in describe(plugin.cls.config):
                assert f"| `{info.name}` |" in section, (plugin.name, info.name)
                assert info.doc


def test_every_path_is_documented(pages: dict[str, str]) -> None:
    assert len(route_table()) > 30
    for method, path, text in route_table():
        assert f"| `{method}` | `{path}` |" in pages["rest.md"]
        assert text


def test_every_command_is_documented(pages: dict[str, str]) -> None:
    for command in COMMANDS:
        assert f"## `tailrace {command}" in pages["cli.md"]


def test_every_metric_is_documented(pages: dict[str, str]) -> None:
    assert all(f"| `{name}` |" in pages["metrics.md"] for name in METRICS)


def test_every_error_code_in_the_code_is_documented(pages: dict[str, str]) -> None:
    for path in (
        path for name in reference.PACKAGES for path in (reference.ROOT / name).rglob("*.py")
    ):
        for code in re.findall(r'\bcode="([a-z]+(?:\.[a-z_]+)+)"', path.read_text("utf-8")):
            assert f"| `{code}` |" in pages["errors.md"], (path, code)


def test_links_between_pages_lead_somewhere() -> None:
    for page in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_commands_in_the_prose_exist() -> None:
    for page in (*DOCS.glob("*.md"), reference.ROOT / "README.md"):
        for word in re.findall(r"^\$ tailrace ([a-z]+)", page.read_text("utf-8"), re.M):
            assert word in COMMANDS, f"{page.name}: tailrace {word}"
