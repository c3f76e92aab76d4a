"""A measure against its population's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code
from core.index.contact_set import ContactSet
from core.query.ast import Compare, PopulationCondition, Standard
from core.query.execute_context import Context
from core.query.leaves.leaf_result import LeafResult
from core.query.leaves.measures import measure_values
from core.query.leaves.statistics import key_of, statistic
from core.query.rows.numbers_compare import relate

_LEAST, _GREATEST = -(2**63), 2**63 - 1


def population_leaf(condition: PopulationCondition, context: Context) -> LeafResult:
    """Contacts that have the measure and whose value compares as asked with the number of the whole population. TOP:
    at least as large as the bound, BOTTOM: at most. Where the population has no number nobody is in."""
    number = statistic(key_of(condition), context)
    if number.n == 0:
        return LeafResult(ContactSet.empty())
    mine = measure_values(condition.measure, context)
    compare = Compare.LE if condition.standard is Standard.BOTTOM else condition.compare
    held = against_fraction(mine.values, compare, number.numerator, number.denominator * mine.scale)
    return LeafResult(ContactSet.from_numbers(mine.contacts[held]))


def against_fraction(values: NDArray[Any], compare: Compare, numerator: int, denominator: int) -> NDArray[np.bool_]:
    """Whole `values` against `numerator / denominator` (above 0), exactly and without a product that could overflow:
    x > q where x > floor(q), x >= q where x > ceil(q) - 1, and so on."""
    floor, rest = divmod(numerator, denominator)
    match compare:
        case Compare.GT:
            return _above(values, floor)
        case Compare.LE:
            return ~_above(values, floor)
        case Compare.GE:
            return _above(values, floor if rest else floor - 1)
        case Compare.LT:
            return ~_above(values, floor if rest else floor - 1)
        case Compare.EQ | Compare.NE:
            equal = np.zeros(len(values), np.bool_)
            if rest == 0 and (values.dtype == object or _LEAST <= floor <= _GREATEST):
                equal = relate(values, Compare.EQ, floor)
            return ~equal if compare is Compare.NE else equal
        case _:
            raise CdpError(Code.INTERNAL, "COMPARE_UNKNOWN", f"a number of a population is not compared by {compare}")


def _above(values: NDArray[Any], bound: int) -> NDArray[np.bool_]:
    if values.dtype != object and not _LEAST <= bound <= _GREATEST:
        return np.full(len(values), bound < 0)
    return relate(values, Compare.GT, bound)
