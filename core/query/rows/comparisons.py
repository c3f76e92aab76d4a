"""One comparison on all rows of a domain."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code
from core.events.raw import raw_scalar
from core.index.packing import Packed
from core.query.ast import AttributeAtEvent, AttributeOperand, Compare, Comparison, Literal, StepOperand
from core.query.ast import Operand as Written
from core.query.execute_context import Context, Valid
from core.query.leaves.sequence_domain import step_values
from core.query.rows.attribute_operands import attribute_values
from core.query.rows.comparisons_dates import compare_dated, completed_years
from core.query.rows.domain import Domain, Operand
from core.query.rows.literal_ranges import NOWHERE, Range, range_of
from core.query.rows.numbers_compare import RELATIONS, in_units, relate, relate_to_units
from core.query.rows.texts import composed, predicate
from core.query.rows.values_at import attribute_at
from core.schema import DECIMAL_SCALE, DecimalUnits, Instant, Kind, Scalar

#: What is true exactly where the other is false.
COMPLEMENTS = {
    Compare.NE: Compare.EQ,
    Compare.NOT_IN: Compare.IN,
    Compare.NOT_CONTAINS: Compare.CONTAINS,
    Compare.HAS_NONE: Compare.HAS_ANY,
    Compare.MISSING: Compare.PRESENT,
}
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL)
_TEXTS = (Kind.TEXT, Kind.TEXT_LIST)
#: Joins the code of a text with that of the text it is compared with.
_PAIR_SHIFT = np.uint64(32)


def positive_form(compare: Compare) -> tuple[Compare, bool]:
    """The form whose truth is computed, and whether the comparison asked for is its complement."""
    positive = COMPLEMENTS.get(compare)
    return (compare, False) if positive is None else (positive, True)


def compare(comparison: Comparison, domain: Domain, context: Context) -> NDArray[np.bool_]:
    """Truth in every row: a positive form is false where the operand is missing, a negative form its complement
    (of elements: among those that have the key)."""
    form, complement = positive_form(comparison.compare)
    mask = np.zeros(domain.n, np.bool_)
    if form is Compare.PRESENT:
        mask = present(comparison.name, domain)
    elif form is Compare.HAS_ALL:
        mask = _has_all(comparison, domain, context)
    else:
        for operand in domain.operands(comparison.name):
            _mark(mask, operand, form, comparison, domain, context)
    if not complement:
        return mask
    if domain.binds_missing or comparison.compare is Compare.MISSING:
        return ~mask
    return present(comparison.name, domain) & ~mask


def present(name: str, domain: Domain) -> NDArray[np.bool_]:
    """The rows that have a value; an empty list is one."""
    mask = np.zeros(domain.n, np.bool_)
    for operand in domain.operands(name):
        held = operand.holders if operand.holders is not None else operand.rows
        mask[slice(None) if held is None else held] = True
    return mask


def _mark(
    mask: NDArray[np.bool_],
    operand: Operand,
    form: Compare,
    comparison: Comparison,
    domain: Domain,
    context: Context,
) -> None:
    """Set the rows of one kind's values that satisfy the positive form."""
    if form is Compare.LENGTH or form is Compare.AGE:
        of_age = form is Compare.AGE
        rows, lengths = completed_years(operand, comparison, domain, context) if of_age else _lengths(operand, context)
        hits = _any_of(Operand(Kind.INTEGER, rows, lengths), comparison, domain, context)
        mask[np.flatnonzero(hits) if rows is None else rows[hits]] = True
        return
    hits = _test(operand, form, comparison, domain, context)
    if operand.rows is None:
        mask |= hits
    else:
        mask[operand.rows[hits]] = True


def _test(
    operand: Operand, form: Compare, comparison: Comparison, domain: Domain, context: Context
) -> NDArray[np.bool_]:
    """Which values satisfy the positive form."""
    written = comparison.operands
    folded = comparison.ignoring_case
    match form:
        case Compare.WITHIN | Compare.ANNIVERSARY | Compare.AT | Compare.DISTANCE:
            return compare_dated(operand, comparison, domain, context)
        case Compare.BETWEEN:
            low = _one(operand, Compare.GE, written[0], folded, domain, context)
            return low & _one(operand, Compare.LE, written[1], folded, domain, context)
        case Compare.IN | Compare.HAS_ANY:
            return _each(operand, Compare.EQ, written, folded, domain, context)
        case Compare.CONTAINS if operand.kind is Kind.TEXT_LIST:
            return _each(operand, Compare.EQ, written, folded, domain, context)
        case _:
            return _each(operand, form, written, folded, domain, context)


