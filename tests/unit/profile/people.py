"""A store of plain dicts behind the fold, and short ways to write facts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from core.events.columns import Event, EventColumnsBuilder, Identifier
from core.events.facts import AttributeWrite, ContactFact, ListChange
from core.identity.dedupe import SeenIds
from core.identity.links import Link
from core.identity.rules import IdentityRules, Matches
from core.identity.settings import SettingsChange
from core.profile.accepted import (
    AcceptedBatch,
    AcceptedFact,
    ConsentChange,
    ErasureOrder,
    ProductUpdate,
    ProfileUpdate,
    RulesOrder,
    Separation,
)
from core.profile.codec import decode_profile, encode_profile
from core.profile.erasures import ErasedPerson
from core.profile.fold import Fold, Folded
from core.profile.merge_log import MergeRecord, Outcome, decode_merge, encode_merge
from core.profile.profile import Profile
from core.profile.timeline import fact_runs
from core.profile.working_set import Meta, PartHistory, Wanted, WorkingSet
from core.schema import Scalar, Value

DAY_US = 86_400_000_000
T = 1_700_000_000_000_000

X, Y = Identifier("external_id", "x"), Identifier("external_id", "y")
E, F = Identifier("email", "e@example.com"), Identifier("email", "f@example.com")
P = Identifier("phone", "+380501234567")
C, D = Identifier("anonymous_id", "c"), Identifier("anonymous_id", "d")

Item = Event | AcceptedFact


def event(
    message_id: str,
    at_us: int,
    *identifiers: Identifier,
    received_us: int | None = None,
    flags: int = 0,
    type_: str = "app_opened",
) -> Event:
    """A plain event; received at T, or as it happened if that is later, unless told otherwise."""
    received_us = max(at_us, T) if received_us is None else received_us
    return Event(message_id, type_, at_us, received_us, identifiers, {}, (), flags)


def update(
    message_id: str,
    at_us: int,
    *identifiers: Identifier,
    attributes: Mapping[str, Value | None] | None = None,
    consents: Mapping[str, str] | None = None,
    lists: Mapping[str, bool] | None = None,
    imported: bool = False,
    received_us: int | None = None,
) -> AcceptedFact:
    """What a source told of a person; received at T, or as it happened if that is later, unless told otherwise."""
    fact = ProfileUpdate(
        identifiers,
        attributes or {},
        tuple(ConsentChange(channel, state, "form") for channel, state in (consents or {}).items()),
        tuple((lists or {}).items()),
    )
    return AcceptedFact(message_id, at_us, max(at_us, T) if received_us is None else received_us, imported, 0, fact)


def separation(message_id: str, survivor: str, merged: str) -> AcceptedFact:
    """An order to take apart what was merged."""
    return AcceptedFact(message_id, T, T, False, 0, Separation(survivor, merged, "tester", "not the same"))


def erasure(message_id: str, at_us: int, *keys: str, idle_since_us: int = 0) -> AcceptedFact:
    """An order to forget people."""
    return AcceptedFact(message_id, at_us, at_us, False, 0, ErasureOrder(keys, "why", "tester", idle_since_us))


def rules_order(message_id: str, change: SettingsChange) -> AcceptedFact:
    """An order to change the rules about identifiers."""
    return AcceptedFact(message_id, T, T, False, 0, RulesOrder(change, "tester"))


def search(pattern: str) -> Matches:
    """A compiler of patterns."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no pattern: {error}") from error
    return lambda text: compiled.search(text) is not None


def product(message_id: str, product_id: str, fields: Mapping[str, Scalar]) -> AcceptedFact:
    """A product of the catalogue."""
    return AcceptedFact(message_id, T, T, False, 0, ProductUpdate(product_id, fields))


def batch_of(position: int, items: Iterable[Item]) -> AcceptedBatch:
    """One entry of ingest's log with `items` in their order."""
    events = EventColumnsBuilder()
    facts = []
    for item in items:
        if isinstance(item, Event):
            events.add(item)
        else:
            facts.append(
                AcceptedFact(item.id, item.occurred_at_us, item.received_at_us, item.imported, len(events), item.fact)
            )
    return AcceptedBatch(position, events.build(), tuple(facts))


