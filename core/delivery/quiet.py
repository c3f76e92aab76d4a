"""Quiet hours: local times of the person between which nothing but transactional messages is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from core.clock import DAY_US
from core.query.local_time import local_date, shift_days

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: Rules that leave nothing open for this long leave nothing open at all.
_LONGEST_US = 15 * DAY_US


@dataclass(frozen=True, slots=True)
class Quiet:
    """From minute `begin` of a day (0 to 1439) to minute `end`, the next day's if it is not later than `begin`.
    `channels`, and `weekdays` of the beginning (0: Monday): none means all."""

    begin: int
    end: int
    channels: frozenset[str] = frozenset()
    weekdays: frozenset[int] = frozenset()


def next_allowed(rules: Iterable[Quiet], channel: str, zone: ZoneInfo, now_us: int) -> int | None:
    """The first instant from `now_us` on at which no rule holds for `channel`; None: there is none within 15 days.

    A beginning or end that the clocks of `zone` skip is the instant of the jump; of one that comes twice the first
    begins and the second ends, so a quiet hour is never cut short by a clock that was put back.
    """
    holding = [rule for rule in rules if not rule.channels or channel in rule.channels]
    at_us = now_us
    if not holding:
        return at_us
    while (end_us := _quiet_until(holding, zone, at_us)) is not None:
        if end_us - now_us > _LONGEST_US:
            return None
        at_us = end_us
    return at_us


def _quiet_until(rules: Sequence[Quiet], zone: ZoneInfo, at_us: int) -> int | None:
    """When the quiet hours end that hold at `at_us`; None if none do. The end may lie in others."""
    today = local_date(at_us, zone)
    for rule in rules:
        # An end on the day after yesterday's beginning may have moved past midnight with the clocks.
        for day in (shift_days(today, -2), shift_days(today, -1), today):
            if rule.weekdays and day.weekday() not in rule.weekdays:
                continue
            ends_on = day if rule.end > rule.begin else shift_days(day, 1)
            if _instant(day, rule.begin, zone, False) <= at_us < (end_us := _instant(ends_on, rule.end, zone, True)):
                return end_us
    return None


@lru_cache(maxsize=4096)
def _instant(day: date, minute: int, zone: ZoneInfo, second: bool) -> int:
    """The instant at which the clocks of `zone` show `minute` of `day`: of two the first or the `second`, of none the
    instant at which they jump over it."""
    local = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone)
    first_us, second_us = _utc_us(local), _utc_us(local.replace(fold=1))
    if first_us <= second_us:
        return second_us if second else first_us
    # Skipped: the jump lies between the two readings, where the clock first shows the minute or a later one.
    wanted = local.replace(tzinfo=None)
    before, after = second_us - 1, first_us
    while after - before > 1:
        middle = (before + after) // 2
        shown = (_EPOCH + timedelta(microseconds=middle)).astimezone(zone).replace(tzinfo=None)
        if shown >= wanted:
            after = middle
        else:
            before = middle
    return after


def _utc_us(local: datetime) -> int:
    return (local - _EPOCH) // _MICROSECOND
