"""What contacts are measured by: an attribute, a number of events, an aggregate of a parameter, a time, an interest."""

from __future__ import annotations

from core.query.ast import (
    AggregateMeasure,
    AttributeMeasure,
    CountMeasure,
    EventSelection,
    EventTime,
    Function,
    Interest,
    Measure,
)
from core.query.text.lexer import TokenKind
from core.query.text.parse_cursor import Cursor
from core.query.text.parse_filters import take_event_filter
from core.query.text.parse_selections import Allowed, Clauses, selection, take_clauses, take_event_names, take_selection
from core.query.text.words import FUNCTIONS


def at_aggregate(cursor: Cursor) -> bool:
    """Whether `sum(`, `most frequent(` or the like follows."""
    return cursor.at("most", "frequent", "(") or (cursor.peek().word in FUNCTIONS and cursor.is_word(1, "("))


def at_number_of(cursor: Cursor) -> bool:
    """Whether `number of` follows."""
    return cursor.at("number", "of")


def take_aggregate(cursor: Cursor) -> tuple[AggregateMeasure, Clauses]:
    """`sum(E.p) where (filter)` and what follows it before the comparison."""
    function = Function.MOST_FREQUENT if cursor.skip("most", "frequent") else FUNCTIONS[cursor.take().word]
    cursor.expect("(")
    names = take_event_names(cursor)
    cursor.expect(".", f'Write "{function.value}(order_completed.total)".')
    path = cursor.dotted("the name of a parameter")
    cursor.expect(")", f'The filter stands behind: "{function.value}(...) where (...)".')
    if cursor.skip("where") and not cursor.at("("):
        raise cursor.expected('"("', "The conditions after where stand in brackets.")
    matching, products = take_event_filter(cursor)
    clauses = take_clauses(cursor, Allowed())
    return AggregateMeasure(function, path, selection(names, matching, products, clauses)), clauses


def take_number_of(cursor: Cursor) -> EventSelection:
    """`number of E (filter)` and what follows it."""
    cursor.skip("number", "of")
    return take_selection(cursor)


def take_measure(cursor: Cursor) -> Measure:
    """An aggregate, `number of E (filter) WINDOW`, `time of last E (filter) WINDOW`, an interest, or the name of an
    attribute."""
    if at_aggregate(cursor):
        return take_aggregate(cursor)[0]
    if at_number_of(cursor):
        return CountMeasure(take_number_of(cursor))
    if at_event_time(cursor):
        return take_event_time(cursor)
    if at_interest(cursor):
        return take_interest(cursor)
    return AttributeMeasure(cursor.dotted("the name of an attribute, an aggregate, or number of events"))


def at_event_time(cursor: Cursor) -> bool:
    """Whether `time of last` or `time of first` follows."""
    return cursor.at("time", "of", "last") or cursor.at("time", "of", "first")


def take_event_time(cursor: Cursor) -> EventTime:
    """`time of last E (filter)` and what follows it."""
    cursor.skip("time", "of")
    first = cursor.take().word == "first"
    return EventTime(take_selection(cursor), first)


def at_interest(cursor: Cursor) -> bool:
    """Whether an interest follows, and not an attribute of that name."""
    if cursor.at("top", "interest", "in"):
        return cursor.at_name(3)
    return cursor.at("interest", "in") and cursor.at_name(2) and _is_value(cursor, 3)


def take_interest(cursor: Cursor) -> Interest:
    """`interest in category "coffee"`, `interest in category :section`, `top interest in category`."""
    if cursor.skip("top", "interest", "in"):
        return Interest(cursor.name("the name of an interest"))
    cursor.skip("interest", "in")
    model = cursor.name("the name of an interest")
    if not _is_value(cursor, 0):
        raise cursor.expected("a text", 'Write interest in category "coffee".')
    return Interest(model, cursor.operand("a text"))


def _is_value(cursor: Cursor, ahead: int) -> bool:
    return cursor.peek(ahead).kind is TokenKind.TEXT or cursor.is_word(ahead, ":")
