"""The fold of unification: one accepted batch in, resolved events and changes of contacts out.

Pure: a generator that yields what it has to look up (`Wanted`) and goes on once that is in the working set. Nothing is
read twice, nothing depends on how facts were batched.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np

from core.catalog.product import fitted_fields
from core.events.columns import IMPORTED, EventColumns, Identifier
from core.events.facts import ContactFact, ProductState
from core.identity.dedupe import Hashes, SeenIds
from core.identity.links import linked_at
from core.identity.normalise import usable
from core.identity.rules import IdentityRules
from core.profile.accepted import AcceptedBatch, AcceptedFact, ProductUpdate, ProfileUpdate
from core.profile.duplicates import BatchIds
from core.profile.people import People
from core.profile.working_set import Wanted, WorkingSet

#: Log order of a write: the entry's position, then its place in the entry.
_PLACES = 2**20
_REMEMBERED_IDENTIFIERS = 200_000

NO_IDENTIFIER = "NO_IDENTIFIER"
KIND_MISMATCH = "KIND_MISMATCH"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A fact, or a part of one, that was set aside: its message id, a stable reason, a sentence."""

    message_id: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Folded:
    """What came of a batch. `events` have contacts and no identifiers any more. `facts` are ordered by
    `before_event`, then by log order. `seen` are hashes to remember in `hour`."""

    events: EventColumns
    facts: tuple[ContactFact, ...]
    dead: tuple[DeadLetter, ...]
    duplicates: int
    seen: Hashes
    hour: int


Steps = Generator[Wanted, None, Folded]


class Fold:
    """Folds batches of one workspace into its working set."""

    def __init__(self, workspace: str, state: WorkingSet, seen: SeenIds, rules: IdentityRules) -> None:
        self._workspace = workspace
        self._state = state
        self._seen = seen
        self._rules = rules
        self._usable: dict[tuple[Identifier, ...], tuple[Identifier, ...]] = {}

    def fold(self, batch: AcceptedBatch) -> Steps:
        """Fold one batch. The caller keeps or rolls back the working set, and adds `seen` once the batch is kept."""
        ids = BatchIds.of(batch)
        events = batch.events
        state = self._state
        named = [self.usable(one) for one in events.identifiers] if events.identifiers else [()] * len(events)
        unknown = {one for names in named for one in names if one not in state.links}
        for fact in batch.facts:
            if isinstance(fact.fact, ProfileUpdate):
                unknown.update(one for one in self.usable(fact.fact.identifiers) if one not in state.links)
        orders = tuple(order for order in ids.orders.values() if order not in state.orders)
        if unknown or orders:
            yield Wanted(identifiers=tuple(unknown), orders=orders)
        yield from self._load_likely(batch)

        fresh = ids.fresh(self._seen, state.orders)
        is_fresh = fresh.tolist()
        people = People(self._workspace, batch.position, state, self._rules)
        occurred = events.occurred_at_us.tolist()
        contacts: list[int] = []
        kept: list[int] = []
        dead: list[DeadLetter] = []
        links = state.links
        facts = iter(enumerate(batch.facts))
        next_fact = next(facts, None)
        base = batch.position * _PLACES
        for row, names in enumerate(named):
            while next_fact is not None and next_fact[1].before_event <= row:
                place, fact = next_fact
                if is_fresh[ids.events + place]:
                    yield from self._fact(people, fact, base + row, place, len(kept), dead)
                next_fact = next(facts, None)
            if not is_fresh[row]:
                continue
            at_us = occurred[row]
            contact = 0
            for one in names:  # the fast path: every identifier is known, and all agree
                link = links[one]
                if link is None:
                    contact = 0
                    break
                holder = link if isinstance(link, int) else linked_at(link, at_us)
                if contact not in (0, holder):
                    contact = 0
                    break
                contact = holder
            if contact == 0:
                imported = bool(events.flags[row] & IMPORTED)
                order = base + row + (next_fact[0] if next_fact is not None else len(batch.facts))
                found = yield from people.of_event(names, at_us, order, len(kept), imported)
                if found is None:
                    dead.append(_nobody(events.ids[row]))
                    continue
                contact = found
            contacts.append(contact)
            kept.append(row)
        while next_fact is not None:
            place, fact = next_fact
            if is_fresh[ids.events + place]:
                yield from self._fact(people, fact, base + len(named), place, len(kept), dead)
            next_fact = next(facts, None)

        if len(kept) < len(events):
            events = events.take(np.array(kept, np.intp))
        resolved = replace(events, identifiers=(), contacts=np.array(contacts, np.uint32))
        remembered, fresh_orders = ids.to_remember(fresh)
        state.put_orders(fresh_orders)
        duplicates = len(fresh) - int(fresh.sum())
        return Folded(resolved, tuple(people.facts), tuple(dead), duplicates, remembered, ids.hour)

    def usable(self, identifiers: tuple[Identifier, ...]) -> tuple[Identifier, ...]:
        """`core.identity.normalise.usable`, remembered."""
        known = self._usable.get(identifiers)
        if known is None:
            if len(self._usable) > _REMEMBERED_IDENTIFIERS:
                self._usable.clear()
            known = self._usable[identifiers] = usable(identifiers, self._rules)
        return known

    def _load_likely(self, batch: AcceptedBatch) -> Generator[Wanted, None, None]:
        """Profiles of those whom the batch's updates speak of, in one step; the rest is looked up where it is met."""
        likely: set[int] = set()
        for fact in batch.facts:
            if isinstance(fact.fact, ProfileUpdate):
                for one in self.usable(fact.fact.identifiers):
                    link = self._state.links[one]
                    if link is not None:
                        likely.add(link if isinstance(link, int) else linked_at(link, fact.occurred_at_us))
        absent = tuple(contact for contact in likely if not self._state.has_profile(contact))
        if absent:
            yield Wanted(contacts=absent)

    def _fact(
        self, people: People, fact: AcceptedFact, base: int, place: int, before_event: int, dead: list[DeadLetter]
    ) -> Generator[Wanted, None, None]:
        match fact.fact:
            case ProfileUpdate() as update:
                names = self.usable(update.identifiers)
                found = yield from people.update(names, update, fact, base + place, before_event, place)
                if found is None:
                    dead.append(_nobody(fact.id))
                else:
                    dead.extend(DeadLetter(fact.id, KIND_MISMATCH, detail) for detail in found)
            case ProductUpdate(product_id=product_id, fields=fields):
                kept, wrong = fitted_fields(fields)
                dead.extend(DeadLetter(fact.id, KIND_MISMATCH, detail) for detail in wrong)
                if kept or not fields:
                    people.facts.append(ProductState(product_id, kept, fact.occurred_at_us, before_event))


def _nobody(message_id: str) -> DeadLetter:
    return DeadLetter(
        message_id, NO_IDENTIFIER, "no identifier names anybody: blocked, malformed, or the key of no contact"
    )
