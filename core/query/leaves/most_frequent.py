"""The most frequent value of each contact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.ranges import first_of_groups, sorted_unique
from core.query.execute_context import Context
from core.query.rows.total_order import Entries, extremes
from core.query.rows.values_in_order import OrderedValues, joined_values
from core.schema import Kind

_HIGH = np.uint64(32)
_LOW = np.uint64(2**32 - 1)


def most_frequent(
    parts: Sequence[OrderedValues], context: Context
) -> tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[Any]]:
    """Contacts (ascending) that have any value, and kind and value of the most frequent one. Of equally frequent ones
    it is the one that stands in the latest event, of those in that one event the smallest."""
    contacts = np.concatenate([part.entries.contacts() for part in parts])
    codes, numbering = _numbered(*joined_values(parts))
    pairs = (contacts.astype(np.uint64) << _HIGH) | codes
    ordered = np.sort(pairs)
    places = first_of_groups(ordered)
    distinct, counts = ordered[places], np.diff(np.append(places, len(ordered)))
    owners = (distinct >> _HIGH).astype(np.uint32)
    starts = first_of_groups(owners)
    sizes = np.diff(np.append(starts, len(owners)))
    best = counts == np.repeat(np.maximum.reduceat(counts, starts), sizes)
    tied = best & np.repeat(np.add.reduceat(best.astype(np.int64), starts) > 1, sizes)
    chosen = distinct[best & ~tied]
    if tied.any():
        rivals = distinct[tied]
        candidates = np.zeros(context.root.contact_count, np.bool_)
        candidates[owners[tied]] = True
        asked = np.flatnonzero(candidates[contacts])
        beside = np.minimum(np.searchsorted(rivals, pairs[asked]), len(rivals) - 1)
        asked = asked[rivals[beside] == pairs[asked]]
        at = _in_latest_event(parts, asked, context)
        order = np.lexsort((numbering.ranks(codes[at], context), contacts[at]))
        chosen = np.sort(np.concatenate((chosen, pairs[at[order[first_of_groups(contacts[at][order])]]])))
    kinds, values = numbering.values(chosen & _LOW)
    return (chosen >> _HIGH).astype(np.uint32), kinds, values


def _in_latest_event(parts: Sequence[OrderedValues], asked: NDArray[np.int64], context: Context) -> NDArray[np.int64]:
    """Of the entries `asked` (places in all parts together, ascending), those in the latest event of their contact that
    has any of them."""
    some, places, start = [], [], 0
    for part in parts:
        mine = asked[(asked >= start) & (asked < start + len(part.kinds))]
        some.append(Entries(part.entries.picked, part.entries.event_places()[mine - start]))
        places.append(mine)
        start += len(part.kinds)
    winners = []
    latest = extremes(some, context.root, first=False)
    for entries, own, last in zip(some, places, latest, strict=True):
        in_latest = np.zeros(len(entries.picked), np.bool_)
        in_latest[entries.event_places()[last]] = True
        winners.append(own[in_latest[entries.event_places()]])
    return np.concatenate(winners)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The numbers of the values of one kind: `first` and what follows. Value v has the number `first + v - least`, or
    (`distinct` is given, as they lie far apart) `first +` its place among the distinct ones."""

    kind: Kind
    first: int
    count: int
    least: int
    distinct: NDArray[Any] | None

    def of(self, values: NDArray[Any]) -> NDArray[np.uint64]:
        """The number of each value."""
        places = values - self.least if self.distinct is None else np.searchsorted(self.distinct, values)
        return places.astype(np.uint64) + np.uint64(self.first)

    def value(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """The inverse of `of`."""
        places: NDArray[Any] = numbers - self.first
        return places + self.least if self.distinct is None else self.distinct[places]


@dataclass(frozen=True, slots=True)
class _Numbering:
    """What the numbers below 2**32 of the values of all kinds mean."""

    kinds: tuple[_Numbers, ...]

    def values(self, codes: NDArray[np.uint64]) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Kind and value of each number."""
        numbers = codes.astype(np.int64)
        found = np.zeros(len(numbers), np.uint8)
        wide = any(one.distinct is not None and one.distinct.dtype == object for one in self.kinds)
        values: NDArray[Any] = np.zeros(len(numbers), object if wide else np.int64)
        for one in self.kinds:
            mine = (numbers >= one.first) & (numbers < one.first + one.count)
            found[mine] = one.kind
            values[mine] = one.value(numbers[mine])
        return found, values

    def ranks(self, codes: NDArray[np.uint64], context: Context) -> NDArray[np.int64]:
        """Numbers in the order of the values; texts by their UTF-8 bytes, values of kinds apart by their kind."""
        ranks = codes.astype(np.int64)
        for one in self.kinds:
            if one.kind is not Kind.TEXT:
                continue
            mine = np.flatnonzero((ranks >= one.first) & (ranks < one.first + one.count))
            used = sorted_unique(ranks[mine])
            texts = [context.root.dictionary.text(code) for code in one.value(used).tolist()]
            rank_of = np.empty(len(texts), np.int64)
            rank_of[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts))
            ranks[mine] = one.first + rank_of[np.searchsorted(used, ranks[mine])]
        return ranks


def _numbered(kinds: NDArray[np.uint8], values: NDArray[Any]) -> tuple[NDArray[np.uint64], _Numbering]:
    """A number below 2**32 for each value: equal ones for equal values of a kind, in their order (texts: in that of
    their codes)."""
    codes = np.zeros(len(values), np.uint64)
    numbering: list[_Numbers] = []
    first = 0
    for number in sorted_unique(kinds).tolist():
        mine: NDArray[np.bool_] | slice = kinds == number
        if isinstance(mine, np.ndarray) and mine.all():
            mine = slice(None)
        held = values[mine]
        least, span = int(held.min()), int(held.max()) - int(held.min()) + 1
        # Nine kinds of at most 2**28 numbers, or of as many as there are values, stay below 2**32.
        distinct = None if span < 2**28 and held.dtype != object else np.unique(held)
        numbering.append(_Numbers(Kind(number), first, span if distinct is None else len(distinct), least, distinct))
        codes[mine] = numbering[-1].of(held)
        first += numbering[-1].count
    return codes, _Numbering(tuple(numbering))
