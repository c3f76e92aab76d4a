"""The events of one entry step by step, without folding them one by one: who is to be asked after which event, and a
root as it was then, for segments that are not tracked.

The n-th event of each contact stands in the n-th wave. A segment that depends on facts of single contacts alone
changes at events of its own types only; so after the last of these in the entry its truth is that of the end, and all
contacts are asked at once, then. In between, only those with further such events are asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.events.columns import EventColumns
from core.index.contacts import NEVER_US
from core.index.event_decode import decode
from core.index.event_merge import sorted_run
from core.index.root import Root
from core.segments.pieces import Steps
from core.segments.saved import Saved
from core.segments.toggles import Toggles, starts_of
from core.segments.touched import TouchedBy

Contacts = NDArray[np.uint32]
Rows = NDArray[np.int64]
#: By segment, ascending contacts and the row of the entry at which each is asked.
Asked = dict[str, tuple[Contacts, Rows]]


@dataclass(frozen=True, slots=True)
class Stage:
    """A root, and the contacts to ask on it by segment; `everyone`: where all segments ask a contact at the same row,
    all of them: one who is asked because of a record of another segment is asked at that one's step."""

    root: Root
    asked: Asked
    everyone: tuple[Contacts, Rows] | None

    @property
    def contacts(self) -> dict[str, Contacts]:
        """Whom to ask."""
        return {name: contacts for name, (contacts, _) in self.asked.items()}

    def steps(
        self, of: Callable[[Contacts, Rows, EventColumns], Steps], columns: EventColumns, name: str, some: Contacts
    ) -> Steps:
        """The steps of contacts that changed in a segment."""
        contacts, rows = self.asked[name] if self.everyone is None else self.everyone
        return of(some, rows[np.searchsorted(contacts, some)], columns)


class Replay:
    """The plain events of an entry: `rows` of `columns`, between `before` and `after`."""

    def __init__(self, rows: NDArray[np.intp], columns: EventColumns, before: Root, after: Root) -> None:
        assert columns.contacts is not None, "unification resolves events before they come here"
        order = np.argsort(columns.contacts[rows], kind="stable")
        #: By contact, then in the order of the log.
        self._rows = rows[order].astype(np.int64)
        self._contacts = columns.contacts[self._rows]
        first, lengths = starts_of(self._contacts)
        self._wave = np.arange(len(self._rows)) - np.repeat(first, lengths)
        self._columns = columns
        self._before = before
        self._after = after

    @staticmethod
    def may_be(
        rows: NDArray[np.intp], columns: EventColumns, before: Root, as_of_us: int, asked: Iterable[Saved]
    ) -> bool:
        """Whether contacts exist in between as they do at the end. Not where somebody new has an event of the future,
        or where a segment asks since when somebody is there and an event changes that."""
        assert columns.contacts is not None, "unification resolves events before they come here"
        contacts, times = columns.contacts[rows], columns.occurred_at_us[rows]
        earliest = np.full(len(rows), NEVER_US, np.int64)
        older = contacts < before.contact_count
        earliest[older] = before.contacts.earliest_of(contacts[older])
        if any(one.touches.existence for one in asked):
            return bool((earliest <= times).all())
        return bool(((times <= as_of_us) | (earliest <= as_of_us)).all())

    def asked(
        self, saved: Mapping[str, Saved], touched_by: TouchedBy, appeared: Toggles
    ) -> dict[str, NDArray[np.bool_]]:
        """By segment, which events (by contact, then row) can change it: those of its types, and those by which
        somebody comes to exist."""
        types = self._columns.types[self._rows]
        concerned: dict[str, list[int]] = {}
        for code in np.unique(types).tolist():
            for name in touched_by.of_types((self._columns.strings[code],)):
                concerned.setdefault(name, []).append(code)
        new = np.isin(self._rows, appeared.places)
        found = {}
        for name, one in saved.items():
            mask = np.isin(types, concerned.get(name, []))
            if one.touches.everything:
                mask |= new
            if mask.any():
                found[name] = mask
        return found

    def stages(self, masks: Mapping[str, NDArray[np.bool_]], quick: Callable[[str], bool]) -> Iterator[Stage]:
        """Whom to ask when: every wave that holds some of these events, and the end. Segments that are `quick` are
        asked about the last event of each contact at the end."""
        ends = {name: self._last(mask) for name, mask in masks.items() if quick(name)}
        between = {name: mask & ~ends[name] if name in ends else mask for name, mask in masks.items()}
        together = np.zeros(len(self._rows), np.bool_)
        for mask in between.values():
            together |= mask
        for wave in np.unique(self._wave[together]).tolist():
            now = together & (self._wave == wave)
            asked = self._asked({name: mask & now for name, mask in between.items()})
            everyone = self._contacts[now], self._rows[now]
            yield Stage(self._root(wave, everyone[0]), asked, everyone)
        yield Stage(self._after, self._asked(ends), None)

    def _last(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Of some events, the last one of each contact."""
        places = np.flatnonzero(mask)
        contacts = self._contacts[places]
        result = np.zeros(len(mask), np.bool_)
        result[places[np.append(contacts[1:] != contacts[:-1], True)[: len(places)]]] = True
        return result

    def _asked(self, masks: Mapping[str, NDArray[np.bool_]]) -> Asked:
        """Events as contacts and rows."""
        return {name: (self._contacts[mask], self._rows[mask]) for name, mask in masks.items() if mask.any()}

    def _root(self, wave: int, contacts: Contacts) -> Root:
        """`before` with the events of some contacts up to a wave."""
        rows = np.sort(self._rows[(self._wave <= wave) & np.isin(self._contacts, contacts)])
        run, types = decode(self._columns.take(rows.astype(np.intp)), self._after.dictionary)
        events = dict(self._before.events)
        for code in np.unique(types).tolist():
            name = self._after.dictionary.text(code)
            events[name] = (*events.get(name, ()), sorted_run(run.take(np.flatnonzero(types == code), 0)))
        return replace(self._after, events=events)
