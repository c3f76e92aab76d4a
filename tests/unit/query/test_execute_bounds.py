"""The largest rules that can be said are answered in bounded memory: a set lives until its branch has taken it in."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from core.index.bulk import StateColumns, WriteColumns
from core.index.index import Index
from core.index.root import Root
from core.query.ast import AttributeCondition, Branch, Compare, Comparison, Literal, Node, Op, Rule
from core.query.binding.bind import bind
from core.query.execute import find
from core.query.limits import MAX_DEPTH, MAX_NODES
from core.query.names import BoundRule
from core.schema import Kind
from core.segments.vocabulary import names_of

CONTACTS = 60_000
#: A set of all contacts, in bytes.
SET = CONTACTS // 8


@pytest.fixture(scope="module")
def root() -> Root:
    index = Index()
    numbers = np.arange(CONTACTS, dtype=np.uint32)
    at_us = np.zeros(CONTACTS, np.int64)
    known = np.ones(CONTACTS, np.bool_)
    keys = np.arange(2 * CONTACTS, dtype=np.uint64).view(np.uint8).reshape(-1, 16)
    ages = WriteColumns("age", numbers, at_us, Kind.INTEGER, (numbers % 20_000).astype(np.int64))
    index.apply_columns([StateColumns(numbers, keys, known, known.astype(np.uint8), at_us), ages], 1)
    return index.root()


def age_is(age: int) -> AttributeCondition:
    return AttributeCondition(Comparison("age", Compare.EQ, (Literal(age),)))


def bound_rule(nodes: list[Node], root: Root) -> BoundRule:
    return bind(Rule(tuple(nodes)), names_of(root, {}, "UTC"))


def peak_bytes(bound: BoundRule, root: Root) -> tuple[int, int]:
    """Members found, and the most memory that was held meanwhile."""
    find(bound, root, 1, {})  # what is made once and kept
    tracemalloc.start()
    try:
        members = len(find(bound, root, 1, {}))
        return members, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("op", "k", "members"), [(Op.OR, 0, 3_000 * 3), (Op.AND, 0, 0), (Op.AT_LEAST, 2, 0), (Op.AT_LEAST, 400, 0)]
)
def test_thousands_of_conditions_hold_a_few_hundred_sets(op: Op, k: int, members: int, root: Root) -> None:
    leaves: list[Node] = [age_is(age) for age in range(3_000)]
    assert len(leaves) < MAX_NODES
    found, peak = peak_bytes(bound_rule([*leaves, Branch(op, tuple(range(3_000)), k)], root), root)
    assert found == members
    # The leaves of one evaluation that are kept, and a little: not one set for each of 3,000.
    assert peak < 400 * SET


def test_the_deepest_rule_holds_a_set_for_each_level(root: Root) -> None:
    nodes: list[Node] = [age_is(0)]
    for level in range(MAX_DEPTH):
        nodes += [age_is(level), Branch((Op.AND, Op.OR)[level % 2], (len(nodes) - 1, len(nodes)))]
    found, peak = peak_bytes(bound_rule(nodes, root), root)
    assert found == 3
    assert peak < (MAX_DEPTH + 400) * SET
