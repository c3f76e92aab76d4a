"""The index behind unification: whatever is merged and taken apart, it holds of everybody what the profiles say."""

from __future__ import annotations

from collections import defaultdict
from random import Random
from typing import Any

import numpy as np
from hypothesis import given, settings

from core.events.facts import FactBatch
from core.index.index import Index
from core.index.root import Root
from core.index.snapshot import decode, encode
from core.schema import Kind
from tests.property.test_unmerge import SEEDS, Reader, some_items, some_merge
from tests.unit.profile.people import Item, World, separation

_LATER_US = 2**61


def events_of(root: Root) -> dict[int, dict[str, int]]:
    """Contact -> event id -> instant."""
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for runs in root.events.values():
        for run in runs:
            for row, contact in enumerate(run.contacts.tolist()):
                found[contact][run.event_id(row)] = int(run.occurred_at_us[row])
    return found


def writes_of(root: Root) -> dict[int, set[tuple[str, Any, int]]]:
    """Contact -> (attribute, text, instant); the attributes of these worlds are texts."""
    found: dict[int, set[tuple[str, Any, int]]] = defaultdict(set)
    for name, view in root.attributes.items():
        run = view.all_writes()
        columns = (run.contacts, run.at_us, run.kinds, run.values)
        for contact, at_us, kind, value in zip(*(column.tolist() for column in columns), strict=True):
            found[contact].add((name, root.dictionary.text(value) if kind == Kind.TEXT else None, at_us))
    return found


def follow(random: Random, world: World) -> Root:
    """The index after the world's log; now and then it is restarted from a snapshot."""
    index = Index()
    for position, folded in enumerate(world.log, 1):
        batch = FactBatch(position, position, folded.events, folded.facts, folded.parts)
        index.apply(batch.events, batch.facts, batch.position)
        if random.random() < 0.1:
            index = decode(encode(index.root()))
    return index.root()


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_the_index_knows_of_everybody_what_unification_does(seed: int) -> None:
    random = Random(seed)
    world = World(forgetful=random.random() < 0.3)
    pending: list[Item] = []
    for number, item in enumerate(some_items(random, in_order=random.random() < 0.5)):
        pending.append(item)
        if random.random() < 0.15:
            world.take(*pending)
            pending = []
            chosen = some_merge(random, world)
            if chosen is not None:
                pending = [separation(f"s{number}", *chosen[1:])]
    world.take(*pending)

    root, reader, people = follow(random, world), Reader().read(world), world.people()
    numbers = np.array([person.contact for person in people], np.uint32)
    assert set(root.exists(_LATER_US).numbers().tolist()) == set(numbers.tolist())
    events, writes = events_of(root), writes_of(root)
    for person, earliest_us in zip(people, root.contacts.earliest_of(numbers).tolist(), strict=True):
        contact, state = person.contact, reader.states[person.contact]
        assert root.key_of(contact) == person.key == state.key
        assert events[contact] == reader.events[contact]
        assert writes[contact] == set(reader.writes[contact])
        assert earliest_us == min(person.first_seen_us, *reader.events[contact].values(), _LATER_US)
        for name in ("vip", "staff"):
            members = root.on_list(name, _LATER_US).numbers().tolist()
            assert (contact in members) is person.on_list(name), (seed, name, contact)
    assert {*events, *writes} <= set(numbers.tolist())
