"""What contacts are measured by: an attribute, a number of events, an aggregate of a parameter."""

from __future__ import annotations

from core.query.ast import AggregateMeasure, AttributeMeasure, CountMeasure, EventSelection, Function, Measure
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
    """An aggregate, `number of E (filter) WINDOW`, or the name of an attribute."""
    if at_aggregate(cursor):
        return take_aggregate(cursor)[0]
    if at_number_of(cursor):
        return CountMeasure(take_number_of(cursor))
    return AttributeMeasure(cursor.dotted("the name of an attribute, an aggregate, or number of events"))
