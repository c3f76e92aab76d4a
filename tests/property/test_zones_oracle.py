"""Days of 23, 23.5, 24.5, 25 and 0 hours: whatever asks for local time agrees with the oracle around each of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random

import pytest

from core.clock import DAY_US, HOUR_US, MINUTE_US
from core.events.columns import Event
from core.events.facts import AttributeWrite, ContactState
from core.query.ast import (
    Absolute,
    AttributeCondition,
    Calendar,
    Compare,
    Comparison,
    Condition,
    EventCount,
    EventSelection,
    InCohort,
    InLast,
    InNext,
    Literal,
    Moments,
    OnDay,
    Period,
    Regularly,
    Rule,
    Scope,
    Window,
    Zone,
)
from core.query.binding.bind import bind
from core.query.names import Names
from core.schema import Instant
from tests.generators.scene import Question
from tests.generators.vocabulary import ATTRIBUTES, EVENTS, ITEMS
from tests.generators.world import Happened, Logged
from tests.oracle.calendar import start_of, zone_of
from tests.property.agreement import compare, expect, oracle_of, root_of
from tests.property.brief import brief

#: Zone, a day whose clocks are moved, and its hours.
DAYS = (
    ("Europe/Kyiv", date(2026, 3, 29), 23),
    ("Europe/Kyiv", date(2026, 10, 25), 25),
    ("America/New_York", date(2026, 3, 8), 23),
    ("America/New_York", date(2026, 11, 1), 25),
    ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
    ("Australia/Lord_Howe", date(2026, 10, 4), 23.5),
    ("America/Santiago", date(2026, 4, 4), 25),
    ("America/Santiago", date(2026, 9, 6), 23),
    ("Pacific/Apia", date(2011, 12, 30), 0),
    ("Pacific/Apia", date(2011, 9, 24), 23),
)
#: The workspace's own zone when the contact's counts.
_ELSEWHERE = "Asia/Kathmandu"
_HOURS = ((0, 3600), (7200, 10_800), (3600, 9000), (82_800, 7200), (28_800, 72_000), (0, 86_400), (84_600, 86_400))


@pytest.mark.parametrize(("zone", "day", "hours"), DAYS)
@pytest.mark.parametrize("whose", [Zone.WORKSPACE, Zone.CONTACT])
def test_local_time_around_the_day(zone: str, day: date, hours: float, whose: Zone) -> None:
    assert length_us(zone, day) == hours * HOUR_US
    workspace = zone if whose is Zone.WORKSPACE else _ELSEWHERE
    names = Names(ATTRIBUTES, EVENTS, ITEMS, zone=workspace)
    random = Random(f"{zone} {day} {whose}")
    instants = awkward(zone, day)
    log = world(random, zone if whose is Zone.CONTACT else None, day, instants)
    root, oracle = root_of(random, log), oracle_of(log, names)
    asked = [*(one + shift for one in instants for shift in (0, -1)), *(one + HOUR_US // 2 for one in instants)]
    separated = 0
    for condition in conditions(whose, day):
        bound = bind(Rule((condition,), Scope.ALL), names)
        for as_of_us in random.sample(asked, 2):
            question = Question(bound.rule, as_of_us)
            expected = expect(oracle, question, {})
            found = compare(root, oracle, bound, question, {}, expected=expected)
            assert found is None, f"as of {as_of_us} ({zone}, {whose}): {found} {brief(condition)}"
            separated += 0 < len(expected.members) < root.contact_count
    assert separated, "nothing was asked that tells contacts apart"


def length_us(zone: str, day: date) -> int:
    """How long the local day lasts."""
    rules = zone_of(zone)
    assert rules is not None
    return start_of(day + timedelta(days=1), rules) - start_of(day, rules)


def awkward(zone: str, day: date) -> list[int]:
    """Midnights around the day, and every half hour of it."""
    rules = zone_of(zone)
    assert rules is not None
    midnights = [start_of(day + timedelta(days=ahead), rules) for ahead in range(-8, 9)]
    first, last = start_of(day, rules) - 2 * HOUR_US, start_of(day + timedelta(days=1), rules) + 4 * HOUR_US
    return sorted({*midnights, *range(first, last, 30 * MINUTE_US)})


def world(random: Random, own_zone: str | None, day: date, instants: list[int]) -> tuple[Logged, ...]:
    """One contact for each instant, and for the microsecond before some of them, with an event and an attribute of it,
    and a date near the day, some years ago."""
    log: list[Logged] = []
    for number, us in enumerate([*instants, *(one - 1 for one in random.sample(instants, len(instants) // 3))]):
        log.append(ContactState(number, f"c{number}", True, 1, us - 400 * DAY_US, 0))
        if own_zone is not None:
            log.append(AttributeWrite(number, "time_zone", own_zone, us - 400 * DAY_US, False, 0))
        near = day + timedelta(days=number % 7 - 3)
        birth = near.replace(year=near.year - random.choice((0, 1, 30)))
        log.append(AttributeWrite(number, "birth_date", birth, us - 400 * DAY_US, False, 0))
        log.append(AttributeWrite(number, "created", Instant(us), us - 400 * DAY_US, False, 0))
        log.append(Happened(number, Event(f"e{number}", "app_opened", us, us)))
    return tuple(log)


def conditions(zone: Zone, day: date) -> Iterator[Condition]:
    """Everything that asks for local time."""
    opened = EventSelection(("app_opened",))
    did = (Compare.GE, (Literal(1),))
    windows: list[Window] = [
        Calendar(period, offset, count, zone)
        for period in Period
        for offset, count in ((0, 1), (-1, 1), (-1, 2), (1, 1))
    ]
    windows.append(Absolute(Literal(day), Literal(day + timedelta(days=1)), zone=zone))
    windows.append(Absolute(Literal(day - timedelta(days=1)), Literal(day), through=True, zone=zone))
    for window in windows:
        ahead = isinstance(window, Calendar) and window.offset > 0
        if not ahead:
            yield EventCount(EventSelection(("app_opened",), window=window), *did)
            yield InCohort(opened, window)
        yield AttributeCondition(Comparison("created", Compare.WITHIN, window=window))
        yield AttributeCondition(Comparison("birth_date", Compare.WITHIN, window=window))
    for moments in (*(Moments((), hours, zone) for hours in _HOURS), Moments((7,), None, zone), Moments((1, 6), None)):
        yield EventCount(EventSelection(("app_opened",), moments=moments), *did)
        yield AttributeCondition(Comparison("created", Compare.AT, moments=moments))
    for period in (Period.DAY, Period.WEEK, Period.MONTH):
        yield Regularly(opened, 1, 1, 3, period, zone)
    for relative in (OnDay(0), OnDay(1), OnDay(-1), InLast(DAY_US), InNext(2 * DAY_US)):
        yield AttributeCondition(Comparison("birth_date", Compare.WITHIN, window=relative, zone=zone))
        yield AttributeCondition(Comparison("birth_date", Compare.ANNIVERSARY, window=relative, zone=zone))
        yield AttributeCondition(Comparison("created", Compare.ANNIVERSARY, window=relative, zone=zone))
    for name in ("birth_date", "created"):
        age = Comparison(name, Compare.AGE, (Literal(1),), relation=Compare.GE, zone=zone)
        yield AttributeCondition(age)
