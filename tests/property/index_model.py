"""What an index must hold after a log, as plain dicts; and what a root does hold, in the same form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.events.facts import AttributeWrite, ContactState, Erasure, ListChange, Merge, ProductState
from core.events.raw import scalar_of
from core.index.digest import digest
from core.index.index import Index
from core.index.root import Root
from core.query.ast import EventSelection
from core.query.execute_context import Context
from core.query.rows.values_by_path import values_of
from core.schema import Kind
from tests.generators.world import Happened, Logged, batch

EVENT_TYPES = ("viewed", "bought")
ATTRIBUTES = ("city", "visits", "seen")
LISTS = ("staff", "press")
#: Later than everything, and than everything that lies ahead.
_LAST_US = 2**60


@dataclass
class Person:
    """One contact. `parts`: the changes of lists that each of the contacts merged into this one has seen."""

    key: str = ""
    known: bool = False
    reachable: int = 0
    earliest_us: int | None = None
    events: list[tuple[Any, ...]] = field(default_factory=list)
    writes: dict[str, dict[int, Any]] = field(default_factory=dict)
    parts: list[dict[str, dict[int, bool]]] = field(default_factory=lambda: [{}])

    def heard(self, us: int) -> None:
        """A fact of that instant."""
        self.earliest_us = us if self.earliest_us is None else min(self.earliest_us, us)


def after(log: Iterable[Logged]) -> dict[str, Any]:
    """The state after a log whose merges and erasures name contacts that are alive."""
    people: dict[int, Person] = {}
    goes_to: dict[int, int | None] = {}
    products: set[tuple[str, int]] = set()

    def alive(contact: int) -> Person | None:
        while contact in goes_to:
            following = goes_to[contact]
            if following is None:
                return None
            contact = following
        return people.setdefault(contact, Person())

    for order, line in enumerate(log):
        match line:
            case ProductState(product_id, _, us):
                products.add((product_id, us))
            case Erasure(contact):
                people.pop(contact, None)
                goes_to[contact] = None
            case Merge(survivor, loser):
                one, other = people.setdefault(survivor, Person()), people.pop(loser, Person())
                goes_to[loser] = survivor
                if other.earliest_us is not None:
                    one.heard(other.earliest_us)
                one.events += other.events
                one.parts += other.parts
                for name, writes in other.writes.items():
                    for us, (number, value) in writes.items():
                        mine = one.writes.setdefault(name, {})
                        mine[us] = max(mine.get(us, (-1, None)), (number, value), key=lambda pair: pair[0])
            case Happened(contact, event):
                person = alive(contact)
                if person is not None:
                    person.heard(event.occurred_at_us)
                    person.events.append((event.type, event.occurred_at_us, event.id, event.params.get("n")))
            case ContactState(contact, key, known, reachable, us):
                person = alive(contact)
                if person is not None:
                    person.heard(us)
                    person.key, person.known, person.reachable = key, known, reachable
            case AttributeWrite(contact, name, value, us):
                person = alive(contact)
                if person is not None:
                    person.heard(us)
                    person.writes.setdefault(name, {})[us] = (order, value)
            case ListChange(contact, name, member, us):
                person = alive(contact)
                if person is not None:
                    person.heard(us)
                    for part in person.parts:
                        part.setdefault(name, {})[us] = member
    return shown(people, products)


def shown(people: dict[int, Person], products: set[tuple[str, int]]) -> dict[str, Any]:
    """The state in the form that `held` gives."""
    heard = {number: person for number, person in people.items() if person.earliest_us is not None}
    instants = _instants(us for p in heard.values() for writes in p.writes.values() for us in writes)
    return {
        "contacts": {n: (p.key, p.known, p.reachable, p.earliest_us) for n, p in heard.items()},
        "events": sorted(((n, *event) for n, p in heard.items() for event in p.events), key=repr),
        "attributes": {
            (name, us): {
                n: value for n, p in heard.items() if (value := _valid(p.writes.get(name, {}), us)) is not None
            }
            for name in ATTRIBUTES
            for us in instants
        },
        "lists": {
            (name, us): {n for n, p in heard.items() if any(_on(part.get(name, {}), us) for part in p.parts)}
            for name in LISTS
            for us in _instants(us for p in heard.values() for part in p.parts for c in part.values() for us in c)
        },
        "products": products,
    }


def _instants(found: Iterable[int]) -> list[int]:
    """Some instants at which something may change, and the last of all."""
    return [*sorted(set(found))[:6], _LAST_US]


def _valid(writes: dict[int, tuple[int, Any]], us: int) -> Any:
    past = [at for at in writes if at <= us]
    return writes[max(past)][1] if past else None


def _on(changes: dict[int, bool], us: int) -> bool:
    past = [at for at in changes if at <= us]
    return bool(past) and changes[max(past)]


def held(root: Root, like: dict[str, Any]) -> dict[str, Any]:
    """What the root says, asked about the instants that `like` speaks of."""
    numbers = root.exists(_LAST_US).numbers().tolist()
    known, reachable = root.known(), root.contacts.reachable_of(np.array(numbers, np.uint32)).tolist()
    existing = set(numbers)
    earliest = root.contacts.earliest_of(np.array(numbers, np.uint32)).tolist()
    knows = set(known.numbers().tolist())
    rows = zip(numbers, reachable, earliest, strict=True)
    ids, instants = root.product_edges(-_LAST_US, _LAST_US)
    return {
        "contacts": {n: (root.key_of(n), n in knows, channels, us) for n, channels, us in rows},
        "events": sorted(_events(root, existing), key=repr),
        "attributes": {(name, us): _attribute(root, name, us, existing) for name, us in like["attributes"]},
        "lists": {(name, us): set(root.on_list(name, us).numbers().tolist()) for name, us in like["lists"]},
        "products": set(zip(ids, instants.tolist(), strict=True)),
    }


def _events(root: Root, existing: set[int]) -> Iterable[tuple[Any, ...]]:
    for name, runs in root.events.items():
        for run in runs:
            columns = run.params.columns.get("n", ())
            values: dict[int, int] = {}
            for column in columns:
                at = range(len(run)) if column.rows is None else np.asarray(column.rows).tolist()
                values |= dict(zip(at, np.asarray(column.values).tolist(), strict=True))
            for row in range(len(run)):
                contact = int(run.contacts[row])
                if contact in existing:
                    yield contact, name, int(run.occurred_at_us[row]), run.event_id(row), values.get(row)


def _attribute(root: Root, name: str, us: int, existing: set[int]) -> dict[int, Any]:
    view = root.attributes.get(name)
    if view is None:
        return {}
    kinds, values = view.valid(us, None, root.contact_count)
    found = {}
    for contact in existing:
        kind = int(kinds[contact])
        if kind:
            raw = int(values[contact])
            found[contact] = root.dictionary.text(raw) if kind == Kind.TEXT else scalar_of(Kind(kind), raw)
    return found


def totals(root: Root) -> dict[int, int]:
    """The sum of "n" over all of each contact's events, by the way that queries read them."""
    found: dict[int, int] = {}
    for values in values_of("n", EventSelection(EVENT_TYPES, with_machines=True), Context(root, _LAST_US, "UTC")):
        for contact, value in zip(values.contacts.tolist(), values.values.tolist(), strict=True):
            found[contact] = found.get(contact, 0) + value
    return found


def digest_at_once(log: tuple[Logged, ...]) -> str:
    """The digest of an index that was given the whole log in one batch."""
    index = Index()
    if log:
        whole = batch(log, 1)
        index.apply(whole.events, whole.facts, 1)
    return digest(index.root())
