"""When waits for wall times and dates end, across changes of the clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime
from random import Random

import pytest

from core.clock import DAY_US, HOUR_US, MINUTE_US
from core.query.local_time import wall_instant
from core.scenario.definition import DateAttribute, LocalTime
from core.scenario.waits import anniversary, due_date, next_local, wall_time_from, zone_named
from core.schema import Instant, Value


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def shown(instant_us: int) -> str:
    return datetime.fromtimestamp(instant_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M")


#: (minute, weekdays, zone, after, expected), all instants UTC.
NEXT: tuple[tuple[int, tuple[int, ...], str, str, str], ...] = (
    (9 * 60, (), "Europe/Berlin", "2027-01-10T07:59", "2027-01-10T08:00"),
    (9 * 60, (), "Europe/Berlin", "2027-01-10T08:00", "2027-01-11T08:00"),
    (9 * 60, (), "Europe/Berlin", "2027-07-10T08:00", "2027-07-11T07:00"),
    (9 * 60, (0,), "Europe/Berlin", "2027-01-10T12:00", "2027-01-11T08:00"),
    (9 * 60, (0, 6), "Europe/Berlin", "2027-01-11T08:00", "2027-01-17T08:00"),
    # The clocks skip 02:30 on 28 March 2027 in Berlin: at the first instant after the gap.
    (150, (), "Europe/Berlin", "2027-03-27T12:00", "2027-03-28T01:00"),
    (150, (), "Europe/Berlin", "2027-03-28T01:00", "2027-03-29T00:30"),
    # They show 02:30 twice on 31 October 2027: at the first of the two, and not again.
    (150, (), "Europe/Berlin", "2027-10-30T12:00", "2027-10-31T00:30"),
    (150, (), "Europe/Berlin", "2027-10-31T00:30", "2027-11-01T01:30"),
    (150, (), "Europe/Berlin", "2027-10-31T01:15", "2027-11-01T01:30"),
    # Midnight is skipped in Beirut on 28 March 2027.
    (0, (), "Asia/Beirut", "2027-03-27T12:00", "2027-03-27T22:00"),
    # Samoa had no 30 December 2011, a Friday.
    (9 * 60, (), "Pacific/Apia", "2011-12-29T19:00", "2011-12-30T19:00"),
    (9 * 60, (4,), "Pacific/Apia", "2011-12-29T19:00", "2012-01-05T19:00"),
    (23 * 60 + 59, (), "Pacific/Kiritimati", "2027-01-01T09:58", "2027-01-01T09:59"),
    (0, (), "Pacific/Pago_Pago", "2027-01-01T10:59", "2027-01-01T11:00"),
)


@pytest.mark.parametrize(("minute", "weekdays", "zone", "after", "expected"), NEXT)
def test_next_local(minute: int, weekdays: tuple[int, ...], zone: str, after: str, expected: str) -> None:
    due = next_local(LocalTime(minute, weekdays), zone, us(after))
    assert shown(due.at_us) == expected
    assert due.wall_time is not None
    assert wall_time_from(due.wall_time.text) == due.wall_time
    assert due.wall_time.instant_us() == due.at_us


@pytest.mark.parametrize("seed", range(3))
def test_next_local_is_the_first_such_instant(seed: int) -> None:
    """Against a walk over the minutes of two days, in zones and weeks in which the clocks change."""
    print(f"seed {seed}")
    random = Random(seed)
    changes = {
        "Europe/Berlin": ("2027-03-27T20:00", "2027-10-30T20:00"),
        "America/New_York": ("2027-03-14T00:00", "2027-11-07T00:00"),
        "Australia/Lord_Howe": ("2027-04-03T10:00", "2027-10-02T10:00"),
        "Asia/Beirut": ("2027-03-27T12:00", "2027-10-30T12:00"),
    }
    for _ in range(12):
        name = random.choice(sorted(changes))
        zone, minute = zone_named(name), random.randrange(24 * 60)
        after_us = us(random.choice(changes[name])) + random.randrange(24 * 60) * MINUTE_US
        found = next_local(LocalTime(minute), name, after_us).at_us
        assert found > after_us
        seen = list(range(after_us - 26 * HOUR_US, found + MINUTE_US, MINUTE_US))
        local = [datetime.fromtimestamp(at_us / 1e6, UTC).astimezone(zone) for at_us in seen]
        days: dict[date, int] = {}
        for at_us, moment in zip(seen, local, strict=True):
            # The first instant of a day at which its clock is at the minute or later.
            if moment.hour * 60 + moment.minute >= minute:
                days.setdefault(moment.date(), at_us)
        assert min(at_us for at_us in days.values() if at_us > after_us) == found, (name, minute, shown(after_us))


BERLIN = "Europe/Berlin"
NOW = us("2027-03-10T12:00")

#: (what is waited for, the value, expected); "" is at once.
DATES: dict[str, tuple[DateAttribute, Value | None, str]] = {
    "a date": (DateAttribute("d"), date(2027, 3, 20), "2027-03-19T23:00"),
    "at a time": (DateAttribute("d", minute=600), date(2027, 3, 20), "2027-03-20T09:00"),
    "days before, across the change": (DateAttribute("d", -3 * DAY_US, 600), date(2027, 3, 30), "2027-03-27T09:00"),
    "days after, across the change": (DateAttribute("d", 2 * DAY_US, 600), date(2027, 3, 27), "2027-03-29T08:00"),
    "hours before": (DateAttribute("d", -2 * HOUR_US), date(2027, 3, 20), "2027-03-19T21:00"),
    "past": (DateAttribute("d"), date(2027, 3, 10), ""),
    "today, later": (DateAttribute("d", minute=14 * 60), date(2027, 3, 10), "2027-03-10T13:00"),
    "none": (DateAttribute("d"), None, ""),
    "a text": (DateAttribute("d"), "2027-03-20", ""),
    "an instant": (DateAttribute("d", HOUR_US, 600), Instant(us("2027-03-10T11:30")), "2027-03-10T12:30"),
    "an instant now": (DateAttribute("d"), Instant(us("2027-03-10T12:00")), "2027-03-10T12:00"),
    "an instant that is past": (DateAttribute("d"), Instant(us("2027-03-10T11:59")), ""),
    "birthday": (DateAttribute("d", 0, 540, True), date(1990, 6, 1), "2027-06-01T07:00"),
    "birthday, this year's is over": (DateAttribute("d", 0, 540, True), date(1990, 3, 9), "2028-03-09T08:00"),
    "birthday, today's is to come": (DateAttribute("d", 0, 840, True), date(1990, 3, 10), "2027-03-10T13:00"),
    "a week before the birthday": (DateAttribute("d", -7 * DAY_US, 540, True), date(1990, 3, 12), "2028-03-05T08:00"),
    "a week before one of January": (DateAttribute("d", -80 * DAY_US, 540, True), date(1990, 1, 2), "2027-10-14T07:00"),
    "a week after the birthday": (DateAttribute("d", 7 * DAY_US, 540, True), date(1990, 3, 5), "2027-03-12T08:00"),
    "29 February": (DateAttribute("d", 0, 540, True), date(1992, 2, 29), "2028-02-29T08:00"),
    "born today": (DateAttribute("d", 0, 840, True), date(2027, 3, 10), "2028-03-10T13:00"),
    "anniversary of an instant": (DateAttribute("d", 0, 0, True), Instant(us("2020-07-01T10:00")), "2027-07-01T10:00"),
    "of one in winter": (DateAttribute("d", 0, 0, True), Instant(us("2020-01-31T10:00")), "2028-01-31T10:00"),
    "the end of time": (DateAttribute("d", 0, 0, True), date(9998, 1, 1), ""),
}


@pytest.mark.parametrize(("wanted", "value", "expected"), DATES.values(), ids=DATES.keys())
def test_date(wanted: DateAttribute, value: Value | None, expected: str) -> None:
    due = due_date(wanted, value, BERLIN, NOW)
    assert ("" if due is None else shown(due.at_us)) == expected
    if due is not None and due.wall_time is not None:
        assert due.wall_time.instant_us() == due.at_us


def test_an_anniversary_in_a_common_year() -> None:
    assert anniversary(date(1992, 2, 29), 2027) == date(2027, 2, 28)
    due = due_date(DateAttribute("d", 0, 0, True), date(1992, 2, 29), "UTC", us("2026-03-01T00:00"))
    assert due is not None
    assert shown(due.at_us) == "2027-02-28T00:00"


def test_a_wall_time_before_and_after_a_change() -> None:
    zone = zone_named(BERLIN)
    day_us = us("2027-03-28T00:00")
    assert [shown(wall_instant(day_us + minute * MINUTE_US, zone)) for minute in (119, 120, 150, 180, 181)] == [
        "2027-03-28T00:59",
        "2027-03-28T01:00",
        "2027-03-28T01:00",
        "2027-03-28T01:00",
        "2027-03-28T01:01",
    ]


def test_an_unknown_zone() -> None:
    with pytest.raises(ValueError, match="Mars"):
        zone_named("Europe/Mars")
