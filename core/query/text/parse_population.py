"""Conditions that compare a contact with the others: statistics, RFM cells, cohorts, random buckets, and limits."""

from __future__ import annotations

from dataclasses import replace

from core.errors import CdpError
from core.query.ast import (
    Compare,
    InCohort,
    Limit,
    Measure,
    PopulationCondition,
    RandomBucket,
    RfmInCell,
    RfmMoved,
    Span,
    Standard,
    Window,
)
from core.query.text.lexer import TokenKind
from core.query.text.parse_cursor import Cursor
from core.query.text.parse_measures import take_measure
from core.query.text.parse_selections import take_selection
from core.query.text.parse_windows import take_duration, take_window
from core.schema import DECIMAL_SCALE, DecimalUnits

_RELATIONS = (
    (("above",), Compare.GT),
    (("below",), Compare.LT),
    (("at", "least"), Compare.GE),
    (("at", "most"), Compare.LE),
    (("equal", "to"), Compare.EQ),
    (("not", "equal", "to"), Compare.NE),
)
_NUMBERS = 'Numbers follow ">", ">=", "<" or "<="; events read "did ... at least 2 times".'
_MEDIAN = DecimalUnits(50 * DECIMAL_SCALE)
_ENDS = {"top": Standard.TOP, "bottom": Standard.BOTTOM}


def at_standard(cursor: Cursor) -> bool:
    """Whether a comparison with the others follows: `above average`, `in top 5 %`, `at least percentile 90`."""
    if cursor.at("in"):
        return cursor.peek(2 if cursor.is_word(1, "the") else 1).word in _ENDS
    return any(cursor.at(*words) for words, _ in _RELATIONS)


def take_standard(cursor: Cursor, measure: Measure, span: Span) -> PopulationCondition:
    """What `measure` is compared with; the condition began at `span`."""
    if cursor.skip("in"):
        cursor.skip("the")
        end = _ENDS[cursor.take().word]
        return PopulationCondition(measure, end, Compare.GE, cursor.percent(), span=span)
    compare = next(compare for words, compare in _RELATIONS if cursor.skip(*words))
    cursor.skip("the")
    if cursor.skip("average", "of", "events"):
        return PopulationCondition(measure, Standard.EVENT_AVERAGE, compare, span=span)
    if cursor.skip("average"):
        return PopulationCondition(measure, Standard.AVERAGE, compare, span=span)
    if cursor.skip("median"):
        return PopulationCondition(measure, Standard.PERCENTILE, compare, _MEDIAN, span=span)
    if cursor.skip("percentile"):
        return PopulationCondition(measure, Standard.PERCENTILE, compare, cursor.decimal("a number"), span=span)
    raise _no_standard(cursor)


def _no_standard(cursor: Cursor) -> CdpError:
    return cursor.expected('"average", "average of events", "median" or "percentile 90"', _NUMBERS)


def take_rfm(cursor: Cursor) -> RfmInCell | RfmMoved:
    """`rfm purchases in cell "at risk"`, `rfm purchases moved from "a" to any of ("b", "c") in last 7 days`."""
    span = cursor.expect("rfm").span
    model = cursor.name("the name of an RFM model")
    if cursor.skip("in", "cell") or cursor.skip("in", "cells"):
        return RfmInCell(model, take_names(cursor, "the name of a cell"), span=span)
    if not cursor.skip("moved"):
        raise cursor.expected('"in cell" or "moved"', 'Write rfm purchases in cell "at risk".')
    before = _cells(cursor) if cursor.skip("from") else ()
    after = _cells(cursor) if cursor.skip("to") else ()
    if not cursor.skip("in", "last"):
        raise cursor.expected('"in last"', 'Write moved from "active" to "sleeping" in last 7 days.')
    return RfmMoved(model, before, after, take_duration(cursor), span=span)


def _cells(cursor: Cursor) -> tuple[str, ...]:
    if cursor.at("any") and not cursor.is_word(1, "of"):
        cursor.take()
        return ()
    return take_names(cursor, "the name of a cell")


def take_names(cursor: Cursor, what: str) -> tuple[str, ...]:
    """One name, `(a, b)` or `any of (a, b)`."""
    if cursor.skip("any", "of") or cursor.at("("):
        return cursor.bracketed(lambda: cursor.name(what))
    return (cursor.name(what),)


def take_cohort(cursor: Cursor) -> InCohort:
    """`cohort of first E (filter) in calendar month 2026-10`, `cohort of contacts added last calendar month`."""
    span = cursor.span
    cursor.skip("cohort", "of")
    if cursor.skip("contacts", "added"):
        return InCohort(None, _period(cursor, take_window(cursor)), span=span)
    if not cursor.skip("first"):
        raise cursor.expected('"first" or "contacts added"', 'Write "cohort of first order_completed ...".')
    events = take_selection(cursor)
    return InCohort(replace(events, window=None), _period(cursor, events.window), span=span)


def _period(cursor: Cursor, window: Window | None) -> Window:
    hint = 'Write "in calendar month 2026-10", or "last calendar month".'
    if window is None:
        raise cursor.expected("a calendar period", hint)
    return window


def take_bucket(cursor: Cursor) -> RandomBucket:
    """`random bucket 0 to 999 of "experiment 7"`."""
    span = cursor.span
    cursor.skip("random", "bucket")
    low = cursor.whole("a number from 0 to 9999")
    high = cursor.whole("a number from 0 to 9999") if cursor.skip("to") else low
    cursor.expect("of", 'Write random bucket 0 to 999 of "experiment 7".')
    return RandomBucket(low, high, cursor.name("the name of an experiment"), span=span)


def take_limit(cursor: Cursor) -> Limit | None:
    """`limit 100 of "salt" by largest age` at the end of a rule, if it follows."""
    if not cursor.skip("limit"):
        return None
    count = cursor.whole("how many contacts")
    salt = ""
    if cursor.skip("of"):
        if cursor.peek().kind is not TokenKind.TEXT:
            raise cursor.expected("a text", 'Write limit 1000 of "salt".')
        salt = str(cursor.take().value)
    if not cursor.skip("by"):
        return Limit(count, salt=salt)
    smallest = cursor.at("smallest")
    if not (cursor.skip("smallest") or cursor.skip("largest")):
        raise cursor.expected('"largest" or "smallest"', 'Write "limit 100 by largest age".')
    return Limit(count, take_measure(cursor), smallest, salt)
