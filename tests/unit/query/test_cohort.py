"""Cohorts as conditions, at exact boundaries."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from core.query.ast import (
    Absolute,
    Calendar,
    Compare,
    Comparison,
    EventSelection,
    InCohort,
    Literal,
    Period,
    Scope,
    Zone,
)
from core.query.names import BoundRule
from tests.unit.index.small_world import SmallWorld, bound, members, units


def at(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000


BOUGHT = EventSelection(("bought",))
NOW = at("2024-05-15T12:00:00")
APRIL = Calendar(Period.MONTH, -1, 1)


def test_the_first_event_ever_decides() -> None:
    start, end = at("2024-04-01T00:00:00"), at("2024-05-01T00:00:00")
    world = SmallWorld().contacts(*range(6))
    for contact, instants in enumerate(((start,), (start - 1, start), (end - 1, end), (end,), (NOW + 1, start + 5))):
        for instant in instants:
            world.event(contact, "bought", instant)
    root = world.root()
    assert members(root, InCohort(BOUGHT, APRIL), NOW) == {0, 2, 4}
    assert members(root, InCohort(BOUGHT, Calendar(Period.MONTH, 0, 1)), NOW) == {3}
    assert members(root, InCohort(BOUGHT, Absolute(None, Literal(date(2024, 4, 1)))), NOW) == {1}
    assert members(root, InCohort(BOUGHT, Absolute(Literal(date(2024, 4, 1)), None)), NOW) == {0, 2, 3, 4}


def test_only_matching_events_count() -> None:
    world = SmallWorld().contacts(0, 1)
    for contact, first in ((0, "1"), (1, "500")):
        world.event(contact, "bought", at("2024-03-20T00:00:00"), {"total": units(first)})
        world.event(contact, "bought", at("2024-04-20T00:00:00"), {"total": units("500")})
    large = EventSelection(("bought",), (Comparison("total", Compare.GE, (Literal(units("500")),)),))
    assert members(world.root(), InCohort(large, APRIL), NOW) == {0}


def test_months_by_the_workspace_and_by_the_contact() -> None:
    # Sydney is ahead by 11 hours (until 7 April 2024), New York behind by 4.
    instant = at("2024-03-31T20:00:00")
    world = SmallWorld().contacts(0, 1, 2)
    for contact, zone in ((0, "Australia/Sydney"), (1, "America/New_York")):
        world.attribute(contact, "time_zone", zone)
    for contact in range(3):
        world.event(contact, "bought", instant)
    root = world.root()
    own = InCohort(BOUGHT, Calendar(Period.MONTH, -1, 1, Zone.CONTACT))
    assert members(root, own, NOW) == {0}
    assert members(root, bound(own, zone="Pacific/Auckland"), NOW) == {0, 2}
    assert members(root, bound(InCohort(BOUGHT, APRIL), zone="Pacific/Auckland"), NOW) == {0, 1, 2}
    utc = InCohort(BOUGHT, Calendar(Period.MONTH, -1, 1, Zone.UTC))
    assert members(root, bound(utc, zone="Pacific/Auckland"), NOW) == set()


def test_added_is_the_earliest_fact() -> None:
    start, end = at("2024-04-01T00:00:00"), at("2024-05-01T00:00:00")
    world = SmallWorld()
    for contact, instant in enumerate((start - 1, start, end - 1, end, NOW + 1)):
        world.contacts(contact, at_us=instant)
    world.attribute(3, "time_zone", "America/New_York", NOW - 1)
    root = world.root()
    assert members(root, added(Calendar(Period.MONTH, -1, 1)), NOW) == {1, 2}
    assert members(root, added(Calendar(Period.MONTH, -1, 1, Zone.CONTACT)), NOW) == {1, 2, 3}
    assert members(root, added(Absolute(Literal(date(2024, 4, 1)), None)), NOW) == {1, 2, 3}
    assert members(root, added(Absolute(None, Literal(date(2024, 4, 1)))), NOW) == {0}


def added(window: Absolute | Calendar) -> BoundRule:
    return bound(InCohort(None, window), scope=Scope.ALL)
