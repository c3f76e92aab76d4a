"""Anniversaries, ages, days, weekdays and hours, distance: by the zone that is meant."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random

import numpy as np

from core.clock import DAY_US, HOUR_US, SECOND_US
from core.events.raw import day_number
from core.query.ast import (
    AttributeCondition,
    BetweenAgo,
    Circle,
    Compare,
    Comparison,
    EventCount,
    EventSelection,
    InLast,
    InNext,
    Moments,
    MoreThanAgo,
    OnDay,
    Window,
    Zone,
)
from core.query.local_time import find_zone, local_date
from core.query.rows.comparisons_dates import anniversaries, has_anniversary
from core.query.rows.distance import EARTH_RADIUS_M, metres
from core.query.rows.zone_offsets import local_days, local_us
from core.query.windows import Interval
from core.schema import Instant, Location
from tests.unit.index.small_world import SmallWorld, bound, members, operands

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def us(year: int, month: int, day: int, hour: int = 0, minute: int = 0, microsecond: int = 0) -> int:
    return (datetime(year, month, day, hour, minute, 0, microsecond, UTC) - _EPOCH) // timedelta(microseconds=1)


def anniversary(window: Window, zone: Zone = Zone.WORKSPACE, name: str = "birth_date") -> AttributeCondition:
    return AttributeCondition(Comparison(name, Compare.ANNIVERSARY, window=window, zone=zone))


def at(name: str, weekdays: tuple[int, ...], hours: tuple[int, int] | None, zone: Zone = Zone.UTC) -> Comparison:
    return Comparison(name, Compare.AT, moments=Moments(weekdays, hours, zone))


def test_anniversaries_of_the_twenty_ninth_of_february() -> None:
    born = np.array([day_number(date(2000, 2, 29))] * 3)
    days = anniversaries(born, np.array([2001, 2004, 2100]))
    assert days.tolist() == [day_number(d) for d in (date(2001, 2, 28), date(2004, 2, 29), date(2100, 2, 28))]


def test_anniversaries_agree_with_days_one_by_one() -> None:
    seed = 11
    random = Random(seed)
    for _ in range(2_000):
        born = date(1990, 1, 1) + timedelta(days=random.randrange(20_000))
        start = date(1989, 6, 1) + timedelta(days=random.randrange(25_000))
        days = random.choice((1, 2, 7, 30, 365, 366, 367, 800))
        window = [start + timedelta(days=n) for n in range(days)]
        expected = any(_is_anniversary(born, day) for day in window)
        interval = Interval(day_number(start), day_number(start) + days)
        found = has_anniversary(np.array([day_number(born)]), interval)
        assert bool(found[0]) == expected, (seed, born, start, days)


def _is_anniversary(born: date, day: date) -> bool:
    leap = day.year % 4 == 0 and (day.year % 100 != 0 or day.year % 400 == 0)
    wanted = (2, 28) if (born.month, born.day) == (2, 29) and not leap else (born.month, born.day)
    return day.year > born.year and (day.month, day.day) == wanted


def test_windows_of_anniversaries() -> None:
    now = us(2026, 3, 1, 12)
    world = SmallWorld().contacts(*range(6))
    for contact, born in enumerate(
        (date(2000, 3, 1), date(2000, 3, 7), date(2000, 3, 8), date(2000, 2, 29), date(2026, 3, 1), date(2026, 3, 2))
    ):
        world.attribute(contact, "birth_date", born)
    world.attribute(5, "since", Instant(us(2020, 3, 1, 23, 59)))
    root = world.root()
    assert members(root, anniversary(OnDay(0)), now) == {0}
    assert members(root, anniversary(OnDay(-1)), now) == {3}
    assert members(root, anniversary(InNext(7 * DAY_US)), now) == {0, 1}
    assert members(root, anniversary(InLast(2 * DAY_US)), now) == {0, 3}
    assert members(root, anniversary(OnDay(0), name="since"), now) == {5}
    assert members(root, bound(anniversary(OnDay(1), name="since"), zone="Europe/Kyiv"), now) == {5}


def test_ages_change_at_local_midnight() -> None:
    world = SmallWorld().contacts(0, 1, 2, 3).attribute(0, "birth_date", date(2000, 3, 2))
    world.attribute(1, "birth_date", date(2000, 3, 2)).attribute(1, "time_zone", "Asia/Tokyo")
    world.attribute(2, "birth_date", date(2030, 1, 1))
    root = world.root()

    def age(relation: Compare, *values: int, zone: Zone = Zone.WORKSPACE) -> AttributeCondition:
        return AttributeCondition(
            Comparison("birth_date", Compare.AGE, operands(*values), relation=relation, zone=zone)
        )

    midnight = us(2018, 3, 2)
    assert members(root, age(Compare.GE, 18), midnight - 1) == set()
    assert members(root, age(Compare.GE, 18), midnight) == {0, 1}
    assert members(root, age(Compare.GE, 18, zone=Zone.CONTACT), midnight - 1) == {1}
    assert members(root, age(Compare.BETWEEN, 0, 17), midnight - 1) == {0, 1}
    # Who is not born yet has no age, whatever is asked.
    assert members(root, age(Compare.NE, 18), midnight) == set()
    assert members(root, age(Compare.LT, 100), midnight) == {0, 1}


def test_rolling_windows_on_dates_begin_with_the_local_today() -> None:
    now = us(2026, 3, 1, 23)  # In Kyiv it is the 2nd already.
    world = SmallWorld().contacts(*range(4))
    for contact, day in enumerate((date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3), date(2026, 2, 28))):
        world.attribute(contact, "due", day)
    world.attribute(2, "time_zone", "Asia/Tokyo")
    root = world.root()

    def due(window: Window, zone: Zone = Zone.WORKSPACE) -> set[int]:
        rule = AttributeCondition(Comparison("due", Compare.WITHIN, window=window, zone=zone))
        return members(root, bound(rule, zone="Europe/Kyiv"), now)

    assert due(OnDay(0)) == {1}
    assert due(OnDay(0), Zone.UTC) == {0}
    assert due(InLast(2 * DAY_US)) == {0, 1}
    assert due(InLast(2 * DAY_US), Zone.UTC) == {0, 3}
    assert due(InNext(2 * DAY_US)) == {1, 2}
    assert due(InNext(DAY_US), Zone.CONTACT) == {1}
    assert due(BetweenAgo(DAY_US, 3 * DAY_US)) == {0, 3}
    assert due(MoreThanAgo(DAY_US), Zone.UTC) == {3}


def test_weekdays_and_hours_over_a_change_of_the_clock() -> None:
    # On 29 March 2026 clocks in Kyiv went from 03:00 to 04:00, on 25 October from 04:00 back to 03:00.
    sunday, hours = (7,), (3 * 3600, 4 * 3600)
    moments = {
        0: us(2026, 3, 29, 0, 59),  # 02:59
        1: us(2026, 3, 29, 1, 0),  # 04:00
        2: us(2026, 10, 25, 0, 0),  # 03:00 for the first time
        3: us(2026, 10, 25, 1, 59),  # 03:59 for the second time
        4: us(2026, 10, 25, 2, 0),  # 04:00
        5: us(2026, 10, 26, 1, 30),  # Monday, 03:30
    }
    world = SmallWorld().contacts(*moments)
    for contact, at_us in moments.items():
        world.attribute(contact, "seen", Instant(at_us)).event(contact, "seen", at_us)
        world.attribute(contact, "time_zone", "Europe/Kyiv")
    root = world.root()
    now = us(2027, 1, 1)
    for zone, workspace in ((Zone.WORKSPACE, "Europe/Kyiv"), (Zone.CONTACT, "UTC")):
        of_attribute = AttributeCondition(at("seen", sunday, hours, zone))
        assert members(root, bound(of_attribute, zone=workspace), now) == {2, 3}
        events = EventSelection(("seen",), moments=Moments(sunday, hours, zone))
        assert members(root, bound(EventCount(events, Compare.GE, operands(1)), zone=workspace), now) == {2, 3}
    assert members(root, AttributeCondition(at("seen", (), (0, 3600), Zone.UTC)), now) == {0, 2}


def test_hours_may_wrap_midnight_and_belong_to_the_day_that_then_is() -> None:
    times = (22 * HOUR_US - 1, 22 * HOUR_US, 24 * HOUR_US, 30 * HOUR_US - 1, 30 * HOUR_US)
    world = SmallWorld().contacts(*range(5))
    for contact, at_us in enumerate(times):
        world.event(contact, "seen", at_us)
    root = world.root()

    def seen(weekdays: tuple[int, ...]) -> EventCount:
        return EventCount(
            EventSelection(("seen",), moments=Moments(weekdays, (22 * 3600, 6 * 3600))), Compare.GE, operands(1)
        )

    # 1970-01-01 was a Thursday.
    assert members(root, seen(()), 10 * DAY_US) == {1, 2, 3}
    assert members(root, seen((4,)), 10 * DAY_US) == {1}
    assert members(root, seen((5,)), 10 * DAY_US) == {2, 3}


def test_moments_of_dates_are_weekdays() -> None:
    world = SmallWorld().contacts(0, 1).attribute(0, "due", date(2026, 3, 1)).attribute(1, "due", date(2026, 3, 2))
    root = world.root()
    assert members(root, AttributeCondition(at("due", (7,), None)), 5) == {0}
    assert members(root, AttributeCondition(at("due", (1, 7), None)), 5) == {0, 1}


def test_local_time_of_many_instants_is_that_of_each() -> None:
    seed = 5
    random = Random(seed)
    names = ("UTC", "Europe/Kyiv", "America/New_York", "Africa/Casablanca", "Pacific/Apia", "Australia/Lord_Howe")
    for name in (*names, "Asia/Kathmandu", "Europe/Dublin", "America/St_Johns", "Etc/GMT+12", "Antarctica/Troll"):
        zone = find_zone(name)
        assert zone is not None
        instants = [random.randrange(us(1, 1, 4), us(9999, 12, 28)) for _ in range(200)]
        instants += [random.randrange(us(1880, 1, 1), us(2110, 1, 1)) for _ in range(800)]
        shown = local_us(np.array(instants), zone).tolist()
        for instant, local in zip(instants, shown, strict=True):
            clock = (_EPOCH + timedelta(microseconds=instant)).astimezone(zone).replace(tzinfo=UTC)
            assert (clock - _EPOCH) // timedelta(microseconds=1) == local, (seed, name, instant)
        days = local_days(np.array(instants), zone).tolist()
        assert days == [day_number(local_date(instant, zone)) for instant in instants], (seed, name)


def test_the_second_before_and_at_every_change_of_a_clock() -> None:
    zone = find_zone("Europe/Kyiv")
    assert zone is not None
    for year in range(2000, 2060):
        for month in (3, 10):
            last = max(d for d in range(25, 32) if date(year, month, d).weekday() == 6)
            instants = [us(year, month, last, 1) + shift for shift in (-SECOND_US, -1, 0, 1)]
            clocks = [(_EPOCH + timedelta(microseconds=one)).astimezone(zone).replace(tzinfo=UTC) for one in instants]
            expected = [(clock - _EPOCH) // timedelta(microseconds=1) for clock in clocks]
            assert local_us(np.array(instants), zone).tolist() == expected, year


def test_distance_includes_the_rim_and_equal_places_are_no_distance_apart() -> None:
    kyiv = Location(504_500_000, 305_233_000)
    world = SmallWorld().contacts(0, 1, 2).attribute(0, "home", kyiv).attribute(1, "home", Location(0, 1_800_000_000))
    root = world.root()

    def near(circle: Circle) -> set[int]:
        return members(root, AttributeCondition(Comparison("home", Compare.DISTANCE, circle=circle)), 5)

    assert near(Circle(kyiv.latitude_e7, kyiv.longitude_e7, 0)) == {0}
    # The date line is no border, and half way round is as far as it gets.
    assert near(Circle(0, -1_800_000_000, 1)) == {1}
    half_mm = int(np.pi * EARTH_RADIUS_M * 1000)
    assert near(Circle(0, 0, half_mm + 1)) == {0, 1}
    assert near(Circle(0, 0, half_mm - 1)) == {0}
    degree = metres(np.array([10_000_000]), np.array([0]), 0, 0)
    assert abs(float(degree[0]) - 111_195.08) < 0.01


def test_a_distance_does_not_depend_on_which_others_are_asked() -> None:
    seed = 3
    random = np.random.default_rng(seed)
    latitudes = random.integers(-900_000_000, 900_000_000, 4_001)
    longitudes = random.integers(-1_800_000_000, 1_800_000_000, 4_001)
    together = metres(latitudes, longitudes, 504_500_000, 305_233_000)
    for i in range(0, 4_001, 7):
        alone = metres(latitudes[i : i + 1], longitudes[i : i + 1], 504_500_000, 305_233_000)
        assert alone[0] == together[i], (seed, i)
