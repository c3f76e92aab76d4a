"""Anniversaries, ages, weekdays and hours, and distances."""

from __future__ import annotations

from calendar import isleap
from datetime import date, timedelta
from math import asin, cos, radians, sin, sqrt
from typing import TYPE_CHECKING, Any

from tests.oracle.calendar import local_date, on_the_clock
from tests.oracle.facts import Plain
from tests.oracle.values import holds
from tests.oracle.windows import DAY_US, as_date, zone

if TYPE_CHECKING:
    from tests.oracle.row import Row

_RADIUS_M = 6_371_008.8


def is_anniversary(day: date, birth: date) -> bool:
    """ "an anniversary of 29 February falls on the 28th in a common year ... the birth itself is no anniversary"."""
    if day.year <= birth.year:
        return False
    if (birth.month, birth.day) == (2, 29) and not isleap(day.year):
        return (day.month, day.day) == (2, 28)
    return (day.month, day.day) == (birth.month, birth.day)


def has_anniversary(row: Row, test: Plain, value: Any) -> bool:
    """ "`in last n days`: today-n < d <= today; `in next n days`: today <= d < today+n", for some anniversary d."""
    clock = zone(row, test["zone"])
    now, birth, window = local_date(row.as_of, clock), as_date(value, clock), test["window"]
    match window["is"]:
        case "on day":
            return is_anniversary(now + timedelta(days=window["offset"]), birth)
        case "in last":
            ahead = [-n for n in range(window["us"] // DAY_US)]
        case "in next":
            ahead = list(range(window["us"] // DAY_US))
        case other:
            raise ValueError(other)
    return any(is_anniversary(now + timedelta(days=n), birth) for n in ahead)


def age(row: Row, test: Plain, value: Any) -> int | None:
    """ "`age` is completed years by the same rule": so many anniversaries, today's included. Who is yet to be born has
    none."""
    clock = zone(row, test["zone"])
    now, birth = local_date(row.as_of, clock), as_date(value, clock)
    return None if birth > now else _years(birth, now)


def _years(birth: date, now: date) -> int:
    years = 0
    for year in range(birth.year + 1, now.year + 1):
        turned = birth.replace(year=year) if (birth.month, birth.day) != (2, 29) or isleap(year) else date(year, 2, 28)
        years += turned <= now
    return years


def at(row: Row, test: Plain, value: Any) -> bool:
    """An instant falls on the weekdays and hours of the zone; a date on the weekdays."""
    moments = test["moments"]
    if isinstance(value, date):
        return value.isoweekday() in moments["weekdays"]
    return on_the_clock(value[1], zone(row, moments["zone"]), moments)


def near(test: Plain, value: Any) -> bool:
    """ "Distance: haversine with R = 6 371 008.8 m, inclusive." """
    circle = test["circle"]
    (lat1, lon1), (lat2, lon2) = (
        [radians(e7 / 10_000_000) for e7 in point]
        for point in (value[1], (circle["latitude_e7"], circle["longitude_e7"]))
    )
    half = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return bool(2 * _RADIUS_M * asin(min(1.0, sqrt(half))) * 1000 <= circle["radius_mm"])


def timely(row: Row, test: Plain, value: Any, operands: list[Any]) -> bool:
    """The comparisons of this file; "with a missing operand every positive form is false"."""
    if value is None:
        return False
    match test["op"]:
        case "age":
            years = age(row, test, value)
            return years is not None and holds(test["relation"], years, operands)
        case "has anniversary":
            return has_anniversary(row, test, value)
        case "at":
            return at(row, test, value)
    return near(test, value)
