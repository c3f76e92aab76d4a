"""Identity does not depend on the order, the batching or the repetition of facts that do not contradict each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.events.columns import Event, Identifier
from core.events.facts import EVENT_ITEM, AttributeWrite, ContactState, Merge, ProductState, Unmerge
from core.identity.links import contact_of, part_of
from core.identity.rules import DEFAULT_KINDS, MIRRORED_KINDS
from core.profile.accepted import ProfileUpdate
from core.profile.profile import Profile
from tests.unit.profile.people import Item, T, World, event, update

SEEDS = st.integers(0, 2**32 - 1)
Digest = frozenset[Any]


def _person_facts(random: Random, number: int, instants: list[int]) -> list[Item]:
    """Facts of one person that contradict neither each other nor anybody else's."""
    strong = [Identifier("external_id", f"x{number}")] if random.random() < 0.7 else []
    strong += [Identifier("email", f"{number}.{n}@example.com") for n in range(random.randint(0, 2))]
    strong += [Identifier("phone", f"+3805012345{number:02d}")] if random.random() < 0.5 else []
    cookies = [Identifier("anonymous_id", f"c{number}.{n}") for n in range(random.randint(0 if strong else 1, 3))]
    facts: list[Item] = []

    def add(*identifiers: Identifier) -> None:
        at_us, message_id = instants.pop(), f"m{number}.{len(facts)}"
        if random.random() < 0.6:
            facts.append(event(message_id, at_us, *identifiers))
            return
        facts.append(
            update(
                message_id,
                at_us,
                *identifiers,
                attributes={random.choice(("city", "plan")): random.choice(("a", "b", None))},
                consents={"webhook": random.choice(("granted", "unconfirmed"))} if number % 2 else {"sms": "denied"},
                lists={random.choice(("vip", "staff")): True} if random.random() < 0.3 else None,
            )
        )

    for one in strong[1:]:
        add(strong[0], one)
    for _ in range(random.randint(1, 8)):
        everything = strong + cookies
        add(*random.sample(everything, random.randint(1, min(3, len(everything)))))
    return facts


def _facts(random: Random) -> list[Item]:
    instants = random.sample(range(T - 10**9, T), 120)
    return [fact for number in range(6) for fact in _person_facts(random, number, instants)]


def _fold(random: Random, items: Sequence[Item], repetitions: int) -> World:
    """A world after `items` in their order, cut at random, with repetitions of what came before thrown in."""
    log = list(items)
    for _ in range(repetitions):
        place = random.randrange(len(log))
        log.insert(random.randint(place + 1, len(log)), log[place])
    world = World(forgetful=random.random() < 0.3)
    while log:
        size = random.choice((1, 2, 5, 50))
        world.take(*log[:size])
        del log[:size]
    return world


def _events_of(world: World) -> dict[int, set[str]]:
    found: dict[int, set[str]] = defaultdict(set)
    for folded in world.log:
        assert folded.events.contacts is not None
        for contact, message_id in zip(folded.events.contacts.tolist(), folded.events.ids, strict=True):
            assert message_id not in found[world.root(contact)]
            found[world.root(contact)].add(message_id)
    return found


def _digest(world: World, items: Sequence[Item]) -> Digest:
    """People by what they are, not by their numbers. Addresses come as attributes at instants of the log's choice."""
    instants = {item.id: item.occurred_at_us for item in items}
    events = _events_of(world)
    return frozenset(
        (
            person.identifiers,
            frozenset(
                (name, one.value, one.at_us) for name, one in person.attributes.items() if name not in MIRRORED_KINDS
            ),
            frozenset((name, one.state, one.at_us) for name, one in person.consents.items()),
            frozenset(name for name in person.lists if person.on_list(name)),
            frozenset(events[person.contact]),
            min((person.first_seen_us, *(instants[one] for one in events[person.contact]))),
        )
        for person in world.people()
    )


