"""Local dates and calendar periods by the IANA rules of the pinned tzdata package."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

from core.clock import DAY_US, MAX_INSTANT_US, MIN_INSTANT_US
from core.query.ast import Period

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_NAIVE = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
#: Dates are kept this far from the ends of the calendar, so that offsets never leave it.
_FIRST, _LAST = date(1, 1, 3), date(9999, 12, 29)


@lru_cache(maxsize=1024)
def find_zone(name: str) -> ZoneInfo | None:
    """The zone of the tzdata package, or None where it knows no such name, exactly so written. System files are
    never read."""
    if name not in _zone_names():
        return None
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


def local_date(instant_us: int, zone: ZoneInfo) -> date:
    """The date that the clocks of `zone` show at an instant."""
    inside = min(max(instant_us, MIN_INSTANT_US + 2 * DAY_US), MAX_INSTANT_US - 2 * DAY_US)
    return (_EPOCH + timedelta(microseconds=inside)).astimezone(zone).date()


def current_day(instant_us: int, zone: ZoneInfo) -> date:
    """The latest day that has started: the local date, except in the hour that comes again after a clock was put back
    over midnight, when the day that had started goes on."""
    day = local_date(instant_us, zone)
    following = shift_days(day, 1)
    return following if start_of(following, zone) <= instant_us else day


@lru_cache(maxsize=4096)
def start_of(day: date, zone: ZoneInfo) -> int:
    """The first instant whose local date is >= `day`, UTC microseconds.

    Usually local midnight; where that is skipped, the instant of the jump; where it comes twice, the first.
    """
    midnight = datetime.combine(clamp(day), time())
    return wall_instant((midnight - _EPOCH_NAIVE) // _MICROSECOND, zone)


def wall_instant(local_us: int, zone: ZoneInfo) -> int:
    """The first instant at which the clocks of `zone` show `local_us` (microseconds since 1970-01-01 00:00 of that
    clock) or later, if they come to it from before."""
    moment = (_EPOCH_NAIVE + timedelta(microseconds=local_us)).replace(tzinfo=zone)
    first = local_us - _offset_us(moment)
    if wall_us(first, zone) == local_us:
        return first
    # The time is skipped: the jump lies between the instants that the later and the earlier offset give.
    before, after = local_us - _offset_us(moment.replace(fold=1)), first
    while after - before > 1:
        middle = (before + after) // 2
        if wall_us(middle, zone) >= local_us:
            after = middle
        else:
            before = middle
    return after


def period_start(day: date, period: Period) -> date:
    """The first day of the period that holds `day`; weeks start on Monday."""
    match period:
        case Period.DAY:
            return day
        case Period.WEEK:
            return clamp(date.fromordinal(max(day.toordinal() - day.weekday(), 1)))
        case Period.MONTH:
            return day.replace(day=1)
        case Period.QUARTER:
            return date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
        case Period.YEAR:
            return date(day.year, 1, 1)


def shift_period(first: date, period: Period, count: int) -> date:
    """The first day of the period `count` periods after the one that starts on `first`."""
    match period:
        case Period.DAY:
            return shift_days(first, count)
        case Period.WEEK:
            return shift_days(first, 7 * count)
        case Period.MONTH:
            return _shift_months(first, count)
        case Period.QUARTER:
            return _shift_months(first, 3 * count)
        case Period.YEAR:
            return _shift_months(first, 12 * count)


def shift_days(day: date, count: int) -> date:
    """`day` moved by `count` days, kept within the calendar."""
    ordinal = day.toordinal() + count
    return date.fromordinal(min(max(ordinal, _FIRST.toordinal()), _LAST.toordinal()))


def clamp(day: date) -> date:
    """`day`, kept so far within the calendar that any zone's offset leaves it a date."""
    return min(max(day, _FIRST), _LAST)


def _shift_months(first: date, count: int) -> date:
    months = first.year * 12 + first.month - 1 + count
    year, month = divmod(months, 12)
    if year < 1:
        return _FIRST
    if year > 9999:
        return _LAST
    return date(year, month + 1, 1)


def _offset_us(moment: datetime) -> int:
    offset = moment.utcoffset()
    return 0 if offset is None else offset // _MICROSECOND


def wall_us(instant_us: int, zone: ZoneInfo) -> int:
    """What the clocks of `zone` show at an instant, as microseconds since 1970-01-01 00:00 of that clock."""
    local = (_EPOCH + timedelta(microseconds=instant_us)).astimezone(zone)
    return (local.replace(tzinfo=None) - _EPOCH_NAIVE) // _MICROSECOND
