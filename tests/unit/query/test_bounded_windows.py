"""Windows since the last and until the first of other events, and moments of events."""

from __future__ import annotations

from core.clock import DAY_US
from core.events.columns import MACHINE
from core.query.ast import (
    AttributeOperand,
    Branch,
    Compare,
    Comparison,
    EventAggregate,
    EventCount,
    EventSelection,
    Function,
    MessageCount,
    MessageVerb,
    Moments,
    Op,
    PickedEvent,
    SinceLast,
    UntilFirst,
)
from tests.unit.index.small_world import SmallWorld, bound, members, operands

NOW = 400 * DAY_US
ORDERS = EventSelection(("ordered",))


def views(window: SinceLast | UntilFirst, compare: Compare, count: int, same: str | None = None) -> EventCount:
    return EventCount(EventSelection(("viewed",), window=window), compare, operands(count), same)


def world() -> SmallWorld:
    made = SmallWorld().contacts(*range(6))
    for contact, (seen, ordered) in enumerate((((6,), (5,)), ((5,), (5,)), ((4,), (5,)), ((6,), ()), ((4, 9), (5, 8)))):
        for at_us in seen:
            made.event(contact, "viewed", at_us, {"sku": "a"})
        for at_us in ordered:
            made.event(contact, "ordered", at_us)
    return made.event(5, "ordered", 5).event(5, "ordered", NOW + 1).event(5, "viewed", NOW + 1)


def test_since_the_last_and_until_the_first() -> None:
    root = world().root()
    since, until = SinceLast(ORDERS), UntilFirst(ORDERS)
    assert members(root, views(since, Compare.GE, 1), NOW) == {0, 4}
    assert members(root, views(until, Compare.GE, 1), NOW) == {2, 4}
    # Without an order there is no window, and nothing is true of it.
    assert members(root, views(since, Compare.EQ, 0), NOW) == {1, 2, 5}
    assert members(root, views(until, Compare.EQ, 0), NOW) == {0, 1, 5}
    not_since = (views(since, Compare.GE, 1), Branch(Op.NOT, (0,)))
    assert members(root, bound(*not_since), NOW) == {1, 2, 3, 5}
    assert members(root, views(since, Compare.GE, 1, same="sku"), NOW) == {0, 4}
    assert members(root, views(since, Compare.EQ, 0, same="sku"), NOW) == {1, 2}


def test_the_window_follows_the_instant_of_the_question() -> None:
    root = world().root()
    assert members(root, views(SinceLast(ORDERS), Compare.GE, 1), 7) == {0}
    assert members(root, views(SinceLast(ORDERS), Compare.EQ, 0), 7) == {1, 2, 4, 5}
    assert members(root, views(SinceLast(ORDERS), Compare.GE, 1), NOW + 1) == {0, 4}


def test_other_conditions_have_such_windows_too() -> None:
    made = world()
    made.event(0, "message_opened", 7, {"message_id": "m"}).event(1, "message_opened", 5, {"message_id": "m"})
    made.attribute(0, "wanted", 1)
    root = made.root()
    since = SinceLast(ORDERS)
    opened = MessageCount(MessageVerb.OPENED, (), since, Compare.GE, operands(1))
    assert members(root, opened, NOW) == {0}
    assert members(root, MessageCount(MessageVerb.OPENED, (), since, Compare.EQ, operands(0)), NOW) == {1, 2, 4, 5}
    seen = EventSelection(("viewed",), window=since)
    assert members(root, EventAggregate(Function.SUM, "n", seen, Compare.EQ, operands(0)), NOW) == {0, 1, 2, 4, 5}
    assert members(root, EventAggregate(Function.LAST, "sku", seen, Compare.MISSING, ()), NOW) == {1, 2, 5}
    had = (Comparison("sku", Compare.EQ, operands("a")),)
    assert members(root, PickedEvent(seen, had), NOW) == {0, 4}
    count = EventCount(seen, Compare.EQ, (AttributeOperand("wanted"),))
    assert members(root, count, NOW) == {0}


def test_machines_do_not_bound_windows() -> None:
    made = world().event(0, "ordered", 7, flags=MACHINE)
    root = made.root()
    assert members(root, views(SinceLast(ORDERS), Compare.GE, 1), NOW) == {0, 4}
    by_machines = SinceLast(EventSelection(("ordered",), with_machines=True))
    assert members(root, views(by_machines, Compare.GE, 1), NOW) == {4}


def test_moments_choose_events_for_the_same_value_too() -> None:
    made = SmallWorld().contacts(0, 1)
    for hour in (3, 4):
        made.event(0, "viewed", hour * 3_600_000_000, items=({"sku": "a"},))
        made.event(1, "viewed", (hour + 10) * 3_600_000_000, items=({"sku": "a"},))
    events = EventSelection(("viewed",), moments=Moments((), (0, 5 * 3600)))
    for same in (None, "items.sku"):
        assert members(made.root(), EventCount(events, Compare.GE, operands(2), same), NOW) == {0}


def test_counts_are_compared_with_attributes() -> None:
    made = SmallWorld().contacts(0, 1, 2, 3)
    made.attribute(0, "wanted", 1).attribute(1, "wanted", 0).attribute(2, "wanted", 1)
    made.event(0, "viewed", 1)
    root = made.root()
    selection = EventSelection(("viewed",))
    wanted = (AttributeOperand("wanted"),)
    assert members(root, EventCount(selection, Compare.EQ, wanted), NOW) == {0, 1}
    assert members(root, EventCount(selection, Compare.LT, wanted), NOW) == {2}
    assert members(root, EventCount(selection, Compare.NE, wanted), NOW) == {2, 3}
