"""Sequences whose steps look at their neighbours only, answered by sweeps in the order of time, without a sort.

A chain: every limit measures from the step before, events forbidden are forbidden at the end alone, and no step speaks
of another's values. Then an event of a step is reached if and only if some reached event of the step before lies before
it within the limit, so one sweep over two neighbours decides for all events at once; and a reached event of the last
positive step is free unless an event of a negative step follows it within that one's limit.
"""

from __future__ import annotations

from collections.abc import Sequence as Series
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from core.index.contact_set import ContactSet
from core.kernels.bits import set_bits, words_for
from core.kernels.preceded import mark_near
from core.kernels.semijoin import rows_in_words
from core.kernels.sequences import NO_LIMIT
from core.kernels.threads import in_parallel, parts_for
from core.query.ast import Sequence, Step
from core.query.rows.picked import Picked

#: A second thread pays from so many events a part on.
_LEAST_PART = 100_000
#: Time is cut in slices of at least so many limits, as each slice reads the others of one limit more, ...
_LIMITS = 4
#: ... and of so many rows for each word of the contacts, as each slice has a set of its own.
_ROWS_A_WORD = 1.0
#: Before all instants.
_LEAST = -(2**62)
#: Below one row for so many contacts a set is made of numbers, not of words.
_SPARSE = 256

Flags = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Stream:
    """Events of one run: `contacts` uint32 and `times` int64, ascending by time."""

    contacts: NDArray[np.uint32]
    times: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.contacts)

    def only(self, which: NDArray[np.integer]) -> Stream:
        """The events `which`, ascending. (A mask would take ten times as long where it is true for few.)"""
        return Stream(self.contacts[which], self.times[which])

    def places(self, start_us: int, until_us: int) -> slice:
        """The places with `start <= time < until`."""
        first, after = self.times.searchsorted((start_us, until_us)).tolist()
        return slice(first, max(first, after))

    def part(self, places: slice) -> Stream:
        """The events at `places`, without a copy."""
        return Stream(self.contacts[places], self.times[places])


@dataclass(frozen=True, slots=True)
class _Look:
    """Where a row looks for others: `sign` 1 back, -1 ahead; `touching` 1 if an other at the same instant counts."""

    sign: int
    within: int
    touching: int

    def span(self, start_us: int, until_us: int) -> tuple[int, int]:
        """Where others of rows with `start <= time < until` can lie: from, and before; no narrower than it is."""
        if self.sign > 0:
            return max(start_us - self.within, _LEAST), until_us
        return start_us, until_us + self.within


def is_chain(condition: Sequence, picks: Series[Series[Picked]]) -> bool:
    """Whether the steps, which speak of no other's values and share none, form a chain. No event of the last positive
    step may be one of those forbidden after it, as an event does not forbid itself."""
    last = _last_positive(condition)
    if any(step.from_first for step in condition.steps) or any(step.negative for step in condition.steps[:last]):
        return False
    forbidden = {one.type_name for some in picks[last + 1 :] for one in some}
    return forbidden.isdisjoint(one.type_name for one in picks[last])


def chain_members(condition: Sequence, picks: Series[Series[Picked]], as_of_us: int, contact_count: int) -> ContactSet:
    """The contacts for whom a chain holds; `picks` are the events that each step may be."""
    streams = [[Stream(one.contacts, one.run.occurred_at_us[one.rows]) for one in some] for some in picks]
    last = _last_positive(condition)
    ends = [step.within_us for step in condition.steps[last + 1 :] if step.within_us is not None]
    if ends:
        # Whether a later event is free is not known yet.
        until_us = as_of_us - max(ends) + 1
        streams[last] = [one.part(slice(0, int(one.times.searchsorted(until_us)))) for one in streams[last]]
    held = streams[0]
    for step, rows in zip(condition.steps[1 : last + 1], streams[1:], strict=False):
        some = _of_contacts(rows, held, contact_count) if _size(held) < _size(rows) else rows
        flags = _near(some, held, _Look(1, _limit(step), 0), contact_count)
        held = [one.only(np.flatnonzero(flag.view(np.bool_))) for one, flag in zip(some, flags, strict=True)]
    for step, others in zip(condition.steps[last + 1 :], streams[last + 1 :], strict=True):
        flags = _near(held, others, _Look(-1, _limit(step), 1), contact_count)
        held = [one.only(np.flatnonzero(flag == 0)) for one, flag in zip(held, flags, strict=True)]
    if _size(held) * _SPARSE < contact_count:
        return ContactSet.from_numbers(np.concatenate([np.zeros(0, np.uint32), *(one.contacts for one in held)]))
    return ContactSet(_words(held, contact_count), None)


