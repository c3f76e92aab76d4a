"""Measures against their population, by exact counting."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest

from core.query.ast import (
    AggregateMeasure,
    AttributeMeasure,
    Compare,
    CountMeasure,
    EventSelection,
    EventTime,
    Function,
    Interest,
    Measure,
    Population,
    PopulationCondition,
    Scope,
    Standard,
)
from core.query.execute import evaluate
from core.query.execute_context import Context
from core.query.knowledge import Knowledge, Statistic
from core.query.leaves.leaf_population import against_fraction
from core.query.leaves.published import inputs_of, statistic_keys
from core.query.leaves.statistics import compute, exact_sum, key_of, rank_of
from core.schema import DecimalUnits
from tests.unit.index.small_world import SmallWorld, members
from tests.unit.query.population_world import Plain, random_world, rule_of, setting

BOUGHT = EventSelection(("bought",))
SPENT = AggregateMeasure(Function.SUM, "total", BOUGHT)
CHECK = AggregateMeasure(Function.AVG, "total", BOUGHT)
BIGGEST = AggregateMeasure(Function.MAX, "total", BOUGHT)
SCORE = AttributeMeasure("score")
MEASURES: tuple[Measure, ...] = (SPENT, CHECK, BIGGEST, SCORE, CountMeasure(BOUGHT))
POPULATIONS = (
    Population(Scope.KNOWN),
    Population(Scope.ALL, "east"),
    Population(Scope.ANONYMOUS),
    Population(Scope.ALL),
)


def value_of(measure: Measure, contact: int, plain: Plain, as_of_us: int) -> Fraction | None:
    """In units of 1e-4, averages rounded half to even, as semantics.md defines them."""
    events = plain.until(contact, 0, as_of_us)
    held = [one.units for one in events if one.units is not None]
    match measure:
        case AttributeMeasure():
            score = plain.score[contact]
            return None if score is None else Fraction(score * 10_000)
        case CountMeasure():
            return Fraction(len(events) * 10_000) if events else None
        case AggregateMeasure(function):
            if not held:
                return None
            numbers = {
                Function.SUM: sum(held),
                Function.MAX: max(held),
                Function.AVG: round(Fraction(sum(held), len(held))),
            }
            return Fraction(numbers[function])
        case EventTime() | Interest():
            raise TypeError(f"{measure} is none of these measures")


def holds(value: Fraction, condition: PopulationCondition, values: list[Fraction], events: list[int]) -> bool:
    n = len(values)
    percent = Fraction(condition.percent.units, 10_000) if condition.percent else Fraction(0)
    rank = max(1, -(-(percent * n) // 100))
    match condition.standard:
        case Standard.TOP:
            return value >= sorted(values, reverse=True)[rank - 1]
        case Standard.BOTTOM:
            return value <= sorted(values)[rank - 1]
        case Standard.AVERAGE:
            bound = Fraction(sum(values), n)
        case Standard.EVENT_AVERAGE:
            bound = Fraction(sum(events), len(events))
        case Standard.PERCENTILE:
            bound = sorted(values)[rank - 1]
    return {
        Compare.LT: value < bound,
        Compare.LE: value <= bound,
        Compare.GT: value > bound,
        Compare.GE: value >= bound,
        Compare.EQ: value == bound,
        Compare.NE: value != bound,
    }[condition.compare]


def random_condition(draw: random.Random, population: Population) -> PopulationCondition:
    measure = draw.choice(MEASURES)
    standards = [one for one in Standard if one is not Standard.EVENT_AVERAGE or isinstance(measure, AggregateMeasure)]
    standard = draw.choice(standards)
    compares = (Compare.LT, Compare.LE, Compare.GT, Compare.GE, Compare.EQ, Compare.NE)
    ranked = standard in (Standard.TOP, Standard.BOTTOM)
    percent = (
        None if standard in (Standard.AVERAGE, Standard.EVENT_AVERAGE) else draw.choice((1, 333_333, 500_000, 10**6))
    )
    return PopulationCondition(
        measure,
        standard,
        Compare.GE if ranked else draw.choice(compares),
        None if percent is None else DecimalUnits(percent),
        population,
    )


@pytest.mark.parametrize("seed", range(60))
def test_as_counted_by_hand(seed: int) -> None:
    root, plain = random_world(seed, sparse=seed % 3 == 0, large=seed % 5 == 0)
    draw = random.Random(seed)
    for _ in range(6):
        population = draw.choice(POPULATIONS)
        condition = random_condition(draw, population)
        as_of_us = draw.choice((0, 100, 250, 400))
        everyone = plain.population(population)
        pairs = [(contact, value_of(condition.measure, contact, plain, as_of_us)) for contact in everyone]
        values = [value for _, value in pairs if value is not None]
        events = [
            one.units for contact in everyone for one in plain.until(contact, 0, as_of_us) if one.units is not None
        ]
        expected = {c for c, value in pairs if value is not None and holds(value, condition, values, events)}
        assert members(root, rule_of(condition, population), as_of_us) == expected, condition


def test_one_contact_is_at_the_average_and_all_of_every_share() -> None:
    root = SmallWorld().contacts(0).attribute(0, "score", -7).root()
    for compare, expected in ((Compare.GT, set()), (Compare.EQ, {0}), (Compare.GE, {0}), (Compare.LT, set())):
        assert members(root, rule_of(PopulationCondition(SCORE, Standard.AVERAGE, compare)), 1) == expected
    for standard in (Standard.TOP, Standard.BOTTOM, Standard.PERCENTILE):
        condition = PopulationCondition(SCORE, standard, Compare.GE, DecimalUnits(1))
        assert members(root, rule_of(condition), 1) == {0}


def test_nobody_has_the_measure() -> None:
    root = SmallWorld().contacts(0).root()
    for compare in (Compare.NE, Compare.GE, Compare.LT):
        assert members(root, rule_of(PopulationCondition(SPENT, Standard.AVERAGE, compare)), 1) == set()


def test_sums_beyond_64_bits_are_exact() -> None:
    world = SmallWorld().contacts(0, 1)
    for number in range(5):
        world.event(0, "bought", 10 + number, {"total": 2**62})
        world.event(1, "bought", 10 + number, {"total": 2**62 - (number == 0)})
    root = world.root()
    above = PopulationCondition(SPENT, Standard.AVERAGE, Compare.GT)
    mean = compute(key_of(above), Context(root, 100, "UTC"))
    assert (mean.numerator, mean.denominator) == ((10 * 2**62 - 1) * 10_000, 2)
    assert members(root, rule_of(above), 100) == {0}


def test_a_published_number_decides() -> None:
    root = SmallWorld().contacts(0, 1, 2).attribute(0, "score", 1).attribute(1, "score", 5).root()
    above = PopulationCondition(SCORE, Standard.AVERAGE, Compare.GT, None, Population(Scope.KNOWN))
    rule = rule_of(above)
    assert statistic_keys(rule) == {key_of(above)}
    assert members(root, rule, 1) == {1}
    for units, expected in ((9_999, {0, 1}), (50_000, set()), (2**80, set()), (-(2**80), {0, 1})):
        known = Knowledge({key_of(above): Statistic(units, 1, 2, 0)})
        assert set(evaluate(rule, root, 1, {}, knowledge=known).members) == expected
    assert (
        set(evaluate(rule, root, 1, {}, knowledge=Knowledge({key_of(above): Statistic(0, 1, 0, 0)})).members) == set()
    )


def test_inputs_name_events_and_attributes() -> None:
    condition = PopulationCondition(SPENT, Standard.AVERAGE, Compare.GT, None, Population(Scope.ALL, "east"))
    inputs = inputs_of(key_of(condition), setting())
    assert inputs.event_names == {"bought"}
    assert inputs.attributes == {"bases"}
    scored = PopulationCondition(SCORE, Standard.AVERAGE, Compare.GT)
    assert inputs_of(key_of(scored), setting()).attributes == {"score"}


def test_a_base_is_held_as_of_the_instant() -> None:
    world = SmallWorld().contacts(0, 1).attribute(0, "bases", ("east",), 10).attribute(0, "bases", (), 20)
    world.attribute(1, "bases", "east", 5)  # a text is no list of bases
    condition = PopulationCondition(AttributeMeasure("score"), Standard.AVERAGE, Compare.GE)
    root = world.attribute(0, "score", 3).root()
    rule = rule_of(condition, Population(Scope.KNOWN, "east"))
    assert [members(root, rule, as_of) for as_of in (9, 10, 19, 20)] == [set(), {0}, {0}, set()]


def test_ranks() -> None:
    assert [rank_of(percent, 7) for percent in (1, 142_857, 142_858, 500_000, 1_000_000)] == [1, 1, 2, 4, 7]


def test_fractions_are_compared_exactly_at_the_ends_of_64_bits() -> None:
    ends = np.array([-(2**63), -1, 0, 1, 2**63 - 1])
    for numerator, denominator in (
        (1, 2),
        (-1, 2),
        (0, 3),
        (2**63, 1),
        (-(2**63), 1),
        (2**90, 7),
        (-(2**90), 7),
        (1, 1),
    ):
        bound = Fraction(numerator, denominator)
        for compare in (Compare.LT, Compare.LE, Compare.GT, Compare.GE, Compare.EQ, Compare.NE):
            expected = [
                {"<": x < bound, "<=": x <= bound, ">": x > bound, ">=": x >= bound, "=": x == bound, "!=": x != bound}[
                    compare.value
                ]
                for x in ends.tolist()
            ]
            assert against_fraction(ends, compare, numerator, denominator).tolist() == expected


def test_sums_of_extremes() -> None:
    for values in ([2**63 - 1] * 3, [-(2**63)] * 3, [2**63 - 1, -(2**63)], [1, 2], []):
        assert exact_sum(np.array(values, np.int64)) == sum(values)
