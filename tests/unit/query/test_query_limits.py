"""Limits of a rule: each is refused by name, and none costs the interpreter's stack."""

from __future__ import annotations

from time import process_time

import pytest

from core.errors import CdpError
from core.query.ast import Branch, Everyone, Node, Op, Rule
from core.query.binding.bind import bind
from core.query.limits import MAX_DEPTH, MAX_NODES, MAX_PATTERN, MAX_STRING, MAX_TEXT
from core.query.text.format import format_rule
from core.query.text.parse import parse
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


def test_depth_and_nodes_of_sequences_and_elements() -> None:
    steps = " then ".join(f"page_viewed as s{number}" for number in range(1_000))
    assert reason(f"sequence: {steps}") == "RULE_SHAPE"
    assert reason("sequence: " + " then ".join(["page_viewed"] * (MAX_NODES + 1))) == "RULE_TOO_LARGE"
    assert reason("was never in list guests and " * MAX_NODES + "everyone") == "RULE_TOO_LARGE"
    deepest = parse("not " * (MAX_DEPTH - 2) + "(was never in list guests and everyone)")
    assert parse(format_rule(deepest)) == deepest
    assert reason("not " * (MAX_DEPTH - 1) + "(was never in list guests and everyone)") == "RULE_TOO_DEEP"
    assert reason("not " * MAX_DEPTH + "was never in list guests") == "RULE_TOO_DEEP"
    products = " and now in stock" * MAX_NODES
    assert reason(f"did page_viewed on a product (now in stock{products})") == "RULE_SHAPE"
    products = " and product now in stock" * MAX_NODES
    assert reason(f"did page_viewed (product now in stock{products})") == "RULE_TOO_LARGE"


def test_selections_nest_no_deeper_than_they_mean_something() -> None:
    assert reason("did page_viewed" + " since last page_viewed" * 30_000) == "RULE_SYNTAX"
    assert reason("did page_viewed" + " since last (page_viewed" * 30_000) == "RULE_SYNTAX"
    assert reason("sequence: page_viewed" + " until first page_viewed" * 30_000) == "RULE_SYNTAX"
    assert reason("did page_viewed (" + "any item (" * 30_000) == "RULE_SYNTAX"


def test_long_numbers_of_places_and_times() -> None:
    assert reason(f"location within 5 km of ({'1' * 100_000}, 2)") == "RULE_VALUE"
    assert reason(f"location within 5 km of (1.{'1' * 100_000}, 2)") == "RULE_VALUE"
    assert reason(f"location within {'9' * 19} km of (1, 2)") == "RULE_VALUE"
    assert reason(f"created at hours {'1' * 100_000}:00 to 08:00") == "RULE_VALUE"
    assert reason(f"birth_date exactly {'9' * 18} days ago") == "RULE_VALUE"
    assert reason(f"did page_viewed regularly: in at least 1 of last {'9' * 18} calendar weeks") == "RULE_WINDOW"


@pytest.mark.parametrize(
    "piece",
    [
        "did page_viewed on saturday at hours 08:00 to 20:00 in contact's zone",
        "sequence in last 30 days: page_viewed as v then page_viewed (url = v.url) within 1 day",
        "sum(order_completed.total) in last 30 days above average",
        'gender has been "female" for at least 3 days',
        "was never in list guests",
    ],
)
def test_a_rule_of_many_nodes_is_read_and_written_in_linear_time(piece: str) -> None:
    def seconds(count: int) -> float:
        text = " and ".join([piece] * count)
        best = float("inf")
        for _ in range(3):
            began = process_time()
            assert parse(format_rule(parse(text))) == parse(text)
            best = min(best, process_time() - began)
        return best

    # Ten times as much text; a square would be a hundred times. Others on the machine make one of both slower.
    assert any(seconds(400) < 40 * seconds(40) for _ in range(4))
