"""Whose a fact is: the person found, made or joined with others, as the working set has them."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace

from core.events.columns import Identifier
from core.events.facts import ContactFact, Merge
from core.identity.decide import Contest, Decision, Evidence, Joining, Known, decide
from core.identity.links import Holder, alone, contact_of, holder, holder_at, part_of, rehomed, with_link
from core.identity.rules import CONTACT_KEY, IdentityRules
from core.profile.merge import absorbed, merge
from core.profile.merge_log import MergeRecord
from core.profile.profile import Edge, Profile, new_key
from core.profile.working_set import Wanted, WorkingSet

_COUNTERS = {
    Contest.LIMIT: "limits_hit",
    Contest.EXTERNAL_IDS: "external_ids_apart",
    Contest.APART: "separated_apart",
}

#: Known, reachable, first seen.
Summary = tuple[bool, int, int]


@dataclass(frozen=True, slots=True)
class Origin:
    """What the facts about people come of: an accepted fact or an event, its instant, its place in the batch, and its
    place in the order of the log."""

    at_us: int
    imported: bool
    before_event: int
    item: int
    order: int


@dataclass(frozen=True, slots=True)
class Resolved:
    """The person of a fact, all merges applied. `before` is its summary before (None: new), `part` the one that the
    fact belongs to, `links` the identifiers that are new to that part."""

    before: Summary | None
    profile: Profile
    part: int
    links: tuple[Identifier, ...]

    def linked(self, part: Profile) -> Profile:
        """The part with its new identifiers."""
        return replace(part, identifiers=part.identifiers.union(self.links)) if self.links else part

    @property
    def other_part(self) -> int:
        """The part as facts carry it: 0 for the contact itself."""
        return 0 if self.part == self.profile.contact else self.part


class Resolver:
    """Finds the people of one batch's facts in the working set, and tells their merges in `facts`. Rules may change in
    the midst of a batch."""

    def __init__(self, workspace: str, position: int, state: WorkingSet, rules: IdentityRules) -> None:
        self._workspace = workspace
        self.position = position
        self.state = state
        self.rules = rules
        self.facts: list[ContactFact] = []

    def resolve(self, names: tuple[Identifier, ...], origin: Origin) -> Generator[Wanted, None, Resolved | None]:
        """The person of a fact; None: the identifiers name nobody."""
        at_us = origin.at_us
        evidence = [Evidence(one, _holder_at(self.state.links[one], at_us)) for one in names]
        yield from self.need_profiles({contact_of(one.holder) for one in evidence if one.holder is not None})
        decision = decide(evidence, self._known(evidence), self.rules)
        for identifier, contest in decision.contests:
            self._suspect(identifier, _COUNTERS[contest], at_us)
        if decision.part is None and not decision.links:
            return None
        before, profile, part = yield from self._person(decision, origin)
        here = holder(part, profile.contact)
        linked = [one for one in decision.links if self._link(one, here, at_us)]
        known = profile.part(part).identifiers
        return Resolved(before, profile, part, tuple(one for one in linked if one not in known))

    def _known(self, evidence: Sequence[Evidence]) -> Known:
        holders = {one.holder for one in evidence if one.holder is not None}
        profiles = {contact: self.state.profile(contact) for contact in map(contact_of, holders)}
        parts = {part_of(one): profiles[contact_of(one)].part(part_of(one)).identifiers for one in holders}
        apart = set()
        for contact, profile in profiles.items():
            strangers = {other for _, others in profile.apart for other in others}
            if strangers:
                met = [other for other in profiles if not strangers.isdisjoint(profiles[other].part_numbers())]
                apart |= {(min(contact, other), max(contact, other)) for other in met}
        return Known({contact: profile.identifiers for contact, profile in profiles.items()}, parts, apart)

    def _suspect(self, identifier: Identifier, counter: str, at_us: int) -> None:
        if identifier.kind != CONTACT_KEY:
            self.state.put_suspicion(identifier, self.state.suspicion(identifier).seen(counter, at_us))

    def _person(
        self, decision: Decision, origin: Origin
    ) -> Generator[Wanted, None, tuple[Summary | None, Profile, int]]:
        if decision.contact is None or decision.part is None:
            made = self._new(origin.at_us)
            return None, made, made.contact
        before = self.summary(self.state.profile(decision.contact))
        for joining in decision.merges:
            yield from self._merge(joining, origin)
        return before, self.state.profile(decision.contact), decision.part

    def _new(self, at_us: int) -> Profile:
        contact = self.state.next_contact
        self.state.next_contact += 1
        key = new_key(self._workspace, contact, self.position)
        self.state.put_link(Identifier(CONTACT_KEY, key), alone(contact))
        return Profile(contact, key, at_us)

    def _merge(self, joining: Joining, origin: Origin) -> Generator[Wanted, None, None]:
        """`loser` becomes part of `survivor`: every identifier that led to it leads to the survivor from now on."""
        survivor, gone = self.state.profile(joining.survivor), self.state.profile(joining.loser)
        yield from self.rehome(gone, joining.survivor)
        self.state.merge_count += 1
        ordinal = self.state.merge_count
        edge = Edge(ordinal, joining.winner_end, joining.loser_end, origin.order)
        self.state.put_profile(merge(survivor, gone, edge))
        self.state.put_profile(absorbed(gone, joining.survivor))
        keys = (survivor.key, gone.key)
        self.state.put_merge(
            MergeRecord(ordinal, joining.survivor, joining.loser, *keys, origin.at_us, self.position, joining.evidence)
        )
        self.facts.append(Merge(joining.survivor, joining.loser, origin.before_event, origin.item))

    def rehome(self, profile: Profile, contact: int) -> Generator[Wanted, None, None]:
        """Whatever leads to a part of `profile` leads to `contact` from now on."""
        parts = profile.parts or (profile,)
        moved = (*profile.identifiers, *(Identifier(CONTACT_KEY, part.key) for part in parts))
        absent = tuple(one for one in moved if one not in self.state.links)
        if absent:
            yield Wanted(identifiers=absent)
        homes = dict.fromkeys(profile.part_numbers(), contact)
        for one in moved:
            link = self.state.links[one]
            if link is not None:
                self.state.put_link(one, rehomed(link, homes))

    def _link(self, one: Identifier, here: Holder, at_us: int) -> bool:
        """Lead `one` to the holder `here`; False for a weak one that changed hands too often."""
        if self.rules.kinds[one.kind].strong:
            self.state.put_link(one, here)
            return True
        link = self.state.links[one]
        before = link if isinstance(link, tuple) else ()
        history = with_link(before, at_us, here, self.rules.moves_limit)
        if history is None:
            self._suspect(one, "moves_refused", at_us)
            return False
        if before and contact_of(holder_at(before, at_us)) != contact_of(here):
            self._suspect(one, "moves", at_us)
        self.state.put_link(one, history)
        return True

    def summary(self, profile: Profile) -> Summary:
        """Known, reachable, first seen."""
        return profile.known(self.rules), profile.reachable(), profile.first_seen_us

    def need_profiles(self, contacts: Iterable[int]) -> Generator[Wanted, None, None]:
        """Have these profiles in memory."""
        absent = tuple(contact for contact in contacts if not self.state.has_profile(contact))
        if absent:
            yield Wanted(contacts=absent)


def _holder_at(link: Holder | tuple[tuple[int, Holder], ...] | None, at_us: int) -> Holder | None:
    return None if link is None else holder_at(link, at_us)
