"""What is known about names, against plain counting."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from core.analytics.names import (
    describe_attribute,
    describe_element,
    describe_event,
    describe_item,
    describe_parameter,
    describe_product,
    known_in,
)
from core.events.columns import MACHINE
from core.schema import DecimalUnits, Scalar
from tests.unit.index.small_world import SmallWorld

NOW_US = 1_000
PEOPLE = 40


def _number(random: Random) -> Scalar:
    return random.randint(-2, 2) if random.random() < 0.6 else DecimalUnits(random.randint(-2, 2) * 5_000)


def _units(value: object) -> object:
    return DecimalUnits(value * 10_000) if isinstance(value, int) and not isinstance(value, bool) else value


@pytest.mark.parametrize("seed", range(15))
def test_attributes_and_parameters_are_counted_exactly(seed: int) -> None:
    print(f"seed {seed}")
    random = Random(seed)
    world = SmallWorld().contacts(*range(PEOPLE))
    merged, erased = {1: 0, 3: 2}, {5, 6}
    latest: dict[tuple[int, str], tuple[int, int, object]] = {}
    params: Counter[object] = Counter()
    items: Counter[object] = Counter()
    times: list[int] = []
    events = lines = 0
    for number in range(300):
        contact, at_us = random.randrange(PEOPLE), random.randint(0, 2 * NOW_US)
        owner = merged.get(contact, contact)
        if random.random() < 0.5:
            name = random.choice(["spent", "color"])
            value: object = _number(random) if name == "spent" else random.choice("abc")
            if random.random() < 0.1:
                value = None
            world.attribute(contact, name, value, at_us)
            if at_us <= NOW_US:
                latest[owner, name] = max(
                    latest.get((owner, name), (-1, -1, None)), (at_us, number, value), key=lambda w: w[:2]
                )
            continue
        machine = random.random() < 0.2
        fields = {"cost": _number(random)} if random.random() < 0.8 else {}
        sizes = [random.randint(0, 3) for _ in range(random.randint(0, 2))]
        world.event(
            contact,
            "folded",
            at_us,
            params=fields,
            items=tuple({"size": size} for size in sizes),
            flags=MACHINE if machine else 0,
        )
        if owner not in erased and at_us <= NOW_US and not machine:
            events, lines = events + 1, lines + len(sizes)
            params.update(_units(value) for value in fields.values())
            items.update(sizes)
            times += [at_us] if fields else []
    for loser, survivor in merged.items():
        world.merge(survivor, loser)
    for contact in erased:
        world.erase(contact)
    root = world.root()
    people = PEOPLE - len(merged) - len(erased)
    for name in ("spent", "color"):
        held = Counter(
            _units(value)
            for (contact, attribute), (_, _, value) in latest.items()
            if attribute == name and contact not in erased and value is not None
        )
        found = describe_attribute(root, name, NOW_US, 100)
        assert (found.having, found.total, found.distinct) == (held.total(), people, len(held))
        assert Counter(dict(found.examples)) == held
        assert [count for _, count in found.examples] == sorted(held.values(), reverse=True)
        assert describe_attribute(root, name, NOW_US, 2).examples == found.examples[:2]
    cost = describe_parameter(root, "folded", "cost", NOW_US, 100)
    assert (cost.having, cost.total, cost.distinct) == (params.total(), events, len(params))
    assert Counter(dict(cost.examples)) == params
    assert (cost.first_us, cost.last_us) == (min(times), max(times))
    size = describe_item(root, "size", NOW_US, 100)
    assert (size.having, size.total, Counter(dict(size.examples))) == (items.total(), lines, items)
    folded = describe_event(root, "folded", NOW_US)
    assert (folded.having, folded.total) == (events, events)


def test_lists_elements_and_products() -> None:
    world = SmallWorld().contacts(0, 1, 2)
    world.attribute(0, "tags", ("a", "b", "a")).attribute(1, "tags", ("b",)).attribute(2, "tags", ())
    pets = ({"name": "Rex", "age": 3}, {"name": "Tom"})
    world.attribute(0, "pets", pets).attribute(1, "pets", pets).attribute(2, "pets", ({"age": 3},))
    world.product("p1", 1, weight=3).product("p2", 1, weight=3).product("p2", 2).product("p3", 5_000, weight=1)
    root = world.root()
    tags = describe_attribute(root, "tags", NOW_US, 10)
    assert (tags.having, tags.distinct, tags.examples) == (3, 2, (("b", 2), ("a", 1)))
    assert describe_attribute(root, "pets", NOW_US, 10).examples == ()
    names = describe_element(root, "pets", "name", NOW_US, 10)
    assert (names.having, names.total, names.examples) == (4, 5, (("Rex", 2), ("Tom", 2)))
    assert describe_element(root, "pets", "age", NOW_US, 10).examples == ((3, 3),)
    weight = describe_product(root, "weight", NOW_US, 10)
    assert (weight.having, weight.total, weight.examples) == (1, 1, ((3, 1),))
    assert set(known_in(root, "element", "pets")) == {"name", "age"}


def test_nothing_is_known_of_nothing() -> None:
    root = SmallWorld().root()
    for found in (
        describe_attribute(root, "x", NOW_US, 10),
        describe_element(root, "x", "y", NOW_US, 10),
        describe_event(root, "x", NOW_US),
        describe_parameter(root, "x", "y", NOW_US, 10),
        describe_item(root, "x", NOW_US, 10),
        describe_product(root, "x", NOW_US, 10),
    ):
        assert (found.having, found.total, found.distinct, found.examples, found.first_us) == (0, 0, 0, (), 0)
