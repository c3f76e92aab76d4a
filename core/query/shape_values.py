"""Whether comparisons, counts, windows and values are well-formed."""

from __future__ import annotations

from datetime import date

from core.clock import MAX_INSTANT_US, MIN_INSTANT_US, SECOND_US
from core.query.ast import (
    Absolute,
    AttributeOperand,
    BetweenAgo,
    Calendar,
    Compare,
    Comparison,
    InLast,
    InNext,
    Literal,
    MoreThanAgo,
    Operand,
    Parameter,
    Period,
    Window,
)
from core.query.limits import MAX_DURATION_DAYS, MAX_DURATION_US, MAX_OPERANDS, MAX_STRING
from core.query.problems import SHAPE, TOO_LARGE, VALUE, WINDOW, problem
from core.query.words import RELATIONS
from core.schema import MAX_DECIMAL_UNITS, MAX_INTEGER, MIN_INTEGER, DecimalUnits, Instant, Scalar

#: `= != < <= > >=`.
RELATION_SET = frozenset(RELATIONS.values())
_NONE = frozenset((Compare.MISSING, Compare.PRESENT, Compare.WITHIN))
_MANY = frozenset((Compare.IN, Compare.NOT_IN, Compare.HAS_ANY, Compare.HAS_ALL, Compare.HAS_NONE))
_NEVER_FOLDED = frozenset((Compare.LENGTH, Compare.WITHIN))
_PERIODS_A_CENTURY = {
    Period.DAY: MAX_DURATION_DAYS,
    Period.WEEK: MAX_DURATION_DAYS // 7,
    Period.MONTH: 1200,
    Period.QUARTER: 400,
    Period.YEAR: 100,
}


def check_comparison(test: Comparison, where: str) -> None:
    """Operands, relation, window and folding as the operator needs them."""
    check_name(test.name, where)
    compare = test.compare
    _check_arity(compare, test.operands, where)
    check_operands(test.operands, where)
    if (compare is Compare.WITHIN) != (test.window is not None):
        raise problem(SHAPE, where, 'a window belongs to "within", and "within" needs one.')
    if (compare is Compare.LENGTH) != (test.relation is not None):
        raise problem(SHAPE, where, 'a relation belongs to "length", and "length" needs one.')
    if test.relation is not None and test.relation not in RELATION_SET:
        raise problem(SHAPE, where, f'"length" cannot be compared by "{test.relation.value}".')
    if test.ignoring_case and compare in _NEVER_FOLDED:
        raise problem(SHAPE, where, f'"ignoring case" does not fit "{compare.value}".')
    check_window(test.window, where)


def check_counts(compare: Compare, counts: tuple[Operand, ...], where: str) -> None:
    """A count is compared by a relation with one number, or lies between two."""
    if compare not in RELATION_SET and compare is not Compare.BETWEEN:
        raise problem(SHAPE, where, f'a count cannot be compared by "{compare.value}".')
    _check_arity(compare, counts, where)
    check_operands(counts, where)


def check_aggregate(compare: Compare, operands: tuple[Operand, ...], where: str) -> None:
    """An aggregate is compared as a count is, or is missing or present."""
    if compare not in RELATION_SET and compare not in (Compare.BETWEEN, Compare.MISSING, Compare.PRESENT):
        raise problem(SHAPE, where, f'an aggregate cannot be compared by "{compare.value}".')
    _check_arity(compare, operands, where)
    check_operands(operands, where)


def _check_arity(compare: Compare, operands: tuple[Operand, ...], where: str) -> None:
    count = len(operands)
    if compare in _NONE:
        fits = count == 0
    elif compare in _MANY:
        fits = count >= 1
    else:
        fits = count == (2 if compare is Compare.BETWEEN else 1)
    if not fits:
        raise problem(SHAPE, where, f'"{compare.value}" cannot take {count} values.')
    if count > MAX_OPERANDS:
        raise problem(TOO_LARGE, where, f"a list has more than {MAX_OPERANDS} values.")


def check_operands(operands: tuple[Operand, ...], where: str) -> None:
    """Names are names, and literals lie within the range of their kind."""
    for operand in operands:
        match operand:
            case Literal(value):
                _check_scalar(value, where)
            case Parameter(name) | AttributeOperand(name):
                check_name(name, where)


def _check_scalar(value: Scalar, where: str) -> None:
    if isinstance(value, str):
        if len(value) > MAX_STRING:
            raise problem(TOO_LARGE, where, f"a text is longer than {MAX_STRING} characters.")
    elif isinstance(value, DecimalUnits):
        if abs(value.units) > MAX_DECIMAL_UNITS:
            raise problem(VALUE, where, f"{value} is too large: a number with decimals reaches 9e14.")
    elif isinstance(value, Instant):
        if not MIN_INSTANT_US <= value.us < MAX_INSTANT_US:
            raise problem(VALUE, where, "an instant lies in the years 1 to 9999.")
    elif not isinstance(value, date) and not MIN_INTEGER <= value <= MAX_INTEGER:
        raise problem(VALUE, where, f"{value} is too large a number.")


def check_name(name: str, where: str) -> None:
    """A name has 1 to MAX_STRING characters."""
    if not 1 <= len(name) <= MAX_STRING:
        raise problem(SHAPE, where, f"a name has 1 to {MAX_STRING} characters.")


def check_window(window: Window | None, where: str) -> None:
    """Durations are whole seconds within the limit; calendar windows reach at most a century."""
    match window:
        case None:
            return
        case InLast(duration_us) | InNext(duration_us) | MoreThanAgo(duration_us):
            _check_duration(duration_us, where)
        case BetweenAgo(near_us, far_us):
            _check_duration(near_us, where)
            _check_duration(far_us, where)
        case Absolute(start, until, through):
            ends = tuple(end for end in (start, until) if end is not None)
            if not ends or (through and until is None):
                raise problem(SHAPE, where, "a window from and until needs an end.")
            if any(isinstance(end, AttributeOperand) for end in ends):
                raise problem(SHAPE, where, "a window begins and ends at a date, an instant or a parameter.")
            check_operands(ends, where)
        case Calendar(period, offset, count):
            if offset not in (-1, 0, 1) or count < 1 or (offset == 0 and count != 1):
                raise problem(SHAPE, where, f"offset {offset} with count {count} is no calendar window.")
            if count > _PERIODS_A_CENTURY[period]:
                raise problem(WINDOW, where, "a calendar window reaches at most a hundred years.")


def _check_duration(duration_us: int, where: str) -> None:
    if duration_us < 0 or duration_us % SECOND_US:
        raise problem(SHAPE, where, "a duration is a whole number of seconds, not negative.")
    if duration_us > MAX_DURATION_US:
        raise problem(VALUE, where, f"a duration is longer than {MAX_DURATION_DAYS} days.")
