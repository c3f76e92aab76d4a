"""Retention tables, by exact counting."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from core.analytics.cohort import CohortMatrix, cohort_csv, cohort_matrix
from core.analytics.cohort_counts import CohortSource
from core.analytics.picture import cohort_picture
from core.errors import CdpError
from core.query.ast import AttributeMeasure, EventSelection, Period, Population, Scope, Zone
from core.query.execute_context import Context
from core.schema import Instant
from tests.unit.index.small_world import SmallWorld

BOUGHT, VISITED = EventSelection(("bought",)), EventSelection(("visited",))
EVERYONE = Population(Scope.ALL)


def at(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000


def local_day(instant_us: int, zone: str) -> date:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant_us)
    return moment.astimezone(ZoneInfo(zone)).date()


def first_day(day: date, period: Period) -> date:
    match period:
        case Period.DAY:
            return day
        case Period.WEEK:
            return day - timedelta(days=day.weekday())
        case Period.MONTH:
            return day.replace(day=1)
        case Period.QUARTER:
            return date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
        case Period.YEAR:
            return date(day.year, 1, 1)


ZONES = ("UTC", "Europe/Kyiv", "America/New_York", "Australia/Lord_Howe")


@pytest.mark.parametrize("seed", range(24))
def test_as_counted_by_hand(seed: int) -> None:
    print(f"seed {seed}")
    draw = random.Random(seed)
    zone, period = draw.choice(ZONES), draw.choice(list(Period))
    # Around the changes of the clocks in March 2024, hour by hour, so that local midnights are hit exactly.
    base = at("2024-02-20T00:00:00")
    as_of_us = base + draw.randint(10, 60) * 86_400_000_000 + draw.choice((-1, 0, 1))
    world = SmallWorld()
    facts: dict[str, list[tuple[int, int]]] = {"bought": [], "visited": []}
    begun: dict[int, int] = {}
    for contact in range(30):
        world.contacts(contact, at_us=base)
        if draw.random() < 0.5:
            begun[contact] = base + draw.randint(0, 60 * 24) * 3_600_000_000
            world.attribute(contact, "joined", Instant(begun[contact]))
    for _ in range(draw.randint(0, 200)):
        name, contact = draw.choice(("bought", "visited")), draw.randrange(30)
        instant = base + draw.randint(0, 60 * 24) * 3_600_000_000 + draw.choice((-1, 0, 0, 1))
        facts[name].append((contact, instant))
        world.event(contact, name, instant)
    root = world.root(draw.randint(10, 300), root_each=True)
    sources: tuple[tuple[CohortSource, EventSelection | None], ...] = (
        (BOUGHT, None),
        (BOUGHT, VISITED),
        (AttributeMeasure("joined"), BOUGHT),
    )
    for cohort, returns in sources:
        events = facts["bought" if returns is None else returns.names[0]]
        starts_of = begun
        if isinstance(cohort, EventSelection):
            starts_of = {}
            for contact, instant in facts["bought"]:
                if instant <= as_of_us:
                    starts_of[contact] = min(instant, starts_of.get(contact, instant))
        first, last = date(2024, 2, 25), draw.choice((date(2024, 3, 31), date(2024, 12, 31)))
        context = Context(root, as_of_us, zone)
        found = cohort_matrix(cohort, returns, period, first, last, context, population=EVERYONE)
        rows = list(found.starts)
        assert rows == sorted(
            {first_day(day, period) for day in days_between(first, min(last, local_day(as_of_us, zone)))}
        )
        periods = sorted({first_day(day, period) for day in days_between(rows[0], local_day(as_of_us, zone))})
        for i, start in enumerate(rows):
            mine = {
                c: t for c, t in starts_of.items() if t <= as_of_us and first_day(local_day(t, zone), period) == start
            }
            assert found.sizes[i] == len(mine)
            for j in range(found.counts.shape[1]):
                started = i + j < len(periods)
                assert bool(found.started[i, j]) is started
                back = {
                    c
                    for c, t in events
                    if started
                    and c in mine
                    and mine[c] < t <= as_of_us
                    and first_day(local_day(t, zone), period) == periods[i + j]
                }
                assert found.counts[i, j] == len(back), (zone, period, start, j)
                expected = Fraction(len(back), len(mine)) if started and mine else None
                assert found.rate(i, j) == expected
        # Events by machines have to be looked at one by one; there are none.
        picked = cohort_matrix(one_by_one(cohort), returns, period, first, last, context, population=EVERYONE)
        assert np.array_equal(picked.counts, found.counts)
        assert np.array_equal(picked.sizes, found.sizes)


def one_by_one(cohort: CohortSource) -> CohortSource:
    return replace(cohort, with_machines=True) if isinstance(cohort, EventSelection) else cohort


def days_between(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def small_matrix(as_of: str = "2024-03-10T00:00:00") -> CohortMatrix:
    world = SmallWorld().contacts(0, 1).contacts(2, known=False)
    for contact, text in ((0, "2024-01-05T10:00:00"), (1, "2024-01-31T23:00:00"), (2, "2024-01-06T10:00:00")):
        world.event(contact, "bought", at(text))
    world.event(0, "bought", at("2024-01-05T10:00:00"))  # at the same instant: no return
    world.event(1, "bought", at("2024-01-31T23:00:00") + 1)
    world.event(0, "bought", at("2024-03-01T00:00:00"))
    world.event(0, "bought", at("2024-03-02T00:00:00"))
    context = Context(world.root(), at(as_of), "UTC")
    return cohort_matrix(BOUGHT, None, Period.MONTH, date(2024, 1, 20), date(2024, 2, 1), context)


def test_returns_are_strictly_after_the_beginning() -> None:
    found = small_matrix()
    assert found.starts == (date(2024, 1, 1), date(2024, 2, 1))
    assert found.sizes.tolist() == [2, 0]
    assert found.counts.tolist() == [[1, 0, 1], [0, 0, 0]]
    assert found.started.tolist() == [[True, True, True], [True, True, False]]
    assert found.unfinished.tolist() == [[False, False, True], [False, True, False]]
    assert (found.rate(0, 0), found.rate(1, 0), found.rate(1, 2)) == (Fraction(1, 2), None, None)


def test_a_period_is_finished_at_its_last_microsecond() -> None:
    world = SmallWorld().contacts(0)
    end = at("2024-02-01T00:00:00")
    for as_of_us, growing in ((end - 2, True), (end - 1, False)):
        context = Context(world.root(), as_of_us, "UTC")
        found = cohort_matrix(None, BOUGHT, Period.MONTH, date(2024, 1, 1), date(2024, 1, 1), context)
        assert found.unfinished.tolist() == [[growing]]


def test_csv() -> None:
    assert cohort_csv(small_matrix()).splitlines() == [
        "cohort,size,period 0,rate 0,period 1,rate 1,period 2,rate 2",
        "2024-01-01,2,1,50.00,0,0.00,1*,50.00",
        "2024-02-01,0,0,,0*,,,",
    ]


def test_the_picture_is_a_document_with_every_share() -> None:
    text = cohort_picture(small_matrix())
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    written = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    for label in ("2024-01-01 · 2", "month 2", "50.00 %", "50.00 %*", "0.00 %"):
        assert label in written
    left = [
        float(one.get("x", "0")) + float(one.get("width", "0")) for one in root.iter("{http://www.w3.org/2000/svg}rect")
    ]
    assert max(left) <= float(root.get("width", "0"))


def test_before_the_first_period_there_is_nothing() -> None:
    context = Context(SmallWorld().contacts(0).root(), at("2024-01-10T00:00:00"), "UTC")
    found = cohort_matrix(BOUGHT, None, Period.MONTH, date(2024, 2, 1), date(2024, 5, 1), context)
    assert (found.starts, found.counts.shape) == ((), (0, 0))
    assert cohort_csv(found) == "cohort,size\n"
    ElementTree.fromstring(cohort_picture(found))


def test_refused() -> None:
    context = Context(SmallWorld().contacts(0).root(), at("2024-01-10T00:00:00"), "UTC")
    day = date(2024, 1, 1)
    with pytest.raises(CdpError, match="by one zone"):
        cohort_matrix(BOUGHT, None, Period.DAY, day, day, context, zone=Zone.CONTACT)
    with pytest.raises(CdpError, match="has to be named"):
        cohort_matrix(None, None, Period.DAY, day, day, context)
    with pytest.raises(CdpError, match="at most 1000"):
        cohort_matrix(BOUGHT, None, Period.DAY, date(2020, 1, 1), day, context)
