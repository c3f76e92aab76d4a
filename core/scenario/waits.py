"""When a wait ends that names a wall time or a date of the contact.

A wall time happens once a day: where the clocks skip it at the first instant after the gap, where they show it twice
at the first of the two. A day that a zone never had has no wall times. The wall time and its zone are kept beside the
instant (`WallTime.text`), so that a change of the zone's rules moves what is not due yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from core.clock import DAY_US, MINUTE_US
from core.query.local_time import clamp, find_zone, local_date, shift_days, start_of, wall_instant, wall_us
from core.scenario.definition import DateAttribute, LocalTime
from core.schema import Instant, Value

_EPOCH_NAIVE = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
#: Every weekday comes within so many days, even where a zone left one out.
_DAYS_AHEAD = 15
#: Years with a 29 February lie at most eight apart, and every year has an anniversary.
_YEARS_AHEAD = 3


@dataclass(frozen=True, slots=True)
class WallTime:
    """What the clocks of `zone` show: microseconds since 1970-01-01 00:00 of that clock."""

    local_us: int
    zone: str

    @property
    def text(self) -> str:
        """As it is kept: "2027-03-28T02:30:00 Europe/Berlin"."""
        return f"{(_EPOCH_NAIVE + timedelta(microseconds=self.local_us)).isoformat()} {self.zone}"

    def instant_us(self) -> int:
        """The instant by the zone's rules as they are known now."""
        return wall_instant(self.local_us, zone_named(self.zone))


@dataclass(frozen=True, slots=True)
class Due:
    """When a wait ends. `wall_time`: the wall time it is made of; None where it is an instant by itself."""

    at_us: int
    wall_time: WallTime | None = None


def wall_time_from(text: str) -> WallTime:
    """What `WallTime.text` wrote."""
    moment, _, zone = text.partition(" ")
    return WallTime((datetime.fromisoformat(moment) - _EPOCH_NAIVE) // _MICROSECOND, zone)


def zone_named(name: str) -> ZoneInfo:
    """The zone of that name. Raises ValueError where there is none."""
    zone = find_zone(name)
    if zone is None:
        raise ValueError(f"there is no time zone {name!r}")
    return zone


def next_local(wanted: LocalTime, zone: str, after_us: int) -> Due:
    """The first such wall time strictly after `after_us`."""
    rules = zone_named(zone)
    today = local_date(after_us, rules)
    for day in _days_from(shift_days(today, -1), rules):
        if wanted.weekdays and day.weekday() not in wanted.weekdays:
            continue
        found = WallTime(_local_day_us(day) + wanted.minute * MINUTE_US, zone)
        at_us = found.instant_us()
        if at_us > after_us:
            return Due(at_us, found)
    raise ValueError(f"no {wanted} within {_DAYS_AHEAD} days in {zone}")


def due_date(wanted: DateAttribute, value: Value | None, zone: str, now_us: int) -> Due | None:
    """When `value` of the attribute comes, at `now_us` or later; None: it lies in the past, or is no date.

    Whole days of the offset move the date, so that the wall time stays across a change of the clocks; the rest is
    time that passes. `yearly`: the next anniversary at or after `now_us`; that of 29 February is on the 28th in a
    common year, and the day itself is none.
    """
    if isinstance(value, Instant):
        if not wanted.yearly:
            return _at(value.us + wanted.offset_us, now_us)
        rules = zone_named(zone)
        day, time_us = divmod(wall_us(value.us, rules), DAY_US)
        return _next_anniversary(wanted, date.fromordinal(_EPOCH_NAIVE.toordinal() + day), time_us, zone, now_us)
    if not isinstance(value, date):
        return None
    if wanted.yearly:
        return _next_anniversary(wanted, value, wanted.minute * MINUTE_US, zone, now_us)
    return _at_date(wanted, value, wanted.minute * MINUTE_US, zone, now_us)


def anniversary(day: date, year: int) -> date:
    """The anniversary of a day in a year: 29 February falls on the 28th in a common year."""
    try:
        return day.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


def _next_anniversary(wanted: DateAttribute, day: date, time_us: int, zone: str, now_us: int) -> Due | None:
    this_year = local_date(now_us - wanted.offset_us, zone_named(zone)).year
    first = max(day.year + 1, this_year - 1)
    for year in range(first, first + _YEARS_AHEAD + 1):
        if year > date.max.year - 1:
            return None
        found = _at_date(wanted, anniversary(day, year), time_us, zone, now_us)
        if found is not None:
            return found
    return None


def _at_date(wanted: DateAttribute, day: date, time_us: int, zone: str, now_us: int) -> Due | None:
    days = int(wanted.offset_us / DAY_US)
    rest_us = wanted.offset_us - days * DAY_US
    found = WallTime(_local_day_us(shift_days(clamp(day), days)) + time_us, zone)
    if rest_us:
        return _at(found.instant_us() + rest_us, now_us)
    at_us = found.instant_us()
    return Due(at_us, found) if at_us >= now_us else None


def _at(at_us: int, now_us: int) -> Due | None:
    return Due(at_us) if at_us >= now_us else None


def _days_from(day: date, zone: ZoneInfo) -> Iterator[date]:
    for ahead in range(_DAYS_AHEAD + 1):
        one = shift_days(day, ahead)
        if start_of(one, zone) < start_of(shift_days(one, 1), zone):
            yield one


def _local_day_us(day: date) -> int:
    return (day.toordinal() - _EPOCH_NAIVE.toordinal()) * DAY_US
