"""Leaving out events that no assignment of a sequence can use, before anything is sorted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.kernels.bits import set_bits, words_for
from core.kernels.followed import mark_calendars, rows_followed
from core.kernels.semijoin import rows_in_words
from core.kernels.sequences import NO_LIMIT
from core.query.ast import Sequence
from core.query.execute_context import Context
from core.query.rows.picked import Picked

#: A calendar has so many pieces, of a power of two of microseconds each.
_PIECES_LOG2 = 6

Steps = list[list[Picked]]
Words = NDArray[np.uint64]


def narrowed(found: Steps, condition: Sequence, context: Context) -> Steps:
    """The events of contacts who have all positive steps, each of which (but the last) is followed in time by an event
    of the next, as far as 64 pieces of time can tell. `found` holds events for every positive step.

    The rarest step comes first, then the positive steps backwards, so that the longest is read once, against sets and
    calendars that fit the cache.
    """
    positive = [number for number, step in enumerate(condition.steps) if not step.negative]
    rarest = min(positive, key=lambda number: sum(len(one) for one in found[number]))
    words = _words(found[rarest], context)
    kept = list(found)
    start_us = min(int(one.run.occurred_at_us[one.rows][0]) for number in positive for one in found[number])
    shift = max((context.as_of_us - start_us).bit_length() - _PIECES_LOG2, 0)
    last = positive[-1]
    kept[last] = [_inside(one, words) for one in found[last]]
    for number, following in zip(positive[-2::-1], positive[:0:-1], strict=True):
        words = _words(kept[following], context)
        counts = np.bitwise_count(words)
        before = (np.cumsum(counts, dtype=np.uint32) - counts).astype(np.uint32)
        calendars = np.zeros(int(counts.sum(dtype=np.int64)), np.uint64)
        for one in kept[following]:
            mark_calendars(one.contacts, _times(one), words, before, start_us, shift, calendars)
        step = condition.steps[following]
        within = NO_LIMIT if step.within_us is None or step.from_first else step.within_us
        for place, one in enumerate(found[number]):
            rows = np.empty(len(one) + 1, np.uint32)
            count = rows_followed(one.contacts, _times(one), words, before, start_us, shift, within, calendars, rows)
            kept[number] = [*kept[number][:place], _at(one, rows[:count]), *kept[number][place + 1 :]]
    words = _words(kept[0], context)
    return [some if number == 0 else [_inside(one, words) for one in some] for number, some in enumerate(kept)]


def _times(picked: Picked) -> NDArray[np.int64]:
    return picked.run.occurred_at_us[picked.rows]


def _words(picks: list[Picked], context: Context) -> Words:
    words = words_for(context.root.contact_count)
    for one in picks:
        set_bits(one.contacts, words)
    return words


def _inside(picked: Picked, words: Words) -> Picked:
    rows = np.empty(len(picked) + 1, np.uint32)
    return _at(picked, rows[: rows_in_words(picked.contacts, words, rows)])


def _at(picked: Picked, places: NDArray[np.uint32]) -> Picked:
    chosen = places.astype(np.int64)
    kept = chosen + picked.rows.start if isinstance(picked.rows, slice) else picked.rows[chosen]
    return Picked(picked.type_name, picked.run, kept, picked.contacts[chosen])