def _expected(items: Sequence[Item]) -> Digest:
    """The same from plain dicts: identifiers in one fact are one person, and everything else follows."""
    groups: list[set[Identifier]] = []
    for item in items:
        named = set(_identifiers(item))
        touched = [group for group in groups if group & named]
        groups = [group for group in groups if not group & named] + [named.union(*touched)]
    people = set()
    for group in groups:
        mine = sorted((item for item in items if group & set(_identifiers(item))), key=lambda item: item.occurred_at_us)
        attributes: dict[str, tuple[Any, int]] = {}
        consents: dict[str, tuple[str, int]] = {}
        lists: set[str] = set()
        for item in mine:
            if not isinstance(item, Event) and isinstance(item.fact, ProfileUpdate):
                attributes.update((name, (value, item.occurred_at_us)) for name, value in item.fact.attributes.items())
                consents.update((one.channel, (one.state, item.occurred_at_us)) for one in item.fact.consents)
                lists.update(name for name, _ in item.fact.lists)
        people.add(
            (
                frozenset(group),
                frozenset((name, *pair) for name, pair in attributes.items()),
                frozenset((name, *pair) for name, pair in consents.items()),
                frozenset(lists),
                frozenset(item.id for item in mine if isinstance(item, Event)),
                mine[0].occurred_at_us,
            )
        )
    return frozenset(people)


def _identifiers(item: Item) -> tuple[Identifier, ...]:
    if isinstance(item, Event):
        return item.identifiers
    assert isinstance(item.fact, ProfileUpdate)
    return item.fact.identifiers


@settings(max_examples=80, deadline=None)
@given(SEEDS)
def test_order_batching_and_repetition_do_not_show(seed: int) -> None:
    random = Random(seed)
    items = _facts(random)
    expected = _expected(items)
    for _ in range(4):
        random.shuffle(items)
        assert _digest(_fold(random, items, random.randrange(10)), items) == expected


@pytest.mark.parametrize("joins", [[(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)], [(0, 5), (1, 5), (2, 5), (3, 4), (4, 5)]])
def test_all_orders_of_five_merges_give_one_person(joins: list[tuple[int, int]]) -> None:
    mails = [Identifier("email", f"{n}@example.com") for n in range(5)] + [Identifier("external_id", "x")]
    outcomes = set()
    for order in permutations(joins):
        world = World()
        for n, one in enumerate(mails):
            world.take(update(f"u{n}", T + n, one, attributes={"city": f"city {n}"}, lists={f"list {n}": True}))
        facts = world.facts(*(event(f"j{a}{b}", T + 9, mails[a], mails[b]) for a, b in order))
        [person] = world.people()
        assert sum(isinstance(fact, Merge) for fact in facts) == 5
        assert person.contact == 6  # the one with an external id
        assert sorted(number for number, _ in person.merged) == [1, 2, 3, 4, 5]
        assert {world.root(number) for number in range(1, 7)} == {6}
        outcomes.add((person.identifiers, person.attributes["city"].value, frozenset(person.lists)))
    assert outcomes == {(frozenset(mails), "city 5", frozenset(f"list {n}" for n in range(6)))}


def contradicting(random: Random) -> list[Item]:
    """Facts with everything shared by everybody."""
    pool = [Identifier("external_id", f"x{n}") for n in range(4)]
    pool += [Identifier("email", f"{n}@example.com") for n in range(12)]
    pool += [Identifier("phone", f"+3805012345{n:02d}") for n in range(4)]
    pool += [Identifier("anonymous_id", f"c{n}") for n in range(5)] + [Identifier("push_token", "t")]
    items: list[Item] = []
    for n in range(80):
        names = random.sample(pool, random.randint(1, 3))
        at_us = T + random.randrange(100)
        if random.random() < 0.5:
            items.append(event(f"m{n}", at_us, *names))
        else:
            consents = {"webhook": random.choice(("granted", "suppressed"))}
            items.append(update(f"m{n}", at_us, *names, attributes={"n": n}, consents=consents))
    return items


