"""The people of a batch: found, made, joined and written to, one fact after the other."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace

from core.events.columns import Identifier
from core.events.facts import AttributeWrite, ContactFact, ContactState, ListChange, Merge
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
        resolved = yield from self._resolve(names, at_us, before_event)
        if resolved is None:
            return None
        before, profile, links = resolved
        writes = []
        for one in links:
            present = profile.attributes.get(one.kind)
            if one.kind in MIRRORED_KINDS and (present is None or present.value is None):
                profile = with_attribute(profile, one.kind, Attribute(one.value, at_us, order))
                writes.append(AttributeWrite(profile.contact, one.kind, one.value, at_us, imported, before_event))
        self._put(before, profile, before_event)
        self.facts += writes
        return profile.contact

    def update(
        self, names: tuple[Identifier, ...], update: ProfileUpdate, fact: AcceptedFact, order: int, before_event: int
    ) -> Generator[Wanted, None, tuple[str, ...] | None]:
        """Write what a source told. Returns what had to be left out, as sentences; None: nobody's."""
        at_us, imported = fact.occurred_at_us, fact.imported
        resolved = yield from self._resolve(names, at_us, before_event)
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
        for change in update.consents:
            consent = Consent(change.state, change.source, at_us, order)
            profile = with_consent(profile, change.channel, consent)
        for list_name, member in update.lists:
            profile = with_move(profile, list_name, ListMove(member, at_us, order))
        self._put(before, profile, before_event)
        contact = profile.contact
        self.facts += [
            AttributeWrite(contact, name, value, at_us, imported, before_event) for name, value in written.items()
        ]
        self.facts += [
            ListChange(contact, list_name, member, at_us, imported, before_event) for list_name, member in update.lists
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
        self, names: tuple[Identifier, ...], at_us: int, before_event: int
    ) -> Generator[Wanted, None, tuple[_Summary | None, Profile, tuple[Identifier, ...]] | None]:
        """The person of a fact: its summary before (None: new), its profile with all merges and links applied, and
        the identifiers that are new to it. None: the identifiers name nobody."""
        evidence = [Evidence(one, _holder(self._state.links[one], at_us)) for one in names]
        holders = {one.contact for one in evidence if one.contact is not None}
        yield from self._need_profiles(holders)
        held = {contact: self._state.profile(contact).identifiers for contact in holders}
        decision = decide(evidence, held, self._rules)
        if decision.contact is None and not decision.links:
            return None
        before, profile = yield from self._person(decision, at_us, before_event)
        linked = [one for one in decision.links if self._link(one, profile.contact, at_us)]
        links = tuple(one for one in linked if one not in profile.identifiers)
        if links:
            profile = replace(profile, identifiers=profile.identifiers.union(links))
        return before, profile, links

    def _person(
        self, decision: Decision, at_us: int, before_event: int
    ) -> Generator[Wanted, None, tuple[_Summary | None, Profile]]:
        if decision.contact is None:
            return None, self._new(at_us)
        survivor = self._state.profile(decision.contact)
        before = self._summary(survivor)
        for winner, loser in decision.merges:
            yield from self._merge(winner, loser, before_event)
        return before, self._state.profile(decision.contact)

    def _new(self, at_us: int) -> Profile:
        contact = self._state.next_contact
        self._state.next_contact += 1
        key = new_key(self._workspace, contact, self._position)
        self._state.put_link(Identifier(CONTACT_KEY, key), contact)
        return Profile(contact, key, at_us)

    def _merge(self, survivor: int, loser: int, before_event: int) -> Generator[Wanted, None, None]:
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
        self.facts.append(Merge(survivor, loser, before_event))

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

    def _put(self, before: _Summary | None, profile: Profile, before_event: int) -> None:
        if before is None or profile is not self._state.profile(profile.contact):
            self._state.put_profile(profile)
        after = self._summary(profile)
        if before != after:
            known, reachable, first_seen_us = after
            self.facts.append(ContactState(profile.contact, profile.key, known, reachable, first_seen_us, before_event))

    def _summary(self, profile: Profile) -> _Summary:
        return profile.known(self._rules), profile.reachable(), profile.first_seen_us

    def _need_profiles(self, contacts: Iterable[int]) -> Generator[Wanted, None, None]:
        absent = tuple(contact for contact in contacts if not self._state.has_profile(contact))
        if absent:
            yield Wanted(contacts=absent)


def _holder(link: Link | None, at_us: int) -> int | None:
    return link if link is None or isinstance(link, int) else linked_at(link, at_us)
