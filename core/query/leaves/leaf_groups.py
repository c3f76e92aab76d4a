"""Membership over time, reachability and random buckets."""

from __future__ import annotations

import numpy as np

from core.errors import invalid
from core.events.facts import CHANNELS
from core.index.contact_set import ContactSet
from core.query.ast import HasBeenIn, RandomBucket, Reachable, WasIn
from core.query.execute_context import Context
from core.query.leaves.hashes import hashes
from core.query.leaves.leaf_result import LeafResult
from core.query.leaves.memberships import intervals_of
from core.query.leaves.windowed import window_ends

#: Random buckets are numbers below this.
BUCKETS = 10_000
_ANY_CHANNEL = 0xFF


def was_in_leaf(condition: WasIn, context: Context) -> LeafResult:
    """In the group at some instant of the window, at or before as_of."""
    intervals = intervals_of(condition.group, condition.name, context)
    starts, untils = window_ends(condition.window, intervals.contacts, context)
    return LeafResult(ContactSet.from_numbers(intervals.overlapping(starts, untils)))


def has_been_in_leaf(condition: HasBeenIn, context: Context) -> LeafResult:
    """In the group on all of `[as_of - duration, as_of]`."""
    intervals = intervals_of(condition.group, condition.name, context)
    first_us = context.as_of_us - condition.duration_us
    return LeafResult(ContactSet.from_numbers(intervals.covering(first_us, context.as_of_us)))


def reachable_leaf(condition: Reachable, context: Context) -> LeafResult:
    """Reachable now by one of the channels, or by any. Raises CdpError for a channel that there is not."""
    bits = 0 if condition.channels else _ANY_CHANNEL
    for channel in condition.channels:
        if channel not in CHANNELS:
            raise invalid("CHANNEL_UNKNOWN", f'no channel is named "{channel}"; there are {", ".join(CHANNELS)}')
        bits |= 1 << CHANNELS.index(channel)
    if context.candidates is None:
        return LeafResult(context.root.reachable(bits))
    reached = context.root.contacts.reachable_of(context.candidates) & np.uint8(bits)
    return LeafResult(ContactSet.from_numbers(context.candidates[reached != 0]))


def random_bucket_leaf(condition: RandomBucket, context: Context) -> LeafResult:
    """The contact's hash modulo 10,000 lies in the range, both ends included."""
    numbers = hashes(context.root, context.setting.workspace, condition.salt, context.contact_numbers())
    buckets = numbers % np.uint64(BUCKETS)
    return LeafResult(context.to_set((buckets >= condition.low) & (buckets <= condition.high)))
