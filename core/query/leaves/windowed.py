"""Windows contact by contact: where one is undefined, and what its ends are."""

from __future__ import annotations

from functools import lru_cache, reduce
from operator import and_

import numpy as np
from numpy.typing import NDArray

from core.index.contact_set import ContactSet
from core.query.ast import Condition, SinceLast, UntilFirst, Window, Zone
from core.query.execute_context import Context
from core.query.rows.anchors import anchors_of
from core.query.rows.selecting import pick
from core.query.walk import parts
from core.query.windows import LEAST, instants, zone_of


def windows_defined(condition: Condition, context: Context) -> ContactSet | None:
    """The contacts that have the events which bound the windows of `condition`, all of them; for all others it is
    false, whatever it says. None where no window depends on such events."""
    bounding = _bounding(condition)
    if not bounding:
        return None
    return reduce(and_, (context.to_set(anchors_of(window, context, pick).present) for window in bounding))


@lru_cache(maxsize=8192)
def _bounding(condition: Condition) -> tuple[SinceLast | UntilFirst, ...]:
    """The windows in a condition that events bound; remembered, as a question about one contact has no time to look."""
    return tuple(part for part in parts(condition) if isinstance(part, SinceLast | UntilFirst))


def window_ends(
    window: Window | None, contacts: NDArray[np.uint32], context: Context
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`[start, until)` of the window for each of `contacts`, instants; empty where the window is undefined. Nothing in
    it is later than as_of."""
    after_all = context.as_of_us + 1
    if isinstance(window, SinceLast | UntilFirst):
        anchors = anchors_of(window, context, pick)
        rows = context.row_of(contacts)
        present, at_us = anchors.present[rows], anchors.instants_us[rows]
        if isinstance(window, SinceLast):
            return np.where(present, at_us + 1, after_all), np.full(len(rows), after_all)
        return np.full(len(rows), LEAST), np.where(present, at_us, LEAST)
    zones, places = context.zones_of(zone_of(window), contacts)
    found = [instants(window, context.as_of_us, zone) for zone in zones]
    at = np.zeros(len(contacts), np.int64) if places is None else places
    starts = np.array([one.start for one in found], np.int64)[at]
    return starts, np.minimum(np.array([one.until for one in found], np.int64)[at], after_all)


def one_interval(window: Window | None) -> bool:
    """Whether the window is the same for all contacts."""
    return zone_of(window) is not Zone.CONTACT and not isinstance(window, SinceLast | UntilFirst)
