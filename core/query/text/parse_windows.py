"""Windows of time: rolling ones, single days, and with parse_calendar those of the calendar."""

from __future__ import annotations

from core.clock import DAY_US
from core.query.ast import BetweenAgo, InLast, InNext, MoreThanAgo, OnDay, Window
from core.query.limits import MAX_DURATION_DAYS, MAX_DURATION_US
from core.query.problems import VALUE, WINDOW
from core.query.text.lexer import TokenKind
from core.query.text.parse_calendar import at_calendar, take_absolute, take_calendar
from core.query.text.parse_cursor import Cursor
from core.query.text.words import CALENDAR_UNITS, UNITS_US

_NO_FIXED_LENGTH = 'It has no fixed length. Write "30 days", or "last calendar {0}".'
_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}


def take_window(cursor: Cursor) -> Window | None:
    """The window that begins here, or None (nothing taken) if none does."""
    window = _rolling(cursor)
    if window is None:
        return _day(cursor) or take_calendar(cursor) or take_absolute(cursor)
    if cursor.at("in", "contact's") or cursor.at("in", "utc"):
        raise cursor.fail("a rolling window is the same in every zone.", "Zones belong to calendar periods and dates.")
    return window


def take_window_of_days(cursor: Cursor) -> Window | None:
    """The same, where a zone may follow a rolling window because it may be one of whole days."""
    return _rolling(cursor) or _day(cursor) or take_calendar(cursor) or take_absolute(cursor)


def at_between_ago(cursor: Cursor, ahead: int = 0) -> bool:
    """Whether `between 30 and 90 days ago` stands `ahead` places on, and not a comparison of numbers."""
    if not cursor.is_word(ahead, "between") or cursor.peek(ahead + 1).kind is not TokenKind.VALUE:
        return False
    second = ahead + (3 if cursor.is_word(ahead + 2, "and") else 4)
    return (
        (second == ahead + 3 or _is_unit(cursor, ahead + 2))
        and cursor.is_word(second - 1, "and")
        and cursor.peek(second).kind is TokenKind.VALUE
        and _is_unit(cursor, second + 1)
    )


def at_more_than_ago(cursor: Cursor) -> bool:
    """Whether `more than 30 days ago` follows."""
    return cursor.at("more", "than") and cursor.peek(2).kind is TokenKind.VALUE and _is_unit(cursor, 3)


def _is_unit(cursor: Cursor, ahead: int) -> bool:
    word = cursor.peek(ahead).word
    return word in UNITS_US or word in CALENDAR_UNITS


def _rolling(cursor: Cursor) -> Window | None:
    if at_between_ago(cursor):
        return _between_ago(cursor)
    if at_more_than_ago(cursor):
        cursor.skip("more", "than")
        far_us = take_duration(cursor)
        cursor.expect("ago")
        return MoreThanAgo(far_us)
    if not cursor.at("in") or at_calendar(cursor, 2):
        return None
    if cursor.skip("in", "next"):
        return InNext(take_duration(cursor))
    if not cursor.skip("in", "last"):
        return None
    span = cursor.span
    window = InLast(take_duration(cursor))
    cursor.valued.append((span, window))
    return window


def _between_ago(cursor: Cursor) -> BetweenAgo:
    cursor.expect("between")
    near = cursor.whole("a whole number")
    near_unit_us = _unit(cursor) if _is_unit(cursor, 0) else None
    cursor.expect("and")
    far = cursor.whole("a whole number")
    far_unit_us = _unit(cursor)
    cursor.expect("ago")
    return BetweenAgo(_checked(cursor, near * (near_unit_us or far_unit_us)), _checked(cursor, far * far_unit_us))


def take_duration(cursor: Cursor) -> int:
    """`30 days` in microseconds; seconds to weeks."""
    if cursor.peek().kind is TokenKind.WORD and _is_unit(cursor, 0):
        word = cursor.peek().word
        raise cursor.expected("a whole number", f'Write "1 {word}", or "calendar {word}".')
    number = cursor.whole("a whole number")
    return _checked(cursor, number * _unit(cursor))


def _unit(cursor: Cursor) -> int:
    word = cursor.peek().word
    if word in CALENDAR_UNITS:
        one = word.removesuffix("s")
        raise cursor.fail(f"a rolling {one} is refused.", _NO_FIXED_LENGTH.format(one), reason=WINDOW)
    if word not in UNITS_US:
        raise cursor.expected("seconds, minutes, hours, days or weeks")
    cursor.take()
    return UNITS_US[word]


def _checked(cursor: Cursor, duration_us: int) -> int:
    if duration_us > MAX_DURATION_US:
        raise cursor.fail(f"a duration is longer than {MAX_DURATION_DAYS} days.", reason=VALUE)
    return duration_us


def _day(cursor: Cursor) -> OnDay | None:
    """`today`, `exactly 3 days from now`, `exactly 3 days ago`."""
    if cursor.peek().word in _DAYS:
        return OnDay(_DAYS[cursor.take().word])
    if not (cursor.at("exactly") and cursor.peek(1).kind is TokenKind.VALUE and _is_unit(cursor, 2)):
        return None
    cursor.take()
    span = cursor.span
    days, rest_us = divmod(take_duration(cursor), DAY_US)
    if rest_us:
        raise cursor.fail(
            '"exactly" asks for a whole day.', 'Write "exactly 3 days ago", or "in last 5 hours".', span=span
        )
    if cursor.skip("ago"):
        return OnDay(-days)
    if cursor.skip("from", "now"):
        return OnDay(days)
    raise cursor.expected('"ago" or "from now"')
