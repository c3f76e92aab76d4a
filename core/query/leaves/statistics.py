"""Exact numbers of populations: means, percentiles and the bounds of the best and the least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code, invalid
from core.kernels.ranks import plain_values_at_places, values_at_places
from core.query.ast import AggregateMeasure, Measure, PopulationCondition, Standard
from core.query.execute_context import Context
from core.query.knowledge import Statistic, StatisticKey
from core.query.leaves.last_numbers import remembered
from core.query.leaves.measures import MeasureValues, measure_values
from core.query.leaves.population import DEFAULT_POPULATION, members_of
from core.query.rows.numbers_compare import in_units
from core.query.rows.values_by_path import values_of
from core.schema import DECIMAL_SCALE, Kind

#: A sum of this many values of less than 2**31 stays in int64.
_SAFE_VALUE = 2**31
_SAFE_ROWS = 2**31


def statistic(key: StatisticKey, context: Context) -> Statistic:
    """The published number where there is one, else that of the whole population as of as_of, computed once per
    evaluation."""
    published = context.knowledge.statistics.get(key)
    return compute(key, context) if published is None else published


def compute(key: StatisticKey, context: Context) -> Statistic:
    """The number as of as_of from the facts, whatever was published; candidates of `context` do not narrow it."""
    whole = context.whole()
    found: Statistic | None = whole.computed.get(key)
    if found is None:
        found = whole.computed[key] = remembered(key, whole, lambda: _compute(key, whole))
    return found


def key_of(condition: PopulationCondition) -> StatisticKey:
    """The number that a condition compares with."""
    population = condition.population or DEFAULT_POPULATION
    return StatisticKey(population, condition.measure, condition.standard, condition.percent)


def rank_of(percent_units: int, n: int) -> int:
    """max(1, ceil(percent * n / 100)), with percent in units of 1e-4: which of n ordered values is meant."""
    return max(1, -(-percent_units * n // (100 * DECIMAL_SCALE)))


@dataclass(frozen=True, slots=True)
class _Sum:
    total: int
    count: int


def _compute(key: StatisticKey, whole: Context) -> Statistic:
    values = measure_values(key.measure, whole).among(members_of(key.population, whole))
    n = len(values)
    if n == 0:
        return Statistic(0, 1, 0, whole.as_of_us)
    match key.standard:
        case Standard.AVERAGE:
            return Statistic(exact_sum(values.values) * values.scale, n, n, whole.as_of_us)
        case Standard.EVENT_AVERAGE:
            events = _of_events(key.measure, key, whole)
            return Statistic(events.total, max(events.count, 1), n if events.count else 0, whole.as_of_us)
        case _:
            return Statistic(_at_rank(key, values) * values.scale, 1, n, whole.as_of_us)


def _at_rank(key: StatisticKey, values: MeasureValues) -> int:
    if key.percent is None:
        raise CdpError(Code.INTERNAL, "PERCENT_MISSING", f"{key.standard.value} without a percentage")
    rank = rank_of(key.percent.units, len(values))
    place = len(values) - rank if key.standard is Standard.TOP else rank - 1
    if values.values.dtype == object:
        return plain_values_at_places(values.values, (place,))[0]
    return values_at_places(values.values, (place,))[0]


def _of_events(measure: Measure, key: StatisticKey, whole: Context) -> _Sum:
    """Sum, in units, and number of all values of the measure's parameter in the population."""
    if not isinstance(measure, AggregateMeasure):
        raise CdpError(Code.INTERNAL, "EVENT_AVERAGE", "only aggregates of events have an average of events")
    members = members_of(key.population, whole)
    total, count = 0, 0
    for one in values_of(measure.path, measure.events, whole):
        if one.kind not in (Kind.INTEGER, Kind.DECIMAL):
            raise invalid("MEASURE_KIND", f"{measure.path} has no average for values of {one.kind.name}")
        kept = one.values[members.has(one.contacts)]
        total += exact_sum(in_units(kept, one.kind))
        count += len(kept)
    return _Sum(total, count)


def exact_sum(values: NDArray[Any]) -> int:
    """The sum as a Python integer; no intermediate sum leaves 64 bits."""
    if len(values) == 0:
        return 0
    if values.dtype == object:
        return int(values.sum())
    largest = max(int(values.max()), -int(values.min()))
    if largest < _SAFE_VALUE and len(values) < _SAFE_ROWS:
        return int(values.sum(dtype=np.int64))
    wide = values.astype(np.int64, copy=False)
    # Halves of 32 bits: the low one unsigned, the high one with the sign.
    low = int((wide & 0xFFFFFFFF).sum(dtype=np.int64))
    return int((wide >> 32).sum(dtype=np.int64)) * 2**32 + low
