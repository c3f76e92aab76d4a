"""How long an attribute has been so, how it changed, and what it was at an event."""

from __future__ import annotations

from datetime import date

from core.clock import DAY_US
from core.query.ast import (
    Absolute,
    AttributeAtEvent,
    AttributeCondition,
    AttributeOperand,
    Branch,
    Calendar,
    Changed,
    Circle,
    Compare,
    Comparison,
    ElementMatch,
    EventCount,
    EventSelection,
    HasBeen,
    InLast,
    Literal,
    Op,
    Operand,
    Period,
    Zone,
)
from core.schema import Instant, Location, Scalar
from tests.unit.index.small_world import SmallWorld, members, operands, units

NOW = 400 * DAY_US
MONTH = 30 * DAY_US


def has_been(name: str, compare: Compare, *values: Scalar | Operand) -> HasBeen:
    return HasBeen(Comparison(name, compare, operands(*values)), MONTH)


def test_a_state_holds_on_both_ends_and_all_between() -> None:
    start = NOW - MONTH
    world = SmallWorld().contacts(*range(8))
    cases: tuple[list[tuple[str | None, int]], ...] = (
        [("gold", start)],
        [("gold", start + 1)],
        [("gold", 0), ("silver", NOW)],
        [("gold", 0), ("silver", start), ("gold", start + 1)],
        [("gold", 0), ("silver", start - 1), ("gold", start)],
        [("gold", 0), (None, start + 5), ("gold", start + 6)],
        # At one instant the last write counts, the other was valid at no time.
        [("gold", 0), ("silver", start + 5), ("gold", start + 5)],
        [("gold", 0), ("silver", NOW + 1)],
    )
    for contact, writes in enumerate(cases):
        for value, at_us in writes:
            world.attribute(contact, "status", value, at_us)
    for root in (world.root(), world.root(1, root_each=True)):
        assert members(root, has_been("status", Compare.EQ, "gold"), NOW) == {0, 4, 6, 7}
        assert members(root, has_been("status", Compare.PRESENT), NOW) == {0, 2, 3, 4, 6, 7}


def test_a_negative_form_holds_where_its_positive_one_never_did() -> None:
    start = NOW - MONTH
    world = SmallWorld().contacts(*range(4))
    world.attribute(1, "status", "gold", start).attribute(1, "status", "silver", start + 1)
    world.attribute(2, "status", "gold", 0).attribute(2, "status", "silver", start)
    world.attribute(3, "status", "silver", 0)
    root = world.root()
    assert members(root, has_been("status", Compare.NE, "gold"), NOW) == {0, 2, 3}
    assert members(root, has_been("status", Compare.MISSING), NOW) == {0}
    assert members(root, has_been("nowhere", Compare.NE, "gold"), NOW) == {0, 1, 2, 3}
    assert members(root, has_been("nowhere", Compare.EQ, "gold"), NOW) == set()


def test_states_of_every_kind_compare_as_attributes_do() -> None:
    world = SmallWorld().contacts(0, 1)
    for at_us, shift in ((0, 0), (NOW - 1, 1)):
        world.attribute(0, "balance", units("2.5") if shift else 3, at_us)
        world.attribute(0, "tags", ("a", "b")[shift:], at_us).attribute(0, "place", Location(shift, 0), at_us)
    world.attribute(0, "limit", 2, NOW).attribute(1, "tags", (), 0)
    root = world.root()
    near = Comparison("place", Compare.DISTANCE, circle=Circle(0, 0, 100))
    length = Comparison("tags", Compare.LENGTH, operands(1), relation=Compare.GE)
    for rule, expected in (
        (has_been("balance", Compare.GE, units("2.5")), {0}),
        (has_been("balance", Compare.GT, units("2.5")), set()),
        (has_been("balance", Compare.GT, AttributeOperand("limit")), {0}),
        (has_been("tags", Compare.HAS_ALL, "b"), {0}),
        (has_been("tags", Compare.HAS_ANY, "a"), set()),
        (has_been("tags", Compare.HAS_NONE, "c"), {0, 1}),
        (HasBeen(length, MONTH), {0}),
        (HasBeen(near, MONTH), {0}),
    ):
        assert members(root, rule, NOW) == expected, rule


