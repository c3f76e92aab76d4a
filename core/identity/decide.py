"""Whose fact is it? The one decision of identity, as a pure function of what is known. README.md has it in prose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum

from core.events.columns import Identifier
from core.identity.links import Holder, contact_of, part_of
from core.identity.rules import CONTACT_KEY, EXTERNAL_ID, IdentityRules

_NONE: AbstractSet[tuple[int, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class Evidence:
    """An identifier of a fact, and who holds it at the fact's instant (None: nobody yet)."""

    identifier: Identifier
    holder: Holder | None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of those whom the evidence names: the identifiers of each contact and of each part, and the pairs
    of contacts (the lower number first) that were taken apart and never become one again."""

    contacts: Mapping[int, AbstractSet[Identifier]]
    parts: Mapping[int, AbstractSet[Identifier]]
    apart: AbstractSet[tuple[int, int]] = _NONE


@dataclass(frozen=True, slots=True)
class Joining:
    """Contact `loser` becomes part of `survivor`, as `evidence` stood together in one fact: identifiers of the parts
    `winner_end` (of the survivor) and `loser_end` (of the loser)."""

    survivor: int
    loser: int
    winner_end: int
    loser_end: int
    evidence: tuple[Identifier, Identifier]


class Contest(Enum):
    """Why an identifier did not do what its fact asked for."""

    LIMIT = "limit"  # a profile that it named holds no more of a kind
    EXTERNAL_IDS = "external_ids"  # it stands between two external ids
    APART = "apart"  # it stands between two people who were taken apart


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a fact. It belongs to `part` of `contact` after the `merges`; both None for a new one.
    `merges` are in the order to apply. `links` become identifiers of the part: strong ones for good, weak ones from
    the fact's instant on. `contests` tell which identifiers contradicted what stands."""

    part: int | None
    contact: int | None
    merges: tuple[Joining, ...]
    links: tuple[Identifier, ...]
    contests: tuple[tuple[Identifier, Contest], ...] = ()


@dataclass(slots=True)
class _Person:
    """The person of the fact, as far as the evidence was taken in."""

    rules: IdentityRules
    known: Known
    contact: int | None = None
    part: int | None = None
    named_by: Identifier | None = None
    identifiers: set[Identifier] = field(default_factory=set)
    merges: list[Joining] = field(default_factory=list)
    links: list[Identifier] = field(default_factory=list)
    contests: list[tuple[Identifier, Contest]] = field(default_factory=list)
    joined: set[int] = field(default_factory=set)

    def strong(self) -> bool:
        return is_strong(self.identifiers, self.rules)

    def misfit(self, more: AbstractSet[Identifier]) -> str | None:
        """The kind whose limit forbids to hold `more` as well, of several that of the first code (an external id);
        None: they fit."""
        mine = Counter([identifier.kind for identifier in self.identifiers])
        theirs = Counter([identifier.kind for identifier in more])
        shared = Counter([identifier.kind for identifier in self.identifiers & more])
        if not self.identifiers:
            return None  # what one profile holds already stands, whatever the limits are now
        kinds = self.rules.kinds
        passed = []
        for kind, count in theirs.items():
            united = count + mine[kind] - shared[kind]
            # A limit that was lowered later does not tear apart what stands.
            if united > kinds[kind].limit and united != max(mine[kind], count):
                passed.append(kind)
        return min(passed, key=lambda kind: kinds[kind].code, default=None)

    def add(self, identifier: Identifier) -> None:
        """Link `identifier`, if the limit of its kind leaves room."""
        if identifier.kind == CONTACT_KEY:
            return
        if self.misfit({identifier}) is None:
            self.identifiers.add(identifier)
            self.links.append(identifier)
            self.named_by = self.named_by or identifier
        else:
            self.contests.append((self.named_by or identifier, Contest.LIMIT))

    def move(self, identifier: Identifier) -> None:
        """Take a weak identifier over from another part."""
        if identifier in self.identifiers:
            self.links.append(identifier)
        else:
            self.add(identifier)

    def join(self, identifier: Identifier, one: Holder) -> bool:
        """Become one with the contact of `one`, unless they were taken apart or a limit (one external id!) forbids
        it. True if they are one."""
        contact, part = contact_of(one), part_of(one)
        if contact in self.joined:
            return True
        theirs = self.known.contacts[contact]
        if self.contact is not None and self._apart(contact):
            self.contests.append((identifier, Contest.APART))
            return False
        misfit = self.misfit(theirs)
        if misfit is not None:
            self.contests.append((identifier, Contest.EXTERNAL_IDS if misfit == EXTERNAL_ID else Contest.LIMIT))
            return False
        self.joined.add(contact)
        if self.contact is None or self.part is None:
            self.contact, self.part, self.named_by = contact, part, self.named_by or identifier
        else:
            self.contact = self._merge(identifier, contact, part, theirs)
        self.identifiers |= theirs
        return True

    def _apart(self, contact: int) -> bool:
        return any((min(one, contact), max(one, contact)) in self.known.apart for one in self.joined)

    def _merge(self, identifier: Identifier, other: int, part: int, theirs: AbstractSet[Identifier]) -> int:
        assert self.contact is not None
        assert self.part is not None
        assert self.named_by is not None
        mine = _rank(self.identifiers - set(self.links), self.rules), self.contact
        evidence = (self.named_by, identifier)
        if mine < (_rank(theirs, self.rules), other):
            self.merges.append(Joining(self.contact, other, self.part, part, evidence))
            return self.contact
        self.merges.append(Joining(other, self.contact, part, self.part, evidence))
        return other


