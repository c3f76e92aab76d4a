"""The first and the latest event, and the value picked from events."""

from __future__ import annotations

from core.clock import DAY_US, HOUR_US
from core.query.ast import (
    Absolute,
    AttributeOperand,
    Calendar,
    Compare,
    Comparison,
    EventAggregate,
    EventSelection,
    FirstTime,
    Function,
    InLast,
    Literal,
    Operand,
    Period,
    PickedEvent,
    SinceLast,
    Zone,
)
from core.query.execute import leaf
from core.query.execute_context import Context
from core.schema import Instant, Scalar
from tests.unit.index.small_world import SmallWorld, members, operands, units

NOW = 400 * DAY_US
ORDERS = EventSelection(("order_completed",))
KYIV = (Comparison("store", Compare.EQ, (Literal("Kyiv"),)),)


def value(function: Function, path: str, compare: Compare, *wanted: Scalar | Operand) -> EventAggregate:
    return EventAggregate(function, path, EventSelection(("order_*",)), compare, operands(*wanted))


def test_first_time_filters_first_and_then_picks() -> None:
    week = 7 * DAY_US
    world = SmallWorld().contacts(0, 1, 2, 3)
    world.event(0, "order_completed", NOW - week + 1, {"store": "Kyiv"})
    world.event(1, "order_completed", NOW - week, {"store": "Kyiv"}).event(1, "order_completed", NOW, {"store": "Kyiv"})
    world.event(2, "order_completed", NOW - week, {"store": "Lviv"}).event(2, "order_completed", NOW, {"store": "Kyiv"})
    world.event(3, "order_completed", NOW + 1, {"store": "Kyiv"})
    root = world.root()
    assert members(root, FirstTime(ORDERS, InLast(week)), NOW) == {0}
    in_kyiv = EventSelection(("order_completed",), KYIV)
    assert members(root, FirstTime(in_kyiv, InLast(week)), NOW) == {0, 2}
    assert members(root, FirstTime(ORDERS, Absolute(None, Literal(Instant(NOW - week + 1)))), NOW) == {1, 2}


def test_first_time_in_a_calendar_of_the_contact_and_since_another_event() -> None:
    now = 10 * DAY_US + 12 * HOUR_US
    world = SmallWorld().contacts(0, 1, 2).attribute(0, "time_zone", "Europe/Kyiv")
    for contact in (0, 1):
        world.event(contact, "order_completed", 10 * DAY_US - 3 * HOUR_US)
    world.event(2, "order_completed", 10 * DAY_US)
    root = world.root()
    own_day = Calendar(Period.DAY, 0, 1, Zone.CONTACT)
    # In Kyiv (UTC+3 in 1970) the day began at 21:00 UTC.
    assert members(root, FirstTime(ORDERS, own_day), now) == {0, 2}
    world.event(0, "signed_up", 10 * DAY_US - 3 * HOUR_US - 1).event(1, "signed_up", 10 * DAY_US - 3 * HOUR_US)
    since = SinceLast(EventSelection(("signed_up",)))
    assert members(world.root(), FirstTime(ORDERS, since), now) == {0}


def test_the_latest_event_is_taken_as_it_is() -> None:
    world = SmallWorld().contacts(0, 1, 2, 3)
    world.event(0, "order_completed", 5, {"store": "Lviv"}).event(0, "order_completed", 6, {"store": "Kyiv"})
    world.event(1, "order_completed", 5, {"store": "Kyiv"}).event(1, "order_completed", 6)
    world.event(2, "order_completed", NOW + 1, {"store": "Kyiv"})
    root = world.root()
    assert members(root, PickedEvent(ORDERS, KYIV), NOW) == {0}
    assert members(root, PickedEvent(ORDERS, KYIV, first=True), NOW) == {1}
    missing = (Comparison("store", Compare.MISSING),)
    assert members(root, PickedEvent(ORDERS, missing), NOW) == {1}
    assert members(root, PickedEvent(EventSelection(("order_completed",), KYIV), KYIV), NOW) == {0, 1}
    elsewhere = (Comparison("store", Compare.NE, (Literal("Kyiv"),)),)
    assert members(root, PickedEvent(ORDERS, elsewhere), NOW) == {1}


def test_events_at_one_instant_are_ordered_by_id_across_types_and_runs() -> None:
    world = SmallWorld().contacts(0, 1)
    world.event(0, "order_completed", 5, {"store": "Kyiv"}, event_id="b")
    world.event(0, "order_created", 5, {"store": "Lviv"}, event_id="a")
    world.event(1, "order_created", 5, {"store": "Lviv"}, event_id="z")
    world.event(1, "order_completed", 5, {"store": "Kyiv"}, event_id="a" * 40)
    both = EventSelection(("order_*",))
    for root in (world.root(), world.root(1, root_each=True)):
        assert members(root, PickedEvent(both, KYIV), NOW) == {0}
        assert members(root, PickedEvent(both, KYIV, first=True), NOW) == {1}
        assert members(root, value(Function.LAST, "store", Compare.EQ, "Kyiv"), NOW) == {0}


