"""The instants of a cron expression in a zone.

An expression names local wall times. Each happens once: a time that the clocks skip counts at the first instant after
the gap, one that they show twice at the first of the two. Several that meet at one instant are one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from core.clock import MAX_INSTANT_US
from core.query.local_time import wall_instant
from core.scenario.definition import ScheduleTrigger

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_NAIVE = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_FIELDS = 5
#: Beyond this nothing is planned; the calendar of the library ends soon after.
_LAST_US = MAX_INSTANT_US - 366 * 86_400_000_000
#: No zone's clocks were ever moved by more, but for a change of date.
_LONGEST_JUMP = timedelta(hours=25)
#: Wall times that one search may pass over: those of a clock that was put back, minute by minute, are fewer.
_MOST_PASSED = 4_000


def check_cron(cron: str) -> str:
    """What is wrong with an expression, in words; empty: nothing. Minute, hour, day of month, month, day of week."""
    if len(cron.split()) != _FIELDS:
        return f"a cron expression has {_FIELDS} fields: minute, hour, day of month, month, day of week"
    try:
        found = next(CronSim(cron, datetime(2024, 1, 1)), None)
    except CronSimError as error:
        return f"{error}, in {cron!r}".lower()
    return "" if found is not None else f"{cron!r} never comes"


def next_due(trigger: ScheduleTrigger, zone: ZoneInfo, after_us: int) -> int | None:
    """The first instant of the schedule strictly after `after_us`, UTC microseconds, not before the trigger's first
    and before its end; None: there is none any more. `zone` is the trigger's, or the workspace's."""
    after_us = max(after_us, trigger.not_before_us - 1)
    if after_us >= _LAST_US:
        return None
    local = (_EPOCH + timedelta(microseconds=after_us)).astimezone(zone).replace(tzinfo=None)
    for wall_time in islice(CronSim(trigger.cron, local), _MOST_PASSED):
        due_us = _instant_of(wall_time, zone)
        if due_us > after_us:
            return due_us if not trigger.until_us or due_us < trigger.until_us else None
    return None


def latest_due(trigger: ScheduleTrigger, zone: ZoneInfo, after_us: int, until_us: int) -> int | None:
    """The last instant of the schedule in (after_us, until_us], within the trigger's own bounds; None: there is none.
    However long the span is, it is found at once."""
    after_us = max(after_us, trigger.not_before_us - 1)
    until_us = min(until_us, _LAST_US, trigger.until_us - 1 if trigger.until_us else _LAST_US)
    if until_us <= after_us:
        return None
    local = (_EPOCH + timedelta(microseconds=until_us)).astimezone(zone).replace(tzinfo=None)
    # From beyond any jump of the clocks back: wall times and their instants are in one order.
    for wall_time in islice(CronSim(trigger.cron, local + _LONGEST_JUMP, reverse=True), _MOST_PASSED):
        due_us = _instant_of(wall_time, zone)
        if due_us <= until_us:
            return due_us if due_us > after_us else None
    return None


def _instant_of(wall_time: datetime, zone: ZoneInfo) -> int:
    return wall_instant((wall_time - _EPOCH_NAIVE) // _MICROSECOND, zone)
