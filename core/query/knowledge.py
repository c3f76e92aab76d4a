"""What an evaluation may know beyond the facts: published statistics and the recorded history of segments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.index.contact_set import ContactSet
from core.query.ast import Measure, Population, Standard
from core.schema import DecimalUnits


@dataclass(frozen=True, slots=True)
class StatisticKey:
    """Which number: of whose `measure`, compared with what. Thresholds of RFM models have keys of their own."""

    population: Population
    measure: Measure
    standard: Standard
    percent: DecimalUnits | None = None


@dataclass(frozen=True, slots=True)
class Statistic:
    """A number of a population at `as_of_us`, exact: `numerator / denominator` (AVERAGE, EVENT_AVERAGE: the sum and
    the count; TOP, BOTTOM, PERCENTILE: the bounding value and 1), of `n` contacts that have the measure. n 0: there is
    no number, and every condition on it is false. Numbers of every kind, counts too, are in units of 1e-4, so that a
    published number keeps its meaning when a parameter learns fractions; instants are microseconds, dates days."""

    numerator: int
    denominator: int
    n: int
    as_of_us: int


@dataclass(frozen=True, slots=True)
class RfmKey:
    """Which thresholds: of the model named `model` in `population`, `age_us` before the instant of the rule (0: now;
    the duration of a move: the cell before it)."""

    model: str
    population: Population
    age_us: int = 0


@dataclass(frozen=True, slots=True)
class RfmThresholds:
    """The grid of a population of `n` contacts with events, as of `as_of_us`: per axis, bins - 1 ascending values that
    a contact has to exceed; its score is 1 + how many it does. Recency: instants of the last event; monetary: units of
    1e-4. An axis with fixed bounds has none here: they are read at each evaluation's own instant."""

    recency: tuple[int, ...]
    frequency: tuple[int, ...]
    monetary: tuple[int, ...]
    n: int
    as_of_us: int


@dataclass(frozen=True, slots=True)
class MembershipHistory:
    """The recorded changes of one segment since it was first saved at `since_us`, all versions, sorted by (contact,
    record order): `contacts` uint32, `at_us` int64 (recorded_at), `entered` bool, alternating for each contact."""

    since_us: int
    contacts: NDArray[np.uint32]
    at_us: NDArray[np.int64]
    entered: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Knowledge:
    """`statistics`: published numbers that standing segments are exact against; a key that is not there is computed at
    the evaluation's own instant. `rfm`: the same for the grids of models. `histories`: recorded memberships by segment
    name; without one nobody was ever in it. `members`: who is in segments without parameters, for the root and the
    instant of the evaluation and no other: references to them are not evaluated."""

    statistics: Mapping[StatisticKey, Statistic] = field(default_factory=dict)
    rfm: Mapping[RfmKey, RfmThresholds] = field(default_factory=dict)
    histories: Mapping[str, MembershipHistory] = field(default_factory=dict)
    members: Mapping[str, ContactSet] = field(default_factory=dict)


NOTHING_KNOWN = Knowledge()
