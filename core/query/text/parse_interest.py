"""Interests, and times of events, compared: `interest in category "coffee" >= 3`, `time of last E in top 5 %`."""

from __future__ import annotations

from core.query.ast import Condition, MeasureCondition, PopulationCondition
from core.query.text.parse_comparisons import take_comparison_of
from core.query.text.parse_cursor import Cursor
from core.query.text.parse_measures import take_event_time, take_interest
from core.query.text.parse_population import at_standard, take_standard

#: How errors call the value that is compared.
SCORE, TOP = "interest", "top interest"


def take_interested(cursor: Cursor) -> Condition:
    """An interest and what it is compared with."""
    span = cursor.span
    measure = take_interest(cursor)
    if at_standard(cursor):
        return take_standard(cursor, measure, span)
    name = TOP if measure.value is None else SCORE
    return MeasureCondition(measure, take_comparison_of(cursor, name, span), span=span)


def take_timed(cursor: Cursor) -> PopulationCondition:
    """The time of an event against those of the others."""
    span = cursor.span
    measure = take_event_time(cursor)
    if not at_standard(cursor):
        hint = 'Name it as a computed attribute, or write "did order_completed in last 30 days".'
        raise cursor.expected('"in top", "above" or "below"', hint)
    return take_standard(cursor, measure, span)
