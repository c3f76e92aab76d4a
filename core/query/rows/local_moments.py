"""Local time of many instants, each by the zone that a condition means: weekdays, hours, dates."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from core.clock import DAY_US, SECOND_US
from core.query.ast import Moments, Zone
from core.query.execute_context import Context
from core.query.rows.zone_offsets import local_us

#: 1970-01-01 was a Thursday; days of the week are counted from Monday, 0 here.
_THURSDAY = 3


def each_zone(
    zones: list[ZoneInfo], places: NDArray[np.int64] | None, n: int
) -> Iterator[tuple[int, NDArray[np.intp] | slice]]:
    """The place of each zone that any of `n` rows has, and those rows; `places` as `Context.zones_of` gives them."""
    if places is None or len(zones) == 1:
        yield 0, slice(0, n)
        return
    order = np.argsort(places, kind="stable")
    starts = np.searchsorted(places[order], np.arange(len(zones) + 1))
    for place in range(len(zones)):
        rows = order[starts[place] : starts[place + 1]]
        if len(rows):
            yield place, rows


def local_of(
    instants_us: NDArray[np.int64], zone: Zone, contacts: NDArray[np.uint32] | None, context: Context
) -> NDArray[np.int64]:
    """What the clocks of `zone` show at each instant (microseconds since 1970-01-01 00:00 local); `contacts`: whose
    instants these are, None: those of the rows."""
    zones, places = context.zones_of(zone, contacts)
    shown = np.empty(len(instants_us), np.int64)
    for place, rows in each_zone(zones, places, len(instants_us)):
        shown[rows] = local_us(instants_us[rows], zones[place])
    return shown


def at_moments(
    moments: Moments, instants_us: NDArray[np.int64], contacts: NDArray[np.uint32] | None, context: Context
) -> NDArray[np.bool_]:
    """Which instants fall on the weekdays and hours of `moments`; `contacts` as above."""
    return _shown(moments, local_of(instants_us, moments.zone, contacts, context))


def on_weekdays(moments: Moments, days: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which dates (day numbers) fall on the weekdays of `moments`; a date has no hours and no zone."""
    if not moments.weekdays:
        return np.ones(len(days), np.bool_)
    wanted = np.zeros(7, np.bool_)
    wanted[np.array(moments.weekdays) - 1] = True
    asked: NDArray[np.bool_] = wanted[(days + _THURSDAY) % 7]
    return asked


def _shown(moments: Moments, local: NDArray[np.int64]) -> NDArray[np.bool_]:
    mask = on_weekdays(moments, local // DAY_US)
    if moments.hours is None:
        return mask
    start, until = moments.hours
    second = local % DAY_US // SECOND_US
    if start < until:
        return mask & (second >= start) & (second < until)
    return mask & ((second >= start) | (second < until))
