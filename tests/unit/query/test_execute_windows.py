"""Windows to the microsecond, local days, dates."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from core.clock import DAY_US, HOUR_US, WEEK_US
from core.errors import CdpError
from core.query.ast import (
    Absolute,
    AttributeCondition,
    BetweenAgo,
    Calendar,
    Compare,
    Comparison,
    EventCount,
    EventSelection,
    InLast,
    InNext,
    Literal,
    MoreThanAgo,
    Period,
    Window,
    Zone,
)
from core.query.local_time import current_day, find_zone, local_date, start_of
from core.schema import Instant
from tests.unit.index.small_world import SmallWorld, bound, members, operands

NOW = 100 * DAY_US


def at(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * 1_000_000


def did(window: Window | None, count: int = 1) -> EventCount:
    return EventCount(EventSelection(("site_visited",), (), window), Compare.GE, operands(count))


def within(name: str, window: Window) -> AttributeCondition:
    return AttributeCondition(Comparison(name, Compare.WITHIN, window=window))


@pytest.mark.parametrize(
    ("window", "inside", "outside"),
    [
        (InLast(WEEK_US), [NOW, NOW - WEEK_US + 1], [NOW + 1, NOW - WEEK_US]),
        (BetweenAgo(HOUR_US, DAY_US), [NOW - HOUR_US, NOW - DAY_US + 1], [NOW - HOUR_US + 1, NOW - DAY_US]),
        (MoreThanAgo(DAY_US), [NOW - DAY_US, -(10**15)], [NOW - DAY_US + 1]),
        (
            Absolute(Literal(Instant(5)), Literal(Instant(9))),
            [5, 8],
            [4, 9],
        ),
        (Absolute(None, Literal(Instant(9))), [-(10**15), 8], [9]),
        (
            Absolute(Literal(date(1970, 1, 2)), Literal(date(1970, 1, 3))),
            [DAY_US, 2 * DAY_US - 1],
            [DAY_US - 1, 2 * DAY_US],
        ),
        (
            Absolute(Literal(date(1970, 1, 2)), Literal(date(1970, 1, 3)), through=True),
            [DAY_US, 3 * DAY_US - 1],
            [DAY_US - 1, 3 * DAY_US],
        ),
        (None, [NOW, -(10**15)], [NOW + 1]),
    ],
)
def test_both_ends_of_a_window(window: Window | None, inside: list[int], outside: list[int]) -> None:
    world = SmallWorld()
    times = inside + outside
    world.contacts(*range(len(times)), at_us=-(10**16))
    for contact, instant in enumerate(times):
        world.event(contact, "site_visited", instant)
    assert members(world.root(), did(window), NOW) == set(range(len(inside)))


def test_an_event_leaves_exactly_when_it_is_as_old_as_the_window() -> None:
    root = SmallWorld().contacts(0).event(0, "site_visited", 50).root()
    rule = did(InLast(WEEK_US))
    assert members(root, rule, 49) == set()
    assert members(root, rule, 50) == {0}
    assert members(root, rule, 50 + WEEK_US - 1) == {0}
    assert members(root, rule, 50 + WEEK_US) == set()


def test_instants_ahead() -> None:
    world = SmallWorld().contacts(0, 1, 2, 3)
    for contact, instant in enumerate((NOW, NOW + 1, NOW + DAY_US, NOW + DAY_US + 1)):
        world.attribute(contact, "renewal", Instant(instant))
    assert members(world.root(), within("renewal", InNext(DAY_US)), NOW) == {1, 2}
    assert members(world.root(), within("renewal", InLast(DAY_US)), NOW) == {0}


def test_dates_count_local_days() -> None:
    world = SmallWorld().contacts(*range(6))
    for contact, day in enumerate((8, 9, 10, 11, 12, 13)):
        world.attribute(contact, "visit", date(2026, 3, day))
    root = world.root()
    now = at("2026-03-11T03:00:00")  # in New York it is still the 10th
    cases: list[tuple[Window, set[int], set[int]]] = [
        (InLast(2 * DAY_US), {2, 3}, {1, 2}),
        (InNext(2 * DAY_US), {3, 4}, {2, 3}),
        (BetweenAgo(DAY_US, 3 * DAY_US), {1, 2}, {0, 1}),
        (MoreThanAgo(2 * DAY_US), {0, 1}, {0}),
        (Calendar(Period.DAY, 0, 1), {3}, {2}),
        (Calendar(Period.DAY, 1, 2), {4, 5}, {3, 4}),
        (Calendar(Period.WEEK, 0, 1), {1, 2, 3, 4, 5}, {1, 2, 3, 4, 5}),
        (Absolute(Literal(date(2026, 3, 9)), Literal(date(2026, 3, 11)), through=True), {1, 2, 3}, {1, 2, 3}),
    ]
    for window, in_utc, in_new_york in cases:
        assert members(root, bound(within("visit", window)), now) == in_utc, window
        assert members(root, bound(within("visit", window), zone="America/New_York"), now) == in_new_york, window


def test_local_days_of_23_and_25_hours() -> None:
    zone = "America/New_York"
    for day, hours in (("2026-03-08", 23), ("2026-11-01", 25), ("2026-07-01", 24)):
        today = date.fromisoformat(day)
        new_york = find_zone(zone)
        assert new_york is not None
        first, after = start_of(today, new_york), start_of(date.fromordinal(today.toordinal() + 1), new_york)
        assert after - first == hours * HOUR_US
        world = SmallWorld().contacts(0, 1, 2, 3)
        for contact, instant in enumerate((first - 1, first, after - 1, after)):
            world.event(contact, "site_visited", instant)
        root = world.root()
        this_day = bound(did(Calendar(Period.DAY, 0, 1)), zone=zone)
        last_day = bound(did(Calendar(Period.DAY, -1, 1)), zone=zone)
        assert members(root, this_day, after - 1) == {1, 2}
        assert members(root, last_day, after + 12 * HOUR_US) == {1, 2}


def test_days_that_start_late_twice_or_never() -> None:
    sao_paulo, apia, st_johns = (find_zone(z) for z in ("America/Sao_Paulo", "Pacific/Apia", "America/St_Johns"))
    assert sao_paulo and apia and st_johns
    assert start_of(date(2018, 11, 4), sao_paulo) == at("2018-11-04T03:00:00")  # 00:00 was skipped
    assert start_of(date(2011, 12, 30), apia) == start_of(date(2011, 12, 31), apia) == at("2011-12-30T10:00:00")
    first = start_of(date(2010, 11, 7), st_johns)
    assert first == at("2010-11-07T02:30:00")
    back = first + 60 * 1_000_000  # at 00:01 the clock goes back to 23:01 of the day before
    assert local_date(back, st_johns) == date(2010, 11, 6)
    assert current_day(back, st_johns) == date(2010, 11, 7)


def test_the_zone_of_the_contact_as_valid_now() -> None:
    now = at("2026-03-11T03:00:00")
    world = SmallWorld().contacts(0, 1, 2, 3, 4)
    for contact in range(5):
        world.event(contact, "site_visited", at("2026-03-10T20:00:00"))
    world.attribute(0, "time_zone", "America/New_York").attribute(1, "time_zone", "Asia/Tokyo")
    world.attribute(2, "time_zone", "Mars/Olympus").attribute(4, "time_zone", "America/New_York")
    world.attribute(4, "time_zone", None, 5)
    root = world.root()
    today = did(Calendar(Period.DAY, 0, 1, Zone.CONTACT))
    assert members(root, bound(today), now) == {0, 1}
    assert members(root, bound(today, zone="America/New_York"), now) == {0, 1, 2, 3, 4}
    assert members(root, bound(today), 4) == set()
    utc = did(Calendar(Period.DAY, 0, 1, Zone.UTC))
    assert members(root, bound(utc, zone="America/New_York"), now) == set()


def test_periods() -> None:
    world = SmallWorld().contacts(*range(8))
    for contact, text in enumerate(
        ("2025-09-30", "2025-10-01", "2025-12-31", "2026-01-01", "2026-02-01", "2026-02-28", "2026-03-01", "2026-03-09")
    ):
        world.event(contact, "site_visited", at(text + "T00:00:00"))
    root = world.root()
    now = at("2026-03-11T12:00:00")
    for window, expected in (
        (Calendar(Period.MONTH, 0, 1), {6, 7}),
        (Calendar(Period.MONTH, -1, 2), {3, 4, 5}),
        (Calendar(Period.QUARTER, -1, 1), {1, 2}),
        (Calendar(Period.QUARTER, 0, 1), {3, 4, 5, 6, 7}),
        (Calendar(Period.YEAR, -1, 1), {0, 1, 2}),
        (Calendar(Period.WEEK, 0, 1), {7}),
        (Calendar(Period.WEEK, -1, 2), {5, 6}),
        (Calendar(Period.YEAR, -1, 5000), {0, 1, 2}),
    ):
        assert members(root, did(window), now) == expected, window


def test_an_unknown_zone_is_refused() -> None:
    root = SmallWorld().contacts(0).root()
    with pytest.raises(CdpError) as refused:
        members(root, bound(did(None), zone="Mars/Olympus"), NOW)
    assert refused.value.reason == "ZONE_UNKNOWN"
