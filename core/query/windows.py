"""Windows as half-open intervals of instants or of days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from core.clock import DAY_US
from core.errors import CdpError, Code
from core.events.raw import day_number
from core.query.ast import (
    Absolute,
    BetweenAgo,
    Calendar,
    InLast,
    InNext,
    Literal,
    MoreThanAgo,
    OnDay,
    Operand,
    SinceLast,
    UntilFirst,
    Window,
    Zone,
)
from core.query.local_time import current_day, local_date, period_start, shift_days, shift_period, start_of
from core.schema import Instant

#: Stand for "no end" in intervals.
LEAST, GREATEST = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Interval:
    """Whole numbers x with `start <= x < until`."""

    start: int
    until: int


ALWAYS = Interval(LEAST, GREATEST)
#: Windows that are read by a calendar.
_ZONED = (Absolute, Calendar)


def zone_of(window: Window | None) -> Zone:
    """Whose calendar the window is read by."""
    return window.zone if isinstance(window, _ZONED) else Zone.WORKSPACE


def instants(window: Window | None, as_of_us: int, zone: ZoneInfo) -> Interval:
    """The instants of `window`, microseconds; `zone` is that of its calendar words. None is all time.

    Of a window that other events of the contact bound, all that it can hold: its ends are bounds.py's to find.
    """
    match window:
        case None:
            return ALWAYS
        case InLast(duration_us):
            return Interval(_fit(as_of_us - duration_us + 1), as_of_us + 1)
        case InNext(duration_us):
            return Interval(as_of_us + 1, _fit(as_of_us + duration_us + 1))
        case BetweenAgo(near_us, far_us):
            return Interval(_fit(as_of_us - far_us + 1), _fit(as_of_us - near_us + 1))
        case MoreThanAgo(duration_us):
            return Interval(LEAST, _fit(as_of_us - duration_us + 1))
        case Absolute():
            start = LEAST if window.start is None else _instant(window.start, zone, 0)
            until = GREATEST if window.until is None else _instant(window.until, zone, int(window.through))
            return Interval(start, until)
        case Calendar():
            first, last = _period(window, current_day(as_of_us, zone))
            return Interval(start_of(first, zone), start_of(last, zone))
        case OnDay(offset):
            day = shift_days(current_day(as_of_us, zone), offset)
            return Interval(start_of(day, zone), start_of(shift_days(day, 1), zone))
        case SinceLast() | UntilFirst():
            return Interval(LEAST, as_of_us + 1)


def days(window: Window | None, as_of_us: int, zone: ZoneInfo) -> Interval:
    """The dates of `window` as day numbers; today is the local date of `zone`. Durations count whole days."""
    today = local_date(as_of_us, zone)
    number = day_number(today)
    match window:
        case None:
            return ALWAYS
        case InLast(duration_us):
            return Interval(number - duration_us // DAY_US + 1, number + 1)
        case InNext(duration_us):
            return Interval(number, number + duration_us // DAY_US)
        case BetweenAgo(near_us, far_us):
            return Interval(number - far_us // DAY_US + 1, number - near_us // DAY_US + 1)
        case MoreThanAgo(duration_us):
            return Interval(LEAST, number - duration_us // DAY_US + 1)
        case Absolute():
            start = LEAST if window.start is None else _day(window.start, zone, 0)
            until = GREATEST if window.until is None else _day(window.until, zone, int(window.through))
            return Interval(start, until)
        case Calendar():
            first, last = _period(window, today)
            return Interval(day_number(first), day_number(last))
        case OnDay(offset):
            return Interval(number + offset, number + offset + 1)
        case SinceLast() | UntilFirst():
            raise CdpError(Code.INTERNAL, "WINDOW_OF_EVENTS", "only events lie since or until other events")


def period_bounds(window: Calendar, as_of_us: int, zone: ZoneInfo) -> list[int]:
    """The first instants of the last `window.count` complete periods, oldest first, and of the period after them."""
    current = period_start(current_day(as_of_us, zone), window.period)
    return [start_of(shift_period(current, window.period, -back), zone) for back in range(window.count, -1, -1)]


def _period(window: Calendar, today: date) -> tuple[date, date]:
    """The first day of the window, and the first day after it."""
    current = period_start(today, window.period)
    if window.offset == 0:
        return current, shift_period(current, window.period, 1)
    if window.offset < 0:
        return shift_period(current, window.period, -window.count), current
    following = shift_period(current, window.period, 1)
    return following, shift_period(following, window.period, window.count)


def _value(operand: Operand) -> Instant | date:
    if isinstance(operand, Literal) and isinstance(operand.value, Instant | date):
        return operand.value
    raise CdpError(Code.INTERNAL, "WINDOW_UNBOUND", f"a window's end is no instant and no date: {operand!r}")


def _instant(operand: Operand, zone: ZoneInfo, later_days: int) -> int:
    value = _value(operand)
    if isinstance(value, Instant):
        return value.us
    return start_of(shift_days(value, later_days), zone)


def _day(operand: Operand, zone: ZoneInfo, later_days: int) -> int:
    """The first day that starts at or after the operand."""
    value = _value(operand)
    if isinstance(value, date):
        return day_number(value) + later_days
    day = local_date(value.us, zone)
    return day_number(day) + (start_of(day, zone) < value.us)


def _fit(instant_us: int) -> int:
    return min(max(instant_us, LEAST), GREATEST)
