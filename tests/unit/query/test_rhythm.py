"""Stopped, restarted, regularly, rising and falling, to the microsecond."""

from __future__ import annotations

from datetime import UTC, datetime

from core.clock import DAY_US, HOUR_US
from core.query.ast import (
    Compare,
    Comparison,
    EventSelection,
    Literal,
    Period,
    Regularly,
    Restarted,
    Stopped,
    Trend,
    Zone,
)
from core.schema import DecimalUnits
from tests.unit.index.small_world import SmallWorld, bound, members

NOW = 400 * DAY_US
VISITS = EventSelection(("site_visited",))
BUYS = EventSelection(("bought",), (Comparison("store", Compare.EQ, (Literal("Kyiv"),)),))


def us(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int((datetime(year, month, day, hour, minute, tzinfo=UTC)).timestamp()) * 1_000_000


def test_stopped_needs_some_before_and_none_in_the_silent_time() -> None:
    silent, active = 7 * DAY_US, 30 * DAY_US
    first, last = NOW - silent - active + 1, NOW - silent
    world = SmallWorld().contacts(*range(7))
    for contact, times in enumerate(
        ([first], [first - 1], [last], [last + 1], [first, last + 1], [last, NOW + 1], [last, NOW])
    ):
        for at_us in times:
            world.event(contact, "site_visited", at_us)
    assert members(world.root(), Stopped(VISITS, active, silent), NOW) == {0, 2, 5}


def test_the_filter_of_a_rhythm_chooses_the_events_that_count() -> None:
    world = SmallWorld().contacts(0, 1)
    for contact in (0, 1):
        world.event(contact, "bought", NOW - 10 * DAY_US, {"store": "Kyiv"})
    world.event(0, "bought", NOW, {"store": "Lviv"})
    world.event(1, "bought", NOW, {"store": "Kyiv"})
    assert members(world.root(), Stopped(BUYS, 30 * DAY_US, 7 * DAY_US), NOW) == {0}


def test_restarted_needs_some_of_late_none_before_and_some_before_that() -> None:
    recent, silent = 7 * DAY_US, 30 * DAY_US
    rule = Restarted(VISITS, recent, silent)
    late, edge, long_ago = NOW - recent + 1, NOW - recent, NOW - recent - silent
    world = SmallWorld().contacts(*range(6))
    for contact, times in enumerate(
        (
            [late, long_ago],
            [late],
            [late, long_ago + 1],
            [late, edge, long_ago],
            [edge, long_ago],
            [late, long_ago, NOW + 1],
        )
    ):
        for at_us in times:
            world.event(contact, "site_visited", at_us)
    assert members(world.root(), rule, NOW) == {0, 5}


def test_regularly_counts_complete_calendar_periods() -> None:
    now = us(2026, 4, 15, 12)
    world = SmallWorld().contacts(*range(5))
    start, end = us(2026, 1, 1), us(2026, 4, 1)
    february, march = us(2026, 2, 1), us(2026, 3, 1)
    for contact, times in enumerate(
        (
            [start, february, march],
            [start, february - 1, march],
            [start - 1, february, march],
            [start, start, february, march],
            [start, february, end],
        )
    ):
        for at_us in times:
            world.event(contact, "site_visited", at_us)
    root = world.root()
    assert members(root, Regularly(VISITS, 1, 3, 3, Period.MONTH), now) == {0, 3}
    assert members(root, Regularly(VISITS, 1, 2, 3, Period.MONTH), now) == {0, 1, 2, 3, 4}
    assert members(root, Regularly(VISITS, 2, 1, 3, Period.MONTH), now) == {1, 3}
    # April is not complete, and the quarter before is.
    assert members(root, Regularly(VISITS, 3, 1, 1, Period.QUARTER), now) == {0, 1, 3}


def test_regularly_by_the_contacts_own_calendar() -> None:
    # Monday in Kyiv begins at 22:00 UTC on Sunday in winter; in New York at 05:00 UTC on Monday.
    now = us(2026, 1, 14)
    world = SmallWorld().contacts(0, 1, 2)
    world.attribute(0, "time_zone", "Europe/Kyiv").attribute(1, "time_zone", "America/New_York")
    for contact in (0, 1, 2):
        world.event(contact, "site_visited", us(2026, 1, 4, 23)).event(contact, "site_visited", us(2026, 1, 5, 12))
    root = world.root()
    own = Regularly(VISITS, 2, 1, 1, Period.WEEK, Zone.CONTACT)
    assert members(root, bound(own, zone="UTC"), now) == {0}
    assert members(root, bound(Regularly(VISITS, 2, 1, 1, Period.WEEK), zone="Europe/Kyiv"), now) == {0, 1, 2}
    assert members(root, bound(Regularly(VISITS, 1, 2, 2, Period.WEEK, Zone.UTC), zone="Europe/Kyiv"), now) == {0, 1, 2}
    assert members(root, bound(Regularly(VISITS, 1, 2, 2, Period.WEEK, Zone.CONTACT)), now) == {1, 2}


def test_a_trend_compares_exactly_and_needs_some_before() -> None:
    span = 10 * DAY_US
    rising = Trend(VISITS, True, DecimalUnits(500_000), span)
    falling = Trend(VISITS, False, DecimalUnits(500_000), span)
    world = SmallWorld().contacts(*range(6))
    for contact, (old, new) in enumerate(((2, 3), (2, 2), (0, 9), (2, 1), (4, 0), (1, 1))):
        for i in range(old):
            world.event(contact, "site_visited", NOW - span - i * HOUR_US)
        for i in range(new):
            world.event(contact, "site_visited", NOW - i)
    root = world.root()
    assert members(root, rising, NOW) == {0}
    assert members(root, falling, NOW) == {3, 4}
    # 50.0001 % of 2 is more than 1 more.
    assert members(root, Trend(VISITS, True, DecimalUnits(500_001), span), NOW) == set()
    assert members(root, Trend(VISITS, False, DecimalUnits(1_000_001), span), NOW) == set()


def test_the_spans_of_a_trend_touch_without_overlapping() -> None:
    span = 10 * DAY_US
    world = SmallWorld().contacts(0, 1, 2)
    world.event(0, "site_visited", NOW - span).event(0, "site_visited", NOW - span + 1)
    world.event(1, "site_visited", NOW - span + 1).event(1, "site_visited", NOW)
    world.event(2, "site_visited", NOW - 2 * span).event(2, "site_visited", NOW)
    assert members(world.root(), Trend(VISITS, True, DecimalUnits(0), span), NOW) == {0}
