"""People are forgotten: who they were, what was told of them, and whatever led to them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from core.events.columns import Identifier
from core.events.facts import Erasure
from core.identity.links import contact_of, without
from core.identity.rules import CONTACT_KEY
from core.profile.accepted import ErasureOrder
from core.profile.erasures import ErasedPerson
from core.profile.merge_log import Outcome
from core.profile.people import People
from core.profile.profile import Profile
from core.profile.resolving import Origin
from core.profile.separate import NO_SUCH_CONTACT
from core.profile.working_set import Wanted

STILL_ACTIVE = "STILL_ACTIVE"


def erase(people: People, order_id: str, order: ErasureOrder, origin: Origin) -> Generator[Wanted, None, Outcome]:
    """Carry out `order`: of each person named, profiles of all parts, identifiers, records of merges and suspicions
    go. An identifier that was somebody else's at another time stays with them alone. With `idle_since_us`, whoever is
    known or was heard of after that instant stays. The outcome says why not where nobody was forgotten."""
    state = people.state
    named = tuple(Identifier(CONTACT_KEY, key) for key in order.keys)
    absent = tuple(one for one in named if one not in state.links)
    if absent:
        yield Wanted(identifiers=absent)
    links = [state.links[one] for one in named]
    contacts = sorted({contact_of(link) for link in links if isinstance(link, int)})
    yield from people.need_profiles(contacts)
    persons = [state.profile(contact) for contact in contacts]
    if not persons:
        return Outcome(NO_SUCH_CONTACT, "there is nobody with such a key")
    if order.idle_since_us:
        persons = yield from _idle(people, persons, order.idle_since_us)
    for person in persons:
        yield from _forget(people, person, _Asked(order_id, order, origin))
    if not persons:
        return Outcome(STILL_ACTIVE, "they are known, or were heard of since")
    return Outcome()


@dataclass(frozen=True, slots=True)
class _Asked:
    order_id: str
    order: ErasureOrder
    origin: Origin


def _idle(people: People, persons: list[Profile], since_us: int) -> Generator[Wanted, None, list[Profile]]:
    anonymous = [one for one in persons if not one.known(people.rules)]
    parts = tuple(part for one in anonymous for part in one.part_numbers())
    if parts:
        yield Wanted(last_told=parts)
    last_told = people.state.last_told
    return [
        one
        for one in anonymous
        if max(one.first_seen_us, *(last_told.get(part, 0) for part in one.part_numbers())) <= since_us
    ]


def _forget(people: People, person: Profile, asked: _Asked) -> Generator[Wanted, None, None]:
    state = people.state
    parts = person.parts or (person,)
    keys = tuple(part.key for part in parts)
    named = (*sorted(person.identifiers, key=_by_name), *(Identifier(CONTACT_KEY, key) for key in keys))
    absent = tuple(one for one in named if one not in state.links)
    if absent:
        yield Wanted(identifiers=absent)
    own = []
    for one in named:
        link = state.links[one]
        left = None if link is None else without(link, person.contact)
        if left is None:
            own.append(one)
            state.drop_link(one)
            state.forget_suspicion(one)
        else:
            state.put_link(one, left)
    for ordinal in {edge.ordinal for edge in person.edges} | set(person.undone):
        state.forget_merge(ordinal)
    numbers = person.part_numbers()
    for number in {*numbers, person.contact}:
        state.drop_profile(number)
    order, origin = asked.order, asked.origin
    state.put_erased(
        ErasedPerson(
            asked.order_id,
            (person.contact, *(number for number in numbers if number != person.contact)),
            keys,
            tuple(own),
            order.reason,
            order.asked_by,
            origin.at_us,
            people.position,
            bool(order.idle_since_us),
        )
    )
    people.facts.append(Erasure(person.contact, origin.before_event, origin.item))


def _by_name(one: Identifier) -> tuple[str, str]:
    return one.kind, one.value
