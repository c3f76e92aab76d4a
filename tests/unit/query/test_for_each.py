"""A parametric rule for many values at once is the rule for each value by itself."""

from __future__ import annotations

import random

import pytest

from core.query.ast import (
    AttributeCondition,
    Branch,
    Compare,
    Comparison,
    EventCount,
    EventSelection,
    FilterTree,
    InLast,
    Literal,
    Node,
    Op,
    Parameter,
    Rule,
    Scope,
    SegmentReference,
)
from core.query.execute import evaluate
from core.query.for_each import evaluate_for_each
from core.query.knowledge import NOTHING_KNOWN
from core.query.leaves.for_each_pass import counts_in_one_pass
from core.query.names import BoundRule
from core.schema import Kind, Scalar
from tests.unit.index.small_world import SmallWorld, bound

VALUES = ("a", "b", "c", "never seen", "a")
P = Parameter("p", Kind.TEXT)
IS_P = Comparison("category", Compare.EQ, (P,))
DEAR = Comparison("price", Compare.GE, (Literal(5),))


def did(name: str, *filter_nodes: Comparison, days: int = 50, times: int = 1) -> EventCount:
    tree: FilterTree = filter_nodes
    if len(filter_nodes) > 1:
        tree = (*filter_nodes, Branch(Op.AND, tuple(range(len(filter_nodes)))))
    return EventCount(EventSelection((name,), tree, InLast(days)), Compare.GE, (Literal(times),))


def did_not(name: str, *filter_nodes: Comparison) -> EventCount:
    return EventCount(did(name, *filter_nodes).events, Compare.EQ, (Literal(0),))


RICH = AttributeCondition(Comparison("score", Compare.GT, (Literal(3),)))
#: (rule, whether one pass is enough)
RULES: tuple[tuple[tuple[Node, ...], bool], ...] = (
    ((did("view", IS_P), did_not("buy", IS_P), Branch(Op.AND, (0, 1))), True),
    ((did("view", IS_P),), True),
    ((did("view", IS_P, DEAR), did("buy", IS_P), RICH, Branch(Op.EXCEPT, (0, 2, 1), 2)), True),
    ((did("view", DEAR, IS_P), RICH, Branch(Op.NOT, (1,)), Branch(Op.AND, (0, 2))), True),
    ((did_not("view", IS_P), did("buy", IS_P), Branch(Op.OR, (0, 1)), Branch(Op.NOT, (2,))), True),
    ((did("v*", IS_P), did_not("buy", DEAR), did_not("buy", IS_P), Branch(Op.AND, (0, 1, 2))), True),
    ((did("view", IS_P), SegmentReference("rich"), Branch(Op.AND, (0, 1))), True),
    ((did("view", IS_P), SegmentReference("of p"), Branch(Op.AND, (0, 1))), False),
    ((did("view", IS_P), did("buy", IS_P), Branch(Op.AND, (0, 1))), False),
    ((did("view", IS_P), did("buy", IS_P), Branch(Op.OR, (0, 1))), False),
    ((did("view", IS_P, times=2),), False),
    ((did_not("view", IS_P),), False),
    ((did("view", Comparison("category", Compare.EQ, (P,), ignoring_case=True)),), False),
)


def random_root(seed: int) -> SmallWorld:
    print(f"seed {seed}")
    draw = random.Random(seed)
    world = SmallWorld().contacts(*range(40)).contacts(*range(40, 45), known=False)
    for contact in range(45):
        if draw.random() < 0.7:
            world.attribute(contact, "score", draw.randint(0, 9))
    for _ in range(300):
        params: dict[str, Scalar] = {"price": draw.randint(0, 9)}
        if draw.random() < 0.9:
            params["category"] = draw.choice("abcd")
        world.event(draw.randrange(45), draw.choice(("view", "view", "visit", "buy")), draw.randint(1, 120), params)
    return world


@pytest.mark.parametrize("seed", range(6))
def test_each_value_by_itself(seed: int) -> None:
    root = random_root(seed).root(37, root_each=True)
    segments = {
        "rich": bound(RICH),
        "of p": bound(did("buy", IS_P), parameters={"p": Kind.TEXT}),
    }
    for nodes, quick in RULES:
        for scope in (Scope.KNOWN, Scope.ALL):
            rule = BoundRule(Rule(nodes, scope), {"p": Kind.TEXT}, segments, "UTC")
            expected = tuple(len(evaluate(rule, root, 100, {"p": value}).members) for value in VALUES)
            assert evaluate_for_each(rule, root, 100, "p", VALUES, {}) == expected
            at_once = counts_in_one_pass(rule, nodes, root, 100, "p", VALUES, {}, NOTHING_KNOWN)
            assert at_once == (expected if quick else None), nodes
    assert (
        evaluate_for_each(bound(RICH), root, 100, "p", VALUES, {})
        == (len(evaluate(bound(RICH), root, 100, {}).members),) * 5
    )
    assert evaluate_for_each(bound(RICH), root, 100, "p", (), {}) == ()


def test_lines_and_numbers_go_the_long_way() -> None:
    world = SmallWorld().contacts(0, 1)
    world.event(0, "view", 5, {"category": 1}).event(1, "view", 6, {"category": 2}).event(1, "view", 7, {"category": 1})
    number = Comparison("category", Compare.EQ, (Parameter("p", Kind.INTEGER),))
    rule = bound(did("view", number), parameters={"p": Kind.INTEGER})
    assert evaluate_for_each(rule, world.root(), 10, "p", (1, 2, 3), {}) == (2, 1, 0)
