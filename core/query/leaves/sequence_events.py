"""The events that may be the steps of a sequence, grouped by contact (and by the value that all steps share)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.ranges import expand_ranges
from core.query.ast import BetweenAgo, InLast, Sequence, Step, Window
from core.query.execute_context import Context
from core.query.leaves.sequence_filters import split
from core.query.leaves.sequence_narrowing import narrowed
from core.query.rows.domain import BoundDomain, Domain, EventDomain, TableDomain
from core.query.rows.picked import Picked
from core.query.rows.selecting import pick
from core.query.windows import LEAST

#: Below this many events, sorting all of them costs less than leaving out contacts first.
_FEW = 4096
_HIGH = np.uint64(32)


@dataclass(frozen=True, slots=True)
class Entries:
    """Events of one run as candidates for a step: entry i is event `events[i]` of `picked`. Where the value that all
    steps share belongs to lines, an entry sees only the lines `line_rows[line_offsets[i]:line_offsets[i + 1]]` of the
    run; else both are None and the event is there with all its lines."""

    picked: Picked
    events: NDArray[np.int64]
    line_rows: NDArray[np.int64] | None = None
    line_offsets: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.events)

    def contacts(self) -> NDArray[np.uint32]:
        """The contact of each entry."""
        return self.picked.contacts[self.events]

    def rows(self) -> NDArray[np.int64]:
        """The row in the run of each entry."""
        rows = self.picked.rows
        return self.events + rows.start if isinstance(rows, slice) else rows[self.events]

    def take(self, which: NDArray[np.int64]) -> Entries:
        """The entries `which`, in their order."""
        if self.line_rows is None or self.line_offsets is None:
            return Entries(self.picked, self.events[which])
        places, parents = expand_ranges(self.line_offsets[which], self.line_offsets[which + 1])
        offsets = np.zeros(len(which) + 1, np.int64)
        np.cumsum(np.bincount(parents, minlength=len(which)), out=offsets[1:])
        return Entries(self.picked, self.events[which], self.line_rows[places], offsets)

    def domain(self) -> Domain:
        """The entries as rows of a filter."""
        contacts = self.contacts()
        events = EventDomain(self.picked.run, self.rows(), contacts)
        if self.line_rows is None or self.line_offsets is None:
            return events
        owners = np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.line_offsets))
        lines = TableDomain(self.picked.run.items, self.line_rows, contacts[owners], (events, owners))
        return BoundDomain(events, np.arange(len(self), dtype=np.int64), lines, owners)


@dataclass(frozen=True, slots=True)
class StepEvents:
    """Candidates for a step, ascending by (key, time). `keys` uint64: the contact in the upper half, a number for the
    shared value in the lower; `times` int64 microseconds; `ids` int64: equal for the same event, in other steps too.
    Place i is entry `order[i]` of all `parts` counted on."""

    step: Step
    keys: NDArray[np.uint64]
    times: NDArray[np.int64]
    ids: NDArray[np.int64]
    order: NDArray[np.int64]
    parts: tuple[Entries, ...]

    def __len__(self) -> int:
        return len(self.keys)


class Numbering:
    """A number for every event of every run, the same wherever the event is met."""

    def __init__(self) -> None:
        self._bases: dict[tuple[str, int], int] = {}
        self._next = 0

    def ids(self, part: Entries) -> NDArray[np.int64]:
        """The numbers of the entries' events."""
        name = (part.picked.type_name, part.picked.run.serial)
        if name not in self._bases:
            self._bases[name] = self._next
            self._next += len(part.picked.run)
        return part.rows() + self._bases[name]


def picked_steps(condition: Sequence, context: Context, *, bare: bool) -> list[list[Picked]]:
    """`possible_events`, those of them left out that no assignment can use, by their instants and contacts."""
    return narrowed_steps(possible_events(condition, context, bare=bare), condition, context)


def narrowed_steps(found: list[list[Picked]], condition: Sequence, context: Context) -> list[list[Picked]]:
    """The events of `found` that some assignment may use, as far as instants and contacts tell; or all, where they are
    few."""
    return found if are_few(found) else narrowed(found, condition, context)


def are_few(found: list[list[Picked]]) -> bool:
    """Whether there is so little that sorting all of it is best."""
    return sum(len(one) for picks in found for one in picks) <= _FEW


def possible_events(condition: Sequence, context: Context, *, bare: bool) -> list[list[Picked]]:
    """For each step the events that it may be, as far as they alone decide; `bare`: filters and product conditions are
    left to the caller. Empty lists for all steps where some positive step has none."""
    found: list[list[Picked]] = []
    for step, window in zip(condition.steps, _windows(condition, context), strict=True):
        plain = () if bare else split(step.events.filter)[0]
        products = () if bare else step.events.products
        found.append(pick(replace(step.events, filter=plain, products=products, window=window), context))
        if not step.negative and not found[-1]:
            return [[] for _ in condition.steps]
    return found


def _windows(condition: Sequence, context: Context) -> list[Window | None]:
    """Where each step's events can lie: the first in the window, the others from its start on, and no later than the
    limits let them."""
    interval = context.interval(condition.window)
    first = last = min(interval.until - 1, context.as_of_us)
    windows: list[Window | None] = [condition.window]
    for step in condition.steps[1:]:
        latest = context.as_of_us
        if step.within_us is not None:
            latest = min(latest, (first if step.from_first else last) + step.within_us)
        if not step.negative:
            last = latest
        windows.append(_between(interval.start, latest, context.as_of_us))
    return windows


def _between(start_us: int, last_us: int, as_of_us: int) -> Window | None:
    """The window of the instants from `start` to `last`, both included."""
    if start_us == LEAST and last_us == as_of_us:
        return None
    far = as_of_us - start_us + 1
    return InLast(far) if last_us == as_of_us else BetweenAgo(as_of_us - last_us, far)


def all_entries(picks: list[Picked]) -> list[Entries]:
    """Every picked event, with all its lines."""
    return [Entries(one, np.arange(len(one), dtype=np.int64)) for one in picks]


def arranged(step: Step, parts: list[Entries], codes: list[NDArray[Any]] | None, numbering: Numbering) -> StepEvents:
    """The entries in order. `codes`: per part the number (below 2**32) of each entry's shared value."""
    if not parts:
        nothing = np.zeros(0, np.int64)
        return StepEvents(step, np.zeros(0, np.uint64), nothing, nothing, nothing, ())
    contacts = np.concatenate([part.contacts() for part in parts])
    times = np.concatenate([part.picked.run.occurred_at_us[part.rows()] for part in parts])
    ids = np.concatenate([numbering.ids(part) for part in parts])
    keys = contacts.astype(np.uint64) << _HIGH
    if codes is not None:
        keys |= np.concatenate(codes).astype(np.uint64)
    order = _order(contacts, keys, times, shared=codes is not None)
    return StepEvents(step, keys[order], times[order], ids[order], order, tuple(parts))


def _order(
    contacts: NDArray[np.uint32], keys: NDArray[np.uint64], times: NDArray[np.int64], *, shared: bool
) -> NDArray[np.int64]:
    """Places by (key, time)."""
    if shared:
        return np.lexsort((times, keys))
    by_time: NDArray[np.int64] | None = None
    if (times[1:] < times[:-1]).any():
        by_time = np.argsort(times, kind="stable")
        contacts = contacts[by_time]
    # Sorting packed numbers takes a quarter of the time of sorting places.
    packed = (contacts.astype(np.uint64) << _HIGH) | np.arange(len(contacts), dtype=np.uint64)
    packed.sort()
    order = (packed & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return order if by_time is None else by_time[order]