def test_a_change_lies_in_the_window_and_joins_different_values() -> None:
    start = NOW - MONTH
    world = SmallWorld().contacts(*range(7))
    cases: tuple[list[tuple[str | None, int]], ...] = (
        [("a", 0), ("b", start + 1)],
        [("a", 0), ("b", start)],
        [("a", 0), ("a", NOW)],
        [("b", NOW)],
        [("a", 0), (None, NOW)],
        [("a", 0), ("c", start + 5), ("b", start + 6)],
        [("a", 0), ("b", start + 5), ("a", start + 5)],
    )
    for contact, writes in enumerate(cases):
        for value, at_us in writes:
            world.attribute(contact, "status", value, at_us)
    window = InLast(MONTH)
    a, b = operands("a"), operands("b")
    for root in (world.root(), world.root(1, root_each=True)):
        assert members(root, Changed("status", window=window), NOW) == {0, 3, 4, 5}
        assert members(root, Changed("status"), NOW) == {0, 1, 2, 3, 4, 5, 6}
        assert members(root, Changed("status", a, b, window), NOW) == {0}
        assert members(root, Changed("status", a, None, window), NOW) == {0, 4, 5}
        assert members(root, Changed("status", None, b, window), NOW) == {0, 3, 5}
        assert members(root, Changed("status", (), None, window), NOW) == {3}
        assert members(root, Changed("status", None, (), window), NOW) == {4}
        assert members(root, Changed("status", a, operands("b", "c"), window), NOW) == {0, 5}
        assert members(root, Changed("nowhere", None, None, None), NOW) == set()


def test_numbers_that_are_equal_are_no_change() -> None:
    world = SmallWorld().contacts(0, 1)
    world.attribute(0, "level", 2).attribute(0, "level", units("2"), NOW)
    world.attribute(1, "level", 2).attribute(1, "level", units("2.0001"), NOW)
    assert members(world.root(), Changed("level", window=InLast(1)), NOW) == {1}


def test_changes_in_the_contacts_own_day() -> None:
    now = 10 * DAY_US + DAY_US // 2
    world = SmallWorld().contacts(0, 1).attribute(0, "time_zone", "Europe/Kyiv")
    for contact in (0, 1):
        world.attribute(contact, "status", "a").attribute(contact, "status", "b", 10 * DAY_US - 1)
    today = Calendar(Period.DAY, 0, 1, Zone.CONTACT)
    assert members(world.root(), Changed("status", window=today), now) == {0}


def test_a_filter_may_ask_for_the_attribute_as_it_was_at_the_event() -> None:
    world = SmallWorld().contacts(0, 1, 2)
    world.attribute(0, "city", "Kyiv", 5).attribute(0, "city", "Lviv", 10)
    world.event(0, "bought", 4, {"store": "Kyiv"}).event(0, "bought", 5, {"store": "Kyiv"})
    world.event(0, "bought", 9, {"store": "Kyiv"}).event(0, "bought", 10, {"store": "Kyiv"})
    world.attribute(1, "city", "Kyiv", 11).event(1, "bought", 10, {"store": "Kyiv"})
    world.event(2, "bought", 10, {"store": "Kyiv"}, items=({"store": "Lviv"},)).attribute(2, "city", "Lviv", 10)
    at_event = (AttributeAtEvent("city"),)
    same = EventSelection(("bought",), (Comparison("store", Compare.EQ, at_event),))
    other = EventSelection(("bought",), (Comparison("store", Compare.NE, at_event),))
    line = EventSelection(("bought",), (ElementMatch("items", (Comparison("store", Compare.EQ, at_event),)),))
    for root in (world.root(), world.root(1, root_each=True)):
        assert members(root, EventCount(same, Compare.EQ, operands(2)), NOW) == {0}
        assert members(root, EventCount(other, Compare.GE, operands(1)), NOW) == {0, 1, 2}
        assert members(root, EventCount(line, Compare.GE, operands(1)), NOW) == {2}
        bound_to_line = EventCount(line, Compare.GE, operands(1), same="items.store")
        assert members(root, bound_to_line, NOW) == {2}


def test_every_element_satisfies_the_filter() -> None:
    world = SmallWorld().contacts(*range(5))
    world.attribute(0, "children", ({"age": 3}, {"age": 4})).attribute(1, "children", ({"age": 3}, {"age": 9}))
    world.attribute(2, "children", ()).attribute(3, "children", ({"age": 3}, {"name": "Ada"}))
    world.event(0, "bought", 1, items=({"price": 1}, {"price": 2})).event(1, "bought", 1, items=({"price": 9},))
    world.event(2, "bought", 1)
    root = world.root()
    young = (Comparison("age", Compare.LT, operands(5)),)
    assert members(root, AttributeCondition(ElementMatch("children", young, every=True)), NOW) == {0, 2}
    missing = (Comparison("age", Compare.LT, operands(5)), Branch(Op.NOT, (0,)))
    assert members(root, AttributeCondition(ElementMatch("children", missing, every=True)), NOW) == {2}
    cheap = ElementMatch("items", (Comparison("price", Compare.LT, operands(5)),), every=True)
    assert members(root, EventCount(EventSelection(("bought",), (cheap,)), Compare.GE, operands(1)), NOW) == {0}


def test_dates_of_windows_bound_changes() -> None:
    world = SmallWorld().contacts(0, 1).attribute(0, "status", "a", DAY_US).attribute(1, "status", "a", DAY_US - 1)
    window = Absolute(Literal(date(1970, 1, 2)), Literal(Instant(NOW)))
    assert members(world.root(), Changed("status", window=window), NOW) == {0}
