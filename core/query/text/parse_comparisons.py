"""Comparisons of one named value."""

from __future__ import annotations

from core.errors import CdpError
from core.query.ast import Absolute, Calendar, Compare, Comparison, Operand, Span, Zone
from core.query.text.parse_calendar import take_zone
from core.query.text.parse_cursor import Cursor
from core.query.text.parse_moments import take_moments
from core.query.text.parse_places import take_circle
from core.query.text.parse_windows import at_between_ago, take_window_of_days
from core.query.text.words import RELATIONS

#: What a comparison asks: the operator and its operands.
Compared = tuple[Compare, tuple[Operand, ...]]
LISTS = {"any": Compare.HAS_ANY, "all": Compare.HAS_ALL, "none": Compare.HAS_NONE}
_TEXT_PHRASES = (
    (("contains",), Compare.CONTAINS),
    (("does", "not", "contain"), Compare.NOT_CONTAINS),
    (("starts", "with"), Compare.STARTS),
    (("ends", "with"), Compare.ENDS),
    (("matches",), Compare.MATCHES),
)
_MEASURED = {"length": (Compare.LENGTH, "the name of a list"), "age": (Compare.AGE, "the name of a date")}


def take_comparison(cursor: Cursor) -> Comparison:
    """`name = value` and every other comparison of one named value."""
    if at_measured(cursor):
        return take_measured(cursor)
    span = cursor.span
    return take_comparison_of(cursor, cursor.dotted("a condition"), span)


def at_measured(cursor: Cursor) -> bool:
    """Whether `length of` or `age of` follows."""
    return cursor.peek().word in _MEASURED and cursor.is_word(1, "of")


def take_measured(cursor: Cursor) -> Comparison:
    """`length of x >= 2`, `age of birth_date between 8 and 9 in contact's zone`."""
    span = cursor.span
    compare, what = _MEASURED[cursor.take().word]
    cursor.expect("of")
    return take_measure_of(cursor, compare, cursor.dotted(what), span)


def take_measure_of(cursor: Cursor, compare: Compare, name: str, span: Span) -> Comparison:
    """What stands behind `length of name`: a relation with one number, or `between` two."""
    related = take_related(cursor)
    if related is None:
        raise cursor.expected('"=", "!=", "<", "<=", ">", ">=" or "between"')
    zone = take_zone(cursor) if compare is Compare.AGE else None
    return Comparison(name, compare, related[1], relation=related[0], zone=zone or Zone.WORKSPACE, span=span)


def take_comparison_of(cursor: Cursor, name: str, span: Span) -> Comparison:
    """What stands behind `name`, which began at `span`."""
    relation = take_relation(cursor)
    if relation is not None:
        operands = (cursor.operand(),)
        return Comparison(name, relation, operands, ignoring_case=cursor.skip("ignoring", "case"), span=span)
    if cursor.skip("has", "anniversary"):
        window = take_window_of_days(cursor)
        if window is None:
            raise cursor.expected("a window", 'Write "in next 7 days", "today" or "exactly 3 days from now".')
        zone = None if isinstance(window, Calendar | Absolute) else take_zone(cursor)
        return Comparison(name, Compare.ANNIVERSARY, window=window, zone=zone or Zone.WORKSPACE, span=span)
    circle = take_circle(cursor)
    if circle is not None:
        return Comparison(name, Compare.DISTANCE, circle=circle, span=span)
    moments = take_moments(cursor)
    if moments is not None:
        return Comparison(name, Compare.AT, moments=moments, span=span)
    compared = take_value_compare(cursor) or _has(cursor)
    if compared is not None:
        return Comparison(name, *compared, ignoring_case=cursor.skip("ignoring", "case"), span=span)
    window = take_window_of_days(cursor)
    if window is None:
        raise no_comparison(cursor, name)
    zone = None if isinstance(window, Calendar | Absolute) else take_zone(cursor)
    return Comparison(name, Compare.WITHIN, window=window, zone=zone or Zone.WORKSPACE, span=span)


def take_relation(cursor: Cursor) -> Compare | None:
    """`=`, `!=`, `<`, `<=`, `>` or `>=`, if one follows."""
    relation = RELATIONS.get(cursor.peek().text)
    if relation is not None:
        cursor.take()
    return relation


