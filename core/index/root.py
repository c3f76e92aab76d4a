"""One immutable version of a workspace's facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.index.contact_set import ContactSet
from core.index.contacts import NEVER_US, ContactView
from core.index.dictionary import TextDictionary
from core.index.event_run import EventRun
from core.index.interner import ListView
from core.index.steps import StepView, in_time_order
from core.schema import Kind, Location

Edges = tuple[NDArray[np.uint32], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Learned:
    """Kinds of everything that was ever seen, for binding rules."""

    attributes: Mapping[str, Kind]
    elements: Mapping[tuple[str, str], Kind]
    events: Mapping[str, Mapping[str, Kind]]
    items: Mapping[str, Kind]


@dataclass(frozen=True, slots=True)
class Root:
    """A pinned version; it never changes, and any number of threads may read it.

    `position`: the last entry of the log that it holds. `version` grows with every root of an index. Contacts are the
    numbers below `contacts.count`; those in no answer (erased, merged away, never heard of) are numbers too.
    """

    position: int
    version: int
    contacts: ContactView
    dictionary: TextDictionary
    events: Mapping[str, tuple[EventRun, ...]]
    attributes: Mapping[str, StepView]
    lists: Mapping[str, StepView]
    text_lists: ListView
    object_lists: ListView
    locations: tuple[Location, ...]
    learned: Learned
    keys: list[str]
    numbers: Mapping[str, int]
    next_log_orders: tuple[int, int]

    @property
    def contact_count(self) -> int:
        """Contact numbers are below this."""
        return self.contacts.count

    def exists(self, as_of_us: int, candidates: NDArray[np.uint32] | None = None) -> ContactSet:
        """Contacts whose earliest fact is at or before `as_of`, the merged and the erased left out."""
        if candidates is None:
            return ContactSet.from_mask(self.contacts.earliest.all() <= as_of_us)
        return ContactSet.from_numbers(candidates[self.contacts.earliest.take(candidates) <= as_of_us])

    def known(self, candidates: NDArray[np.uint32] | None = None) -> ContactSet:
        """Contacts that have a way to name them (external id, email, phone ...), as known now."""
        if candidates is None:
            return ContactSet.from_mask(self.contacts.known.all())
        return ContactSet.from_numbers(candidates[self.contacts.known.take(candidates)])

    def reachable(self, channels: int = 0xFF) -> ContactSet:
        """Contacts reachable by any channel whose bit is set in `channels` (bits of core.events.facts.CHANNELS)."""
        return ContactSet.from_mask((self.contacts.reachable.all() & np.uint8(channels)) != 0)

    def key_of(self, contact: int) -> str:
        """The public id of a contact that is in an answer of this root; "" where none was told."""
        return self.keys[contact]

    def number_of(self, key: str) -> int | None:
        """The number of the contact with this public id; None where there is none or it was erased. A merged contact
        keeps its own number; see `survivor_of`."""
        number = self.numbers.get(key)
        if number is None or number >= self.contact_count or self.survivor_of(number) is None:
            return None
        return number

    def survivor_of(self, contact: int) -> int | None:
        """The contact that `contact`'s facts belong to now: itself, its survivor, or None where it was erased."""
        whole = self.contacts.whole(np.array([contact], np.uint32))
        return int(whole[0]) if len(whole) else None

    def attribute_kinds(self) -> Mapping[str, Kind]:
        """Attribute -> kind."""
        return self.learned.attributes

    def element_kinds(self) -> Mapping[tuple[str, str], Kind]:
        """(attribute, field) -> kind, for lists of objects."""
        return self.learned.elements

    def event_kinds(self) -> Mapping[str, Mapping[str, Kind]]:
        """Event type -> parameter -> kind."""
        return self.learned.events

    def item_kinds(self) -> Mapping[str, Kind]:
        """Field of order and cart lines -> kind."""
        return self.learned.items

    def list_names(self) -> frozenset[str]:
        """The static lists."""
        return frozenset(self.lists)

    def on_list(self, name: str, as_of_us: int, candidates: NDArray[np.uint32] | None = None) -> ContactSet:
        """The contacts on a static list as of an instant; a merged contact is on it where any of its parts is."""
        view = self.lists.get(name)
        if view is None:
            return ContactSet.empty()
        parts = (
            np.arange(self.contact_count, dtype=np.uint32) if candidates is None else self.contacts.parts(candidates)
        )
        _, values = view.valid(as_of_us, parts, self.contact_count)
        return ContactSet.from_numbers(self.contacts.whole(parts[values == 1]))

    def event_edges(self, type_name: str, after_us: int, until_us: int) -> Edges:
        """Contacts and instants of the events of a type with after < occurred_at <= until, in time order."""
        contacts, instants = [], []
        for run in self.events.get(type_name, ()):
            rows = run.between(after_us + 1, until_us + 1)
            contacts.append(run.contacts[rows])
            instants.append(run.occurred_at_us[rows])
        return in_time_order(contacts, instants)

    def attribute_edges(self, name: str, after_us: int, until_us: int) -> Edges:
        """Contacts and instants of the writes of an attribute that become valid in (after, until], in time order."""
        view = self.attributes.get(name)
        return view.writes_between(after_us, until_us) if view else in_time_order([], [])

    def list_edges(self, name: str, after_us: int, until_us: int) -> Edges:
        """The same for changes of a static list; contacts are survivors."""
        view = self.lists.get(name)
        if view is None:
            return in_time_order([], [])
        parts, instants = view.writes_between(after_us, until_us)
        forward = self.contacts.forward.take(parts)
        return np.where(forward >= 0, forward, parts).astype(np.uint32), instants

    def instant_value_edges(self, name: str, after_us: int, until_us: int) -> Edges:
        """Contacts and values of INSTANT values of an attribute in (after, until], by value. Values that a later write
        replaced are among them: the caller evaluates, so more is harmless."""
        view = self.attributes.get(name)
        return view.values_between(Kind.INSTANT, after_us, until_us) if view else in_time_order([], [])

    def existence_edges(self, after_us: int, until_us: int) -> Edges:
        """Contacts whose earliest fact lies in (after, until], in time order."""
        earliest = self.contacts.earliest.all()
        rows = np.flatnonzero((earliest > after_us) & (earliest <= until_us) & (earliest != NEVER_US))
        return in_time_order([rows.astype(np.uint32)], [earliest[rows]])
