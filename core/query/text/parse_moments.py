"""Weekdays and hours of the day: `on (saturday, sunday) at hours 22:00 to 06:00 in contact's zone`."""

from __future__ import annotations

from core.query.ast import Moments, Zone
from core.query.problems import VALUE
from core.query.text.lexer import TokenKind
from core.query.text.parse_calendar import take_zone
from core.query.text.parse_cursor import Cursor
from core.query.text.words import WEEKDAYS

_SETS = {"weekdays": (1, 2, 3, 4, 5), "weekends": (6, 7), **{f"{word}s": (day,) for word, day in WEEKDAYS.items()}}
_DAY_S = 86_400


def at_moments(cursor: Cursor) -> bool:
    """Whether weekdays or hours follow."""
    return cursor.at("at", "hours") or (cursor.at("on") and not cursor.is_word(1, "a"))


def take_moments(cursor: Cursor) -> Moments | None:
    """Weekdays, hours or both, in any order, and their zone; None if neither follows."""
    weekdays: tuple[int, ...] = ()
    hours: tuple[int, int] | None = None
    while at_moments(cursor):
        if cursor.at("on"):
            if weekdays:
                raise cursor.fail("there are two lists of weekdays.", 'Write "on (saturday, sunday)".')
            cursor.take()
            weekdays = _weekdays(cursor)
        else:
            if hours is not None:
                raise cursor.fail("there are two ranges of hours.", "Join two conditions by or.")
            cursor.skip("at", "hours")
            hours = _hours(cursor)
    if not weekdays and hours is None:
        return None
    return Moments(weekdays, hours, take_zone(cursor) or Zone.WORKSPACE)


def _weekdays(cursor: Cursor) -> tuple[int, ...]:
    parts = cursor.bracketed(lambda: _weekday(cursor)) if cursor.at("(") else (_weekday(cursor),)
    return tuple(sorted({day for part in parts for day in part}))


def _weekday(cursor: Cursor) -> tuple[int, ...]:
    word = cursor.peek().word
    days = (WEEKDAYS[word],) if word in WEEKDAYS else _SETS.get(word)
    if days is None:
        raise cursor.expected("a weekday", 'Write "on saturday", "on weekdays", or "on a product now in stock".')
    cursor.take()
    return days


def _hours(cursor: Cursor) -> tuple[int, int]:
    span = cursor.span
    start_s = _time(cursor)
    cursor.expect("to", 'Write "at hours 08:00 to 20:00".')
    until_s = _time(cursor)
    if start_s == until_s:
        raise cursor.fail(
            "the hours begin and end at once.", 'The whole day needs no "at hours".', reason=VALUE, span=span
        )
    return start_s, until_s


def _time(cursor: Cursor) -> int:
    """Seconds of the day; 24:00 is its end."""
    token = cursor.peek()
    if token.kind is not TokenKind.TIME:
        raise cursor.expected("a time of the day", "Write 08:00.")
    hour, minute, second = (*(int(part) for part in token.text.split(":")), 0)[:3]
    seconds = hour * 3600 + minute * 60 + second
    if minute > 59 or second > 59 or seconds > _DAY_S:
        raise cursor.fail(f"{token.text} is no time of the day.", reason=VALUE)
    cursor.take()
    return seconds
