"""Counts and aggregates against literals and attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code
from core.events.raw import raw_scalar
from core.index.contact_set import ContactSet
from core.query.ast import AttributeOperand, Compare, Operand
from core.query.ast import Literal as Written
from core.query.execute_context import Context
from core.query.leaves.leaf_result import LeafResult
from core.query.rows.attribute_operands import attribute_values
from core.query.rows.comparisons import positive_form
from core.query.rows.numbers_compare import in_units, relate, relate_to_units
from core.schema import DECIMAL_SCALE, DecimalUnits, Kind

_NUMBERS = (Kind.INTEGER, Kind.DECIMAL)


def compare_by_contact(
    contacts: NDArray[np.uint32],
    values: NDArray[Any],
    kind: Kind,
    default: int | None,
    compare: Compare,
    operands: tuple[Operand, ...],
    context: Context,
) -> LeafResult:
    """Who has a value that compares as asked. `contacts` (uint32, unique) have `values`: INTEGER whole numbers,
    DECIMAL units, INSTANT microseconds, DATE days. All others have `default`, or no value (None), for which a positive
    form is false. NE is the complement of EQ, MISSING that of PRESENT.
    """
    form, complement = positive_form(compare)
    if any(isinstance(operand, AttributeOperand) for operand in operands):
        found, inverted = _by_row(contacts, values, kind, default, form, operands, context), False
    else:
        holds = compare_each(values, kind, form, operands, None, context)
        none = np.zeros(1, np.int64) if default is None else np.array([default], np.int64)
        inverted = default is not None and bool(compare_each(none, kind, form, operands, None, context)[0])
        found = ContactSet.from_numbers(contacts[holds != inverted])
    return LeafResult(found, inverted != complement)


def compare_each(
    values: NDArray[Any],
    kind: Kind,
    compare: Compare,
    operands: tuple[Operand, ...],
    owners: NDArray[np.uint32] | None,
    context: Context,
) -> NDArray[np.bool_]:
    """Which values compare as asked; `owners` are the contacts whose attributes are meant, None: those of the rows."""
    form, complement = positive_form(compare)
    match form:
        case Compare.PRESENT:
            result = np.ones(len(values), np.bool_)
        case Compare.BETWEEN:
            low = _one(values, kind, Compare.GE, operands[0], owners, context)
            result = low & _one(values, kind, Compare.LE, operands[1], owners, context)
        case Compare.IN:
            result = np.zeros(len(values), np.bool_)
            for operand in operands:
                result |= _one(values, kind, Compare.EQ, operand, owners, context)
        case _:
            result = _one(values, kind, form, operands[0], owners, context)
    return ~result if complement else result


def _by_row(
    contacts: NDArray[np.uint32],
    values: NDArray[Any],
    kind: Kind,
    default: int | None,
    form: Compare,
    operands: tuple[Operand, ...],
    context: Context,
) -> ContactSet:
    """Every contact against its own attribute: those with the default have to be compared one by one, too."""
    rows = context.row_of(contacts)
    whole = np.full(context.rows, default or 0, values.dtype)
    present = np.full(context.rows, default is not None)
    whole[rows] = values
    present[rows] = True
    return context.to_set(present & compare_each(whole, kind, form, operands, None, context))


def _one(
    values: NDArray[Any],
    kind: Kind,
    relation: Compare,
    operand: Operand,
    owners: NDArray[np.uint32] | None,
    context: Context,
) -> NDArray[np.bool_]:
    if isinstance(operand, AttributeOperand):
        return _against_attribute(values, kind, relation, operand, owners, context)
    if not isinstance(operand, Written) or isinstance(operand.value, str):
        raise CdpError(Code.INTERNAL, "OPERAND_UNBOUND", f"a number is compared with {operand!r}")
    if kind not in _NUMBERS:
        return relate(values, relation, raw_scalar(operand.value))
    literal = operand.value
    units = literal.units if isinstance(literal, DecimalUnits) else raw_scalar(literal) * DECIMAL_SCALE
    return relate_to_units(values, kind, relation, units)


def _against_attribute(
    values: NDArray[Any],
    kind: Kind,
    relation: Compare,
    operand: AttributeOperand,
    owners: NDArray[np.uint32] | None,
    context: Context,
) -> NDArray[np.bool_]:
    """False where the attribute is missing or of a kind apart."""
    valid = attribute_values(operand, owners, context)
    if kind not in _NUMBERS:
        return np.asarray(relate(values, relation, valid.values) & (valid.kinds == kind), np.bool_)
    result = np.zeros(len(values), np.bool_)
    for other in _NUMBERS:
        rows = np.flatnonzero(valid.kinds == other)
        result[rows] = relate(in_units(values[rows], kind), relation, in_units(valid.values[rows], other))
    return result
