"""The one writer of a workspace's facts: it folds the log of unification and publishes immutable roots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.events.columns import EventColumns
from core.events.facts import (
    AttributeWrite,
    ConsentWrite,
    ContactFact,
    ContactState,
    Erasure,
    ListChange,
    MachineMark,
    Merge,
    ProductState,
    Unmerge,
)
from core.index.attribute_store import AttributeStore
from core.index.bulk import StateColumns, WriteColumns
from core.index.contacts import ContactTable
from core.index.dictionary import TextDictionary
from core.index.event_parting import Parting
from core.index.event_run import EventRun
from core.index.event_store import Compaction, EventStore
from core.index.product_store import ProductStore
from core.index.root import Learned, Root


class Index:
    """Folds batches with `apply`; `root` publishes what was folded.

    Batches wait unsorted until a root is asked for, so that loading history costs no sort per batch. A root pins
    chunks and runs; the writer copies what it changes after that. Not for two threads at once; roots are.
    """

    def __init__(self, dictionary: TextDictionary | None = None) -> None:
        self._dictionary = dictionary or TextDictionary()
        self.contacts = ContactTable()
        self.events = EventStore(self._dictionary)
        self.attributes = AttributeStore(self._dictionary)
        self.products = ProductStore(self._dictionary)
        self.position = 0
        self.version = 0
        self._existence: list[tuple[int, int]] = []
        self._dirty = True
        self._root: Root | None = None

    def apply(self, events: EventColumns, facts: Sequence[ContactFact], position: int) -> None:
        """Fold one entry of the log: resolved `events` in log order, and `facts` in the order of `before_event`.

        `position` is the entry's; applying an entry twice is the caller's to prevent. A merge or an erasure holds for
        all facts of its contact, those that arrive later included, so events need no splitting at `before_event`; marks
        and unmerges speak of the events before them.
        Raises CdpError for events without contact numbers, and leaves the index as it was.
        """
        marked = any(isinstance(fact, MachineMark | Unmerge) for fact in facts)
        anew: int | None = None  # the item of an unmerge, whose other facts tell what is known
        due, added = (False, 0) if marked else (self.events.add(events), len(events))
        if events.contacts is not None and len(events):
            self.contacts.grow(int(events.contacts.max()) + 1)
        for fact in facts:
            if isinstance(fact, ListChange) and fact.item == anew:
                # Who heard of which change of a list is known here: the store kept it for each side.
                self._existence.append((fact.contact, fact.occurred_at_us))
            elif isinstance(fact, AttributeWrite) and fact.item == anew:
                self.attributes.write_anew(fact.contact, fact.name, fact.value, fact.occurred_at_us)
                self._existence.append((fact.contact, fact.occurred_at_us))
            elif isinstance(fact, MachineMark | Unmerge):  # they speak of the events before, those of this entry too
                until = max(added, min(fact.before_event, len(events)))
                due = self.events.add(events.take(np.arange(added, until))) or due
                added = until
                if isinstance(fact, MachineMark):
                    self.events.mark(fact.contact, fact.events)
                else:
                    anew = fact.item if self._unmerge(fact) else None
            else:
                if not isinstance(fact, ContactState | ConsentWrite) or fact.item != anew:
                    anew = None
                self._fold(fact)
        if added < len(events):
            due = self.events.add(events.take(np.arange(added, len(events)))) or due
        self.position = position
        self._dirty = True
        if due or self.attributes.due:
            self._seal()

    def apply_columns(self, facts: Sequence[StateColumns | WriteColumns], position: int) -> None:
        """Fold one entry of the log that holds facts of contacts as columns, in log order; otherwise as `apply`.

        Raises CdpError for a kind of value that columns do not take; what stands before it is folded then.
        """
        self._flush_existence()
        for fact in facts:
            if isinstance(fact, StateColumns):
                self.contacts.states(fact.contacts, fact.keys, fact.known, fact.reachable)
            else:
                self.attributes.write_columns(fact)
            self._existed(fact.contacts, fact.occurred_at_us)
            if self.attributes.due:
                self._seal()
        self.position = position
        self._dirty = True

    def root(self) -> Root:
        """The present version, immutable; the same object until something is applied."""
        if self._root is not None and not self._dirty:
            return self._root
        self._seal()
        self.version += 1
        self._root = Root(
            position=self.position,
            version=self.version,
            contacts=self.contacts.view(),
            dictionary=self._dictionary,
            events=self.events.view(),
            attributes=self.attributes.attributes(),
            lists=self.attributes.lists(),
            text_lists=self.attributes.text_lists.view(),
            object_lists=self.attributes.object_lists.view(),
            locations=self.attributes.locations.values,
            learned=Learned(
                self.attributes.kinds(),
                self.attributes.element_kinds(),
                self.events.param_kinds(),
                self.events.item_kinds(),
            ),
            next_log_orders=(self.events.next_log_order, self.attributes.next_log_order),
            products=self.products.view(),
            ties=self.events.ties,
            tellers=self.attributes.tellers.view(),
        )
        self._dirty = False
        return self._root

    def compact(self) -> None:
        """Join long runs of events, which makes questions about long windows and many contacts faster. It takes some
        hundred milliseconds for each four million events; whoever must not wait so long lets another thread make
        `events.compactions()` and then hands each result to `compacted`."""
        for one in self.events.compactions():
            self.compacted(one, one.merged())

    def compacted(self, done: Compaction, merged: EventRun) -> None:
        """Put a joined run in the place of those it was made of; nothing where they are no longer there."""
        if self.events.swap(done, merged):
            self._dirty = True

    def restore(self, position: int, version: int, learned: Learned, next_log_orders: tuple[int, int]) -> None:
        """Go on where a snapshot stopped; its facts are loaded already."""
        self.position = position
        self.version = version
        self.events.restore(learned.events, learned.items, next_log_orders[0])
        self.attributes.restore(learned.attributes, learned.elements, next_log_orders[1])

    def _fold(self, fact: ContactFact) -> None:
        match fact:
            case AttributeWrite():
                self.attributes.write(fact.contact, fact.name, fact.value, fact.occurred_at_us)
                self._existence.append((fact.contact, fact.occurred_at_us))
            case ContactState():
                self.contacts.state(fact)
                self._existence.append((fact.contact, fact.occurred_at_us))
            case ListChange():
                parts = self.contacts.parts_of(fact.contact)
                told_of = fact.part or fact.contact
                self.attributes.put_on_list(told_of, fact.list_name, fact.member, fact.occurred_at_us, parts)
                self._existence.append((fact.contact, fact.occurred_at_us))
            case Merge():
                if self.events.marks_wait:
                    self._seal()  # a mark speaks of events of its contact as it was then
                self._flush_existence()
                self.contacts.merge(fact.survivor, fact.loser)
            case Erasure():
                self.contacts.erase(fact.contact)
            case ProductState():
                self.products.write(fact.product_id, fact.fields, fact.occurred_at_us)

    def _unmerge(self, fact: Unmerge) -> bool:
        """Two contacts again; False where they are not one."""
        self._seal()  # what came before is of the one that they were
        sides = self.contacts.unmerge(fact.survivor, fact.restored, fact.parts)
        if sides is None:
            return False
        self.contacts.existed(*self.events.part(Parting.of(fact)))
        self.attributes.unmerge(fact.survivor, fact.restored, sides)
        return True

    def _seal(self) -> None:
        self._flush_existence()
        moves = self.contacts.moves()
        self.contacts.existed(*self.events.seal(moves))
        self.attributes.seal(moves)
        self.products.seal()
        self.attributes.fold_some()
        self.contacts.fold_some()

    def _flush_existence(self) -> None:
        if not self._existence:
            return
        contacts: NDArray[np.uint32] = np.array([contact for contact, _ in self._existence], np.uint32)
        instants = np.array([instant for _, instant in self._existence], np.int64)
        self._existence = []
        self._existed(contacts, instants)

    def _existed(self, contacts: NDArray[np.uint32], instants: NDArray[np.int64]) -> None:
        """Facts of `contacts`, wherever these belong now."""
        if len(contacts) == 0:
            return
        self.contacts.grow(int(contacts.max()) + 1)
        owners, kept = self.contacts.resolver().resolve(contacts)
        self.contacts.existed(owners[kept], instants[kept])
