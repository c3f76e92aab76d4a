"""No class of bad input is without a case, and no endpoint that takes input without one."""

from __future__ import annotations

import re
from pathlib import Path

import cdp
from tests.flow.bad_input import RPCS, Bad
from tests.flow.test_bad_input_facts import BODIES, CALLS, ITEMS, SAME
from tests.flow.test_bad_input_messages import DEFINITIONS, MESSAGES, OUTGOING
from tests.flow.test_bad_input_rules import QUESTIONS, SCENARIOS, TEXTS, TREES
from tests.flow.test_bad_input_strings import STRINGS, WAITS, variants
from tests.flow.test_bad_input_transport import WIRE

_NAMED = re.compile(r"Bad\.([A-Z0-9_]+)|\b([A-Z0-9_]{5,})\b")


def of_tables() -> set[Bad]:
    tables = (BODIES, CALLS, SAME, MESSAGES, OUTGOING, TEXTS, TREES, WIRE)
    cases = (*ITEMS, *DEFINITIONS, *QUESTIONS, *SCENARIOS)
    return {row[0] for table in tables for row in table} | {case.bad for case in cases}


def of_scenes() -> set[Bad]:
    """Classes that a test of its own names in its docstring: they are played, not listed."""
    found = set()
    for path in Path(__file__).parent.glob("test_bad_input_*.py"):
        for text in re.findall(r'^async def test[^"]*?"""(.*?)"""', path.read_text(), re.MULTILINE | re.DOTALL):
            found |= {one for match in _NAMED.finditer(text) if (one := match[1] or match[2]) in Bad.__members__}
    return {Bad[name] for name in found}


def test_every_class_has_a_case() -> None:
    covered = of_tables() | of_scenes() | {Bad.HOSTILE_STRING}
    missing = set(Bad) - covered
    assert not missing, f"without a case: {sorted(one.name for one in missing)}"


def test_hostile_strings_reach_every_text_of_every_method() -> None:
    assert len(set(STRINGS)) == len(STRINGS) >= 40
    reached = {name for name, rpc in RPCS.items() if any(True for _ in variants(rpc.request.DESCRIPTOR))}
    empty = {name for name, rpc in RPCS.items() if not {one.name for one in rpc.request.DESCRIPTOR.fields} - {*WAITS}}
    missed = sorted(RPCS.keys() - reached - empty)
    assert not missed, f"their fields are of kinds that test_bad_input_strings.variants does not fill: {missed}"


def test_every_method_of_every_service_is_found() -> None:
    """A proto file that protos/gen holds is fired at without being listed."""
    written = {
        f"{package[1]}.{service[1]}/{method[1]}"
        for path in (Path(cdp.__path__[0]).parents[1] / "cdp").rglob("*.proto")
        if (package := re.search(r"^package ([\w.]+);", text := path.read_text(), re.MULTILINE))
        for service in re.finditer(r"^service (\w+) \{(.*?)^\}", text, re.MULTILINE | re.DOTALL)
        for method in re.finditer(r"^  rpc (\w+)\(", service[2], re.MULTILINE)
    }
    ours = {name for name in RPCS if name.startswith("cdp.")}
    assert len(written) > 90
    assert written == ours, f"run `make protos`: {sorted(written ^ ours)}"