def _last_positive(condition: Sequence) -> int:
    return max(number for number, step in enumerate(condition.steps) if not step.negative)


def _limit(step: Step) -> int:
    return NO_LIMIT if step.within_us is None else step.within_us


def _size(streams: Series[Stream]) -> int:
    return sum(map(len, streams))


def _words(streams: Series[Stream], contact_count: int) -> NDArray[np.uint64]:
    words = words_for(contact_count)
    for one in streams:
        set_bits(one.contacts, words)
    return words


def _of_contacts(rows: Series[Stream], held: Series[Stream], contact_count: int) -> list[Stream]:
    """The rows of contacts that have any of `held`."""
    words = _words(held, contact_count)
    kept = []
    for one in rows:
        places = np.empty(len(one) + 1, np.uint32)
        kept.append(one.only(places[: rows_in_words(one.contacts, words, places)]))
    return kept


def _near(rows: Series[Stream], others: Series[Stream], look: _Look, contact_count: int) -> list[Flags]:
    """For each of the rows whether some other of its contact lies where it looks."""
    flags = [np.zeros(len(one), np.uint8) for one in rows]
    edges = _edges(rows, others, look, contact_count)
    in_parallel([partial(_mark, rows, others, look, some, contact_count, flags) for some in edges])
    return flags


def _edges(
    rows: Series[Stream], others: Series[Stream], look: _Look, contact_count: int
) -> list[list[tuple[int, int]]]:
    """The slices of time, by the thread that takes them: as many rows in each, more or less."""
    held = [one.times for one in rows if len(one)]
    if not held or _size(others) == 0:
        return []
    start_us, last_us = min(int(times[0]) for times in held), max(int(times[-1]) for times in held)
    threads = parts_for(_size(rows) + _size(others), _LEAST_PART)
    limits = (last_us - start_us) // (_LIMITS * look.within + 1)
    wanted = min(limits, int(_size(rows) / (_ROWS_A_WORD * (contact_count // 64 + 1))))
    count = max(threads, wanted // threads * threads)
    inner = [start_us + (last_us - start_us) * number // count for number in range(1, count)]
    slices = list(zip([start_us, *inner], [*inner, last_us + 1], strict=True))
    share = count // threads
    return [slices[number * share : (number + 1) * share] for number in range(threads)]


def _mark(
    rows: Series[Stream],
    others: Series[Stream],
    look: _Look,
    slices: Series[tuple[int, int]],
    contact_count: int,
    flags: Series[Flags],
) -> None:
    for start_us, until_us in slices:
        places = [one.places(start_us, until_us) for one in rows]
        inside = [one.part(place) for one, place in zip(rows, places, strict=True)]
        near = [one.part(one.places(*look.span(start_us, until_us))) for one in others]
        if _size(inside) == 0 or _size(near) == 0:
            continue
        words = _words(inside, contact_count)
        counts = np.bitwise_count(words)
        before = np.cumsum(counts, dtype=np.uint32)
        members = int(before[-1])
        before -= counts
        for one, place, flag in zip(inside, places, flags, strict=True):
            for other in near:
                _mark_pair(one, other, look, words, before, members, flag[place])


def _mark_pair(
    rows: Stream,
    others: Stream,
    look: _Look,
    words: NDArray[np.uint64],
    before: NDArray[np.uint32],
    members: int,
    flags: Flags,
) -> None:
    """Rows and others of one run each; those that cannot meet for their instants are not looked at."""
    if len(rows) == 0:
        return
    near = others.part(others.places(*look.span(int(rows.times[0]), int(rows.times[-1]) + 1)))
    if len(near) == 0:
        return
    back = _Look(-look.sign, look.within, look.touching)
    met = rows.places(*back.span(int(near.times[0]), int(near.times[-1]) + 1))
    some = rows.part(met)
    mark_near(
        some.contacts,
        some.times,
        near.contacts,
        near.times,
        words,
        before,
        members,
        look.sign,
        look.within,
        look.touching,
        flags[met],
    )
