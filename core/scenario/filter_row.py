"""A filter on one event at hand: the same meaning as inside `did type (...)`, without an index.

A trigger is decided where the event passes by, so that nothing is asked of the engine for events that start nothing.
Positive forms are false where a value is missing, negative forms are their complement; inside an element match a
missing field satisfies nothing but `is missing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from zoneinfo import ZoneInfo

from core.events.columns import Event
from core.events.raw import day_number
from core.query.ast import (
    Absolute,
    Branch,
    Compare,
    Comparison,
    ElementMatch,
    FilterNode,
    FilterTree,
    Literal,
    Op,
    Operand,
    Parameter,
    Window,
    Zone,
)
from core.query.local_time import find_zone
from core.query.rows.comparisons import COMPLEMENTS
from core.query.rows.texts import composed, fold, predicate
from core.query.text.moments import parse_date, parse_instant
from core.query.windows import days, instants
from core.schema import DECIMAL_SCALE, DecimalUnits, Instant, Scalar

#: What a comparison may meet on an event or an element.
Field = Scalar | Sequence[str] | Sequence[Mapping[str, Scalar]] | None

_UTC = ZoneInfo("UTC")
_RELATIONS: Mapping[Compare, Callable[[int, int], bool]] = {
    Compare.EQ: lambda a, b: a == b,
    Compare.LT: lambda a, b: a < b,
    Compare.LE: lambda a, b: a <= b,
    Compare.GT: lambda a, b: a > b,
    Compare.GE: lambda a, b: a >= b,
}


@dataclass(frozen=True, slots=True)
class RowContext:
    """`as_of_us` for windows, `zone` (IANA) for their calendar words, `values` for parameters."""

    as_of_us: int
    zone: str
    values: Mapping[str, Scalar]


def matches(tree: FilterTree, event: Event, context: RowContext) -> bool:
    """Whether `event` passes the filter. The empty filter passes everything.

    A parameter without a value counts as missing. Filters that compare with attributes, or read calendars in the
    contact's zone, cannot be decided here and raise ValueError (validation refuses them).
    """

    def value_of(name: str) -> Field:
        return event.items if name == "items" else event.params.get(name)

    return _tree(tree, value_of, context, in_element=False)


def _tree(tree: FilterTree, value_of: Callable[[str], Field], context: RowContext, *, in_element: bool) -> bool:
    if not tree:
        return True
    truths: list[bool] = []
    for node in tree:
        truths.append(_node(node, truths, value_of, context, in_element=in_element))
    return truths[-1]


def _node(
    node: FilterNode,
    truths: Sequence[bool],
    value_of: Callable[[str], Field],
    context: RowContext,
    *,
    in_element: bool,
) -> bool:
    if isinstance(node, Branch):
        return _join(node, [truths[child] for child in node.children])
    value = value_of(node.name)
    if isinstance(node, ElementMatch):
        elements = [one for one in value if isinstance(one, Mapping)] if isinstance(value, Sequence) else []
        return any(_tree(node.filter, element.get, context, in_element=True) for element in elements)
    if in_element and value is None and node.compare is not Compare.MISSING:
        return False
    form = COMPLEMENTS.get(node.compare)
    return _holds(node, node.compare, value, context) if form is None else not _holds(node, form, value, context)


def _join(branch: Branch, truths: Sequence[bool]) -> bool:
    match branch.op:
        case Op.AND:
            return all(truths)
        case Op.OR:
            return any(truths)
        case Op.NOT:
            return not truths[0]
        case Op.AT_LEAST:
            return sum(truths) >= branch.k
        case Op.EXCEPT:
            return all(truths[: branch.k]) and not any(truths[branch.k :])


def _holds(test: Comparison, form: Compare, value: Field, context: RowContext) -> bool:
    """A positive form."""
    if form is Compare.PRESENT:
        return value is not None
    if value is None:
        return False
    if form is Compare.WITHIN:
        return _within(test.window, value, context)
    operands = [_operand(operand, context) for operand in test.operands]
    if form is Compare.LENGTH:
        return _length(test, value, operands)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _of_list(form, value, operands, test.ignoring_case)
    match form:
        case Compare.BETWEEN:
            low, high = operands
            return _relate(Compare.GE, value, low, False) and _relate(Compare.LE, value, high, False)
        case Compare.IN:
            return any(_relate(Compare.EQ, value, one, test.ignoring_case) for one in operands)
        case Compare.HAS_ANY | Compare.HAS_ALL:
            return False
        case _:
            return _relate(form, value, operands[0], test.ignoring_case)


def _of_list(form: Compare, value: Sequence[object], operands: Sequence[Scalar | None], folded: bool) -> bool:
    texts = [one for one in value if isinstance(one, str)]

    def holds(operand: Scalar | None) -> bool:
        return any(_relate(Compare.EQ, text, operand, folded) for text in texts)

    match form:
        case Compare.HAS_ANY:
            return any(holds(operand) for operand in operands)
        case Compare.HAS_ALL:
            return bool(texts) and all(holds(operand) for operand in operands)
        case _:
            return False


def _length(test: Comparison, value: Field, operands: Sequence[Scalar | None]) -> bool:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return False
    relation = test.relation or Compare.EQ
    if relation is Compare.NE:
        return not _relate(Compare.EQ, len(value), operands[0], False)
    return _relate(relation, len(value), operands[0], False)


def _operand(operand: Operand, context: RowContext) -> Scalar | None:
    match operand:
        case Literal(value):
            return value
        case Parameter(name):
            return context.values.get(name)
        case _:
            raise ValueError(f"an event at hand knows nothing of {operand!r}")


def _relate(relation: Compare, value: Scalar, operand: Scalar | None, folded: bool) -> bool:
    """`value relation operand`; false for a missing operand and for kinds that cannot meet."""
    if operand is None:
        return False
    if isinstance(value, str) and isinstance(operand, str):
        return _text_test(relation, composed(operand), folded)(value)
    if relation not in _RELATIONS:
        return False
    left, right = _number(value), _number(_like(value, operand))
    return left is not None and right is not None and left[0] == right[0] and _RELATIONS[relation](left[1], right[1])


def _like(value: Scalar, operand: Scalar) -> Scalar:
    """A text that writes a date or an instant as one, where the value is one, as binding does."""
    if isinstance(operand, str) and isinstance(value, Instant | date):
        try:
            return parse_instant(operand) if isinstance(value, Instant) else parse_date(operand)
        except ValueError:
            return operand
    return operand


@lru_cache(maxsize=1024)
def _text_test(relation: Compare, operand: str, folded: bool) -> Callable[[str], bool]:
    return predicate(relation, fold(operand) if folded else operand, folded)


def _number(value: Scalar) -> tuple[str, int] | None:
    """What a value that is no text is compared by; whole numbers and decimals meet in units."""
    if isinstance(value, bool):
        return "boolean", int(value)
    if isinstance(value, int):
        return "number", value * DECIMAL_SCALE
    if isinstance(value, DecimalUnits):
        return "number", value.units
    if isinstance(value, Instant):
        return "instant", value.us
    return None if isinstance(value, str) else ("date", day_number(value))


def _within(window: Window | None, value: Field, context: RowContext) -> bool:
    named = getattr(window, "zone", Zone.UTC)
    if named is Zone.CONTACT:
        raise ValueError("an event at hand knows no contact's zone")
    zone = (find_zone(context.zone) if named is Zone.WORKSPACE else None) or _UTC
    filled = _filled(window, context)
    if filled is None:
        return False
    if isinstance(value, Instant):
        interval = instants(filled, context.as_of_us, zone)
        return interval.start <= value.us < interval.until
    if isinstance(value, date):
        interval = days(filled, context.as_of_us, zone)
        return interval.start <= day_number(value) < interval.until
    return False


def _filled(window: Window | None, context: RowContext) -> Window | None:
    """The window with values in the place of parameters; None where one has no value."""
    if not isinstance(window, Absolute):
        return window
    ends: list[Literal | None] = []
    for end in (window.start, window.until):
        value = None if end is None else _operand(end, context)
        if end is not None and not isinstance(value, Instant | date):
            return None
        ends.append(None if value is None else Literal(value))
    return Absolute(ends[0], ends[1], window.through, window.zone)
