"""Conditions on events: counted, aggregated, picked, first ones; and statistics of what they count."""

from __future__ import annotations

from dataclasses import replace

from core.query.ast import (
    CountMeasure,
    EventAggregate,
    EventCount,
    FirstTime,
    Function,
    PickedEvent,
    PopulationCondition,
    Regularly,
    Trend,
)
from core.query.text.parse_comparisons import Compared, take_plain_compare, take_value_compare
from core.query.text.parse_cursor import Cursor
from core.query.text.parse_filters import take_filter
from core.query.text.parse_measures import take_aggregate, take_number_of
from core.query.text.parse_population import at_standard, take_standard
from core.query.text.parse_rhythm import at_rising, take_regularly, take_rising
from core.query.text.parse_selections import (
    NEVER,
    ONCE,
    Allowed,
    name_follows,
    take_clauses,
    take_selected,
    take_selection,
)

_CHOSEN = (Function.FIRST, Function.LAST, Function.MOST_FREQUENT)


def take_did(cursor: Cursor) -> EventCount | Regularly:
    """`did E (filter)` and its clauses, `did not E`, `never did E`, `did E regularly: ...`."""
    span = cursor.span
    denied = cursor.skip("never", "did") or cursor.skip("did", "not")
    if not denied:
        cursor.expect("did")
    events, clauses = take_selected(cursor, Allowed(count=True, same=True))
    if cursor.skip("regularly"):
        if denied or clauses.count is not None or clauses.window is not None or clauses.same is not None:
            raise cursor.fail(
                '"regularly" takes no "not", count or window before it.',
                'Write "not did ... regularly: ...".',
                span=span,
            )
        return take_regularly(cursor, events, span)
    if denied and clauses.count is not None:
        raise cursor.fail(
            '"did not" and a count cannot stand together.', 'Write "not did ... at least 2 times".', span=span
        )
    compare, counts = clauses.count or (NEVER if denied else ONCE)
    return EventCount(events, compare, counts, clauses.same, span=span)


def take_first_time(cursor: Cursor) -> FirstTime:
    """`first time did E (filter) in last 30 days`."""
    span = cursor.span
    cursor.skip("first", "time")
    cursor.expect("did", 'Write "first time did app_opened in last 30 days".')
    events = take_selection(cursor)
    if events.window is None:
        raise cursor.expected("a window", 'Write "first time did app_opened in last 30 days".')
    return FirstTime(replace(events, window=None), events.window, span=span)


def at_picked(cursor: Cursor) -> bool:
    """Whether `last E` or `first E` begins here, and not a comparison of an attribute of that name."""
    return (cursor.at("last") or cursor.at("first")) and name_follows(cursor)


def take_picked(cursor: Cursor) -> PickedEvent:
    """`last E (filter) WINDOW had (conditions)`."""
    span = cursor.span
    first = cursor.take().word == "first"
    events = take_selection(cursor)
    hint = 'Write last order_completed had (channel = "store").'
    cursor.expect("had", hint)
    if not cursor.at("("):
        raise cursor.expected('"("', hint)
    return PickedEvent(events, take_filter(cursor), first, span=span)


def take_aggregated(cursor: Cursor) -> EventAggregate | PopulationCondition:
    """`sum(E.p) where (filter) WINDOW > 250`, with its window before or after; `sum(E.p) above average`."""
    span = cursor.span
    measure, clauses = take_aggregate(cursor)
    if at_standard(cursor):
        return take_standard(cursor, measure, span)
    compare, operands = _aggregate_compare(cursor, measure.function)
    earlier = len(measure.events.products) - len(clauses.products)
    take_clauses(cursor, Allowed(), clauses)
    events = replace(
        measure.events,
        window=clauses.window,
        moments=clauses.moments,
        products=(*measure.events.products[:earlier], *clauses.products),
        with_machines=clauses.with_machines,
    )
    return EventAggregate(measure.function, measure.path, events, compare, operands, span=span)


def _aggregate_compare(cursor: Cursor, function: Function) -> Compared:
    compared = take_value_compare(cursor) if function in _CHOSEN else take_plain_compare(cursor)
    if compared is not None:
        return compared
    if cursor.at("more", "than") or cursor.at("at"):
        raise cursor.expected("a comparison", 'Write ">" or ">=" and a number.')
    raise cursor.expected("a comparison", "For example: > 250, between 10 and 20, is missing, above average.")


def take_counted(cursor: Cursor) -> PopulationCondition | Trend:
    """`number of E (filter) WINDOW above average`; `number of E (filter) rising by 50 % over last 14 days`."""
    span = cursor.span
    events = take_number_of(cursor)
    if at_rising(cursor):
        if events.window is not None:
            raise cursor.fail("no window can stand before a trend.", 'It ends with "over last 14 days".', span=span)
        return take_rising(cursor, events, span)
    if not at_standard(cursor):
        raise cursor.expected(
            '"above average", "in top 5 %", "rising by" or the like', 'For a number write "did ... at least 2 times".'
        )
    return take_standard(cursor, CountMeasure(events), span)
