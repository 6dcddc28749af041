"""What the log may not do, read from its source."""

from __future__ import annotations

import ast
from pathlib import Path

import log_core

SOURCES = sorted(Path(log_core.__file__).parent.rglob("*.py"))
FILE_CALLS = {
    *("open", "fdopen", "pread", "pwrite", "pwritev", "fsync", "fdatasync", "ftruncate"),
    *("truncate", "unlink", "remove", "rename", "replace", "mkdir", "makedirs", "rmdir"),
    *("listdir", "scandir", "chmod", "fchmod", "stat", "fstat"),
}
PATH_CALLS = {
    *("read_bytes", "read_text", "write_bytes", "write_text", "touch", "iterdir", "glob", "rglob"),
    *("is_file", "is_dir", "exists_on_disk"),
}


def disk_calls(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        call = node.func
        if isinstance(call, ast.Name) and call.id == "open":
            found.add("open")
        elif isinstance(call, ast.Attribute):
            of_os = isinstance(call.value, ast.Name) and call.value.id in {"os", "io", "shutil"}
            if (of_os and call.attr in FILE_CALLS) or call.attr in PATH_CALLS:
                found.add(call.attr)
    return found


def test_only_the_file_layer_touches_the_disk():
    touching = {path.name for path in SOURCES if disk_calls(path.read_text())}
    assert touching == {"files.py"}


def test_the_check_sees_what_it_forbids():
    assert disk_calls("import os\nos.open('x', 0)\nopen('y')\np.read_text()\n") == {
        "open",
        "read_text",
    }
    assert disk_calls("self._files.open(path)\nfiles.unlink(path)\nos.path.join('a', 'b')") == set()


def test_the_log_imports_nothing_else_of_the_project():
    others = {"connect", "connectors", "api", "tests"}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            modules: list[str] = []
            if isinstance(node, ast.Import):
                modules = [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            assert not others & {module.split(".")[0] for module in modules}, path


def test_one_place_commits():
    callers = {path.name for path in SOURCES if "_metadata.commit(" in path.read_text()}
    assert callers == {"store.py"}
