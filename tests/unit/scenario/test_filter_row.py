"""A filter on one event says what the engine and the oracle say of it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from core.query.ast import AttributeOperand, EventCount, FilterTree, Rule
from core.query.binding.bind import bind
from core.query.text.format import format_rule
from core.query.walk import comparisons
from core.scenario.filter_row import RowContext, matches
from core.scenario.texts import beyond_rows, filter_operands, read_filter, reads_contacts_zone
from core.schema import DecimalUnits, Scalar
from tests.generators.plain import plain_facts, plain_rule, plain_value
from tests.generators.rules import RuleMaker
from tests.generators.scene import Scene, make_scene
from tests.generators.world import Happened
from tests.oracle import Oracle
from tests.oracle.events import reader
from tests.oracle.facts import Contact
from tests.oracle.filters import Around, passes
from tests.oracle.row import Row
from tests.unit.scenario.plays import T0, cart

SEEDS = 60


def conditions(scene: Scene) -> Iterator[tuple[EventCount, dict[str, Scalar]]]:
    """Conditions with filters that one event can decide, bound, with values for their parameters."""
    maker = RuleMaker(scene.random, scene.world.moments, scene.names, only=frozenset(("EventCount",)))
    for _ in range(40):
        made = maker.condition()
        if isinstance(made, EventCount) and made.events.filter and is_decidable(made.events.filter):
            bound = bind(Rule((made,)), scene.names)
            condition = bound.rule.nodes[0]
            assert isinstance(condition, EventCount)
            yield condition, scene.arguments(bound.parameters)


def is_decidable(tree: FilterTree) -> bool:
    if beyond_rows(tree) is not None or reads_contacts_zone(tree):
        return False
    return not any(isinstance(operand, AttributeOperand) for operand in filter_operands(tree))


def test_it_agrees_with_the_oracle() -> None:
    asked = 0
    for seed in range(SEEDS):
        scene = make_scene(seed, 0)
        oracle = Oracle([], scene.world.zone)
        events = [line for line in scene.world.log if isinstance(line, Happened)]
        for condition, values in conditions(scene):
            rule = plain_rule(Rule((condition,)))
            plain = rule["root"]["events"]["filter"]
            for line in Random(seed).sample(events, min(8, len(events))):
                as_of_us = scene.world.moments.evaluation()
                context = RowContext(as_of_us, scene.world.zone, values)
                (fact,) = plain_facts([line])
                row = Row(oracle, Contact(0), as_of_us, plain_value(values), rule)
                expected = passes(row, plain, Around(reader(fact), event=fact))
                got = matches(condition.events.filter, line.event, context)
                assert got == expected, f"seed {seed}: {format_rule(Rule((condition,)))} on {line.event} at {as_of_us}"
                asked += 1
    assert asked > 2_000


def test_the_kinds_of_comparison_were_all_met() -> None:
    met = {
        test.compare
        for seed in range(SEEDS)
        for condition, _ in conditions(make_scene(seed, 0))
        for test in comparisons(condition.events.filter)
    }
    assert len(met) >= 19, met


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("cart_id = :wanted", True),
        ("cart_id = :other", False),
        ("cart_id != :other", True),
        ('day = "2026-01-31"', False),
        ("total = 12.5 and not total < 12.5", True),
        ("total > 12", True),
        ("total = true", False),
        ('promo_code != "x"', True),
        ('promo_code = "x" or promo_code is missing', True),
        ("any item (quantity != 3)", True),
        ('any item (brand != "x")', False),
        ("any item (brand is missing)", True),
        ("not any item (quantity = 2)", False),
        ('any item (product_id = "p1" and quantity = 2)', True),
        ("at least 2 of (total > 1, total > 100, cart_id is present)", True),
        ('include total > 1 exclude cart_id = "c1"', False),
    ],
)
def test_as_written(text: str, expected: bool) -> None:
    event = cart(params={"cart_id": "c1", "total": DecimalUnits(125_000)})
    assert matches(read_filter(text), event, RowContext(T0, "UTC", {"wanted": "c1"})) is expected
