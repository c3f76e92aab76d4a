"""What local clocks showed at many instants at once: the offsets of a zone as a table of its changes."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from core.clock import DAY_US, MAX_INSTANT_US, MIN_INSTANT_US, SECOND_US

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: The calendar, weekdays included, repeats after 400 years, and so do rules without an end.
_CYCLE_US = 146_097 * DAY_US
#: 2100-01-01: every zone follows a rule without an end by then.
_RULES_FROM_US = 47_482 * DAY_US
#: Tables reach to the end of such a span.
_SPAN_US = 3_653 * DAY_US
#: No rule changes the offset twice within this.
_RULE_STEP_US = 14 * DAY_US
_HEADER = struct.Struct(">4sc15x6l")


@dataclass(frozen=True, slots=True)
class ZoneOffsets:
    """`offsets_us[i]` is what local time was ahead of UTC from `changes_us[i - 1]` until `changes_us[i]`; both int64,
    the first offset holds since ever."""

    changes_us: NDArray[np.int64]
    offsets_us: NDArray[np.int64]


def local_us(instants_us: NDArray[np.int64], zone: ZoneInfo) -> NDArray[np.int64]:
    """What the clocks of `zone` show at each instant, as microseconds since 1970-01-01 00:00 of that clock. Exact for
    the years 1 to 9999, by the same rules as `local_time.local_date`."""
    if len(instants_us) == 0:
        return np.zeros(0, np.int64)
    latest = int(instants_us.max())
    asked = instants_us
    if latest >= _RULES_FROM_US + _CYCLE_US:
        later = np.maximum(instants_us - _RULES_FROM_US, 0) // _CYCLE_US
        asked = instants_us - later * _CYCLE_US
        latest = int(asked.max())
    table = offsets_of(zone, max(latest, 0) // _SPAN_US)
    if len(table.changes_us) == 0:
        return instants_us + int(table.offsets_us[0])
    first, last = np.searchsorted(table.changes_us, (int(asked.min()), latest), "right")
    if first == last:
        return instants_us + int(table.offsets_us[first])
    places = first + np.searchsorted(table.changes_us[first:last], asked, "right")
    shifted: NDArray[np.int64] = instants_us + table.offsets_us[places]
    return shifted


def local_days(instants_us: NDArray[np.int64], zone: ZoneInfo) -> NDArray[np.int64]:
    """The local date of each instant as a day number."""
    days: NDArray[np.int64] = local_us(instants_us, zone) // DAY_US
    return days


@lru_cache(maxsize=2048)
def offsets_of(zone: ZoneInfo, span: int) -> ZoneOffsets:
    """The changes of `zone` up to the end of a span of about ten years, counted from 1970."""
    until_us = (span + 1) * _SPAN_US
    written = _written_changes(zone)
    rules_from = written[-1] if written else 0
    found = [us for us in written if us < until_us]
    found.extend(_changes_by_rule(zone, rules_from, until_us))
    offsets = [_offset_us(zone, MIN_INSTANT_US + 2 * DAY_US)]
    changes = []
    for us in found:
        offset = _offset_us(zone, us)
        if offset != offsets[-1]:
            changes.append(us)
            offsets.append(offset)
    return ZoneOffsets(np.array(changes, np.int64), np.array(offsets, np.int64))


def _written_changes(zone: ZoneInfo) -> list[int]:
    """The instants at which the zone's file itself says that something changes, ascending."""
    data = resources.files("tzdata").joinpath("zoneinfo", *str(zone.key).split("/")).read_bytes()
    _, version, utc, standard, leaps, times, types, characters = _HEADER.unpack_from(data)
    if version == b"\0":
        raise ValueError(f"the zone file of {zone.key} has no 64-bit part")
    start = _HEADER.size + times * 5 + types * 6 + characters + leaps * 8 + standard + utc
    times = _HEADER.unpack_from(data, start)[5]
    seconds = struct.unpack_from(f">{times}q", data, start + _HEADER.size)
    return [max(second * SECOND_US, MIN_INSTANT_US + 2 * DAY_US) for second in seconds]


def _changes_by_rule(zone: ZoneInfo, from_us: int, until_us: int) -> list[int]:
    """The changes that the rule after the last written one makes, found by looking at steps that are shorter than any
    two of them are apart."""
    changes = []
    before, offset = from_us, _offset_us(zone, from_us)
    while before < until_us:
        after = before + _RULE_STEP_US
        following = _offset_us(zone, after)
        if following != offset:
            low, high = before // SECOND_US, after // SECOND_US
            while high - low > 1:
                middle = (low + high) // 2
                if _offset_us(zone, middle * SECOND_US) == offset:
                    low = middle
                else:
                    high = middle
            changes.append(high * SECOND_US)
        before, offset = after, following
    return changes


def _offset_us(zone: ZoneInfo, instant_us: int) -> int:
    inside = min(max(instant_us, MIN_INSTANT_US + 2 * DAY_US), MAX_INSTANT_US - 2 * DAY_US)
    offset = (_EPOCH + timedelta(microseconds=inside)).astimezone(zone).utcoffset()
    return 0 if offset is None else offset // _MICROSECOND
