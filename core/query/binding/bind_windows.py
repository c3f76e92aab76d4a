"""Windows that can hold something and fit what they stand at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

from core.clock import DAY_US, HOUR_US, SECOND_US
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
    Parameter,
    SinceLast,
    UntilFirst,
    Window,
)
from core.query.binding.bind_parameters import ParameterKinds
from core.query.binding.bind_values import coerce
from core.query.problems import SHAPE, WINDOW, problem
from core.query.text.moments import parse_date
from core.schema import Instant, Kind

_THIS_DAY = 'Write "this calendar day".'
#: No zone is farther from UTC; a local day begins within this of midnight UTC.
_FARTHEST_ZONE_US = 16 * HOUR_US


def bind_event_window(window: Window | None, parameters: ParameterKinds, where: str) -> Window | None:
    """The window of an event or a message."""
    if isinstance(window, InNext) or (isinstance(window, Calendar) and window.offset > 0):
        raise problem(WINDOW, where, "events are never ahead of now.", 'Write "in last", or "last calendar ...".')
    if isinstance(window, OnDay):
        raise problem(WINDOW, where, "a day of events is a calendar window.", _THIS_DAY)
    return None if window is None else bind_window(window, Kind.INSTANT, "the event", parameters, where)


def bind_window(window: Window, kind: Kind, name: str, parameters: ParameterKinds, where: str) -> Window:
    """The window with its operands turned into dates and instants; `kind` is INSTANT or DATE, that of `name`."""
    match window:
        case InLast(duration_us) | InNext(duration_us) | MoreThanAgo(duration_us):
            durations: tuple[int, ...] = (duration_us,)
            empty = duration_us == 0 and not isinstance(window, MoreThanAgo)
        case BetweenAgo(near_us, far_us):
            durations = (near_us, far_us)
            empty = near_us >= far_us
        case Absolute():
            return _absolute(window, kind, name, parameters, where)
        case Calendar():
            return window
        case OnDay():
            if kind is Kind.INSTANT:
                raise problem(WINDOW, where, f'"{name}" is an instant; a day of it is a calendar window.', _THIS_DAY)
            return window
        case SinceLast() | UntilFirst():
            raise problem(SHAPE, where, '"since last" and "until first" are windows of events.')
    if empty:
        hint = 'Write the nearer end first: "between 30 and 90 days ago".' if isinstance(window, BetweenAgo) else ""
        raise problem(WINDOW, where, "the window can never hold anything.", hint)
    if kind is Kind.DATE and any(duration_us % DAY_US for duration_us in durations):
        raise problem(WINDOW, where, f'"{name}" is a date; it has no hours.', "Write whole days.")
    return window


def bind_day_window(window: Window | None, name: str, where: str) -> Window | None:
    """The window of an anniversary: whole days before or after today, or one day."""
    if isinstance(window, OnDay):
        return window
    if not isinstance(window, InLast | InNext):
        hint = 'Write "in next 7 days", "in last 7 days", "today", "exactly 3 days from now".'
        raise problem(WINDOW, where, f'an anniversary of "{name}" lies some days from today.', hint)
    if window.duration_us == 0 or window.duration_us % DAY_US:
        raise problem(WINDOW, where, "an anniversary is a day; it has no hours.", "Write whole days.")
    return window


def _absolute(window: Absolute, kind: Kind, name: str, parameters: ParameterKinds, where: str) -> Absolute:
    start = None if window.start is None else _moment(window.start, kind, name, parameters, where, day=False)
    until = None if window.until is None else _moment(window.until, kind, name, parameters, where, day=window.through)
    if isinstance(start, Literal) and isinstance(until, Literal) and _is_empty(start, until, through=window.through):
        raise problem(WINDOW, where, "the window can never hold anything.", 'Write the earlier end after "from".')
    return replace(window, start=start, until=until)


def _moment(
    operand: Operand, kind: Kind, name: str, parameters: ParameterKinds, where: str, *, day: bool
) -> Literal | Parameter:
    """`day`: only a date will do, as after `through`."""
    if isinstance(operand, Parameter):
        dated = day or kind is Kind.DATE or Kind.DATE in (operand.kind, parameters.known(operand.name))
        return parameters.use(operand, Kind.DATE if dated else Kind.INSTANT, where)
    if not isinstance(operand, Literal):
        raise problem(SHAPE, where, "a window begins and ends at a date, an instant or a parameter.")
    value = operand.value
    if isinstance(value, str):
        try:
            value = parse_date(value)
        except ValueError:
            value = coerce(value, Kind.INSTANT, "the end of the window", where)
    if not isinstance(value, date | Instant):
        coerce(value, Kind.INSTANT, "the end of the window", where)
    if isinstance(value, Instant) and day:
        raise problem(WINDOW, where, '"through" takes a date.', 'Write "until" before an instant.')
    if isinstance(value, Instant) and kind is Kind.DATE:
        raise problem(WINDOW, where, f'"{name}" is a date; it has no hours.', "Write dates without a time.")
    return Literal(value)


def _is_empty(start: Literal, until: Literal, *, through: bool) -> bool:
    first, last = start.value, until.value
    if isinstance(first, date) and isinstance(last, date):
        return first > last if through else first >= last
    return _bound_us(start, earliest=True) >= _bound_us(until, earliest=False)


def _bound_us(end: Literal, *, earliest: bool) -> int:
    if isinstance(end.value, Instant):
        return end.value.us
    if not isinstance(end.value, date):
        raise TypeError("ends of windows are dates and instants")
    midnight = datetime(end.value.year, end.value.month, end.value.day, tzinfo=UTC)
    midnight_us = (midnight - datetime(1970, 1, 1, tzinfo=UTC)).days * 24 * 3600 * SECOND_US
    return midnight_us - _FARTHEST_ZONE_US if earliest else midnight_us + _FARTHEST_ZONE_US
