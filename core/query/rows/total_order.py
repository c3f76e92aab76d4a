"""The earliest or latest of some events of each contact, by the total order: instant, id, log order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.index.event_ids import join_ids
from core.index.root import Root
from core.kernels.ranges import first_of_groups, last_of_groups
from core.query.rows.picked import Picked

#: Below one row for so many contacts, tables of all contacts cost more than sorting the rows.
_SPARSE = 16


@dataclass(frozen=True, slots=True)
class Entries:
    """Something about events of one run, in the total order of the events (entries of one event in their own):
    `events[i]` is the place among `picked` of the event of entry i; None: entry i is event i."""

    picked: Picked
    events: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.picked) if self.events is None else len(self.events)

    def contacts(self) -> NDArray[np.uint32]:
        """The contact of each entry."""
        return self.picked.contacts if self.events is None else self.picked.contacts[self.events]

    def event_places(self) -> NDArray[np.int64]:
        """The place of each entry's event among those picked."""
        return np.arange(len(self.picked), dtype=np.int64) if self.events is None else self.events

    def rows(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows in the run of the entries at `places`."""
        events = places if self.events is None else self.events[places]
        rows = self.picked.rows
        return events + rows.start if isinstance(rows, slice) else rows[events]

    def times(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """When the events of the entries at `places` occurred."""
        times: NDArray[np.int64] = self.picked.run.occurred_at_us[self.rows(places)]
        return times


def extremes(parts: Sequence[Entries], root: Root, *, first: bool) -> list[NDArray[np.int64]]:
    """For each part the places, ascending, of the entries that are the first (or the last) of their contact among all
    parts: one entry a contact.

    Of two events with one instant and one id the later accepted is the later: runs of a type are in log order, and
    `root.ties` says how such events of several types follow one another.
    """
    contact_count = root.contact_count
    if sum(map(len, parts)) * _SPARSE < contact_count:
        chains = [[number] for number in range(len(parts))]
    else:
        chains = _chains(parts)
    own = [np.zeros(0, np.int64)] * len(parts)
    for chain in chains:
        _first_of_chain(parts, chain, own, contact_count, first=first)
    if len(chains) < 2:
        return own
    order = [number for chain in chains for number in chain]
    sizes = [sum(len(own[number]) for number in chain) for chain in chains]
    contacts = np.concatenate([parts[number].contacts()[own[number]] for number in order])
    times = np.concatenate([parts[number].times(own[number]) for number in order])
    if len(contacts) * _SPARSE < contact_count:
        _, groups = np.unique(contacts, return_inverse=True)
    else:
        groups = contacts.astype(np.int64)
    if len(groups) == 0:
        return own
    best = _best_of_chains(groups, times, np.cumsum([0, *sizes]), first=first)
    tied = np.flatnonzero(times == times[best[groups]])
    kept = np.zeros(len(contacts), np.bool_)
    kept[tied] = True
    starts = np.cumsum([0, *(len(own[number]) for number in order)])
    if len(tied) > np.count_nonzero(best >= 0):
        rivals = tied[np.bincount(groups[tied], minlength=len(best))[groups[tied]] > 1]
        kept[rivals] = False
        kept[_first_by_id(parts, own, order, starts, contacts, rivals, root, first=first)] = True
    for place, number in enumerate(order):
        own[number] = own[number][kept[starts[place] : starts[place + 1]]]
    return own


def extreme_events(found: Sequence[Picked], root: Root, *, first: bool) -> list[Picked]:
    """The first (or last) event of each contact, one event a contact; entries are those of `found`, some empty."""
    kept = extremes([Entries(picked) for picked in found], root, first=first)
    result = []
    for picked, places in zip(found, kept, strict=True):
        mask = np.zeros(len(picked), np.bool_)
        mask[places] = True
        result.append(picked.only(mask))
    return result


def extreme_places(contacts: NDArray[np.uint32], contact_count: int, *, first: bool) -> NDArray[np.int64]:
    """The places, ascending, at which each contact stands for the first (or last) time."""
    n = len(contacts)
    if n * _SPARSE < contact_count:
        # Few rows: a sort of them is less than a table of all contacts.
        if first:
            return np.sort(np.unique(contacts, return_index=True)[1]).astype(np.int64)
        return np.sort(n - 1 - np.unique(contacts[::-1], return_index=True)[1]).astype(np.int64)
    place_of = np.empty(contact_count, np.int64)
    places = np.arange(n)
    # Of an index that stands several times, the last assignment remains; what no row assigned is not read.
    if first:
        place_of[contacts[::-1]] = places[::-1]
    else:
        place_of[contacts] = places
    return np.flatnonzero(place_of[contacts] == places)


def _chains(parts: Sequence[Entries]) -> list[list[int]]:
    """The numbers of the parts in as few lists as a greedy choice needs, so that in each list all of a part is earlier
    than all of the next one."""
    spans = [part.times(np.array([0, len(part) - 1])).tolist() if len(part) else [0, 0] for part in parts]
    chains: list[list[int]] = []
    for number in sorted(range(len(parts)), key=lambda number: spans[number]):
        fitting = [chain for chain in chains if spans[chain[-1]][1] < spans[number][0]]
        if fitting:
            fitting[0].append(number)
        else:
            chains.append([number])
    return chains


def _first_of_chain(
    parts: Sequence[Entries], chain: list[int], own: list[NDArray[np.int64]], contact_count: int, *, first: bool
) -> None:
    """Set `own` of the parts of a chain: who was in the part before (after) is passed over, without comparing times."""
    if len(chain) == 1:
        own[chain[0]] = extreme_places(parts[chain[0]].contacts(), contact_count, first=first)
        return
    seen = np.zeros(contact_count, np.bool_)
    for number in chain if first else reversed(chain):
        contacts = parts[number].contacts()
        fresh = np.flatnonzero(~seen[contacts])
        places = fresh[extreme_places(contacts[fresh], contact_count, first=first)]
        seen[contacts[places]] = True
        own[number] = places


def _best_of_chains(
    groups: NDArray[np.int64], times: NDArray[np.int64], starts: NDArray[np.int64], *, first: bool
) -> NDArray[np.int64]:
    """For each group (a number) a place at which it has its earliest (latest) time, -1 where it has none. Within a
    chain, between two of `starts`, a group stands once; so one pass over each is enough, without a sort."""
    best = np.full(int(groups.max()) + 1, -1, np.int64)
    for begin, end in pairwise(starts.tolist()):
        mine = groups[begin:end]
        rival = best[mine]
        before = times[rival] <= times[begin:end] if first else times[rival] >= times[begin:end]
        better = np.flatnonzero((rival < 0) | ~before)
        best[mine[better]] = better + begin
    return best


def _first_by_id(
    parts: Sequence[Entries],
    own: Sequence[NDArray[np.int64]],
    order: Sequence[int],
    starts: NDArray[np.int64],
    contacts: NDArray[np.uint32],
    rivals: NDArray[np.int64],
    root: Root,
    *,
    first: bool,
) -> NDArray[np.int64]:
    """Of `rivals`, ascending places in the parts in this `order`, which have equal times within a contact, the extreme
    one of each by id, then by log order."""
    ids, rows = [], np.zeros(len(rivals), np.int64)
    type_of, run_of = np.zeros(len(rivals), np.int64), np.zeros(len(rivals), np.int64)
    names = sorted({part.picked.type_name for part in parts})
    for place, number in enumerate(order):
        part = parts[number]
        inside = (rivals >= starts[place]) & (rivals < starts[place + 1])
        rows[inside] = part.rows(own[number][rivals[inside] - starts[place]])
        ids.append(part.picked.run.ids.take(rows[inside]))
        type_of[inside], run_of[inside] = names.index(part.picked.type_name), number
    keys = join_ids(ids).order_keys(np.arange(len(rivals)))
    by_type = (run_of, type_of, *keys, contacts[rivals])
    best = np.lexsort(by_type)
    if root.ties:
        log = np.zeros(len(rivals), np.int64)
        for rival in _of_several_types(best, type_of, (*keys, contacts[rivals])).tolist():
            picked = parts[int(run_of[rival])].picked
            log[rival] = root.ties.place(picked.type_name, root.events[picked.type_name], picked.run, int(rows[rival]))
        best = np.lexsort((run_of, type_of, log, *by_type[2:]))
    ordered = rivals[best]
    ends: NDArray[np.int64] = ordered[(first_of_groups if first else last_of_groups)(contacts[ordered])]
    return ends


def _of_several_types(
    order: NDArray[np.intp], types: NDArray[np.int64], keys: Sequence[NDArray[Any]]
) -> NDArray[np.intp]:
    """The numbers in `order`, which sorts by `keys`, then by type, whose keys are those of a number of another type."""
    same = np.ones(max(len(order) - 1, 0), np.bool_)
    for key in keys:
        same &= key[order[1:]] == key[order[:-1]]
    groups = np.cumsum(np.append(True, ~same))
    apart = same & (types[order[1:]] != types[order[:-1]])
    return order[np.isin(groups, groups[1:][apart])]
