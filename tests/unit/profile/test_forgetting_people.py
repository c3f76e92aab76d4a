"""Erasures in the fold: against a plain model over random facts, and the cases that a model would not meet."""

from __future__ import annotations

import random

import pytest

from core.events.columns import Identifier
from core.events.facts import ContactFact, Erasure
from core.identity.links import alone, contact_of, holder, holder_at, without
from core.profile.erase import STILL_ACTIVE
from core.profile.erasures import ErasedPerson, decode_erased, encode_erased, keyed_blind, plain_blind
from core.profile.profile import Profile
from core.profile.separate import NO_SUCH_CONTACT
from tests.unit.profile.people import DAY_US, T, World, X, erasure, event, update

A, B = (Identifier("email", f"{name}@example.com") for name in "ab")
G = Identifier("email", "g@example.com")
COOKIE, OTHER = Identifier("anonymous_id", "cookie"), Identifier("anonymous_id", "other")


class Folding:
    """Facts and orders, each in an entry of its own."""

    def __init__(self, *, forgetful: bool = False) -> None:
        self.world = World(forgetful=forgetful)
        self._count = 0

    def _next(self) -> str:
        self._count += 1
        return f"m{self._count}"

    def identify(self, at_us: int, *names: Identifier) -> None:
        """Somebody has these identifiers."""
        self.world.take(update(self._next(), at_us, *names))

    def track(self, at_us: int, *names: Identifier) -> str:
        """An event; its id."""
        message_id = self._next()
        self.world.take(event(message_id, at_us, *names))
        return message_id

    def erase(self, at_us: int, *keys: str, idle_since_us: int = 0) -> tuple[ContactFact, ...]:
        """The facts of an order."""
        return self.world.facts(erasure(self._next(), at_us, *keys, idle_since_us=idle_since_us))

    def find(self, one: Identifier, at_us: int = 1 << 60) -> Profile | None:
        """Whose it is at an instant."""
        link = self.world.links.get(one)
        return None if link is None else self.world.profile(contact_of(holder_at(link, at_us)))

    def person(self, one: Identifier) -> Profile:
        """The same, of somebody who must be there."""
        found = self.find(one)
        assert found is not None
        return found

    def reason(self) -> str:
        """What became of the last order."""
        return list(self.world.outcomes.values())[-1].reason

    def events_of(self, contact: int) -> list[str]:
        """Ids of a contact's events, in the order of the log."""
        ids = [one for folded in self.world.log for one in folded.events.ids]
        return [one for one, of in zip(ids, self.world.contacts_of(), strict=True) if of == contact]


def key_of(folding: Folding, one: Identifier) -> str:
    return folding.person(one).key


def test_a_link_forgets_one_of_its_holders() -> None:
    assert without(alone(5), 5) is None
    assert without(holder(4, 5), 5) is None
    assert without(alone(4), 5) == alone(4)
    history = ((10, alone(1)), (20, alone(5)), (30, alone(1)), (40, alone(2)))
    assert without(history, 5) == ((10, alone(1)), (40, alone(2)))
    assert without(((10, alone(5)),), 5) is None


def test_everything_that_led_to_a_person_leads_nowhere() -> None:
    folding = Folding()
    folding.identify(T, X, A)
    folding.identify(T, B)
    folding.identify(T + 1, X, B)
    folding.track(T + 2, X, COOKIE)
    folding.identify(T, G)
    keys = [part.key for part in folding.person(X).parts]
    assert len(keys) == 2
    facts = folding.erase(T + 10, keys[1])
    assert [type(fact) for fact in facts] == [Erasure]
    for gone in (X, A, B, COOKIE):
        assert folding.find(gone) is None
    assert folding.find(G) is not None
    [erased] = folding.world.erased
    assert set(erased.keys) == set(keys)
    assert {X, A, B, COOKIE} < set(erased.identifiers)
    assert not folding.world.merges
    assert folding.erase(T + 11, keys[1]) == ()
    assert folding.reason() == NO_SUCH_CONTACT


