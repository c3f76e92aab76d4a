"""When the truth of a condition turned for which contact, and what that makes of rules that join conditions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.query.execute_context import Context
from core.segments.tallies import Amounts, Tally, running

_HALF = 32
_MOST_PLACES = 2**31


@dataclass(frozen=True, slots=True)
class Toggles:
    """`truth` from `places` on (int64: instants, or steps of an entry), sorted by (contact, place); of one contact it
    alternates, and the first differs from what was."""

    contacts: NDArray[np.uint32]
    places: NDArray[np.int64]
    truth: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.contacts)

    def last(self) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """The contacts, each once, and what holds in the end."""
        ends = np.append(self.contacts[1:] != self.contacts[:-1], True)[: len(self.contacts)]
        return self.contacts[ends], self.truth[ends]


NO_TOGGLES = Toggles(np.zeros(0, np.uint32), np.zeros(0, np.int64), np.zeros(0, np.bool_))


def keys_of(contacts: NDArray[np.uint32], places: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Numbers that order and tell apart (contact, place)."""
    if len(places) == 0:
        return np.zeros(0, np.uint64)
    least = int(places.min())
    if int(places.max()) - least < _MOST_PLACES:
        ranks = places - least
    else:
        ranks = np.unique(places, return_inverse=True)[1]
    return (contacts.astype(np.uint64) << np.uint64(_HALF)) | ranks.astype(np.uint64)


def starts_of(contacts: NDArray[np.uint32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each contact begins in a sorted column, and how many rows it has."""
    if len(contacts) == 0:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    first = np.flatnonzero(np.concatenate(([True], contacts[1:] != contacts[:-1])))
    return first, np.diff(np.append(first, len(contacts)))


def alternating(
    contacts: NDArray[np.uint32],
    places: NDArray[np.int64],
    truth: NDArray[np.bool_],
    first: NDArray[np.intp],
    was: NDArray[np.bool_],
) -> Toggles:
    """The turns among `truth` at distinct (contact, place), sorted; `first`: where contacts begin, `was`: the truth of
    each before."""
    before = np.empty(len(truth), np.bool_)
    before[1:] = truth[:-1]
    before[first] = was
    turned = truth != before
    return Toggles(contacts[turned], places[turned], truth[turned])


@dataclass(frozen=True, slots=True)
class Grouped:
    """Amounts sorted by (contact, place): where each contact begins, and how many it has."""

    amounts: Amounts
    first: NDArray[np.intp]
    lengths: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.amounts)

    @staticmethod
    def of(amounts: Amounts) -> Grouped:
        """Of amounts in any order; those at one place keep theirs."""
        order = np.argsort(keys_of(amounts.contacts, amounts.places), kind="stable")
        return Grouped.of_sorted(amounts.only(order))

    @staticmethod
    def of_sorted(amounts: Amounts) -> Grouped:
        """Of amounts in that order."""
        return Grouped(amounts, *starts_of(amounts.contacts))

    def where(self, mask: NDArray[np.bool_]) -> Grouped:
        """Some of the amounts."""
        return self if mask.all() else Grouped.of_sorted(self.amounts.only(mask))


def tally_toggles(
    tally: Tally,
    grouped: Grouped,
    was_of: Callable[[NDArray[np.uint32]], NDArray[np.bool_]],
    before: Context,
    holds_at: Context,
) -> Toggles:
    """The turns of a tally by amounts. `was_of`: from contacts (ascending) to the truth before them; `before`: the
    root and instant without any of the amounts, for all contacts; only contacts that can turn are asked for there."""
    if len(grouped) == 0:
        return NO_TOGGLES
    was = was_of(grouped.amounts.contacts[grouped.first])
    if tally.direction:
        turning = _turning(tally, grouped, was)
        grouped, was = grouped.where(np.repeat(turning, grouped.lengths)), was[turning]
        if len(grouped) == 0:
            return NO_TOGGLES
    amounts, first, lengths = grouped.amounts, grouped.first, grouped.lengths
    numbers, present = _numbers_before(tally, amounts.contacts[first], was, before)
    after = running(amounts.values, first, lengths, numbers)
    if tally.path is None:
        counted = after
    else:
        counted = running(amounts.present, first, lengths, present)
    held = tally.holds(after, counted, holds_at)
    # Of several at one place the last one counts.
    last = np.append(
        (amounts.contacts[1:] != amounts.contacts[:-1]) | (amounts.places[1:] != amounts.places[:-1]), True
    )
    if not last.all():
        amounts, held = amounts.only(last), held[last]
        first, _ = starts_of(amounts.contacts)
    return alternating(amounts.contacts, amounts.places, held, first, was)


def _turning(tally: Tally, grouped: Grouped, was: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The contacts whose number moves towards where the condition is not what it was."""
    low = was if tally.direction < 0 else ~was
    values = grouped.amounts.values
    if tally.path is None and bool((values > 0).all()):
        return low
    grows = np.logical_or.reduceat(values > 0, grouped.first)
    shrinks = np.logical_or.reduceat(values < 0, grouped.first)
    return np.asarray(np.where(low, grows, shrinks), np.bool_)


def _numbers_before(
    tally: Tally, contacts: NDArray[np.uint32], was: NDArray[np.bool_], before: Context
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    asked = contacts < before.root.contact_count
    if tally.empty_if is not None:
        asked &= was != tally.empty_if
    numbers: NDArray[Any] = np.zeros(len(contacts), np.int64)
    present = np.zeros(len(contacts), np.int64)
    if asked.any():
        some = contacts[asked]
        context = Context(before.root, before.as_of_us, before.zone_name, some)
        found, counted = tally.totals(some, context)
        if found.dtype == object:
            numbers = numbers.astype(object)
        numbers[asked], present[asked] = found, counted
    return numbers, present


def truth_along(
    toggles: Toggles | None,
    keys: tuple[NDArray[np.uint32], NDArray[np.int64]],
    first: NDArray[np.intp],
    lengths: NDArray[np.intp],
    was: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """The truth of a condition at each of sorted, distinct (contact, place), among them those of its own `toggles`;
    `was`: before, of each contact."""
    along = np.repeat(was, lengths)
    if toggles is None or len(toggles) == 0:
        return along
    contacts, places = keys
    both = keys_of(np.concatenate((contacts, toggles.contacts)), np.concatenate((places, toggles.places)))
    turned = np.zeros(len(contacts), np.int64)
    turned[np.searchsorted(both[: len(contacts)], both[len(contacts) :])] = 1
    odd = running(turned, first, lengths, np.zeros(len(first), np.int64)) & 1
    return np.asarray(along ^ (odd == 1), np.bool_)


def union(parts: Sequence[Toggles]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The (contact, place) of several, sorted, each once."""
    contacts = np.concatenate([part.contacts for part in parts])
    places = np.concatenate([part.places for part in parts])
    keys = keys_of(contacts, places)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    distinct = order[np.append(True, keys[1:] != keys[:-1])[: len(keys)]]
    return contacts[distinct], places[distinct]