def _each(
    operand: Operand,
    relation: Compare,
    written: tuple[Written, ...],
    folded: bool,
    domain: Domain,
    context: Context,
) -> NDArray[np.bool_]:
    """Which values stand in the relation to at least one of the operands."""
    result = np.zeros(len(operand), np.bool_)
    literals = [one.value for one in written if isinstance(one, Literal)]
    if relation is Compare.EQ and operand.kind in _TEXTS and not folded and len(literals) > 1:
        codes = [context.root.dictionary.code(composed(text)) for text in literals if isinstance(text, str)]
        result |= np.isin(operand.values, np.array([code for code in codes if code is not None], np.uint32))
        written = tuple(one for one in written if not isinstance(one, Literal))
    for one in written:
        result |= _one(operand, relation, one, folded, domain, context)
    return result


def _any_of(operand: Operand, comparison: Comparison, domain: Domain, context: Context) -> NDArray[np.bool_]:
    """`length` and `age`: the relation stands in `comparison.relation`, which may be a complement as well."""
    form, complement = positive_form(comparison.relation or Compare.EQ)
    if form is Compare.BETWEEN:
        low = _one(operand, Compare.GE, comparison.operands[0], False, domain, context)
        hits = low & _one(operand, Compare.LE, comparison.operands[1], False, domain, context)
    else:
        hits = _each(operand, Compare.EQ if form is Compare.IN else form, comparison.operands, False, domain, context)
    return ~hits if complement else hits


def _has_all(comparison: Comparison, domain: Domain, context: Context) -> NDArray[np.bool_]:
    result = np.zeros(domain.n, np.bool_)
    for number, one in enumerate(comparison.operands):
        found = np.zeros(domain.n, np.bool_)
        for operand in domain.operands(comparison.name):
            hits = _one(operand, Compare.EQ, one, comparison.ignoring_case, domain, context)
            found[np.flatnonzero(hits) if operand.rows is None else operand.rows[hits]] = True
        result = found if number == 0 else result & found
    return result


def _one(
    operand: Operand, relation: Compare, written: Written, folded: bool, domain: Domain, context: Context
) -> NDArray[np.bool_]:
    """Which values stand in the relation to one operand; false where that is missing or of a kind apart."""
    if isinstance(written, Literal):
        return _against_literal(operand, relation, written.value, folded, context)
    if isinstance(written, AttributeOperand):
        other = attribute_values(written, domain.contacts(operand.rows), context)
        return _against_attribute(operand, relation, other, folded, context)
    if isinstance(written, AttributeAtEvent):
        then = attribute_at(written.name, operand, domain, context)
        return _against_attribute(operand, relation, then, folded, context)
    if isinstance(written, StepOperand):
        return _against_attribute(operand, relation, step_values(domain, written, operand.rows), folded, context)
    raise CdpError(Code.INTERNAL, "OPERAND_UNFILLED", f"nothing stands for {written!r}")


def _against_literal(
    operand: Operand, relation: Compare, value: Scalar, folded: bool, context: Context
) -> NDArray[np.bool_]:
    none = np.zeros(len(operand), np.bool_)
    if isinstance(operand.held, Packed) and not folded:
        # A packed column is compared as it lies.
        literal = Literal(value)
        inside = (
            equal_text(relation, [value], context)
            if operand.kind in _TEXTS
            else range_of(operand.kind, relation, (literal,))
        )
        if inside is not None:
            return _packed_between(operand.held, inside)
    values = operand.values
    if operand.kind in _TEXTS:
        if not isinstance(value, str):
            return none
        text = composed(value)
        dictionary = context.root.dictionary
        if relation is Compare.EQ and not folded:
            code = dictionary.code(text)
            return none if code is None else np.asarray(values == code, np.bool_)
        codes = values.astype(np.uint32, copy=False)
        return dictionary.test((relation, text, folded), predicate(relation, text, folded), codes)
    if relation not in RELATIONS or isinstance(value, str):
        return none
    if operand.kind in _NUMBERS:
        if isinstance(value, DecimalUnits):
            return relate_to_units(values, operand.kind, relation, value.units)
        if isinstance(value, int):
            return relate_to_units(values, operand.kind, relation, int(value) * DECIMAL_SCALE)
        return none
    return relate(values, relation, raw_scalar(value)) if _same_kind(operand.kind, value) else none


