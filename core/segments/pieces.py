"""Putting together the records of one step of the engine: pieces come segment by segment, records leave in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.segments.changes import Cause, ChangeTable
from core.segments.saved import Saved

#: Numbers below this take 15 bits.
_SHORT = 1 << 15


@dataclass(frozen=True, slots=True)
class Steps:
    """Why contacts may change in a wave, as columns over them: `contacts` ascending and unique (uint32), `order` their
    place among the records of the entry, `causes` uint8, `effective_at_us` (below 0: when it is recorded), `witness`
    (the row of an event of the entry, -1: none)."""

    contacts: NDArray[np.uint32]
    order: NDArray[np.int64]
    causes: NDArray[np.uint8]
    effective_at_us: NDArray[np.int64]
    witness: NDArray[np.int64]

    def of(self, contacts: NDArray[np.uint32]) -> Steps:
        """The steps of some of the contacts, in their order."""
        rows = np.searchsorted(self.contacts, contacts)
        return Steps(contacts, self.order[rows], self.causes[rows], self.effective_at_us[rows], self.witness[rows])

    def in_any(self, _: str, contacts: NDArray[np.uint32]) -> Steps:
        """The steps of some of the contacts, whichever segment they changed in."""
        return self.of(contacts)


def passing(cause: Cause) -> Callable[[str, NDArray[np.uint32]], Steps]:
    """The steps of what time or a publication changes: of any segment's contacts, one for all of them."""
    return lambda _, contacts: same_step(contacts, 0, cause, -1)


def same_step(contacts: NDArray[np.uint32], order: int, cause: Cause, effective_at_us: int) -> Steps:
    """One step of many contacts."""
    n = len(contacts)
    return Steps(
        contacts,
        np.full(n, order, np.int64),
        np.full(n, int(cause), np.uint8),
        np.full(n, effective_at_us, np.int64),
        np.full(n, -1, np.int64),
    )


class Pieces:
    """Collects changes; `table` gives them by (order, rank of the segment, contact)."""

    def __init__(self, saved: Mapping[str, Saved], ranks: Mapping[str, int]) -> None:
        self._saved = saved
        self._ranks = ranks
        self._names: list[str] = []
        self._steps: list[Steps] = []
        self._entered: list[NDArray[np.bool_]] = []
        self._recorded: list[NDArray[np.int64]] = []

    def add(self, name: str, steps: Steps, entered: NDArray[np.bool_], recorded_at_us: NDArray[np.int64]) -> None:
        """Contacts of one segment that changed, each once or in the order of time."""
        if len(entered):
            self._names.append(name)
            self._steps.append(steps)
            self._entered.append(entered)
            self._recorded.append(recorded_at_us)

    def table(self, event_ids: tuple[str, ...] = ()) -> ChangeTable:
        """All of it; `event_ids` are what witnesses point to."""
        names = tuple(dict.fromkeys(self._names))
        places = {name: place for place, name in enumerate(names)}
        none: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
        segment = np.concatenate(
            none
            + [np.full(len(one), places[name], np.int64) for name, one in zip(self._names, self._entered, strict=True)]
        )
        ranks = np.array([self._ranks[name] for name in names], np.int64)
        order = np.concatenate(none + [one.order for one in self._steps])
        contacts = np.concatenate([np.zeros(0, np.uint32), *(one.contacts for one in self._steps)])
        recorded_at_us = np.concatenate(none + self._recorded)
        effective_at_us = np.concatenate(none + [one.effective_at_us for one in self._steps])
        effective_at_us = np.where(effective_at_us < 0, recorded_at_us, np.minimum(effective_at_us, recorded_at_us))
        by_rank = ranks[segment] if len(names) else segment
        rows = _sorted(recorded_at_us, order, by_rank, contacts)
        return ChangeTable(
            names,
            tuple(self._saved[name].version for name in names),
            segment[rows],
            contacts[rows],
            np.concatenate([np.zeros(0, np.bool_), *self._entered])[rows],
            effective_at_us[rows],
            recorded_at_us[rows],
            np.concatenate([np.zeros(0, np.uint8), *(one.causes for one in self._steps)])[rows],
            np.concatenate(none + [one.witness for one in self._steps])[rows],
            event_ids,
        )


def _sorted(
    recorded_at_us: NDArray[np.int64],
    order: NDArray[np.int64],
    by_rank: NDArray[np.int64],
    contacts: NDArray[np.uint32],
) -> NDArray[np.intp]:
    """The order of the records: by these columns, one after the other. The last three are one number where they fit,
    which takes a third of the time."""
    if len(order) == 0 or int(order.min()) < 0 or max(int(order.max()), int(by_rank.max())) >= _SHORT:
        return np.lexsort((contacts, by_rank, order, recorded_at_us))
    together = (order << 48) | (by_rank << 32) | contacts
    if bool((recorded_at_us == recorded_at_us[0]).all()):
        return np.argsort(together, kind="stable")
    return np.lexsort((together, recorded_at_us))
