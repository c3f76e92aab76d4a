"""Limits of a rule: each is refused by name, and none costs the interpreter's stack."""

from __future__ import annotations

import pytest

from core.errors import CdpError
from core.query.ast import Branch, Everyone, Node, Op, Rule
from core.query.bind import bind
from core.query.format import format_rule
from core.query.limits import MAX_DEPTH, MAX_NODES, MAX_PATTERN, MAX_STRING, MAX_TEXT
from core.query.parse import parse
from tests.golden.query.workspace import WORKSPACE


def reason(text: str) -> str:
    with pytest.raises(CdpError) as caught:
        bind(parse(text), WORKSPACE)
    return caught.value.reason


def test_depth() -> None:
    deepest = "age = 1 and (" * MAX_DEPTH + "everyone" + ")" * MAX_DEPTH
    rule = parse(deepest)
    assert parse(format_rule(rule)) == rule
    bind(rule, WORKSPACE)
    assert reason(f"age = 1 and ({deepest} or everyone)") == "RULE_TOO_DEEP"
    assert reason("(" * 100_000) == "RULE_TOO_DEEP"
    assert reason("not " * 100_000 + "everyone") == "RULE_TOO_DEEP"
    assert reason("did page_viewed (" + "(" * 1_000) == "RULE_TOO_DEEP"


def test_depth_of_a_rule_from_no_text() -> None:
    nodes: list[Node] = [Everyone()]
    nodes += [Branch(Op.NOT, (index,)) for index in range(MAX_DEPTH + 1)]
    rule = Rule(tuple(nodes))
    with pytest.raises(CdpError) as caught:
        parse(format_rule(rule))
    assert caught.value.reason == "RULE_TOO_DEEP"
    assert parse(format_rule(Rule(tuple(nodes[:-1])))) == Rule(tuple(nodes[:-1]))


def test_nodes() -> None:
    largest = " or ".join(["age = 1"] * (MAX_NODES - 1))
    rule = parse(largest)
    assert len(rule.nodes) == MAX_NODES
    assert parse(format_rule(rule)) == rule
    assert reason(f"{largest} or age = 1") == "RULE_TOO_LARGE"
    filters = " and ".join(["did page_viewed (" + " or ".join(['path = "x"'] * 99) + ")"] * 100)
    assert reason(filters) == "RULE_TOO_LARGE"


def test_lengths() -> None:
    assert reason("-" * (MAX_TEXT + 1)) == "RULE_TOO_LARGE"
    assert reason(f'city = "{"x" * (MAX_STRING + 1)}"') == "RULE_TOO_LARGE"
    assert reason(f'url matches "{"x" * (MAX_PATTERN + 1)}"') == "RULE_PATTERN"
    assert reason('url matches "((x{100}){100}){100}"') == "RULE_PATTERN"
    assert reason(f"age in ({','.join(['1'] * 10_001)})") == "RULE_TOO_LARGE"
    assert reason(f"age > {'9' * 100_000}") == "RULE_VALUE"
    assert reason(f"age > 0.{'1' * 100_000}") == "RULE_VALUE"
    assert reason("did page_viewed in last 36526 days") == "RULE_VALUE"
    assert reason("did page_viewed in last 101 calendar years") == "RULE_WINDOW"