def decide(evidence: Sequence[Evidence], known: Known, rules: IdentityRules) -> Decision:
    """Decide a fact. `evidence` is in order of priority.

    Strong identifiers first: the one of highest priority names the person and the part; every further one joins that
    person, with the profile that holds it, as long as no limit is passed and nobody took the two apart; one that does
    not fit stays where it is. Then weak ones: a contact that has nothing strong joins the person; held by another part
    or by somebody else with strong identifiers, the weak one moves to the part. A fact with weak identifiers only
    belongs to the holder.
    """
    person = _Person(rules, known)
    weak = []
    for one in evidence:
        if not rules.kinds[one.identifier.kind].strong:
            weak.append(one)
        elif one.holder is None:
            person.add(one.identifier)
        else:
            person.join(one.identifier, one.holder)
    named = person.contact is not None or bool(person.links)
    for one in sorted(weak, key=lambda one: _order_of_weak(one, known, rules)):
        if one.holder is None:
            person.add(one.identifier)
            continue
        stays = False
        if not is_strong(known.contacts[contact_of(one.holder)], rules) or not person.strong():
            stays = not person.join(one.identifier, one.holder) and person.contests[-1][1] is not Contest.APART
        if named and not stays and person.part != part_of(one.holder):
            person.move(one.identifier)
    merges, links, contests = tuple(person.merges), tuple(person.links), tuple(person.contests)
    return Decision(person.part, person.contact, merges, links, contests)


def is_strong(identifiers: AbstractSet[Identifier], rules: IdentityRules) -> bool:
    """Whether one of `identifiers` belongs to a person, not to a device."""
    return any(rules.kinds[identifier.kind].strong for identifier in identifiers)


def _order_of_weak(one: Evidence, known: Known, rules: IdentityRules) -> int:
    """Parts with strong identifiers first, then anonymous ones, then nobody: the order of the fact's own list counts
    only among equals."""
    if one.holder is None:
        return 2
    return 0 if is_strong(known.parts[part_of(one.holder)], rules) else 1


def _rank(identifiers: AbstractSet[Identifier], rules: IdentityRules) -> int:
    if any(identifier.kind == EXTERNAL_ID for identifier in identifiers):
        return 0
    return 1 if is_strong(identifiers, rules) else 2
