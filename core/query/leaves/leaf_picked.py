"""What the first or the latest selected event was."""

from __future__ import annotations

import numpy as np

from core.index.contact_set import ContactSet
from core.query.ast import FirstTime, PickedEvent
from core.query.execute_context import Context
from core.query.leaves.first_events import first_instants, first_within
from core.query.leaves.leaf_result import LeafResult
from core.query.leaves.windowed import one_interval, window_ends
from core.query.rows.filters import matching
from core.query.rows.selecting import pick
from core.query.rows.total_order import extreme_events


def first_time_leaf(condition: FirstTime, context: Context) -> LeafResult:
    """The earliest selected event ever lies in the window: filter first, then pick."""
    if one_interval(condition.window):
        return first_within(condition.events, context.interval(condition.window), context)
    owners, firsts = first_instants(condition.events, context)
    starts, untils = window_ends(condition.window, owners, context)
    return LeafResult(ContactSet.from_numbers(owners[(firsts >= starts) & (firsts < untils)]))


def picked_event_leaf(condition: PickedEvent, context: Context) -> LeafResult:
    """The latest (or first) selected event satisfies the conditions, as it is: what it lacks is missing."""
    found = extreme_events(pick(condition.events, context), context.root, first=condition.first)
    contacts = [np.zeros(0, np.uint32)]
    contacts += [one.contacts[matching(condition.conditions, one.domain(), context)] for one in found if len(one)]
    return LeafResult(ContactSet.from_numbers(np.concatenate(contacts)))
