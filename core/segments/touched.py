"""Which segments a wave of facts can change, and about whom each of them has to be asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from core.events.columns import EventColumns
from core.events.facts import AttributeWrite, ContactFact, ListChange, ProductState
from core.index.root import Root
from core.segments.agenda import event_types
from core.segments.saved import Saved

Contacts = NDArray[np.uint32]
_NOBODY: Contacts = np.zeros(0, np.uint32)


def ranked(saved: Mapping[str, Saved]) -> list[str]:
    """Names, each after the segments that it refers to (whether they are in it, or were), then by name."""
    ranks: dict[str, int] = {}
    for name in saved:
        stack = [name]
        while stack:
            targets = [target for target in saved[stack[-1]].bound.segments if target in saved]
            waiting = [target for target in targets if target not in ranks]
            if waiting:
                stack += waiting
                continue
            top = stack.pop()
            ranks[top] = 1 + max((ranks[target] for target in targets), default=0)
    return sorted(saved, key=lambda name: (ranks[name], name))


class TouchedBy:
    """From what a fact names to the segments that it concerns, for one set of saved segments.

    Contacts that become known, merge or are erased are asked in every segment; those of other facts in the segments
    that name the event type, attribute or list; those that come to exist in the segments that hold for people of whom
    nothing is known; those whose earliest fact is another one in the segments that ask since when somebody is there.
    """

    def __init__(self, saved: Mapping[str, Saved]) -> None:
        self._saved = dict(saved)
        self._by_event: dict[str, list[str]] = defaultdict(list)
        self._by_prefix: dict[str, list[str]] = defaultdict(list)
        self._by_attribute: dict[str, list[str]] = defaultdict(list)
        self._by_list: dict[str, list[str]] = defaultdict(list)
        self._of_nobody: list[str] = []
        self._by_existence: list[str] = []
        for name, one in saved.items():
            for pattern in one.touches.event_names:
                watched = self._by_prefix if pattern.endswith("*") else self._by_event
                watched[pattern.removesuffix("*")].append(name)
            for attribute in one.touches.attributes:
                self._by_attribute[attribute].append(name)
            for list_name in one.touches.lists:
                self._by_list[list_name].append(name)
            if one.touches.everything:
                self._of_nobody.append(name)
            if one.touches.existence:
                self._by_existence.append(name)

    def wave(
        self,
        facts: Sequence[ContactFact],
        everyone: Contacts,
        events: EventColumns,
        before: Root,
        after: Root,
        as_of_us: int,
    ) -> dict[str, Contacts]:
        """Segment -> its contacts of a wave, ascending: `everyone` in it, by `facts` and `events`; `before` and
        `after` are the roots around it."""
        named: dict[str, list[Contacts]] = defaultdict(list)
        everywhere: list[int] = []
        self._of_events(events, named)
        for fact in facts:
            self._of_fact(fact, named, everywhere)
        if any(not isinstance(fact, AttributeWrite | ListChange) for fact in facts):
            named |= {name: [*named[name], np.array(everywhere, np.uint32)] for name in self._saved}
        appeared = _appeared(everyone, before, after, as_of_us)
        if len(appeared):
            for name in self._of_nobody:
                named[name].append(appeared)
        if self._by_existence:
            sooner = _sooner(everyone, before, after)
            for name in self._by_existence:
                named[name].append(sooner)
        return {name: np.unique(np.concatenate(parts)) for name, parts in named.items()}

    def of_types(self, types: Iterable[str]) -> frozenset[str]:
        """The segments that events of some types concern."""
        return frozenset(name for event in types for name in self._concerned(event))

    def any_of(self, rows: NDArray[np.intp], events: EventColumns, before: Root) -> bool:
        """Whether these rows of an entry, of contacts without other facts in it, concern any segment: because of their
        types, or because somebody comes to exist by them, or sooner."""
        types = np.unique(events.types[rows]).tolist()
        if not self._saved or self.of_types(events.strings[code] for code in types):
            return bool(self._saved)
        assert events.contacts is not None, "unification resolves events before they come here"
        contacts = events.contacts[rows]
        if int(contacts.max()) >= before.contact_count:
            return True
        return bool((before.contacts.earliest_of(contacts) > events.occurred_at_us[rows]).any())

    def product(self, facts: Sequence[ContactFact], root: Root) -> dict[str, Contacts]:
        """Segment -> the contacts whose events name one of the products."""
        products = tuple(fact.product_id for fact in facts if isinstance(fact, ProductState))
        return {
            name: np.unique(root.contacts_with_product(products, event_types(root, one)))
            for name, one in self._saved.items()
            if one.touches.products
        }

    def _of_events(self, events: EventColumns, named: dict[str, list[Contacts]]) -> None:
        if len(events) == 0 or events.contacts is None:
            return
        for code in np.unique(events.types).tolist():
            contacts = events.contacts[events.types == code]
            for name in self._concerned(events.strings[code]):
                named[name].append(contacts)

    def _concerned(self, event: str) -> Iterable[str]:
        yield from self._by_event.get(event, ())
        for prefix, names in self._by_prefix.items():
            if event.startswith(prefix):
                yield from names

    def _of_fact(self, fact: ContactFact, named: dict[str, list[Contacts]], everywhere: list[int]) -> None:
        match fact:
            case AttributeWrite():
                concerned = self._by_attribute.get(fact.name, [])
            case ListChange():
                concerned = self._by_list.get(fact.list_name, [])
            case ProductState():
                return
            case _:
                named_by = ("contact", "survivor", "loser", "restored")
                everywhere += [getattr(fact, name) for name in named_by if hasattr(fact, name)]
                return
        for name in concerned:
            named[name].append(np.array([fact.contact], np.uint32))


def _appeared(contacts: Contacts, before: Root, after: Root, as_of_us: int) -> Contacts:
    """Those of `contacts` that exist now and did not before."""
    now = after.exists(as_of_us, contacts)
    older = contacts[contacts < before.contact_count]
    fresh = now - before.exists(as_of_us, older)
    return fresh.numbers() if len(fresh) else _NOBODY


def _sooner(contacts: Contacts, before: Root, after: Root) -> Contacts:
    """Those of `contacts` whose earliest fact is another one than before."""
    inside = contacts[contacts < before.contact_count]
    moved = before.contacts.earliest_of(inside) != after.contacts.earliest_of(inside)
    return np.concatenate((inside[moved], contacts[contacts >= before.contact_count]))
