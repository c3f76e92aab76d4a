"""Comparisons of one value as functions, made once per rule: the row path's reading of comparisons.py.

Only comparisons of scalars with literals are made here; `None` says that a comparison is not, and the condition is
evaluated as it is for sets. Both agree: tests/property/test_row_path.py.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from core.events.raw import raw_scalar
from core.index.dictionary import TextDictionary
from core.index.step_run import MISSING
from core.query.ast import Compare, Comparison, InLast, InNext, Literal, MoreThanAgo, Operand, Zone
from core.query.rows.comparisons import positive_form
from core.query.rows.texts import composed, predicate
from core.schema import DECIMAL_SCALE, DecimalUnits, Instant, Kind

#: Kind number, raw value, dictionary, as_of -> whether the comparison holds.
Test = Callable[[int, int, TextDictionary, int], bool]

_RELATIONS: dict[Compare, Callable[[int, int], bool]] = {
    Compare.EQ: int.__eq__,
    Compare.LT: int.__lt__,
    Compare.LE: int.__le__,
    Compare.GT: int.__gt__,
    Compare.GE: int.__ge__,
}
_TEXTUAL = (*_RELATIONS, Compare.CONTAINS, Compare.STARTS, Compare.ENDS, Compare.MATCHES)
_INTEGER, _DECIMAL, _TEXT = int(Kind.INTEGER), int(Kind.DECIMAL), int(Kind.TEXT)


def scalar_test(test: Comparison) -> Test | None:
    """The comparison of one scalar value; a missing value makes it false, or true of a negative form."""
    form, complement = positive_form(test.compare)
    if form is Compare.PRESENT:
        holds: Test | None = lambda kind, _value, _texts, _as_of: kind != MISSING  # noqa: E731
    elif form is Compare.WITHIN:
        holds = _within(test)
    elif form is Compare.BETWEEN:
        holds = _both(_one(Compare.GE, test.operands[0], test), _one(Compare.LE, test.operands[1], test))
    elif form is Compare.IN:
        holds = _any([_one(Compare.EQ, operand, test) for operand in test.operands])
    elif form in _TEXTUAL:
        holds = _one(form, test.operands[0], test)
    else:
        return None
    if holds is None or not complement:
        return holds
    positive = holds
    return lambda kind, value, texts, as_of: not positive(kind, value, texts, as_of)


def number_test(compare: Compare, operands: tuple[Operand, ...]) -> Callable[[int], bool] | None:
    """A whole number, or units where the operands are decimals, against literals; None for anything else."""
    numbers = [_units(operand) for operand in operands]
    if not operands or any(number is None for number in numbers):
        return None
    low, high = numbers[0] or 0, numbers[-1] or 0
    if compare is Compare.BETWEEN:
        return lambda units: low <= units <= high
    if compare is Compare.NE:
        return lambda units: units != low
    relation = _RELATIONS.get(compare)
    if relation is None:
        return None
    return lambda units: relation(units, low)


def _units(operand: Operand) -> int | None:
    if not isinstance(operand, Literal):
        return None
    value = operand.value
    if isinstance(value, DecimalUnits):
        return value.units
    return value * DECIMAL_SCALE if isinstance(value, int) and not isinstance(value, bool) else None


def _one(relation: Compare, operand: Operand, test: Comparison) -> Test | None:
    if not isinstance(operand, Literal):
        return None
    literal = operand.value
    if isinstance(literal, str):
        on_text = predicate(relation, composed(literal), test.ignoring_case)
        return lambda kind, value, texts, _as_of: kind == _TEXT and on_text(texts.text(value))
    compare = _RELATIONS.get(relation)
    if compare is None:
        return None
    units = _units(operand)
    if units is not None:
        bound = units

        def number(kind: int, value: int, _texts: TextDictionary, _as_of: int) -> bool:
            if kind == _DECIMAL:
                return compare(value, bound)
            return kind == _INTEGER and compare(value * DECIMAL_SCALE, bound)

        return number
    wanted = {bool: Kind.BOOLEAN, Instant: Kind.INSTANT, date: Kind.DATE}.get(type(literal))
    if wanted is None:
        return None
    raw, wanted_kind = raw_scalar(literal), int(wanted)
    return lambda kind, value, _texts, _as_of: kind == wanted_kind and compare(value, raw)


def _both(one: Test | None, other: Test | None) -> Test | None:
    if one is None or other is None:
        return None
    first, second = one, other
    return lambda kind, value, texts, as_of: first(kind, value, texts, as_of) and second(kind, value, texts, as_of)


def _any(tests: list[Test | None]) -> Test | None:
    known = [test for test in tests if test is not None]
    if len(known) != len(tests):
        return None
    return lambda kind, value, texts, as_of: any(test(kind, value, texts, as_of) for test in known)


def _within(test: Comparison) -> Test | None:
    """Rolling windows on instants; dates and calendars are left to the set path."""
    window, instant = test.window, int(Kind.INSTANT)
    if test.zone is not Zone.WORKSPACE:
        return None
    match window:
        case InLast(duration_us):
            return lambda kind, value, _t, as_of: kind == instant and as_of - duration_us < value <= as_of
        case InNext(duration_us):
            return lambda kind, value, _t, as_of: kind == instant and as_of < value <= as_of + duration_us
        case MoreThanAgo(duration_us):
            return lambda kind, value, _t, as_of: kind == instant and value <= as_of - duration_us
        case _:
            return None
