"""One immutable version of a workspace's facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.index.contact_set import ContactSet
from core.index.contacts import ContactView
from core.index.dictionary import TextDictionary
from core.index.event_run import EventRun
from core.index.event_ties import EventTies
from core.index.interner import ListView
from core.index.list_tellers import TellersView
from core.index.product_contacts import contacts_with
from core.index.product_view import ProductView
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


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Root:
    """A pinned version; it never changes, and any number of threads may read it.

    `position`: the last entry of the log that it holds. `version` grows with every root of an index. Contacts are the
    numbers below `contacts.count`; those in no answer (erased, merged away, never heard of) are numbers too.
    `locations` is shared with the writer, as `dictionary` is: later ones may stand in it beyond those of this version.
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
    locations: Sequence[Location]
    learned: Learned
    next_log_orders: tuple[int, int]
    products: ProductView = ProductView()
    ties: EventTies = EventTies()
    tellers: TellersView = TellersView()

    @property
    def contact_count(self) -> int:
        """Contact numbers are below this."""
        return self.contacts.count

    def exists(self, as_of_us: int, candidates: NDArray[np.uint32] | None = None) -> ContactSet:
        """Contacts whose earliest fact is at or before `as_of`, the merged and the erased left out."""
        if candidates is None:
            return self.contacts.exists(as_of_us)
        return ContactSet.from_numbers(candidates[self.contacts.earliest_of(candidates) <= as_of_us])

    def known(self, candidates: NDArray[np.uint32] | None = None) -> ContactSet:
        """Contacts that have a way to name them (external id, email, phone ...), as known now."""
        if candidates is None:
            return self.contacts.known
        return ContactSet.from_numbers(candidates[self.contacts.known.has(candidates)])

    def reachable(self, channels: int = 0xFF) -> ContactSet:
        """Contacts reachable by any channel whose bit is set in `channels` (bits of core.events.facts.CHANNELS)."""
        return self.contacts.reachable(channels)

    def key_of(self, contact: int) -> str:
        """The public id of a contact that is in an answer of this root; "" where none was told."""
        return self.contacts.keys.key_of(contact)

    def keys_of(self, contacts: NDArray[np.uint32]) -> list[str]:
        """The public ids of many contacts, in their order."""
        return self.contacts.keys.keys_of(contacts)

    def number_of(self, key: str) -> int | None:
        """The number of the contact with this public id; None where there is none or it was erased. A merged contact
        keeps its own number; see `survivor_of`."""
        number = self.contacts.keys.number_of(key)
        if number is None or self.survivor_of(number) is None:
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
        column = view.whole(as_of_us) if candidates is None else None
        if column is not None:
            found = column.select(column.values == 1, column.row_values == 1)
            return found if len(self.contacts.losers) == 0 else self._of_parts(found.numbers())
        parts = (
            np.arange(self.contact_count, dtype=np.uint32) if candidates is None else self.contacts.parts(candidates)
        )
        _, values = view.valid(as_of_us, parts, self.contact_count)
        return self._of_parts(parts[values == 1])

    def _of_parts(self, parts: NDArray[np.uint32]) -> ContactSet:
        return ContactSet.from_numbers(self.contacts.whole(parts))

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
        forward = self.contacts.forward_of(parts)
        return np.where(forward >= 0, forward, parts).astype(np.uint32), instants

    def instant_value_edges(self, name: str, after_us: int, until_us: int) -> Edges:
        """Contacts and values of INSTANT values of an attribute in (after, until], by value. Values that a later write
        replaced are among them: the caller evaluates, so more is harmless."""
        view = self.attributes.get(name)
        return view.values_between(Kind.INSTANT, after_us, until_us) if view else in_time_order([], [])

    def existence_edges(self, after_us: int, until_us: int) -> Edges:
        """Contacts whose earliest fact lies in (after, until], in time order."""
        return self.contacts.earliest_between(after_us, until_us)

    def contacts_with_product(self, product_ids: Sequence[str], types: Sequence[str]) -> NDArray[np.uint32]:
        """The contacts, ascending, that have an event of one of `types`, by machines and at any instant included, with
        one of the products, as its own or on a line."""
        codes = [code for code in map(self.dictionary.code, product_ids) if code is not None]
        runs = [run for name in types for run in self.events.get(name, ())]
        return contacts_with(np.array(codes, np.uint32), runs if codes else [])

    def product_edges(self, after_us: int, until_us: int) -> tuple[list[str], NDArray[np.int64]]:
        """Ids of products and the instants in (after, until] at which a state of theirs begins, in time order."""
        codes, instants = self.products.edges(after_us, until_us)
        return [self.dictionary.text(code) for code in codes.tolist()], instants