def take_related(cursor: Cursor) -> Compared | None:
    """A relation with one number, or `between` two, if it follows."""
    between = take_between(cursor)
    if between is not None:
        return Compare.BETWEEN, between
    relation = take_relation(cursor)
    return None if relation is None else (relation, (cursor.operand("a number"),))


def take_plain_compare(cursor: Cursor) -> Compared | None:
    """A comparison that values of every kind have, if one follows: a relation, between, is missing, is present."""
    relation = take_relation(cursor)
    if relation is not None:
        return relation, (cursor.operand(),)
    between = take_between(cursor)
    if between is not None:
        return Compare.BETWEEN, between
    if cursor.skip("is", "missing"):
        return Compare.MISSING, ()
    if cursor.skip("is", "present"):
        return Compare.PRESENT, ()
    return None


def take_value_compare(cursor: Cursor) -> Compared | None:
    """A comparison of single values, if one follows: those, and in, not in, and the ones of texts."""
    plain = take_plain_compare(cursor)
    if plain is not None:
        return plain
    if cursor.at("in", "("):
        cursor.take()
        return Compare.IN, cursor.bracketed(cursor.operand)
    if cursor.skip("not", "in"):
        return Compare.NOT_IN, cursor.bracketed(cursor.operand)
    for words, compare in _TEXT_PHRASES:
        if cursor.skip(*words):
            return compare, (cursor.operand("a text"),)
    return None


def take_between(cursor: Cursor) -> tuple[Operand, ...] | None:
    """`between a and b` of values, if it follows (and not `between 30 and 90 days ago`)."""
    if not cursor.at("between") or at_between_ago(cursor):
        return None
    cursor.take()
    low = cursor.operand()
    cursor.expect("and", 'Write "between 18 and 30".')
    return (low, cursor.operand())


def take_listed(cursor: Cursor) -> Compared:
    """`any (a, b)`, `all (...)` or `none (...)`, as it stands behind has."""
    listed = LISTS.get(cursor.peek().word)
    if listed is None:
        raise cursor.expected('"any", "all" or "none"', 'Write "has any (...)".')
    cursor.take()
    return listed, cursor.bracketed(cursor.operand)


def _has(cursor: Cursor) -> Compared | None:
    if cursor.at("has", "been") or cursor.at("has", "had"):
        raise cursor.fail("only attributes of the contact have a history.", "It stands outside of filters.")
    return take_listed(cursor) if cursor.skip("has") else None


def no_comparison(cursor: Cursor, name: str) -> CdpError:
    """The error for a name behind which nothing can be read."""
    expected = f'a comparison after "{name}"'
    if name == "limit":
        return cursor.expected(expected, 'To limit the rule, write "limit" behind it, without and.')
    if cursor.at("is"):
        return cursor.expected(expected, 'Write "is missing", "is present", or "=" and a value.')
    if cursor.at("does", "not"):
        return cursor.expected(expected, f'Write "does not contain", or put not first: "not {name} ...".')
    if cursor.at("not"):
        return cursor.expected(expected, f'Put not first: "not {name} ...".')
    if cursor.at("less", "than") or cursor.at("fewer", "than"):
        return cursor.expected(expected, 'Write "<" and a number, or "in last 30 days".')
    if cursor.at("more", "than"):
        return cursor.expected(expected, 'Write ">" and a number, or "more than 30 days ago".')
    if cursor.at("at", "least") or cursor.at("at", "most"):
        return cursor.expected(expected, 'Write ">=" or "<=" and a number; events read "did ... at least 2 times".')
    if cursor.at("above") or cursor.at("below"):
        return cursor.expected(expected, 'Write ">" or "<" and a number; statistics stand outside of filters.')
    if cursor.at("exactly"):
        return cursor.expected(expected, 'Write "=" and a value, or "exactly 3 days ago".')
    if cursor.at("since"):
        return cursor.expected(expected, 'Write "from 2026-01-31", or "in last 30 days".')
    if cursor.at("("):
        return cursor.expected(expected, 'If it is an event, write "did" before it.')
    return cursor.expected(expected, 'For example: = "text", > 5, in ("a", "b"), is missing, in last 30 days.')
