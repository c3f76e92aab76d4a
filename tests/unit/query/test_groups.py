"""Who was in a group, and for how long; who can be reached; random buckets."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from core.clock import DAY_US
from core.errors import CdpError
from core.index.root import Root
from core.query.ast import (
    BetweenAgo,
    Group,
    HasBeenIn,
    InLast,
    MoreThanAgo,
    RandomBucket,
    Reachable,
    WasIn,
)
from core.query.execute import leaf
from core.query.execute_context import Context
from core.query.knowledge import Knowledge, MembershipHistory
from core.query.names import Setting
from tests.unit.index.small_world import SmallWorld, members

NOW = 400 * DAY_US
WEEK = 7 * DAY_US


def history(*records: tuple[int, int, bool]) -> Knowledge:
    contacts, at_us, entered = zip(*records, strict=True)
    recorded = MembershipHistory(
        0, np.array(contacts, np.uint32), np.array(at_us, np.int64), np.array(entered, np.bool_)
    )
    return Knowledge(histories={"vip": recorded})


def who(condition: WasIn | HasBeenIn, root: Root, knowledge: Knowledge, as_of_us: int = NOW) -> set[int]:
    """The members, checked against each contact alone."""
    found = set(leaf(condition, Context(root, as_of_us, "UTC", knowledge=knowledge)).found)
    for contact in range(root.contact_count):
        alone = Context(root, as_of_us, "UTC", np.array([contact], np.uint32), knowledge=knowledge)
        assert set(leaf(condition, alone).found) == found & {contact}
    return found


def test_segments_by_their_recorded_history() -> None:
    root = SmallWorld().contacts(*range(6)).root()
    start = NOW - WEEK
    knowledge = history(
        (0, start, True),
        (1, start + 1, True),
        (2, 5, True),
        (2, start + 1, False),
        (3, 5, True),
        (3, start + 2, False),
        (4, 5, True),
        (4, 9, False),
        (4, 9, True),
        (4, NOW + 1, False),
        (5, NOW + 1, True),
    )
    assert who(WasIn(Group.SEGMENT, "vip"), root, knowledge) == {0, 1, 2, 3, 4}
    assert who(WasIn(Group.SEGMENT, "vip", InLast(WEEK)), root, knowledge) == {0, 1, 3, 4}
    assert who(WasIn(Group.SEGMENT, "vip", MoreThanAgo(WEEK)), root, knowledge) == {0, 2, 3, 4}
    assert who(WasIn(Group.SEGMENT, "vip", BetweenAgo(WEEK, WEEK + 1)), root, knowledge) == {0, 2, 3, 4}
    assert who(HasBeenIn(Group.SEGMENT, "vip", WEEK), root, knowledge) == {0, 4}
    assert who(HasBeenIn(Group.SEGMENT, "vip", WEEK), root, knowledge, NOW + 1) == {0, 1}
    assert who(WasIn(Group.SEGMENT, "unheard of"), root, knowledge) == set()


def test_a_history_may_be_ahead_of_the_root() -> None:
    root = SmallWorld().contacts(0).root()
    assert who(WasIn(Group.SEGMENT, "vip", InLast(WEEK)), root, history((0, 7, True), (1, 7, True))) == {0}


def test_a_stay_of_no_time_is_none() -> None:
    root = SmallWorld().contacts(0).root()
    assert who(WasIn(Group.SEGMENT, "vip"), root, history((0, 7, True), (0, 7, False))) == set()


def test_lists_by_their_changes_and_merged_contacts_by_their_parts() -> None:
    start = NOW - WEEK
    world = SmallWorld().contacts(*range(8))
    world.on_list(0, "staff", True, start).on_list(1, "staff", True, start + 1)
    world.on_list(2, "staff", True, 5).on_list(2, "staff", False, start)
    world.on_list(2, "staff", True, start + 1)
    # Two parts that relieve each other without a gap, and two with one.
    world.on_list(3, "staff", True, 5).on_list(3, "staff", False, NOW - 9).on_list(4, "staff", True, NOW - 9)
    world.on_list(5, "staff", True, 5).on_list(5, "staff", False, NOW - 9).on_list(6, "staff", True, NOW - 8)
    world.on_list(7, "staff", False, 5)
    world.merge(3, 4).merge(6, 5)
    staff, week = Group.LIST, InLast(WEEK)
    for root in (world.root(), world.root(1, root_each=True)):
        assert members(root, WasIn(staff, "staff"), NOW) == {0, 1, 2, 3, 6}
        assert members(root, WasIn(staff, "staff", BetweenAgo(9, 10)), NOW) == {0, 1, 2, 3}
        assert members(root, HasBeenIn(staff, "staff", WEEK), NOW) == {0, 3}
        assert members(root, HasBeenIn(staff, "staff", 8), NOW) == {0, 1, 2, 3, 6}
        assert members(root, WasIn(staff, "nowhere", week), NOW) == set()


def test_scenarios_by_their_events() -> None:
    world = SmallWorld().contacts(*range(5))

    def run(contact: int, event: str, at_us: int, scenario: str = "welcome") -> None:
        world.event(contact, f"scenario_{event}", at_us, {"scenario": scenario})

    run(0, "entered", NOW - WEEK)
    run(1, "entered", 5)
    run(1, "left", NOW - WEEK + 1)
    # Two runs at once: the contact is in until both have ended.
    run(2, "entered", 5)
    run(2, "entered", 6)
    run(2, "left", 7)
    run(3, "entered", 5, "other")
    # An exit without an entry takes nothing from the next entry.
    run(4, "left", 5)
    run(4, "entered", 6)
    root = world.root()
    in_scenario = Group.SCENARIO
    assert members(root, WasIn(in_scenario, "welcome", InLast(WEEK)), NOW) == {0, 2, 4}
    assert members(root, WasIn(in_scenario, "welcome"), NOW) == {0, 1, 2, 4}
    assert members(root, HasBeenIn(in_scenario, "welcome", WEEK), NOW) == {0, 2, 4}
    assert members(root, HasBeenIn(in_scenario, "welcome", WEEK + 1), NOW) == {2, 4}
    assert members(root, WasIn(in_scenario, "welcome"), 4) == set()


def test_reachable_by_any_or_by_one_of_the_channels() -> None:
    world = SmallWorld().contacts(0, reachable=1).contacts(1, reachable=8).contacts(2, reachable=0)
    root = world.root()
    assert members(root, Reachable(), NOW) == {0, 1}
    assert members(root, Reachable(("email",)), NOW) == {0}
    assert members(root, Reachable(("sms", "web_push")), NOW) == {1}
    with pytest.raises(CdpError, match="no channel"):
        members(root, Reachable(("pigeon",)), NOW)


def test_random_buckets_are_those_of_the_hash() -> None:
    root = SmallWorld().contacts(*range(300)).root()
    setting = Setting(workspace="shop")
    buckets = [
        int.from_bytes(hashlib.sha256(f"shop\0wave\0key-{n}".encode()).digest()[:8], "big") % 10_000 for n in range(300)
    ]
    for low, high in ((0, 9_999), (0, 4_999), (buckets[7], buckets[7]), (9_999, 9_999)):
        found = leaf(RandomBucket(low, high, "wave"), Context(root, NOW, "UTC", setting=setting)).found
        assert set(found) == {n for n, bucket in enumerate(buckets) if low <= bucket <= high}
    few = np.array([7, 8], np.uint32)
    alone = leaf(RandomBucket(buckets[7], buckets[7], "wave"), Context(root, NOW, "UTC", few, setting)).found
    assert 7 in alone and (8 in alone) == (buckets[8] == buckets[7])
