"""Calendar windows, those between dates, and whose zone they mean."""

from __future__ import annotations

from datetime import date, timedelta

from core.query.ast import Absolute, Calendar, Literal, Operand, Parameter, Period, Zone
from core.query.problems import VALUE
from core.query.text.lexer import Token, TokenKind
from core.query.text.parse_cursor import Cursor
from core.query.text.words import PERIODS

_MONTHS = {Period.MONTH: 1, Period.QUARTER: 3, Period.YEAR: 12}
_EXAMPLES = {
    Period.DAY: "day 2026-10-31",
    Period.WEEK: "week 2026-W07",
    Period.MONTH: "month 2026-10",
    Period.QUARTER: "quarter 2026-Q3",
    Period.YEAR: "year 2026",
}


def take_zone(cursor: Cursor) -> Zone | None:
    """`in contact's zone`, `in workspace's zone` or `in UTC`, if one follows."""
    for words, zone in (
        (("in", "contact's", "zone"), Zone.CONTACT),
        (("in", "workspace's", "zone"), Zone.WORKSPACE),
        (("in", "utc"), Zone.UTC),
    ):
        if cursor.skip(*words):
            return zone
    if cursor.at("in", "contact's") or cursor.at("in", "workspace's"):
        raise cursor.expected("a zone", "Write in contact's zone, in workspace's zone, or in UTC.")
    return None


def at_calendar(cursor: Cursor, ahead: int) -> bool:
    """Whether `calendar`, or `2 calendar`, stands `ahead` places on."""
    if cursor.peek(ahead).kind is TokenKind.VALUE:
        ahead += 1
    return cursor.is_word(ahead, "calendar")


def take_calendar(cursor: Cursor) -> Calendar | Absolute | None:
    """`this calendar week`, `in last 2 calendar months`, `in calendar month 2026-10`, if one follows."""
    if cursor.at("in", "calendar"):
        cursor.skip("in", "calendar")
        return _named_period(cursor)
    ahead = 1 if cursor.at("in") else 0
    word = cursor.peek(ahead).word
    if word not in ("this", "last", "next") or not at_calendar(cursor, ahead + 1):
        return None
    cursor.skip("in")
    cursor.take()
    count = 1 if cursor.at("calendar") else cursor.whole("a whole number")
    cursor.expect("calendar")
    if word == "this" and count != 1:
        raise cursor.fail('"this" is one calendar period.', 'Write "last 2 calendar weeks" for complete ones.')
    return _zoned(cursor, Calendar(take_period(cursor), {"this": 0, "last": -1, "next": 1}[word], count))


def take_period(cursor: Cursor) -> Period:
    """`week`, `weeks` and so on."""
    word = cursor.peek().word
    if word not in PERIODS:
        raise cursor.expected("day, week, month, quarter or year")
    cursor.take()
    return PERIODS[word]


def take_absolute(cursor: Cursor) -> Absolute | None:
    """`from a until b`, `until b`, `from a`, `through` a date, if one follows."""
    start: Operand | None = None
    if cursor.skip("from"):
        start = _moment(cursor)
        if not (cursor.at("until") or cursor.at("through")):
            return _zoned_days(cursor, Absolute(start, None))
    for word in ("until", "through"):
        if cursor.skip(word):
            return _zoned_days(cursor, Absolute(start, _moment(cursor), through=word == "through"))
    return None


def _named_period(cursor: Cursor) -> Absolute:
    period, token = take_period(cursor), cursor.peek()
    days = _days_of(period, token)
    if days is None:
        example = f'"{_EXAMPLES[period]}"'
        raise cursor.expected(example, 'Otherwise write "from ... until ...".')
    start, until = days
    if start is None or until is None:
        raise cursor.fail(f"{token.text} is no {period.value}.", reason=VALUE)
    cursor.take()
    return _zoned_days(cursor, Absolute(Literal(start), Literal(until)))


def _days_of(period: Period, token: Token) -> tuple[date | None, date | None] | None:
    """First day and the day after the last; (None, None) if there is no such period, None if another is written."""
    try:
        if period is Period.DAY:
            if type(token.value) is not date:
                return None
            return token.value, token.value + timedelta(days=1)
        if period is Period.YEAR:
            if token.kind is not TokenKind.VALUE or type(token.value) is not int:
                return None
            return _months(token.value * 12, 12)
        if token.kind is not TokenKind.PERIOD:
            return None
        year, number = int(token.text[:4]), token.text[5:]
        written = {"Q": Period.QUARTER, "W": Period.WEEK}.get(number[0].upper(), Period.MONTH)
        if written is not period:
            return None
        if period is Period.WEEK:
            monday = date.fromisocalendar(year, int(number[1:]), 1)
            return monday, monday + timedelta(days=7)
        count = int(number.lstrip("Qq"))
        if not 1 <= count <= 12 // _MONTHS[period]:
            return None, None
        return _months(year * 12 + (count - 1) * _MONTHS[period], _MONTHS[period])
    except (ValueError, OverflowError):
        return None, None


def _months(first: int, count: int) -> tuple[date, date]:
    """The first day of month `first` (12 a year, from year 0), and that of the month `count` later."""
    return date(first // 12, first % 12 + 1, 1), date((first + count) // 12, (first + count) % 12 + 1, 1)


def _moment(cursor: Cursor) -> Operand:
    token = cursor.peek()
    if isinstance(token.value, int):
        raise cursor.expected("a date or an instant", "Write 2026-01-31 or 2026-01-31T10:00:00Z.")
    operand = cursor.operand("a date or an instant")
    if not isinstance(operand, Literal | Parameter):
        raise cursor.fail("a window begins and ends at a date, an instant or a parameter.", span=token.span)
    return operand


def _zoned(cursor: Cursor, window: Calendar) -> Calendar:
    return Calendar(window.period, window.offset, window.count, take_zone(cursor) or window.zone)


def _zoned_days(cursor: Cursor, window: Absolute) -> Absolute:
    return Absolute(window.start, window.until, window.through, take_zone(cursor) or window.zone)