def test_a_cookie_that_changed_hands_stays_with_the_other() -> None:
    folding = Folding()
    folding.identify(T, A)
    folding.identify(T, B)
    folding.track(T + 10, A, COOKIE)
    folding.track(T + 20, B, COOKIE)
    folding.erase(T + 30, key_of(folding, A))
    mine = folding.find(COOKIE, T + 25)
    assert mine is not None
    assert mine.contact == folding.person(B).contact
    [erased] = folding.world.erased
    assert COOKIE not in erased.identifiers


def test_what_happened_before_is_nobodys_and_what_comes_after_is_new() -> None:
    folding = Folding()
    folding.identify(T, A)
    first = folding.person(A)
    folding.erase(T + 100, first.key)
    folding.identify(T + 100, A)
    folding.track(T + 50, A, COOKIE)
    assert folding.find(A) is None
    shared = folding.find(COOKIE)
    assert shared is not None, "the cookie was not theirs"
    folding.identify(T + 101, A)
    assert folding.person(A).contact > first.contact
    folding.track(T + 20, A)
    assert folding.events_of(folding.person(A).contact) == []


def test_who_expires_must_be_anonymous_and_silent() -> None:
    folding = Folding()
    folding.track(T, COOKIE)
    folding.track(T, OTHER)
    folding.track(T + 5 * DAY_US, OTHER)
    folding.identify(T, A)
    keys = [key_of(folding, one) for one in (COOKIE, OTHER, A)]
    folding.erase(T + 9 * DAY_US, *keys, idle_since_us=T + DAY_US)
    assert folding.find(COOKIE) is None
    assert folding.find(OTHER) is not None
    assert folding.find(A) is not None
    assert all(one.expired for one in folding.world.erased)
    folding.track(T, COOKIE)
    assert folding.find(COOKIE) is not None, "who expired leaves no trace that would bar a return"
    assert folding.reason() == ""
    folding.erase(T + 9 * DAY_US, keys[1], idle_since_us=T + DAY_US)
    assert folding.reason() == STILL_ACTIVE
    folding.erase(T, "0123456789abcdef")
    assert folding.reason() == NO_SUCH_CONTACT


def test_stored_forms() -> None:
    person = ErasedPerson("erase:1", (3, 2), ("k3", "k2"), (A, X), "why", "who", T, 7, False)
    assert decode_erased(encode_erased(person)) == person
    assert encode_erased(person).startswith(b'{"asked_by":"who","at_us":')
    with pytest.raises(ValueError, match="format 2"):
        decode_erased(encode_erased(person).replace(b'"v":1', b'"v":2'))
    blind = keyed_blind(b"secret", "w")
    assert len(blind(A)) == len(plain_blind(A)) == 16
    assert len({blind(A), blind(B), plain_blind(A), keyed_blind(b"secret", "v")(A), keyed_blind(b"s", "w")(A)}) == 5


@pytest.mark.parametrize("forgetful", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_a_world_without_them(seed: int, *, forgetful: bool) -> None:
    """Whoever is left after random facts and erasures is as in a world where the forgotten had been other people with
    identifiers of their own: same identifiers, attributes and events."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    emails = [Identifier("email", f"p{number}@example.com") for number in range(6)]
    folding = Folding(forgetful=forgetful)
    plain: dict[Identifier, list[str]] = {one: [] for one in emails}
    for step in range(120):
        at_us = T + step * 1_000
        one = chance.choice(emails)
        if chance.random() < 0.12 and plain[one]:
            folding.erase(at_us, key_of(folding, one))
            plain[one] = []
        else:
            plain[one].append(folding.track(at_us, one))
    for one, events in plain.items():
        found = folding.find(one)
        assert (found is not None) == bool(events), one
        if found is not None:
            assert folding.events_of(found.contact) == events