@settings(max_examples=80, deadline=None)
@given(SEEDS)
def test_contradictions_are_settled_by_the_log_alone_and_pass_no_limit(seed: int) -> None:
    random = Random(seed)
    items = contradicting(random)
    worlds = [_fold(random, items, 0) for _ in range(3)]
    for world in worlds:
        assert_sound(world)
    assert len({story(world) for world in worlds}) == 1
    assert len({frozenset(map(_without_log_places, world.people())) for world in worlds}) == 1


def assert_sound(world: World) -> None:
    holders: dict[Identifier, int] = {}
    for person in world.people():
        kinds = [one.kind for one in person.identifiers]
        assert all(kinds.count(kind) <= rule.limit for kind, rule in DEFAULT_KINDS.items())
        for one in person.identifiers:
            if DEFAULT_KINDS[one.kind].strong:
                assert holders.setdefault(one, person.contact) == person.contact
    living = {person.contact for person in world.people()}
    for one, link in world.links.items():
        if isinstance(link, int):
            assert contact_of(link) in living
            assert one.kind == "contact_key" or holders[one] == contact_of(link)
        else:
            assert {contact_of(held) for _, held in link} <= living
            assert list(link) == sorted(link)
        for held in [link] if isinstance(link, int) else [held for _, held in link]:
            part = world.profile(contact_of(held)).part(part_of(held))
            assert one in part.identifiers or one == Identifier("contact_key", part.key)


def story(world: World) -> str:
    """Everything that was said, in order, without marks of where batches were cut."""
    told: list[Any] = []
    for folded in world.log:
        assert folded.events.contacts is not None
        facts = list(folded.facts)
        for row, contact in enumerate([*folded.events.contacts.tolist(), None]):
            while facts and facts[0].before_event <= row:
                fact = facts.pop(0)
                assert not isinstance(fact, ProductState)
                item = EVENT_ITEM if fact.item == EVENT_ITEM else 0
                if isinstance(fact, ContactState | Unmerge):
                    fact = replace(fact, key="")
                told.append(replace(fact, before_event=0, item=item))
            if contact is not None:
                told.append((folded.events.ids[row], contact))
        assert not facts
    return repr(told)


def _without_log_places(person: Profile) -> Any:
    return (
        person.contact,
        person.first_seen_us,
        person.identifiers,
        frozenset((name, one.value, one.at_us) for name, one in person.attributes.items()),
        frozenset((name, one.state, one.at_us) for name, one in person.consents.items()),
        frozenset(number for number, _ in person.merged),
    )


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_reachable_and_known_are_always_what_the_log_said_last(seed: int) -> None:
    random = Random(seed)
    world = _fold(random, contradicting(random), 5)
    said: dict[int, ContactState] = {}
    written: dict[tuple[int, str], list[AttributeWrite]] = defaultdict(list)
    for folded in world.log:
        for fact in folded.facts:
            if isinstance(fact, ContactState):
                said[fact.contact] = fact
            elif isinstance(fact, Merge):
                del said[fact.loser]
                for (contact, name), writes in list(written.items()):
                    if contact == fact.loser:
                        written[fact.survivor, name] += writes
            elif isinstance(fact, AttributeWrite):
                assert fact.contact in said
                written[fact.contact, fact.name].append(fact)
    for person in world.people():
        state = said.pop(person.contact)
        told = (state.key, state.known, state.reachable, state.occurred_at_us)
        assert told == (person.key, person.known(world.rules), person.reachable(), person.first_seen_us)
        for name, one in person.attributes.items():
            latest = max(fact.occurred_at_us for fact in written[person.contact, name])
            assert one.at_us == latest
            assert one.value in [f.value for f in written[person.contact, name] if f.occurred_at_us == latest]
    assert said == {}
