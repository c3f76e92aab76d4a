"""Local time as the rules of the zone say, found by looking at every second."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@cache
def zone_of(name: object) -> ZoneInfo | None:
    """ "by IANA rules from the pinned tzdata package"; None for a name that is no zone."""
    known = resources.files("tzdata").joinpath("zones").read_text().split()
    if name not in known:
        return None
    with resources.files("tzdata.zoneinfo").joinpath(*str(name).split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, str(name))


def local_date(us: int, zone: ZoneInfo) -> date:
    """The date that a clock on the wall shows at the instant."""
    return (_EPOCH + timedelta(microseconds=us)).astimezone(zone).date()


def today(us: int, zone: ZoneInfo) -> date:
    """The latest local day that has started: the date on the wall, except in the hour that comes again after a clock
    was set back over midnight."""
    day = local_date(us, zone)
    while start_of(day + timedelta(days=1), zone) <= us:
        day += timedelta(days=1)
    return day


def on_the_clock(us: int, zone: ZoneInfo, moments: dict[str, Any]) -> bool:
    """Whether the instant falls on the weekdays and hours.

    "Time-of-day ranges are `[h1, h2)` and may wrap midnight."
    """
    local = (_EPOCH + timedelta(microseconds=us)).astimezone(zone)
    if moments["weekdays"] and local.isoweekday() not in moments["weekdays"]:
        return False
    if moments["hours"] is None:
        return True
    start, until = moments["hours"]
    second = local.hour * 3600 + local.minute * 60 + local.second
    return bool(start <= second < until if start < until else second >= start or second < until)


@cache
def start_of(day: date, zone: ZoneInfo) -> int:
    """ "start(d) is the first instant whose local date is >= d": look at every second from long before."""
    second = (datetime(day.year, day.month, day.day, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1) - 30 * 3600
    while local_date((second + 900) * 1_000_000, zone) < day:
        second += 900
    while local_date(second * 1_000_000, zone) < day:
        second += 1
    return second * 1_000_000


def first_day(day: date, period: str) -> date:
    """The first date of the calendar period that holds `day`. "Week starts Monday."."""
    match period:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "quarter":
            return date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
        case "year":
            return date(day.year, 1, 1)
    raise ValueError(period)


def period_days(today: date, window: dict[str, Any]) -> tuple[date, date]:
    """ "`this P` holds as_of; `last n P` are the n complete periods before; `next n P` the ones after": [d1, d2)."""

    def after(day: date) -> date:
        return first_day(day + timedelta(days={"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}[p]), p)

    def before(day: date) -> date:
        return first_day(day - timedelta(days=1), p)

    p, n = window["period"], window["count"]
    start = first_day(today, p)
    if window["offset"] == 0:
        return start, after(start)
    if window["offset"] < 0:
        end = start
        for _ in range(n):
            start = before(start)
        return start, end
    start = end = after(start)
    for _ in range(n):
        end = after(end)
    return start, end
