"""No class of bad input is without a case, and no endpoint that takes input without one."""

from __future__ import annotations

import re
from pathlib import Path

from tests.flow.bad_input import NOT_REACHABLE, RPCS, Bad
from tests.flow.test_bad_input_facts import BODIES, CALLS, ITEMS, SAME
from tests.flow.test_bad_input_messages import DEFINITIONS, MESSAGES, OUTGOING
from tests.flow.test_bad_input_rules import QUESTIONS, SCENARIOS, TEXTS, TREES
from tests.flow.test_bad_input_strings import STRINGS, variants
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
    missing = set(Bad) - covered - NOT_REACHABLE.keys()
    assert not missing, f"without a case: {sorted(one.name for one in missing)}"


def test_what_cannot_be_met_yet_is_told_with_its_reason() -> None:
    assert {one.value[0] for one in NOT_REACHABLE} == {"feeds"}
    assert all(NOT_REACHABLE.values())
    assert not NOT_REACHABLE.keys() & (of_tables() | of_scenes())


def test_hostile_strings_reach_every_text_of_every_method() -> None:
    assert len(set(STRINGS)) == len(STRINGS) >= 40
    reached = {name for name, rpc in RPCS.items() if any(True for _ in variants(rpc.request.DESCRIPTOR))}
    assert RPCS.keys() - reached == {
        "cdp.channel.v1.ChannelService/GetSettings",
        "cdp.segment.v1.AnalyticsService/ListRfmModels",
        "cdp.segment.v1.AnalyticsService/ListTemplates",
        "cdp.workspace.v1.WorkspaceService/GetWorkspace",
        "cdp.workspace.v1.WorkspaceService/ListWorkspaces",
        "cdp.workspace.v1.KeyService/ListKeys",
    }, "only requests without a field of their own are left out"
