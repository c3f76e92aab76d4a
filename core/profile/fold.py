"""The fold of unification: one accepted batch in, resolved events and changes of contacts out.

Pure: a generator that yields what it has to look up (`Wanted`) and goes on once that is in the working set. Nothing is
read twice, nothing depends on how facts were batched.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.catalog.product import fitted_fields
from core.errors import CdpError
from core.events.columns import IMPORTED, EventColumns, Identifier
from core.events.facts import ContactFact, MachineMark, ProductState
from core.identity.dedupe import Hashes, SeenIds
from core.identity.links import Holder, contact_of, holder_at, linked_at, part_of
from core.identity.normalise import usable
from core.identity.rules import IdentityRules
from core.identity.settings import IdentitySettings, PatternCompiler, changed, no_patterns, rules_of
from core.profile.accepted import (
    AcceptedBatch,
    AcceptedFact,
    AcceptedMark,
    ErasureOrder,
    ProductUpdate,
    ProfileUpdate,
    RulesOrder,
    Separation,
)
from core.profile.duplicates import BatchIds
from core.profile.erase import erase
from core.profile.erasures import Blind, plain_blind
from core.profile.merge_log import Outcome
from core.profile.people import KIND_MISMATCH as KIND_MISMATCH
from core.profile.people import People
from core.profile.resolving import Origin
from core.profile.separate import separate
from core.profile.working_set import Wanted, WorkingSet

#: Log order of a write: the entry's position, then its place in the entry.
_PLACES = 2**20
_REMEMBERED_IDENTIFIERS = 200_000

ETAG_MISMATCH = "ETAG_MISMATCH"
NO_IDENTIFIER = "NO_IDENTIFIER"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A fact, or a part of one, that was set aside: its message id, a stable reason, a sentence."""

    message_id: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Folded:
    """What came of a batch. `events` have contacts and no identifiers any more. `facts` are ordered by
    `before_event`, then by log order. `seen` are hashes to remember in `hour`. `parts` as in FactBatch."""

    events: EventColumns
    facts: tuple[ContactFact, ...]
    dead: tuple[DeadLetter, ...]
    duplicates: int
    seen: Hashes
    hour: int
    parts: NDArray[np.uint32] | None = None
    #: How many items told of nobody but people who were forgotten since.
    forgotten: int = 0


Steps = Generator[Wanted, None, Folded]


