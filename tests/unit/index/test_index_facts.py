"""What the index makes of facts: order, lateness, merges, erasure, pinned roots."""

from __future__ import annotations

import random

import numpy as np
import pytest

from core.errors import CdpError
from core.events.columns import Event, EventColumnsBuilder
from core.events.facts import AttributeWrite
from core.index.digest import digest
from core.index.index import Index
from core.query.ast import (
    AttributeCondition,
    Compare,
    Comparison,
    EventCount,
    EventSelection,
    Everyone,
    InList,
    Scope,
)
from core.query.execute import evaluate
from core.query.explain import matching_events
from core.schema import DecimalUnits, Kind
from tests.unit.index.small_world import SmallWorld, apply, bound, members, operands

NOW = 1_000_000


def did(event_type: str, count: int = 1) -> EventCount:
    return EventCount(EventSelection((event_type,)), Compare.GE, operands(count))


def has(name: str, value: str) -> AttributeCondition:
    return AttributeCondition(Comparison(name, Compare.EQ, operands(value)))


def test_events_need_contacts() -> None:
    builder = EventColumnsBuilder()
    builder.add(Event("e", "site_visited", 0, 0))
    index = Index()
    with pytest.raises(CdpError) as refused:
        index.apply(builder.build(), (), 1)
    assert refused.value.reason == "EVENTS_UNRESOLVED"
    assert index.position == 0


def test_a_root_is_the_same_until_something_is_applied() -> None:
    world = SmallWorld().contacts(0)
    index = world.index()
    root = index.root()
    assert index.root() is root
    apply(index, SmallWorld().event(0, "site_visited", 5).log, 2)
    later = index.root()
    assert (root.position, later.position) == (1, 2)
    assert members(root, did("site_visited"), NOW) == set()
    assert members(later, did("site_visited"), NOW) == {0}


def test_events_are_ordered_by_instant_then_id_bytes_then_log() -> None:
    world = SmallWorld().contacts(0)
    for event_id, at_us in (("b", 7), ("é", 7), ("a\0", 7), ("a", 7), ("z", 3), ("a", 7), ("late", 1)):
        world.event(0, "site_visited", at_us, event_id=event_id)
    for entry_facts in (1, 2, 100):
        for root_each in (False, True):
            root = world.root(entry_facts, root_each=root_each)
            found = matching_events(EventSelection(("site_visited",)), root, 0, NOW, "UTC", 10)
            assert found == ("é", "b", "a\0", "a", "a", "z", "late")
            contacts, instants = root.event_edges("site_visited", 1, 7)
            assert instants.tolist() == [3, 7, 7, 7, 7, 7]
            assert set(contacts.tolist()) == {0}


def test_the_value_of_an_attribute_is_the_last_write_by_instant_then_by_log() -> None:
    world = SmallWorld().contacts(0, 1)
    world.attribute(0, "city", "Kyiv", 100).attribute(0, "city", "Lviv", 50).attribute(1, "city", "Odesa", 100)
    world.attribute(1, "city", "Poltava", 100).attribute(0, "city", None, 200)
    for root in (world.root(), world.root(1, root_each=True)):
        assert members(root, has("city", "Lviv"), 99) == {0}
        assert members(root, has("city", "Kyiv"), 100) == {0}
        assert members(root, has("city", "Kyiv"), 199) == {0}
        assert members(root, has("city", "Kyiv"), 200) == set()
        assert members(root, has("city", "Odesa"), 100) == set()
        assert members(root, has("city", "Poltava"), 100) == {1}
        contacts, instants = root.attribute_edges("city", 50, 200)
        assert instants.tolist() == [100, 100, 100, 200]
        assert contacts.tolist()[-1] == 0


def test_facts_of_the_future_wait_and_a_contact_exists_from_its_earliest_fact() -> None:
    world = SmallWorld().contacts(0, at_us=100).contacts(1, at_us=100)
    world.event(0, "site_visited", 40).attribute(1, "city", "Kyiv", 60).event(1, "site_visited", 500)
    root = world.root()
    assert members(root, Everyone(), 39) == set()
    assert members(root, Everyone(), 40) == {0}
    assert members(root, Everyone(), 60) == {0, 1}
    assert members(root, did("site_visited"), 499) == {0}
    assert members(root, did("site_visited"), 500) == {0, 1}
    assert root.existence_edges(40, 60)[0].tolist() == [1]


def test_a_merge_moves_everything_and_the_loser_leaves() -> None:
    world = SmallWorld().contacts(0, 1, at_us=10)
    world.event(1, "site_visited", 5).attribute(0, "city", "Kyiv", 10).attribute(1, "city", "Lviv", 20)
    world.attribute(1, "name", "An", 1).merge(0, 1).event(1, "site_visited", 6).attribute(1, "name", "Bo", 2)
    for root in (world.root(), world.root(1, root_each=True), world.root(2, root_each=True)):
        assert members(root, Everyone(), NOW) == {0}
        assert members(root, did("site_visited", 2), NOW) == {0}
        assert members(root, has("city", "Lviv"), NOW) == {0}
        assert members(root, has("city", "Kyiv"), 19) == {0}
        assert members(root, has("name", "Bo"), NOW) == {0}
        assert members(root, Everyone(), 5) == {0}
        assert members(root, Everyone(), 0) == set()
        assert root.survivor_of(1) == 0
        assert root.number_of("key-1") == 1


def test_chains_of_merges_end_at_the_last_survivor() -> None:
    world = SmallWorld().contacts(0, 1, 2, 3).event(3, "site_visited", 5)
    world.merge(2, 3).merge(1, 2).merge(0, 1).event(2, "site_visited", 6)
    for root in (world.root(), world.root(1, root_each=True)):
        assert members(root, did("site_visited", 2), NOW) == {0}
        assert members(root, Everyone(), NOW) == {0}


