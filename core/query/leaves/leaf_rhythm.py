"""Rhythm: stopped, restarted, regularly, rising and falling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.index.contact_set import ContactSet
from core.kernels.grouping import count_by_contact
from core.kernels.ranges import sorted_unique
from core.query.ast import (
    BetweenAgo,
    Calendar,
    EventSelection,
    InLast,
    MoreThanAgo,
    Regularly,
    Restarted,
    Stopped,
    Trend,
    Window,
)
from core.query.execute_context import Context
from core.query.leaves.leaf_result import LeafResult
from core.query.rows.local_moments import each_zone
from core.query.rows.picked import Picked
from core.query.rows.selecting import pick
from core.query.windows import period_bounds
from core.schema import DECIMAL_SCALE

#: A hundred percent, in units of 1e-4 percent.
_WHOLE = 100 * DECIMAL_SCALE
_INT64_LIMIT = 2**63


def stopped_leaf(condition: Stopped, context: Context) -> LeafResult:
    """Some in the active time, none in the silent one after it."""
    silent, active = condition.silent_us, condition.active_us
    before = _anyone(condition.events, BetweenAgo(silent, silent + active), context)
    return LeafResult(before - _anyone(condition.events, InLast(silent), context) if len(before) else before)


def restarted_leaf(condition: Restarted, context: Context) -> LeafResult:
    """Some of late, none in the silent time before, some before that."""
    recent, silent = condition.recent_us, condition.silent_us
    found = _anyone(condition.events, InLast(recent), context)
    if len(found):
        found = found - _anyone(condition.events, BetweenAgo(recent, recent + silent), context)
    if len(found):
        found = found & _anyone(condition.events, MoreThanAgo(recent + silent), context)
    return LeafResult(found)


def trend_leaf(condition: Trend, context: Context) -> LeafResult:
    """The number in the last span against the number in the span before, exactly; who had none before is in neither."""
    span = condition.span_us
    contacts, old = _counts(condition.events, BetweenAgo(span, 2 * span), context)
    later, counts = _counts(condition.events, InLast(span), context)
    new = np.zeros(len(contacts), np.int64)
    places = np.searchsorted(contacts, later)
    shared = places < len(contacts)
    shared[shared] = contacts[places[shared]] == later[shared]
    new[places[shared]] = counts[shared]
    percent = condition.percent.units if condition.rising else -condition.percent.units
    if len(contacts) and (_WHOLE + abs(percent)) * max(int(old.max()), int(new.max())) >= _INT64_LIMIT:
        old, new = old.astype(object), new.astype(object)
    bound = (_WHOLE + percent) * old
    held = _WHOLE * new >= bound if condition.rising else _WHOLE * new <= bound
    return LeafResult(ContactSet.from_numbers(contacts[np.asarray(held, np.bool_)]))


def regularly_leaf(condition: Regularly, context: Context) -> LeafResult:
    """At least `times` in at least `k` of the last `n` complete periods."""
    window = Calendar(condition.period, -1, condition.n, condition.zone)
    found = pick(replace(condition.events, window=window), context)
    keys = np.concatenate([np.zeros(0, np.uint64), *(_period_keys(one, window, context) for one in found)])
    if condition.times > 1:
        periods, counts = np.unique(keys, return_counts=True)
        periods = periods[counts >= condition.times]
    else:
        periods = sorted_unique(keys)
    contacts = (periods // np.uint64(condition.n)).astype(np.uint32)
    owners, counts = count_by_contact(contacts, context.root.contact_count)
    return LeafResult(ContactSet.from_numbers(owners[counts >= condition.k]))


def _period_keys(picked: Picked, window: Calendar, context: Context) -> NDArray[np.uint64]:
    """contact * n + the number of the period, one per event; all lie in the window."""
    times = picked.run.occurred_at_us[picked.rows]
    periods = np.zeros(len(picked), np.uint64)
    zones, places = context.zones_of(window.zone, picked.contacts)
    for place, rows in each_zone(zones, places, len(picked)):
        bounds = np.array(period_bounds(window, context.as_of_us, zones[place]), np.int64)
        periods[rows] = np.searchsorted(bounds, times[rows], "right") - 1
    return picked.contacts.astype(np.uint64) * np.uint64(window.count) + periods


def _anyone(events: EventSelection, window: Window, context: Context) -> ContactSet:
    """Who has at least one."""
    return _set_of([one.contacts for one in pick(replace(events, window=window), context)], context)


def _set_of(parts: Sequence[NDArray[np.uint32]], context: Context) -> ContactSet:
    if sum(len(part) for part in parts) * 16 < context.rows:
        return ContactSet.from_numbers(np.concatenate([np.zeros(0, np.uint32), *parts]))
    mask = np.zeros(context.rows, np.bool_)
    for part in parts:
        mask[context.row_of(part)] = True
    return context.to_set(mask)


def _counts(events: EventSelection, window: Window, context: Context) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Who has any, ascending, and how many."""
    parts = [one.contacts for one in pick(replace(events, window=window), context)]
    return count_by_contact(np.concatenate([np.zeros(0, np.uint32), *parts]), context.root.contact_count)