class Fold:
    """Folds batches of one workspace into its working set. `rules` hold until the log sets others; they give the
    normaliser of phones for good."""

    def __init__(
        self,
        workspace: str,
        state: WorkingSet,
        seen: SeenIds,
        rules: IdentityRules,
        compile_pattern: PatternCompiler = no_patterns,
        blind: Blind = plain_blind,
    ) -> None:
        self._workspace = workspace
        self._state = state
        self._seen = seen
        self._base = self._rules = rules
        self._compile_pattern = compile_pattern
        self._compiled: IdentitySettings | None = None
        self._usable: dict[tuple[Identifier, ...], tuple[Identifier, ...]] = {}
        self._blind = blind
        self._blinded: dict[Identifier, bytes] = {}
        self._forgotten_rows: set[int] = set()

    def fold(self, batch: AcceptedBatch, *, again: bool = False) -> Steps:
        """Fold one batch. The caller keeps or rolls back the working set, and adds `seen` once the batch is kept.
        `again`: its ids were met before, and nothing came of them; they count as new."""
        ids = BatchIds.of(batch)
        events = batch.events
        state = self._state
        self._follow_settings()
        self._forgotten_rows.clear()
        orders = tuple(order for order in ids.orders.values() if order not in state.orders)
        named = yield from self._named(batch, 0, orders)
        yield from self._load_likely(batch)

        fresh = np.ones(len(ids.hashes), np.bool_) if again else ids.fresh(self._seen, state.orders)
        is_fresh = fresh.tolist()
        people = People(self._workspace, batch.position, state, self._rules)
        occurred = events.occurred_at_us.tolist()
        received = events.received_at_us
        holders: list[int] = []
        kept: list[int] = []
        dead: list[DeadLetter] = []
        forgotten = 0
        links = state.links
        facts = iter(enumerate(batch.facts))
        next_fact = next(facts, None)
        base = batch.position * _PLACES
        for row in range(len(events) + 1):
            while next_fact is not None and (next_fact[1].before_event <= row or row == len(events)):
                place, fact = next_fact
                if is_fresh[ids.events + place]:
                    if isinstance(fact.fact, Separation):
                        origin = Origin(fact.occurred_at_us, fact.imported, len(kept), place, base + row + place)
                        rows = zip(holders, kept, strict=True)
                        before = [(part_of(one), events.ids[i], occurred[i]) for one, i in rows]
                        state.put_outcome(fact.id, (yield from separate(people, fact.fact, origin, before)))
                    elif isinstance(fact.fact, RulesOrder):
                        self._order_rules(fact.id, fact.fact)
                        people.rules = self._rules
                        named[row:] = yield from self._named(batch, row, ())
                    elif isinstance(fact.fact, ErasureOrder):
                        origin = Origin(fact.occurred_at_us, fact.imported, len(kept), place, base + row + place)
                        state.put_outcome(fact.id, (yield from self._erase(people, fact.id, fact.fact, origin)))
                        named[row:] = yield from self._named(batch, row, ())
                    elif self._of_forgotten(fact):
                        forgotten += 1
                    else:
                        yield from self._fact(people, fact, base + row, place, len(kept), dead)
                next_fact = next(facts, None)
            if row == len(events) or not is_fresh[row]:
                continue
            at_us = occurred[row]
            names = named[row]
            first = 0
            for one in names:  # the fast path: every identifier is known, and all lead to one holder
                link = links[one]
                if link is None:
                    first = 0
                    break
                here = link if isinstance(link, int) else linked_at(link, at_us)
                if first in (0, here):
                    first = here
                elif contact_of(first) != contact_of(here) or not self._rules.kinds[one.kind].strong:
                    first = 0
                    break
            if first == 0:
                if not names and row in self._forgotten_rows:
                    forgotten += 1
                    continue
                imported = bool(events.flags[row] & IMPORTED)
                order = base + row + (next_fact[0] if next_fact is not None else len(batch.facts))
                found = yield from people.of_event(names, int(received[row]), at_us, order, len(kept), imported)
                if found is None:
                    dead.append(_nobody(events.ids[row]))
                    continue
                first = found
            holders.append(first)
            kept.append(row)

        if len(kept) < len(events):
            events = events.take(np.array(kept, np.intp))
        numbers = np.array(holders, np.uint64)
        contacts = numbers.astype(np.uint32)  # the low half
        parts = (numbers >> np.uint64(32)).astype(np.uint32)
        resolved = replace(events, identifiers=(), contacts=contacts)
        remembered, fresh_orders = ids.to_remember(fresh)
        state.put_orders(fresh_orders)
        duplicates = len(fresh) - int(fresh.sum())
        other_parts = None if np.array_equal(parts, contacts) else parts
        facts_told = tuple(people.facts)
        return Folded(resolved, facts_told, tuple(dead), duplicates, remembered, ids.hour, other_parts, forgotten)

    def usable(self, identifiers: tuple[Identifier, ...]) -> tuple[Identifier, ...]:
        """`core.identity.normalise.usable`, remembered."""
        known = self._usable.get(identifiers)
        if known is None:
            if len(self._usable) > _REMEMBERED_IDENTIFIERS:
                self._usable.clear()
            known = self._usable[identifiers] = usable(identifiers, self._rules)
        return known

    def _named(
        self, batch: AcceptedBatch, from_row: int, orders: tuple[int, ...]
    ) -> Generator[Wanted, None, list[tuple[Identifier, ...]]]:
        """The usable identifiers of each event from `from_row` on; theirs and those of all facts are in memory."""
        events, links = batch.events, self._state.links
        named = [self.usable(one) for one in events.identifiers[from_row:]] or [()] * (len(events) - from_row)
        if self._state.tombstones:
            named = self._living_rows(named, events.occurred_at_us.tolist(), from_row)
        unknown = {one for names in named for one in names if one not in links}
        for fact in batch.facts:
            if isinstance(fact.fact, ProfileUpdate | AcceptedMark):
                unknown.update(one for one in self.usable(fact.fact.identifiers) if one not in links)
        if unknown or orders:
            yield Wanted(identifiers=tuple(unknown), orders=orders)
        return named

    def _erase(
        self, people: People, order_id: str, order: ErasureOrder, origin: Origin
    ) -> Generator[Wanted, None, Outcome]:
        """Forget people. Of those who asked for it a blinded trace stays, so that what is told once more of the time
        before is nobody's."""
        known = len(self._state.erased)
        outcome = yield from erase(people, order_id, order, origin)
        asked = [person for person in self._state.erased[known:] if not person.expired]
        if asked:
            blinded = {self._blind(one): origin.at_us for person in asked for one in person.identifiers}
            self._state.put_tombstones(blinded)
        return outcome

    def _living(self, names: tuple[Identifier, ...], at_us: int) -> tuple[Identifier, ...]:
        """Those of `names` that had not been forgotten at `at_us`, or are somebody's anew."""
        return tuple(one for one in names if self._state.tombstones.get(self._blinded_of(one), at_us - 1) < at_us)

    def _living_rows(
        self, named: list[tuple[Identifier, ...]], occurred: list[int], from_row: int
    ) -> list[tuple[Identifier, ...]]:
        living = []
        for row, names in enumerate(named, start=from_row):
            left = self._living(names, occurred[row])
            if names and not left:
                self._forgotten_rows.add(row)
            living.append(left)
        return living

    def _blinded_of(self, one: Identifier) -> bytes:
        known = self._blinded.get(one)
        if known is None:
            if len(self._blinded) > _REMEMBERED_IDENTIFIERS:
                self._blinded.clear()
            known = self._blinded[one] = self._blind(one)
        return known

    def _names(self, identifiers: tuple[Identifier, ...], at_us: int) -> tuple[Identifier, ...]:
        names = self.usable(identifiers)
        return self._living(names, at_us) if self._state.tombstones else names

    def _of_forgotten(self, fact: AcceptedFact) -> bool:
        """Whether a fact tells of nobody but people who were forgotten after it happened."""
        if not self._state.tombstones or not isinstance(fact.fact, ProfileUpdate | AcceptedMark):
            return False
        names = self.usable(fact.fact.identifiers)
        return bool(names) and not self._living(names, fact.occurred_at_us)

    def _holder(self, names: tuple[Identifier, ...], at_us: int) -> Holder | None:
        """Whom the first identifier that names somebody leads to; nobody is made, joined or linked for it."""
        for one in names:
            link = self._state.links[one]
            if link is not None:
                return holder_at(link, at_us)
        return None

    def _order_rules(self, order_id: str, order: RulesOrder) -> None:
        before = self._state.settings or IdentitySettings()
        if order.change.etag and order.change.etag != before.etag:
            outcome = Outcome(ETAG_MISMATCH, "the rules were changed meanwhile: read them again")
        else:
            try:
                self._state.settings = changed(before, order.change, self._compile_pattern)
                outcome = Outcome()
            except CdpError as error:
                outcome = Outcome(error.reason, "; ".join(f"{one.path}: {one.description}" for one in error.violations))
        self._state.put_outcome(order_id, outcome)
        self._follow_settings()

    def _follow_settings(self) -> None:
        """Have the rules that the state's settings mean."""
        settings = self._state.settings
        if settings is self._compiled:
            return
        self._compiled = settings
        self._rules = self._base if settings is None else rules_of(settings, self._base, self._compile_pattern)
        self._usable.clear()

    def _load_likely(self, batch: AcceptedBatch) -> Generator[Wanted, None, None]:
        """Profiles of those whom the batch's updates speak of, in one step; the rest is looked up where it is met."""
        likely: set[int] = set()
        for fact in batch.facts:
            if isinstance(fact.fact, ProfileUpdate):
                for one in self.usable(fact.fact.identifiers):
                    link = self._state.links[one]
                    if link is not None:
                        likely.add(contact_of(holder_at(link, fact.occurred_at_us)))
        absent = tuple(contact for contact in likely if not self._state.has_profile(contact))
        if absent:
            yield Wanted(contacts=absent)

    def _fact(
        self, people: People, fact: AcceptedFact, base: int, place: int, before_event: int, dead: list[DeadLetter]
    ) -> Generator[Wanted, None, None]:
        match fact.fact:
            case ProfileUpdate() as update:
                names = self._names(update.identifiers, fact.occurred_at_us)
                found = yield from people.update(names, update, fact, base + place, before_event, place)
                if found is None:
                    dead.append(_nobody(fact.id))
                else:
                    dead.extend(DeadLetter(fact.id, one.reason, one.detail) for one in found)
            case AcceptedMark(identifiers=identifiers, events=events, reason=reason):
                holder = self._holder(self._names(identifiers, fact.occurred_at_us), fact.occurred_at_us)
                if holder is None:
                    dead.append(_nobody(fact.id))
                    return
                contact, part, at_us = contact_of(holder), part_of(holder), fact.occurred_at_us
                other = 0 if part == contact else part
                mark = MachineMark(contact, events, reason, at_us, fact.imported, before_event, place, other)
                people.facts.append(mark)
            case ProductUpdate(product_id=product_id, fields=fields, changes=changes):
                kept, wrong = fitted_fields(fields)
                dead.extend(DeadLetter(fact.id, KIND_MISMATCH, detail) for detail in wrong)
                if kept or not fields:
                    people.facts.append(ProductState(product_id, kept, fact.occurred_at_us, before_event, changes))


def _nobody(message_id: str) -> DeadLetter:
    return DeadLetter(
        message_id, NO_IDENTIFIER, "no identifier names anybody: blocked, malformed, or the key of no contact"
    )