def equal_text(relation: Compare, literals: list[Scalar], context: Context) -> Range | None:
    """The dictionary codes of the texts that equal a literal, as range_of gives them for numbers; None for relations
    other than EQ, for which every text has to be asked."""
    if relation is not Compare.EQ:
        return None
    text = literals[0]
    code = context.root.dictionary.code(composed(text)) if isinstance(text, str) else None
    return NOWHERE if code is None else (code, code)


def _packed_between(packed: Packed, inside: Range) -> NDArray[np.bool_]:
    codes = packed.code_range(*inside) if inside != NOWHERE else None
    if codes is None:
        return np.zeros(len(packed), np.bool_)
    first, last = (packed.codes.dtype.type(code) for code in codes)
    if first == last:
        return np.asarray(packed.codes == first, np.bool_)
    return np.asarray((packed.codes >= first) & (packed.codes <= last), np.bool_)


def _same_kind(kind: Kind, value: Scalar) -> bool:
    match kind:
        case Kind.BOOLEAN:
            return isinstance(value, bool)
        case Kind.INSTANT:
            return isinstance(value, Instant)
        case Kind.DATE:
            return isinstance(value, date)
        case _:
            return False


def _against_attribute(
    operand: Operand, relation: Compare, other: Valid, folded: bool, context: Context
) -> NDArray[np.bool_]:
    """Value by value; `other` has one entry per value of `operand`."""
    result = np.zeros(len(operand), np.bool_)
    if operand.kind in _TEXTS:
        rows = np.flatnonzero(other.kinds == Kind.TEXT)
        result[rows] = _text_pairs(operand.values[rows], relation, other.values[rows], folded, context)
        return result
    if relation not in RELATIONS:
        return result
    for kind in _NUMBERS if operand.kind in _NUMBERS else (operand.kind,):
        rows = np.flatnonzero(other.kinds == kind)
        left: NDArray[Any] = operand.values[rows]
        right: NDArray[Any] = other.values[rows]
        if kind is not operand.kind:
            left, right = in_units(left, operand.kind), in_units(right, kind)
        result[rows] = relate(left, relation, right)
    return result


def _text_pairs(
    left: NDArray[Any], relation: Compare, right: NDArray[np.int64], folded: bool, context: Context
) -> NDArray[np.bool_]:
    if relation is Compare.EQ and not folded:
        return np.asarray(left == right, np.bool_)
    pairs, places = np.unique((left.astype(np.uint64) << _PAIR_SHIFT) | right.astype(np.uint64), return_inverse=True)
    dictionary = context.root.dictionary
    answers = [
        predicate(relation, dictionary.text(pair & 0xFFFFFFFF), folded)(dictionary.text(pair >> 32))
        for pair in pairs.tolist()
    ]
    return np.array(answers, np.bool_)[places]


def _lengths(operand: Operand, context: Context) -> tuple[NDArray[np.integer] | None, NDArray[np.int64]]:
    """Rows (None: all) and lengths: characters of a text, elements of a list."""
    match operand.kind:
        case Kind.TEXT:
            codes, places = np.unique(operand.values, return_inverse=True)
            lengths = np.array([len(context.root.dictionary.text(code)) for code in codes.tolist()], np.int64)
            return operand.rows, lengths[places]
        case Kind.OBJECT_LIST:
            return operand.rows, context.root.object_lists.lengths(operand.values)
        case Kind.TEXT_LIST:
            if operand.holders is not None:
                rows = np.asarray(operand.rows)
                counts = np.bincount(rows, minlength=int(operand.holders[-1]) + 1 if len(operand.holders) else 0)
                return operand.holders, counts[operand.holders]
            held, counts = np.unique(np.asarray(operand.rows), return_counts=True)
            return held, counts.astype(np.int64)
        case _:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
