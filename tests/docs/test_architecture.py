"""The architecture page is true: what it names exists, and what exists is named."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGE = (DOCS / "architecture.md").read_text(encoding="utf-8")
PACKAGES = ("log_core", "connect", "connectors", "api")

# A span of code may be broken over two lines: `path/file.py: Name.method`.
SPANS = [" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", PAGE)]
FILES = re.compile(r"(?P<path>[\w./-]+\.py)(?:: (?P<name>[\w.]+))?")
NAMED = [found for found in map(FILES.fullmatch, SPANS) if found is not None]
MAP = PAGE.partition("## Module map")[2].partition("\n## ")[0]
MARKDOWN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


@cache
def names_in(path: Path) -> frozenset[str]:
    """Functions, classes and assignments of a module, and those of its classes as Class.name."""
    found: set[str] = set()

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    found.add(prefix + node.name)
                case ast.ClassDef():
                    found.add(prefix + node.name)
                    visit(node.body, f"{prefix}{node.name}.")
                case ast.Assign():
                    found.update(prefix + t.id for t in node.targets if isinstance(t, ast.Name))
                case ast.AnnAssign(target=ast.Name(id=name)):
                    found.add(prefix + name)

    visit(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return frozenset(found)


def test_the_page_names_files_and_functions() -> None:
    assert len(NAMED) > 150
    assert sum(found["name"] is not None for found in NAMED) > 70


def test_every_file_named_exists() -> None:
    assert [found["path"] for found in NAMED if not (ROOT / found["path"]).is_file()] == []


def test_every_function_named_is_in_its_file() -> None:
    wrong = [
        found[0]
        for found in NAMED
        if found["name"] and found["name"] not in names_in(ROOT / found["path"])
    ]
    assert wrong == []


def test_every_file_of_the_product_is_in_the_module_map() -> None:
    mapped = re.findall(r"`([\w/]+(?:\.py|/))`", MAP)
    directories = tuple(path for path in mapped if path.endswith("/"))
    missing = [
        path
        for package in PACKAGES
        for file in sorted((ROOT / package).rglob("*.py"))
        if (path := file.relative_to(ROOT).as_posix()) not in mapped
        and not path.startswith(directories)
        and file.name != "__init__.py"
    ]
    assert missing == [], "add a line for each to the module map of docs/architecture.md"


def test_the_module_map_has_each_file_once() -> None:
    mapped = re.findall(r"`([\w/]+\.py)`", MAP)
    assert sorted(mapped) == sorted(set(mapped))


def test_every_decision_record_is_linked() -> None:
    linked = set(re.findall(r"\(adr/([\w-]+\.md)\)", PAGE.partition("## Decision records")[2]))
    assert {path.name for path in (DOCS / "adr").glob("*.md")} == linked


def test_every_contract_is_among_the_walls() -> None:
    contracts = re.findall(r"^\[importlinter:contract:", (ROOT / ".importlinter").read_text(), re.M)
    walls = PAGE.partition("## Walls")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\| `?\w", walls, re.M)) - 1 == len(contracts)


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    broken = []
    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    linked = {(DOCS / link).resolve() for link in re.findall(r"\]\(([^)\s#]+)", index)}
    pages = {page for page in DOCS.rglob("*.md") if page.parent.name != "adr"}
    assert sorted(pages - linked - {DOCS / "README.md"}) == []
