"""Exact comparison of numbers: integers and fixed point decimals, whatever their size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.query.ast import Compare
from core.schema import DECIMAL_SCALE, Kind

_MAX_SCALABLE = (2**63 - 1) // DECIMAL_SCALE
_LEAST, _GREATEST = -(2**63), 2**63 - 1

#: The relations that everything else is made of.
RELATIONS = frozenset((Compare.EQ, Compare.LT, Compare.LE, Compare.GT, Compare.GE))


def relate(left: NDArray[Any], relation: Compare, right: NDArray[Any] | int) -> NDArray[np.bool_]:
    """`left relation right` row by row; `relation` is one of RELATIONS."""
    match relation:
        case Compare.EQ:
            result = left == right
        case Compare.LT:
            result = left < right
        case Compare.LE:
            result = left <= right
        case Compare.GT:
            result = left > right
        case Compare.GE:
            result = left >= right
        case _:
            raise ValueError(f"{relation} is no plain relation")
    return np.asarray(result, np.bool_)


def relate_to_units(values: NDArray[Any], kind: Kind, relation: Compare, units: int) -> NDArray[np.bool_]:
    """`values` (INTEGER: whole numbers, DECIMAL: units) against a number given in units of 1e-4, exactly.

    The bound is moved to the scale of the values, so that nothing overflows.
    """
    bound = units
    if kind is Kind.INTEGER:
        bound, rest = divmod(units, DECIMAL_SCALE)
        if rest:
            # v < b + fraction means v <= b; v > b + fraction means v >= b + 1; equal to a fraction is nothing.
            match relation:
                case Compare.EQ:
                    return np.zeros(len(values), np.bool_)
                case Compare.LT:
                    relation = Compare.LE
                case Compare.GE:
                    relation = Compare.GT
                case _:
                    pass
    if values.dtype != object and not _LEAST <= bound <= _GREATEST:
        above = bound > _GREATEST
        less = relation in (Compare.LT, Compare.LE)
        return np.full(len(values), relation is not Compare.EQ and above == less)
    return relate(values, relation, bound)


def in_units(values: NDArray[Any], kind: Kind) -> NDArray[Any]:
    """Numbers as units of 1e-4: int64 where they fit, otherwise Python integers (dtype object)."""
    if kind is Kind.DECIMAL or len(values) == 0:
        return values
    if values.dtype == object or max(int(values.max()), -int(values.min())) > _MAX_SCALABLE:
        result: NDArray[Any] = values.astype(object) * DECIMAL_SCALE
        return result
    return values.astype(np.int64) * np.int64(DECIMAL_SCALE)