@dataclass
class World:
    """Durable state as dicts of bytes-like values; every batch is committed."""

    rules: IdentityRules = field(default_factory=IdentityRules)
    forgetful: bool = False  # start every batch with nothing in memory

    def __post_init__(self) -> None:
        self.links: dict[Identifier, Link] = {}
        self.rows: dict[int, bytes] = {}
        self.orders: set[int] = set()
        self.meta = Meta()
        self.merges: dict[int, MergeRecord] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.erased: list[ErasedPerson] = []
        self.seen = SeenIds()
        self.position = 0
        self.log: list[Folded] = []
        self.asked = 0
        self._open()

    def _open(self) -> None:
        self.state = WorkingSet(self.meta)
        self.folding = Fold("w", self.state, self.seen, self.rules, search)

    def take(self, *items: Item) -> Folded:
        """Fold one batch and make it durable."""
        if self.forgetful:
            self._open()
        self.position += 1
        steps = self.folding.fold(batch_of(self.position, items))
        while True:
            try:
                self._load(next(steps))
            except StopIteration as end:
                folded: Folded = end.value
                break
        self.state.keep()
        changes = self.state.changes()
        self.links.update(changes.links)
        self.rows.update((contact, encode_profile(profile)) for contact, profile in changes.profiles.items())
        for gone in changes.gone_links:
            self.links.pop(gone, None)
        for number in changes.gone_profiles:
            self.rows.pop(number, None)
        self.orders.update(changes.orders)
        suspects = {**self.meta.suspects, **changes.suspects}
        self.meta = Meta(
            changes.kinds or self.meta.kinds,
            changes.next_contact or self.meta.next_contact,
            changes.merge_count or self.meta.merge_count,
            changes.settings or self.meta.settings,
            {one: suspicion for one, suspicion in suspects.items() if suspicion is not None},
            {**self.meta.tombstones, **changes.tombstones},
        )
        self.erased += changes.erased
        self.merges.update((one.ordinal, decode_merge(encode_merge(one))) for one in changes.merges)
        for ordinal in changes.gone_merges:
            self.merges.pop(ordinal, None)
        self.outcomes.update(changes.outcomes)
        self.state.settle(1000, 1000)
        self.seen.add(folded.seen, folded.hour)
        self.log.append(folded)
        return folded

    def facts(self, *items: Item) -> tuple[ContactFact, ...]:
        """The facts of one batch."""
        return self.take(*items).facts

    def _load(self, wanted: Wanted) -> None:
        self.asked += 1
        self.state.load_links((one, self.links.get(one)) for one in wanted.identifiers)
        self.state.load_profiles(
            decode_profile(self.rows[contact]) for contact in wanted.contacts if contact in self.rows
        )
        self.state.load_orders((order, order in self.orders) for order in wanted.orders)
        self.state.load_merges(self.merges[ordinal] for ordinal in wanted.merges)
        for part in wanted.last_told:
            history = self.history(part)
            instants = [*history.event_instants_us, *(fact.occurred_at_us for _, fact in history.facts)]
            if instants:
                self.state.last_told[part] = max(instants)
        self.state.histories.update((part, self.history(part)) for part in wanted.histories)

    def history(self, part: int) -> PartHistory:
        """What the log holds of one part."""
        ids: list[str] = []
        instants: list[int] = []
        told: list[tuple[int, AttributeWrite | ListChange]] = []
        for position, folded in enumerate(self.log):
            mine = [row for row, of in enumerate(self.parts_of([folded])) if of == part]
            ids += [folded.events.ids[row] for row in mine]
            instants += folded.events.occurred_at_us[mine].tolist()
            for run in fact_runs(folded.facts):
                if run.part == part:
                    for index in range(run.index, run.end):
                        fact = folded.facts[index]
                        if isinstance(fact, AttributeWrite | ListChange):
                            told.append((position << 32 | index, fact))
        return PartHistory(tuple(ids), tuple(told), tuple(instants))

    def parts_of(self, folds: Sequence[Folded] | None = None) -> list[int]:
        """The part of every event."""
        parts: list[int] = []
        for folded in self.log if folds is None else folds:
            assert folded.events.contacts is not None
            parts += (folded.events.contacts if folded.parts is None else folded.parts).tolist()
        return parts

    def profile(self, contact: int) -> Profile:
        """The durable profile under a number."""
        return decode_profile(self.rows[contact])

    def people(self) -> list[Profile]:
        """All that are not part of another."""
        profiles = (decode_profile(row) for row in self.rows.values())
        return [profile for profile in profiles if profile.merged_into is None]

    def contacts_of(self, folds: Sequence[Folded] | None = None) -> list[int]:
        """The contact of every event, merges not followed."""
        contacts = []
        for folded in self.log if folds is None else folds:
            assert folded.events.contacts is not None
            contacts += folded.events.contacts.tolist()
        return contacts

    def root(self, contact: int) -> int:
        """The number that `contact` is part of now."""
        while (into := self.profile(contact).merged_into) is not None:
            contact = into
        return contact
