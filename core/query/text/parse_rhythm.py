"""Conditions on the rhythm of events: stopped, restarted, regularly, rising and falling."""

from __future__ import annotations

from core.errors import CdpError
from core.query.ast import EventSelection, Period, Regularly, Restarted, Span, Stopped, Trend, Zone
from core.query.text.parse_calendar import take_period, take_zone
from core.query.text.parse_cursor import Cursor
from core.query.text.parse_selections import take_selection
from core.query.text.parse_windows import take_duration

_STOPPED = 'Write "stopped order_completed: did in 90 days before, not in last 30 days".'
_RESTARTED = 'Write "restarted order_completed: did in last 30 days, not in 90 days before, but earlier".'
_RISING = 'Write "rising by 50 % over last 14 days".'
_REGULARLY = 'Write "did site_visited regularly: in at least 3 of last 4 calendar weeks".'


def take_stopped(cursor: Cursor) -> Stopped:
    """`stopped E (filter): did in 90 days before, not in last 30 days`."""
    span = cursor.expect("stopped").span
    events = take_selection(cursor, no_window=_STOPPED)
    _expect_all(cursor, ": did in", _STOPPED)
    active_us = take_duration(cursor)
    _expect_all(cursor, "before , not in last", _STOPPED)
    return Stopped(events, active_us, take_duration(cursor), span=span)


def take_restarted(cursor: Cursor) -> Restarted:
    """`restarted E (filter): did in last 30 days, not in 90 days before, but earlier`."""
    span = cursor.expect("restarted").span
    events = take_selection(cursor, no_window=_RESTARTED)
    _expect_all(cursor, ": did in last", _RESTARTED)
    recent_us = take_duration(cursor)
    _expect_all(cursor, ", not in", _RESTARTED)
    silent_us = take_duration(cursor)
    _expect_all(cursor, "before , but earlier", _RESTARTED)
    return Restarted(events, recent_us, silent_us, span=span)


def take_regularly(cursor: Cursor, events: EventSelection, span: Span) -> Regularly:
    """What follows `did E regularly`: `: at least 2 times in at least 3 of last 4 calendar weeks`."""
    cursor.expect(":", _REGULARLY)
    times = 1
    if cursor.skip("at", "least"):
        times = cursor.whole("a whole number")
        if not (cursor.skip("times") or cursor.skip("time")):
            raise cursor.expected('"times"', _REGULARLY)
    _expect_all(cursor, "in at least", _REGULARLY)
    k = cursor.whole("a whole number")
    _expect_all(cursor, "of last", _REGULARLY)
    n = 1 if cursor.at("calendar") else cursor.whole("a whole number")
    cursor.expect("calendar", _REGULARLY)
    period: Period = take_period(cursor)
    return Regularly(events, times, k, n, period, take_zone(cursor) or Zone.WORKSPACE, span=span)


def at_trend(cursor: Cursor) -> bool:
    """Whether an event begins here of which a trend is asked: `E rising by`, `E (filter) rising by`."""
    if cursor.at("any", "of"):
        return True
    follows = cursor.is_word(1, "rising") or cursor.is_word(1, "falling") or cursor.is_word(1, "(")
    return follows and cursor.at_name()


def take_trend(cursor: Cursor) -> Trend:
    """`E (filter) rising by 50 % over last 14 days`."""
    span = cursor.span
    bracketed = cursor.is_word(1, "(")
    events = take_selection(cursor, no_window=_RISING)
    if not at_rising(cursor):
        raise _no_trend(cursor, bracketed)
    return take_rising(cursor, events, span)


def at_rising(cursor: Cursor) -> bool:
    """Whether `rising by` or `falling by` follows."""
    return cursor.at("rising") or cursor.at("falling")


def take_rising(cursor: Cursor, events: EventSelection, span: Span) -> Trend:
    """What follows an event: `rising by 50 % over last 14 days`."""
    rising = cursor.take().word == "rising"
    cursor.expect("by", _RISING)
    percent = cursor.percent()
    _expect_all(cursor, "over last", _RISING)
    return Trend(events, rising, percent, take_duration(cursor), span=span)


def _no_trend(cursor: Cursor, bracketed: bool) -> CdpError:
    hint = 'If it is an event, write "did" before it.' if bracketed else 'Write "did any of (a, b)" to ask who did one.'
    return cursor.expected('"rising by" or "falling by"', hint)


def _expect_all(cursor: Cursor, words: str, hint: str) -> None:
    for word in words.split():
        cursor.expect(word, hint)