def test_first_and_last_take_events_that_have_the_value() -> None:
    world = SmallWorld().contacts(0, 1, 2, 3)
    world.event(0, "order_completed", 1, {"store": "Kyiv", "total": 3}).event(
        0, "order_completed", 2, {"store": "Lviv"}
    )
    world.event(0, "order_completed", 3, {"total": units("2.5")})
    world.event(1, "order_completed", 2, {"paid": True}).event(1, "order_completed", 1, {"paid": False})
    world.event(2, "order_completed", 2, {"due": Instant(7), "total": 2**63 - 1})
    world.attribute(0, "home", "Lviv").attribute(1, "home", "Lviv").attribute(0, "limit", units("2.5"))
    root = world.root()
    for function, path, compare, wanted, expected in (
        (Function.FIRST, "store", Compare.EQ, ("Kyiv",), {0}),
        (Function.LAST, "store", Compare.EQ, ("Lviv",), {0}),
        (Function.LAST, "store", Compare.STARTS, ("Lv",), {0}),
        (Function.LAST, "store", Compare.NE, ("Lviv",), {1, 2, 3}),
        (Function.LAST, "store", Compare.EQ, (AttributeOperand("home"),), {0}),
        (Function.LAST, "store", Compare.MISSING, (), {1, 2, 3}),
        (Function.FIRST, "total", Compare.GE, (3,), {0, 2}),
        (Function.LAST, "total", Compare.LT, (3,), {0}),
        (Function.LAST, "total", Compare.EQ, (AttributeOperand("limit"),), {0}),
        (Function.LAST, "total", Compare.BETWEEN, (2, 3), {0}),
        (Function.LAST, "paid", Compare.EQ, (True,), {1}),
        (Function.FIRST, "paid", Compare.EQ, (True,), set()),
        (Function.LAST, "due", Compare.LE, (Instant(7),), {2}),
        (Function.LAST, "due", Compare.LT, (Instant(7),), set()),
    ):
        assert members(root, value(function, path, compare, *wanted), NOW) == expected, (function, path, compare)


def test_lines_of_one_event_are_values_in_their_order() -> None:
    world = SmallWorld().contacts(0)
    world.event(0, "order_completed", 1, items=({"sku": "a", "price": 5}, {"sku": "b"}))
    world.event(0, "order_completed", 2, items=({"sku": "c"}, {"price": units("0.5")}, {"price": 7}))
    root = world.root()
    for function, path, wanted in (
        (Function.FIRST, "items.sku", "a"),
        (Function.LAST, "items.sku", "c"),
        (Function.LAST, "items.price", 7),
        (Function.FIRST, "items.price", 5),
    ):
        assert members(root, value(function, path, Compare.EQ, wanted), NOW) == {0}, (function, path)


def test_the_most_frequent_value_then_the_latest_then_the_smaller() -> None:
    world = SmallWorld().contacts(*range(6))
    for at_us, store in enumerate(("a", "b", "b", "a", "b")):
        world.event(0, "order_completed", at_us, {"store": store})
    for at_us, store in enumerate(("b", "a", "a", "b")):
        world.event(1, "order_completed", at_us, {"store": store})
    # Equally frequent and equally late: both on the lines of one event.
    world.event(2, "order_completed", 1, items=({"sku": "b"}, {"sku": "a"}))
    world.event(3, "order_completed", 1, {"store": "b"}, event_id="1")
    world.event(3, "order_created", 1, {"store": "a"}, event_id="2")
    world.event(4, "order_completed", 1, {"total": 2}).event(4, "order_completed", 2, {"total": 1})
    world.event(4, "order_completed", 3, {"total": 1}).event(4, "order_completed", 4, {"total": units("2")})
    world.event(4, "order_completed", 5, {"total": units("2")})
    for root in (world.root(), world.root(2, root_each=True)):
        most = Function.MOST_FREQUENT
        assert members(root, value(most, "store", Compare.EQ, "b"), NOW) == {0, 1}
        assert members(root, value(most, "store", Compare.EQ, "a"), NOW) == {3}
        assert members(root, value(most, "items.sku", Compare.EQ, "a"), NOW) == {2}
        assert members(root, value(most, "total", Compare.EQ, 2), NOW) == {4}
        assert members(root, value(most, "store", Compare.MISSING), NOW) == {2, 4, 5}


def test_few_events_among_many_contacts() -> None:
    world = SmallWorld().contacts(0, 3_000)
    for contact in (0, 3_000):
        for at_us, event_type in ((5, "order_completed"), (6, "order_created"), (6, "order_completed")):
            world.event(
                contact, event_type, at_us, {"store": f"{event_type} {contact} {at_us}"}, event_id=f"id {at_us}"
            )
    root = world.root(1, root_each=True)
    both = EventSelection(("order_*",))
    for contact in (0, 3_000):
        # Of equal instants and ids the later accepted is the later.
        last = (Comparison("store", Compare.EQ, operands(f"order_completed {contact} 6")),)
        first = (Comparison("store", Compare.EQ, operands(f"order_completed {contact} 5")),)
        rules = (PickedEvent(both, last), PickedEvent(both, first, first=True))
        for rule in (*rules, value(Function.MOST_FREQUENT, "store", Compare.EQ, f"order_completed {contact} 6")):
            assert set(leaf(rule, Context(root, NOW, "UTC")).found) == {contact}
