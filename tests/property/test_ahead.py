"""Facts dated ahead: a profile shows what is in force at the instant of the question, whenever facts were received."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from core.events.columns import Event, Identifier
from core.identity.rules import MIRRORED_KINDS
from core.profile.ahead import due
from core.profile.profile import Profile
from tests.property.test_unmerge import Reader, some_merge
from tests.unit.profile.people import Item, T, World, event, separation, update

SEEDS = st.integers(0, 2**32 - 1)
_SPAN = 1_000


def _items(random: Random) -> list[Item]:
    """Facts in the order of the log, some dated ahead of their reception, no two of one instant."""
    instants = random.sample(range(T, T + 2 * _SPAN), 60)
    received = sorted(random.randrange(T, T + _SPAN) for _ in instants)
    people = [Identifier("external_id", f"x{n}") for n in range(2)] + [
        Identifier("email", f"{n}@example.com") for n in range(4)
    ]
    items: list[Item] = []
    for number, (at_us, received_us) in enumerate(zip(instants, received, strict=True)):
        names = random.sample(people, random.choice((1, 1, 1, 2)))
        if random.random() < 0.2:
            items.append(event(f"m{number}", at_us, *names, received_us=received_us))
            continue
        attributes = {random.choice(("city", "plan", "size")): random.choice(("a", "b", None))}
        lists = {random.choice(("vip", "staff")): random.random() < 0.6} if random.random() < 0.4 else None
        items.append(update(f"m{number}", at_us, *names, attributes=attributes, lists=lists, received_us=received_us))
    return items


def _late(item: Item, received_us: int) -> Item:
    return replace(item, received_at_us=received_us)


def _world(random: Random, batches: list[list[Item]]) -> World:
    world = World(forgetful=random.random() < 0.3)
    for items in batches:
        world.take(*items)
    return world


def _cut(random: Random, items: list[Item]) -> list[list[Item]]:
    batches, start = [], 0
    while start < len(items):
        size = random.choice((1, 2, 5, 20))
        batches.append(items[start : start + size])
        start += size
    return batches


def _told(person: Profile) -> Profile:
    """`person` without addresses as attributes: an event writes one where there is none yet, so that of several events
    the one counts that the log had first."""
    return replace(
        person,
        attributes={name: one for name, one in person.attributes.items() if name not in MIRRORED_KINDS},
        attributes_ahead={name: one for name, one in person.attributes_ahead.items() if name not in MIRRORED_KINDS},
        parts=tuple(_told(part) for part in person.parts),
    )


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_a_profile_does_not_show_when_facts_dated_ahead_were_received(seed: int) -> None:
    random = Random(seed)
    batches = _cut(random, _items(random))
    asked_us = T + random.randrange(_SPAN, 2 * _SPAN)
    as_told = _world(random, batches)
    all_at_once = _world(random, [[_late(item, asked_us) for item in items] for items in batches])
    assert not any(folded.dead for folded in as_told.log)
    shown = [[_told(due(one, asked_us)) for one in world.people()] for world in (as_told, all_at_once)]
    assert shown[0] == shown[1], f"seed {seed}"


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_profiles_and_followers_of_the_log_agree_at_every_instant(seed: int) -> None:
    """A follower, as the engine is one, keeps every write with its date: what is in force is the latest that is not
    ahead. Merges are taken back in between."""
    random = Random(seed)
    world = World(forgetful=random.random() < 0.3)
    for number, items in enumerate(_cut(random, _items(random))):
        world.take(*items)
        chosen = some_merge(random, world) if random.random() < 0.2 else None
        if chosen is not None:
            world.take(separation(f"s{number}", chosen[1], chosen[2]))
            assert world.outcomes[f"s{number}"].reason == ""
    follower = Reader().read(world)
    for asked_us in (T + _SPAN, T + random.randrange(_SPAN, 2 * _SPAN), T + 2 * _SPAN):
        for person in world.people():
            expected: dict[str, tuple[object, int]] = {}
            for name, value, at_us in sorted(follower.writes[person.contact], key=lambda write: write[2]):
                if at_us <= asked_us and name not in MIRRORED_KINDS:
                    expected[name] = (value, at_us)
            shown = due(person, asked_us)
            found = {n: (one.value, one.at_us) for n, one in shown.attributes.items() if n not in MIRRORED_KINDS}
            assert found == expected, f"seed {seed}"
            if not person.parts:
                on = {name: member for name, member, at_us in sorted(
                    follower.moves[person.contact], key=lambda move: move[2]) if at_us <= asked_us}  # fmt: skip
                assert {name: shown.on_list(name) for name in shown.lists} == on, f"seed {seed}"


def test_events_of_these_worlds_are_dated_ahead_too() -> None:
    items = _items(Random(1))
    ahead = [item for item in items if item.occurred_at_us > item.received_at_us]
    assert {isinstance(item, Event) for item in ahead} == {True, False}
