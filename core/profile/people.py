"""The people of a batch: found, made, joined and written to, one fact after the other."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace

from core.events.columns import Identifier
from core.events.facts import EVENT_ITEM, AttributeWrite, ContactFact, ContactState, ListChange, Merge
from core.identity.decide import Decision, Evidence, decide
from core.identity.links import Link, linked_at, renamed, with_link
from core.identity.normalise import normalised
from core.identity.rules import CONTACT_KEY, MIRRORED_KINDS, IdentityRules
from core.profile.accepted import AcceptedFact, ProfileUpdate
from core.profile.merge import absorbed, merge
from core.profile.profile import (
    Attribute,
    Consent,
    ListMove,
    Profile,
    new_key,
    seen_at,
    with_attribute,
    with_consent,
    with_move,
)
from core.profile.working_set import Wanted, WorkingSet
from core.schema import Value

_Summary = tuple[bool, int, int]


@dataclass(frozen=True, slots=True)
class _Origin:
    """What the facts about people come of: an accepted fact or an event, its instant and its place in the batch."""

    at_us: int
    imported: bool
    before_event: int
    item: int


class People:
    """Applies the facts of one batch to the working set. `facts` are the changes so far, in order.

    Every fact gives, in this order: merges, the contact's state if it changed, attribute writes, list changes.
    """

    def __init__(self, workspace: str, position: int, state: WorkingSet, rules: IdentityRules) -> None:
        self._workspace = workspace
        self._position = position
        self._state = state
        self._rules = rules
        self.facts: list[ContactFact] = []

    def of_event(
        self, names: tuple[Identifier, ...], at_us: int, order: int, before_event: int, imported: bool
    ) -> Generator[Wanted, None, int | None]:
        """The contact of an event whose identifiers do not all name the same one yet; None: nobody's.

        An external id, email or phone that is new to the contact becomes an attribute where there is none yet.
        """
        origin = _Origin(at_us, imported, before_event, EVENT_ITEM)
        resolved = yield from self._resolve(names, origin)
        if resolved is None:
            return None
        before, profile, links = resolved
        writes = []
        for one in links:
            present = profile.attributes.get(one.kind)
            if one.kind in MIRRORED_KINDS and (present is None or present.value is None):
                profile = with_attribute(profile, one.kind, Attribute(one.value, at_us, order))
                writes.append(_written(profile.contact, one.kind, one.value, origin))
        self._put(before, profile, origin)
        self.facts += writes
        return profile.contact

    def update(
        self,
        names: tuple[Identifier, ...],
        update: ProfileUpdate,
        fact: AcceptedFact,
        order: int,
        before_event: int,
        item: int = 0,
    ) -> Generator[Wanted, None, tuple[str, ...] | None]:
        """Write what `fact`, number `item` of the batch's facts, told. A consent counts from when it was received at
        the latest. Returns what had to be left out, as sentences; None: nobody's."""
        at_us = fact.occurred_at_us
        origin = _Origin(at_us, fact.imported, before_event, item)
        resolved = yield from self._resolve(names, origin)
        if resolved is None:
            return None
        before, profile, _ = resolved
        profile = seen_at(profile, at_us)
        written: dict[str, Value | None] = {
            one.kind: one.value for one in reversed(names) if one.kind in MIRRORED_KINDS and one in profile.identifiers
        }
        wrong = []
        for name, value in update.attributes.items():
            try:
                written[name] = self._fitted(name, value)
            except ValueError as error:
                wrong.append(str(error))
        for name, value in written.items():
            profile = with_attribute(profile, name, Attribute(value, at_us, order))
        # Dated ahead, a grant would outlast every refusal until that instant.
        consent_at_us = min(at_us, fact.received_at_us)
        for change in update.consents:
            consent = Consent(change.state, change.source, consent_at_us, order)
            profile = with_consent(profile, change.channel, consent)
        for list_name, member in update.lists:
            profile = with_move(profile, list_name, ListMove(member, at_us, order))
        self._put(before, profile, origin)
        contact = profile.contact
        self.facts += [_written(contact, name, value, origin) for name, value in written.items()]
        self.facts += [
            ListChange(contact, list_name, member, at_us, fact.imported, before_event, item)
            for list_name, member in update.lists
        ]
        return tuple(wrong)

    def _fitted(self, name: str, value: Value | None) -> Value | None:
        if value is None:
            return None
        if name in MIRRORED_KINDS and isinstance(value, str):
            one = normalised(Identifier(name, value), self._rules)
            return value if one is None else one.value
        fitted = self._state.kinds.fitted(name, value)
        self._state.kinds = self._state.kinds.learned(name, fitted)
        return fitted

    def _resolve(
        self, names: tuple[Identifier, ...], origin: _Origin
    ) -> Generator[Wanted, None, tuple[_Summary | None, Profile, tuple[Identifier, ...]] | None]:
        """The person of a fact: its summary before (None: new), its profile with all merges and links applied, and
        the identifiers that are new to it. None: the identifiers name nobody."""
        at_us = origin.at_us
        evidence = [Evidence(one, _holder(self._state.links[one], at_us)) for one in names]
        holders = {one.contact for one in evidence if one.contact is not None}
        yield from self._need_profiles(holders)
        held = {contact: self._state.profile(contact).identifiers for contact in holders}
        decision = decide(evidence, held, self._rules)
        if decision.contact is None and not decision.links:
            return None
        before, profile = yield from self._person(decision, origin)
        linked = [one for one in decision.links if self._link(one, profile.contact, at_us)]
        links = tuple(one for one in linked if one not in profile.identifiers)
        if links:
            profile = replace(profile, identifiers=profile.identifiers.union(links))
        return before, profile, links

    def _person(self, decision: Decision, origin: _Origin) -> Generator[Wanted, None, tuple[_Summary | None, Profile]]:
        if decision.contact is None:
            return None, self._new(origin.at_us)
        survivor = self._state.profile(decision.contact)
        before = self._summary(survivor)
        for winner, loser in decision.merges:
            yield from self._merge(winner, loser, origin)
        return before, self._state.profile(decision.contact)

    def _new(self, at_us: int) -> Profile:
        contact = self._state.next_contact
        self._state.next_contact += 1
        key = new_key(self._workspace, contact, self._position)
        self._state.put_link(Identifier(CONTACT_KEY, key), contact)
        return Profile(contact, key, at_us)

    def _merge(self, survivor: int, loser: int, origin: _Origin) -> Generator[Wanted, None, None]:
        """`loser` becomes part of `survivor`: every identifier that led to it leads to the survivor from now on."""
        gone = self._state.profile(loser)
        keys = (gone.key, *(key for _, key in gone.merged))
        moved = (*gone.identifiers, *(Identifier(CONTACT_KEY, key) for key in keys))
        absent = tuple(one for one in moved if one not in self._state.links)
        if absent:
            yield Wanted(identifiers=absent)
        for one in moved:
            link = self._state.links[one]
            if link is not None:
                self._state.put_link(one, survivor if isinstance(link, int) else renamed(link, loser, survivor))
        self._state.put_profile(merge(self._state.profile(survivor), gone))
        self._state.put_profile(absorbed(gone, survivor))
        self.facts.append(Merge(survivor, loser, origin.before_event, origin.item))

    def _link(self, one: Identifier, contact: int, at_us: int) -> bool:
        """Lead `one` to `contact`; False for a weak one that changed hands too often."""
        if self._rules.kinds[one.kind].strong:
            self._state.put_link(one, contact)
            return True
        link = self._state.links[one]
        history = with_link(link if isinstance(link, tuple) else (), at_us, contact, self._rules.moves_limit)
        if history is None:
            return False
        self._state.put_link(one, history)
        return True

    def _put(self, before: _Summary | None, profile: Profile, origin: _Origin) -> None:
        if before is None or profile is not self._state.profile(profile.contact):
            self._state.put_profile(profile)
        after = self._summary(profile)
        if before != after:
            known, reachable, first_seen_us = after
            self.facts.append(
                ContactState(
                    profile.contact,
                    profile.key,
                    known,
                    reachable,
                    first_seen_us,
                    origin.before_event,
                    origin.imported,
                    origin.at_us,
                    origin.item,
                )
            )

    def _summary(self, profile: Profile) -> _Summary:
        return profile.known(self._rules), profile.reachable(), profile.first_seen_us

    def _need_profiles(self, contacts: Iterable[int]) -> Generator[Wanted, None, None]:
        absent = tuple(contact for contact in contacts if not self._state.has_profile(contact))
        if absent:
            yield Wanted(contacts=absent)


def _written(contact: int, name: str, value: Value | None, origin: _Origin) -> AttributeWrite:
    return AttributeWrite(contact, name, value, origin.at_us, origin.imported, origin.before_event, origin.item)


def _holder(link: Link | None, at_us: int) -> int | None:
    return link if link is None or isinstance(link, int) else linked_at(link, at_us)
