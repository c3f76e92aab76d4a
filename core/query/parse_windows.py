"""Windows of time: rolling, absolute and calendar ones."""

from __future__ import annotations

from datetime import date

from core.query.ast import (
    Absolute,
    BetweenAgo,
    Calendar,
    InLast,
    InNext,
    Literal,
    MoreThanAgo,
    Operand,
    Parameter,
    Period,
    Window,
    Zone,
)
from core.query.lexer import TokenKind
from core.query.limits import MAX_DURATION_DAYS, MAX_DURATION_US
from core.query.parse_cursor import Cursor
from core.query.problems import VALUE, WINDOW
from core.query.words import CALENDAR_UNITS, PERIODS, UNITS_US

_NO_FIXED_LENGTH = 'It has no fixed length. Write "30 days", or "last calendar {0}".'


def take_window(cursor: Cursor) -> Window | None:
    """The window that begins here, or None (nothing taken) if none does."""
    window = _rolling(cursor) or _calendar(cursor) or _absolute(cursor)
    if window is None:
        return None
    if isinstance(window, Calendar | Absolute):
        return _in_zone(cursor, window)
    if cursor.at("in", "contact's") or cursor.at("in", "utc"):
        raise cursor.fail("a rolling window is the same in every zone.", "Zones belong to calendar periods and dates.")
    return window


def at_between_ago(cursor: Cursor) -> bool:
    """Whether `between 30 and 90 days ago` follows, and not a comparison of numbers."""
    if not cursor.at("between") or cursor.peek(1).kind is not TokenKind.VALUE:
        return False
    second = 3 if cursor.is_word(2, "and") else 4
    return (
        (second == 3 or _is_unit(cursor, 2))
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
        far_us = _duration(cursor)
        cursor.expect("ago")
        return MoreThanAgo(far_us)
    for direction, window in (("last", InLast), ("next", InNext)):
        if cursor.at("in", direction) and not _at_calendar(cursor, 2):
            cursor.skip("in", direction)
            return window(_duration(cursor))
    return None


def _between_ago(cursor: Cursor) -> BetweenAgo:
    cursor.expect("between")
    near = cursor.whole("a whole number")
    near_unit_us = _unit(cursor) if _is_unit(cursor, 0) else None
    cursor.expect("and")
    far = cursor.whole("a whole number")
    far_unit_us = _unit(cursor)
    cursor.expect("ago")
    return BetweenAgo(_checked(cursor, near * (near_unit_us or far_unit_us)), _checked(cursor, far * far_unit_us))


def _duration(cursor: Cursor) -> int:
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


def _at_calendar(cursor: Cursor, ahead: int) -> bool:
    if cursor.peek(ahead).kind is TokenKind.VALUE:
        ahead += 1
    return cursor.is_word(ahead, "calendar")


def _calendar(cursor: Cursor) -> Calendar | Absolute | None:
    if cursor.at("in", "calendar"):
        cursor.skip("in", "calendar")
        return _named_period(cursor)
    ahead = 1 if cursor.at("in") else 0
    word = cursor.peek(ahead).word
    if word not in ("this", "last", "next") or not _at_calendar(cursor, ahead + 1):
        return None
    cursor.skip("in")
    cursor.take()
    count = 1 if cursor.at("calendar") else cursor.whole("a whole number")
    cursor.expect("calendar")
    if word == "this" and count != 1:
        raise cursor.fail('"this" is one calendar period.', 'Write "last 2 calendar weeks" for complete ones.')
    return Calendar(_period(cursor), {"this": 0, "last": -1, "next": 1}[word], count)


def _period(cursor: Cursor) -> Period:
    word = cursor.peek().word
    if word not in PERIODS:
        raise cursor.expected("day, week, month, quarter or year")
    cursor.take()
    return PERIODS[word]


def _named_period(cursor: Cursor) -> Absolute:
    period, token = _period(cursor), cursor.peek()
    if period is Period.MONTH and token.kind is TokenKind.MONTH:
        year, month = (int(part) for part in token.text.split("-"))
        months = 1
    elif period is Period.YEAR and token.kind is TokenKind.VALUE and isinstance(token.value, int):
        year, month, months = token.value, 1, 12
    else:
        raise cursor.expected('"month 2026-10" or "year 2026"', 'Otherwise write "from ... until ...".')
    end = (year * 12 + month - 1) + months
    try:
        start, until = date(year, month, 1), date(end // 12, end % 12 + 1, 1)
    except (ValueError, OverflowError) as error:
        raise cursor.fail(f"{token.text} is no {period.value}.", reason=VALUE) from error
    cursor.take()
    return Absolute(Literal(start), Literal(until))


def _absolute(cursor: Cursor) -> Absolute | None:
    start: Operand | None = None
    if cursor.skip("from"):
        start = _moment(cursor)
        if not (cursor.at("until") or cursor.at("through")):
            return Absolute(start, None)
    for word in ("until", "through"):
        if cursor.skip(word):
            return Absolute(start, _moment(cursor), through=word == "through")
    return None


def _moment(cursor: Cursor) -> Operand:
    token = cursor.peek()
    if isinstance(token.value, int):
        raise cursor.expected("a date or an instant", "Write 2026-01-31 or 2026-01-31T10:00:00Z.")
    operand = cursor.operand("a date or an instant")
    if not isinstance(operand, Literal | Parameter):
        raise cursor.fail("a window begins and ends at a date, an instant or a parameter.", span=token.span)
    return operand


def _in_zone(cursor: Cursor, window: Calendar | Absolute) -> Calendar | Absolute:
    zone = window.zone
    for words, named in (
        (("in", "contact's", "zone"), Zone.CONTACT),
        (("in", "workspace's", "zone"), Zone.WORKSPACE),
        (("in", "utc"), Zone.UTC),
    ):
        if cursor.skip(*words):
            zone = named
            break
    if isinstance(window, Calendar):
        return Calendar(window.period, window.offset, window.count, zone)
    return Absolute(window.start, window.until, window.through, zone)
