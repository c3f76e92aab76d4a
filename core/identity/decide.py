"""Whose fact is it? The one decision of identity, as a pure function of what is known. README.md has it in prose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.events.columns import Identifier
from core.identity.rules import CONTACT_KEY, EXTERNAL_ID, IdentityRules


@dataclass(frozen=True, slots=True)
class Evidence:
    """An identifier of a fact, and the contact that holds it at the fact's instant (None: nobody yet)."""

    identifier: Identifier
    contact: int | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a fact. `contact` is the one it belongs to after the `merges`, None for a new one. `merges`
    are (survivor, loser) in the order to apply. `links` become identifiers of the contact: strong ones for good,
    weak ones from the fact's instant on."""

    contact: int | None
    merges: tuple[tuple[int, int], ...]
    links: tuple[Identifier, ...]


@dataclass(slots=True)
class _Person:
    """The person of the fact, as far as the evidence was taken in."""

    rules: IdentityRules
    contact: int | None
    identifiers: set[Identifier]
    merges: list[tuple[int, int]]
    links: list[Identifier]
    parts: set[int]

    def strong(self) -> bool:
        return is_strong(self.identifiers, self.rules)

    def fits(self, more: frozenset[Identifier]) -> bool:
        union = self.identifiers | more
        counts = Counter(identifier.kind for identifier in union)
        mine = Counter(identifier.kind for identifier in self.identifiers)
        theirs = Counter(identifier.kind for identifier in more)
        # A limit that was lowered later does not tear apart what stands.
        return all(
            count <= self.rules.kinds[kind].limit or count == max(mine[kind], theirs[kind])
            for kind, count in counts.items()
        )

    def add(self, identifier: Identifier) -> None:
        """Link `identifier`, if the limit of its kind leaves room."""
        if identifier.kind != CONTACT_KEY and self.fits(frozenset((identifier,))):
            self.identifiers.add(identifier)
            self.links.append(identifier)

    def join(self, contact: int, identifiers: frozenset[Identifier]) -> None:
        """Become one with `contact`, unless a limit (one external id!) forbids it."""
        if contact in self.parts or not self.fits(identifiers):
            return
        self.parts.add(contact)
        if self.contact is None:
            self.contact = contact
        else:
            survivor, loser = self._survivor(contact, identifiers)
            self.merges.append((survivor, loser))
            self.contact = survivor
        self.identifiers |= identifiers

    def _survivor(self, other: int, identifiers: frozenset[Identifier]) -> tuple[int, int]:
        assert self.contact is not None
        mine = _rank(self.identifiers - set(self.links), self.rules), self.contact
        theirs = _rank(identifiers, self.rules), other
        return (self.contact, other) if mine < theirs else (other, self.contact)


def decide(evidence: Sequence[Evidence], held: Mapping[int, frozenset[Identifier]], rules: IdentityRules) -> Decision:
    """Decide a fact. `evidence` is in order of priority; `held` has the identifiers of every contact in it.

    Strong identifiers first: the one of highest priority names the person, every further one joins that person, with
    the profile that holds it, as long as no limit is passed; one that does not fit stays where it is. Then weak ones:
    a contact that has nothing strong joins the person; held by somebody else with strong identifiers, the weak one
    moves to the person (without merging anybody). A fact with weak identifiers only belongs to the holder.
    """
    person = _Person(rules, None, set(), [], [], set())
    weak = []
    for one in evidence:
        if not rules.kinds[one.identifier.kind].strong:
            weak.append(one)
        elif one.contact is None:
            person.add(one.identifier)
        else:
            person.join(one.contact, held[one.contact])
    named = person.contact is not None or bool(person.links)
    for one in sorted(weak, key=lambda one: _order_of_weak(one, held, rules)):
        if one.contact is None:
            person.add(one.identifier)
        elif not is_strong(held[one.contact], rules) or not person.strong():
            person.join(one.contact, held[one.contact])
        elif named and one.contact not in person.parts:
            _move(person, one)
    return Decision(person.contact, tuple(person.merges), tuple(person.links))


def is_strong(identifiers: frozenset[Identifier] | set[Identifier], rules: IdentityRules) -> bool:
    """Whether one of `identifiers` belongs to a person, not to a device."""
    return any(rules.kinds[identifier.kind].strong for identifier in identifiers)


def _move(person: _Person, one: Evidence) -> None:
    if one.identifier in person.identifiers:
        person.links.append(one.identifier)  # it comes back to somebody who held it before
    else:
        person.add(one.identifier)


def _order_of_weak(one: Evidence, held: Mapping[int, frozenset[Identifier]], rules: IdentityRules) -> int:
    """Holders with strong identifiers first, then anonymous ones, then nobody: the order of the fact's own list
    counts only among equals."""
    if one.contact is None:
        return 2
    return 0 if is_strong(held[one.contact], rules) else 1


def _rank(identifiers: set[Identifier] | frozenset[Identifier], rules: IdentityRules) -> int:
    if any(identifier.kind == EXTERNAL_ID for identifier in identifiers):
        return 0
    return 1 if is_strong(identifiers, rules) else 2
