"""Comparisons with literals as ranges of stored values, so that a column is compared as it lies."""

from __future__ import annotations

from datetime import date

from core.events.raw import raw_scalar
from core.query.ast import Compare, Literal, Operand
from core.schema import DECIMAL_SCALE, DecimalUnits, Instant, Kind, Scalar

_LEAST, _GREATEST = -(2**63), 2**63 - 1
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL)

#: The whole numbers v with `first <= v <= last`.
Range = tuple[int, int]
#: Nothing.
NOWHERE: Range = (1, 0)


def range_of(kind: Kind, compare: Compare, operands: tuple[Operand, ...]) -> Range | None:
    """The stored values of a kind (no text) for which a comparison is true: EQ, LT, LE, GT, GE or BETWEEN with
    literals. None for every other comparison; NOWHERE where no value satisfies it, as with a literal of a kind apart.
    """
    literals = [operand.value for operand in operands if isinstance(operand, Literal)]
    if len(literals) != len(operands):
        return None
    if compare is Compare.BETWEEN:
        above, below = _range(kind, Compare.GE, literals[0]), _range(kind, Compare.LE, literals[1])
        if NOWHERE in (above, below) or above[0] > below[1]:
            return NOWHERE
        return above[0], below[1]
    if compare in (Compare.EQ, Compare.LT, Compare.LE, Compare.GT, Compare.GE) and len(literals) == 1:
        return _range(kind, compare, literals[0])
    return None


def _range(kind: Kind, relation: Compare, value: Scalar) -> Range:
    bound = _bound(kind, value)
    if bound is None:
        return NOWHERE
    floor, exact = bound
    match relation:
        case Compare.EQ:
            low, high = (floor, floor) if exact else NOWHERE
        case Compare.LT:
            low, high = _LEAST, floor - 1 if exact else floor
        case Compare.LE:
            low, high = _LEAST, floor
        case Compare.GT:
            low, high = floor + 1, _GREATEST
        case _:
            low, high = floor if exact else floor + 1, _GREATEST
    return (max(low, _LEAST), min(high, _GREATEST)) if low <= _GREATEST and high >= _LEAST else NOWHERE


def _bound(kind: Kind, value: Scalar) -> tuple[int, bool] | None:
    """The literal on the scale of the kind, rounded down, and whether it stands on that scale; None for a literal of a
    kind apart."""
    if kind in _NUMBERS:
        if isinstance(value, DecimalUnits):
            units = value.units
        elif isinstance(value, int):
            # The truth of a boolean is a number here as in comparisons.
            units = int(value) * DECIMAL_SCALE
        else:
            return None
        if kind is Kind.DECIMAL:
            return units, True
        floor, rest = divmod(units, DECIMAL_SCALE)
        return floor, rest == 0
    same = {Kind.BOOLEAN: bool, Kind.INSTANT: Instant, Kind.DATE: date}.get(kind)
    if same is None or not isinstance(value, same):
        return None
    return raw_scalar(value), True
