"""Which numbers of populations a rule compares with, and what those are made of: for whoever keeps them published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.query.ast import (
    Absolute,
    AttributeAtEvent,
    AttributeMeasure,
    AttributeOperand,
    Branch,
    Calendar,
    Comparison,
    Condition,
    Moments,
    Population,
    PopulationCondition,
    RfmInCell,
    RfmMoved,
    Zone,
)
from core.query.edges import BASES_ATTRIBUTE
from core.query.execute_context import ZONE_ATTRIBUTE
from core.query.knowledge import RfmKey, StatisticKey
from core.query.leaves.population import DEFAULT_POPULATION
from core.query.leaves.statistics import key_of
from core.query.names import BoundRule, Setting
from core.query.walk import parts, selections


@dataclass(frozen=True, slots=True)
class Inputs:
    """The facts that a number is made of: events whose type is in `event_names` (a trailing `*` is a prefix) and
    writes of `attributes`. Besides, every number changes with who is in its population: contacts that come to exist or
    to be known, merges and erasures; and with time alone, where a window moves."""

    event_names: frozenset[str]
    attributes: frozenset[str]


def statistic_keys(bound: BoundRule) -> frozenset[StatisticKey]:
    """Every statistic that a rule, or a segment that it refers to, compares with."""
    return frozenset(key_of(node) for node in _conditions(bound) if isinstance(node, PopulationCondition))


def rfm_keys(bound: BoundRule) -> frozenset[RfmKey]:
    """Every RFM grid that a rule, or a segment that it refers to, places contacts in."""
    keys: set[RfmKey] = set()
    for node in _conditions(bound):
        if isinstance(node, RfmInCell | RfmMoved):
            population = node.population or DEFAULT_POPULATION
            keys.add(RfmKey(node.model, population))
            if isinstance(node, RfmMoved):
                keys.add(RfmKey(node.model, population, node.duration_us))
    return frozenset(keys)


def inputs_of(key: StatisticKey | RfmKey, setting: Setting) -> Inputs:
    """What the number behind `key` is made of."""
    made_of: object = key.measure if isinstance(key, StatisticKey) else setting.rfm[key.model].events
    attributes = _of_population(key.population)
    for part in parts(made_of):
        if isinstance(part, AttributeMeasure | AttributeOperand | AttributeAtEvent):
            attributes.add(part.name)
        elif isinstance(part, Moments | Comparison | Absolute | Calendar) and part.zone is Zone.CONTACT:
            attributes.add(ZONE_ATTRIBUTE)
    events = {name for selection in selections(made_of) for name in selection.names}
    return Inputs(frozenset(events), frozenset(attributes))


def _of_population(population: Population) -> set[str]:
    return set() if population.base is None else {BASES_ATTRIBUTE}


def _conditions(bound: BoundRule) -> Iterator[Condition]:
    for rule in (bound, *bound.segments.values()):
        for node in rule.rule.nodes:
            if not isinstance(node, Branch):
                yield node
