"""Comparisons of dates, instants and places: windows, anniversaries, ages, weekdays and hours, distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code
from core.query.ast import (
    BetweenAgo,
    Compare,
    Comparison,
    InLast,
    InNext,
    MoreThanAgo,
    OnDay,
    Window,
    Zone,
)
from core.query.execute_context import Context
from core.query.rows.distance import inside_circle
from core.query.rows.domain import Domain, Operand
from core.query.rows.local_moments import at_moments, each_zone, on_weekdays
from core.query.rows.zone_offsets import local_days
from core.query.windows import Interval, days, instants
from core.schema import Kind

_DATED = (Kind.INSTANT, Kind.DATE)
_FEBRUARY = 2
#: Windows that count from today; what day that is, the comparison's zone says.
_ROLLING = InLast | InNext | BetweenAgo | MoreThanAgo | OnDay


def compare_dated(operand: Operand, comparison: Comparison, domain: Domain, context: Context) -> NDArray[np.bool_]:
    """WITHIN, ANNIVERSARY, AT and DISTANCE for each value of one kind; false for kinds that have no such thing."""
    if comparison.compare is Compare.DISTANCE:
        if operand.kind is not Kind.LOCATION or comparison.circle is None:
            return np.zeros(len(operand.values), np.bool_)
        return inside_circle(operand.values, comparison.circle, context)
    if operand.kind not in _DATED:
        return np.zeros(len(operand.values), np.bool_)
    contacts = domain.contacts(operand.rows)
    match comparison.compare:
        case Compare.WITHIN:
            return _within(operand, comparison, contacts, context)
        case Compare.ANNIVERSARY:
            return _by_zone(operand, comparison, contacts, context, has_anniversary) > 0
        case Compare.AT if comparison.moments is not None:
            if operand.kind is Kind.DATE:
                return on_weekdays(comparison.moments, operand.values)
            return at_moments(comparison.moments, operand.values, contacts, context)
        case _:
            raise CdpError(Code.INTERNAL, "COMPARISON_UNBOUND", f"no comparison of dates: {comparison.compare}")


def completed_years(
    operand: Operand, comparison: Comparison, domain: Domain, context: Context
) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
    """The rows that have an age today, ascending, and the age of each. What lies ahead has none, nor have kinds that
    are no dates."""
    rows = np.arange(domain.n) if operand.rows is None else operand.rows
    if operand.kind not in _DATED:
        return rows[:0], np.zeros(0, np.int64)
    today = replace(comparison, window=OnDay(0))
    ages = _by_zone(operand, today, domain.contacts(operand.rows), context, _ages_on)
    born = ages >= 0
    return rows[born], ages[born]


def has_anniversary(dates: NDArray[np.int64], window: Interval) -> NDArray[np.bool_]:
    """Which dates have an anniversary among the days of the window, all day numbers. The day itself is none."""
    first_year = _civil(np.array([window.start]))[0]
    year = np.maximum(first_year, _civil(dates)[0] + 1)
    first = anniversaries(dates, year)
    first = np.where(first >= window.start, first, anniversaries(dates, year + 1))
    return np.asarray(first < window.until, np.bool_)


def ages(dates: NDArray[np.int64], today: int) -> NDArray[np.int64]:
    """Completed years of each date; below 0 for what lies ahead."""
    year = _civil(np.array([today]))[0]
    completed: NDArray[np.int64] = year - _civil(dates)[0] - (anniversaries(dates, year) > today)
    return np.where(dates > today, -1, completed)


def anniversaries(dates: NDArray[np.int64], years: NDArray[np.int64]) -> NDArray[np.int64]:
    """The anniversary of each date in a year, as day numbers: 29 February falls on the 28th in a common year."""
    _, month, day = _civil(dates)
    leap = (years % 4 == 0) & ((years % 100 != 0) | (years % 400 == 0))
    moved = day - ((month == _FEBRUARY) & (day == 29) & ~leap)
    months = ((years - 1970) * 12 + month - 1).astype("M8[M]")
    result: NDArray[np.int64] = months.astype("M8[D]").astype(np.int64) + moved - 1
    return result


def _civil(dates: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Year, month (1 to 12) and day (1 to 31) of day numbers."""
    whole = dates.astype("M8[D]")
    months = whole.astype("M8[M]")
    number = months.astype(np.int64)
    day = (whole - months.astype("M8[D]")).astype(np.int64) + 1
    return number // 12 + 1970, number % 12 + 1, day


def _within(
    operand: Operand, comparison: Comparison, contacts: NDArray[np.uint32] | None, context: Context
) -> NDArray[np.bool_]:
    window, dates = comparison.window, operand.kind is Kind.DATE
    if isinstance(window, OnDay) or (dates and isinstance(window, _ROLLING)):
        starts, untils = _bounds(window, comparison.zone, contacts, len(operand.values), context, dates=dates)
        return np.asarray((operand.values >= starts) & (operand.values < untils), np.bool_)
    return context.in_window(window, operand.values, contacts, dates=dates)


#: What is asked of dates and of the days of a window.
_Answer = Callable[[NDArray[np.int64], Interval], NDArray[Any]]


def _ages_on(dates: NDArray[np.int64], window: Interval) -> NDArray[np.int64]:
    return ages(dates, window.start)


def _by_zone(
    operand: Operand,
    comparison: Comparison,
    contacts: NDArray[np.uint32] | None,
    context: Context,
    answer: _Answer,
) -> NDArray[np.int64]:
    """`answer` of the date of each value and the days of the comparison's window, by the zone of each value's contact;
    instants are dates of that zone."""
    zones, places = context.zones_of(comparison.zone, contacts)
    result = np.zeros(len(operand), np.int64)
    for place, rows in each_zone(zones, places, len(operand)):
        values: NDArray[np.int64] = operand.values[rows].astype(np.int64, copy=False)
        dates = values if operand.kind is Kind.DATE else local_days(values, zones[place])
        result[rows] = _once_a_day(dates, days(comparison.window, context.as_of_us, zones[place]), answer)
    return result


def _once_a_day(dates: NDArray[np.int64], window: Interval, answer: _Answer) -> NDArray[Any]:
    """`answer` of each date, which is asked once for each day between the first and the last where that is less."""
    first, last = (int(dates.min()), int(dates.max())) if len(dates) else (0, 0)
    if last - first >= len(dates):
        return answer(dates, window)
    return answer(np.arange(first, last + 1), window)[dates - first]


def _bounds(
    window: Window | None,
    zone: Zone,
    contacts: NDArray[np.uint32] | None,
    n: int,
    context: Context,
    *,
    dates: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ends of a window that counts from today, for each of `n` values by the zone of its contact."""
    find = days if dates else instants
    zones, places = context.zones_of(zone, contacts)
    found = [find(window, context.as_of_us, one) for one in zones]
    at: Any = np.zeros(n, np.int64) if places is None else places
    return np.array([one.start for one in found], np.int64)[at], np.array([one.until for one in found], np.int64)[at]
