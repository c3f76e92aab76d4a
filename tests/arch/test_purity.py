"""Core is pure: what import-linter cannot say about single modules, calls and the standard library."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.arch.tree import ROOT, python_files

# Effects have no place in core: the clock, chance, files, the network, threads, the environment.
IMPURE = {
    *("asyncio", "concurrent", "fcntl", "glob", "http", "logging", "mmap", "multiprocessing", "os", "pathlib"),
    *("queue", "random", "secrets", "select", "selectors", "shutil", "signal", "smtplib", "socket", "sqlite3"),
    *("ssl", "subprocess", "tempfile", "threading", "time", "urllib"),
}
THIRD_PARTY = {"core", "numpy", "pyroaring"}
# Packages that one folder of core may use and no other.
ONLY_IN = {"numba": "kernels", "re2": "query", "cronsim": "scenario"}
# The one module that may use threads: halves of one loop, joined before it returns, are no effect.
THREADS = ("kernels", "threads.py")
IMPURE_BUILTINS = {"open", "print", "input", "exec", "eval", "breakpoint"}
IMPURE_ATTRIBUTES = {"now", "utcnow", "today", "uuid1", "uuid4", "default_rng"}

CORE = python_files("core")


def imported(module: ast.AST) -> Iterator[str]:
    """The first name of every absolute import, wherever it stands in the file."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def may_import(path: Path, name: str) -> bool:
    if name in ONLY_IN:
        return path.parts[1] == ONLY_IN[name]
    if name in ("concurrent", "os", "threading") and path.parts[-2:] == THREADS:
        return True
    return name in THIRD_PARTY or (name in sys.stdlib_module_names and name not in IMPURE)


@pytest.mark.parametrize("path", CORE, ids=str)
def test_core_module_is_pure(path: Path) -> None:
    module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert sorted({name for name in imported(module) if not may_import(path, name)}) == []
    calls = [node.func for node in ast.walk(module) if isinstance(node, ast.Call)]
    assert [f"{c.id} in line {c.lineno}" for c in calls if isinstance(c, ast.Name) and c.id in IMPURE_BUILTINS] == []
    effects = [c for c in calls if isinstance(c, ast.Attribute) and c.attr in IMPURE_ATTRIBUTES]
    assert [f"{effect.attr} in line {effect.lineno}" for effect in effects if not on_argument(effect)] == []


def on_argument(call: ast.Attribute) -> bool:
    """Whether the call asks a value that was handed in, such as `clock.now()`, and no module or class."""
    owner = call.value
    name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
    return "clock" in name


def test_core_is_there() -> None:
    assert len(CORE) > 10


@pytest.mark.parametrize("path", python_files("core", "services"), ids=str)
def test_no_error_is_swallowed(path: Path) -> None:
    """No `except: pass`, and no `except Exception` that neither raises, answers nor logs."""
    module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    handlers = [node for node in ast.walk(module) if isinstance(node, ast.ExceptHandler)]
    assert [node.lineno for node in handlers if node.type is None] == []
    broad = [node for node in handlers if isinstance(node.type, ast.Name) and "Exception" in node.type.id]
    empty = [node.lineno for node in broad if all(isinstance(line, ast.Pass | ast.Continue) for line in node.body)]
    assert empty == []


def test_the_oracle_imports_nothing_of_ours() -> None:
    """Only the standard library and RE2, whose flavour of regular expressions is the contract."""
    oracle = [path for path in python_files("tests") if path.with_suffix("").parts[1] == "oracle"]
    assert oracle
    for path in oracle:
        module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        ours = [node.module for node in ast.walk(module) if isinstance(node, ast.ImportFrom) and node.module]
        strange = {name for name in imported(module) if name not in sys.stdlib_module_names}
        assert strange <= {"tests", "re2"}, path
        assert [name for name in ours if name.startswith("tests") and not name.startswith("tests.oracle")] == [], path
