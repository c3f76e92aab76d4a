"""No place where a process can be killed is left out: each `failpoint(...)` of the services is named by a test here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.fault.processes import ROOT

#: A name in a test: alone, or with the pass at which the process dies.
_NAMED = re.compile(r"([a-z_]+\.[a-z_]+)(?::\d+)?")


def in_the_source() -> dict[str, Path]:
    """Every failpoint by its name, with the file that has it."""
    found: dict[str, Path] = {}
    for path in sorted((ROOT / "services").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for call in ast.walk(ast.parse(text if "failpoint(" in text else "")):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "failpoint"):
                continue
            [name] = call.args
            assert isinstance(name, ast.Constant) and isinstance(name.value, str), f"{path}: a name is a plain text"
            assert name.value not in found, f"{path}: {name.value} is the name of a point in {found[name.value]}"
            found[name.value] = path
    return found


def in_the_tests() -> set[str]:
    """Every text in a test of this folder that may name one."""
    found: set[str] = set()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named = _NAMED.fullmatch(node.value)
                if named is not None:
                    found.add(named[1])
    return found


def test_every_named_point_is_exercised() -> None:
    source = in_the_source()
    assert len(source) >= 20, "the scan finds them"
    left_out = {name: str(path.relative_to(ROOT)) for name, path in source.items() if name not in in_the_tests()}
    assert not left_out, left_out


def test_names_say_whose_they_are() -> None:
    assert all(_NAMED.fullmatch(name) for name in in_the_source())