def test_a_contact_cannot_be_merged_into_its_own_part() -> None:
    with pytest.raises(CdpError) as refused:
        SmallWorld().contacts(0, 1).merge(0, 1).merge(1, 0).root()
    assert refused.value.reason == "MERGE_CYCLE"


def test_lists_unite_and_later_changes_speak_of_the_whole_contact() -> None:
    world = SmallWorld().contacts(0, 1, 2)
    world.on_list(1, "vip", True, 10).on_list(0, "vip", True, 5).on_list(0, "vip", False, 20).merge(0, 1)
    before = world.root(1, root_each=True)
    assert members(before, InList("vip"), 4) == set()
    assert members(before, InList("vip"), 30) == {0}
    world.on_list(0, "vip", False, 40)
    after = world.root(1, root_each=True)
    assert members(after, InList("vip"), 39) == {0}
    assert members(after, InList("vip"), 40) == set()
    assert after.list_edges("vip", 0, 40)[1].tolist() == [5, 10, 20, 40, 40]


def test_an_erased_contact_is_gone_with_all_its_parts_and_texts_from_snapshots() -> None:
    world = SmallWorld().contacts(0, 1, 2).event(1, "site_visited", 5, {"url": "/secret"}).event(2, "site_visited", 5)
    world.attribute(0, "city", "Kyiv").merge(0, 1).erase(0).event(0, "site_visited", 7)
    for root in (world.root(), world.root(1, root_each=True)):
        assert members(root, bound(Everyone(), scope=Scope.ALL), NOW) == {2}
        assert members(root, did("site_visited"), NOW) == {2}
        assert root.number_of("key-0") is None
        assert root.survivor_of(0) is None
        assert sum(len(run) for run in root.events["site_visited"]) == 1


def test_a_pinned_root_does_not_change() -> None:
    world = SmallWorld().contacts(0, 1, 2).attribute(0, "city", "Kyiv", 5).event(1, "site_visited", 5)
    world.on_list(1, "vip", True, 3)
    index = world.index()
    root = index.root()
    before = digest(root)
    later = SmallWorld().attribute(0, "city", "Lviv", 6).event(1, "site_visited", 4).merge(0, 1).erase(2)
    apply(index, later.contacts(3).log, 9)
    index.root()
    assert digest(root) == before
    assert members(root, has("city", "Kyiv"), NOW) == {0}
    assert members(root, InList("vip"), NOW) == {1}
    assert members(root, Everyone(), NOW) == {0, 1, 2}


def test_the_digest_does_not_show_order_or_batches() -> None:
    seed = 7
    print(f"seed {seed}")
    rng = random.Random(seed)
    world = SmallWorld().contacts(*range(20))
    for number in range(300):
        contact = rng.randrange(20)
        params = {"category": f"c{rng.randrange(5)}", "tags": ("b", "a"), "price": DecimalUnits(rng.randrange(9))}
        items = tuple({"sku": f"s{rng.randrange(9)}", "n": rng.randrange(3)} for _ in range(rng.randrange(3)))
        world.event(contact, rng.choice(("a", "b")), rng.randrange(50), params, items, event_id=f"id{number}")
        world.attribute(contact, "x", (f"t{rng.randrange(3)}",), number)
    expected = digest(world.root())
    assert digest(world.root(7, root_each=True)) == expected
    shuffled = SmallWorld()
    shuffled.log = [*world.log[:20], *rng.sample(world.log[20:], len(world.log) - 20)]
    assert digest(shuffled.root(13, root_each=True)) == expected
    changed = SmallWorld()
    changed.log = world.log[:-1]
    assert digest(changed.root()) != expected


def test_kinds_are_learned_and_integers_widen_to_decimals() -> None:
    world = SmallWorld().contacts(0)
    world.event(0, "a", 1, {"n": 1}, ({"q": 1},)).event(0, "a", 2, {"n": DecimalUnits(15_000)}).attribute(0, "k", 1)
    world.attribute(0, "k", DecimalUnits(1)).attribute(0, "children", ({"age": 8, "name": "An"},))
    root = world.root(1, root_each=True)
    assert root.event_kinds() == {"a": {"n": Kind.DECIMAL}}
    assert root.item_kinds() == {"q": Kind.INTEGER}
    assert root.attribute_kinds() == {"k": Kind.DECIMAL, "children": Kind.OBJECT_LIST}
    assert root.element_kinds() == {("children", "age"): Kind.INTEGER, ("children", "name"): Kind.TEXT}
    assert root.list_names() == frozenset()


def test_contacts_beyond_one_chunk() -> None:
    far = 200_000
    index = Index()
    apply(index, [AttributeWrite(c, "city", "Kyiv", c, False, 0) for c in (5, 65_535, 65_536, far)], 1)
    first = index.root()
    apply(index, [AttributeWrite(65_536, "city", "Lviv", 70_000, False, 0)], 2)
    rule = bound(has("city", "Kyiv"), scope=Scope.ALL)
    assert set(evaluate(rule, first, far, {}).members) == {5, 65_535, 65_536, far}
    assert set(evaluate(rule, first, 65_535, {}).members) == {5, 65_535}
    one = np.array([65_536, far], np.uint32)
    assert set(evaluate(rule, first, far, {}, one).members) == {65_536, far}
    assert set(evaluate(rule, index.root(), far, {}, one).members) == {far}
    assert set(evaluate(rule, index.root(), 69_999, {}, one).members) == {65_536}
