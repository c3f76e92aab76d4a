"""Quiet hours are local times of the person; clocks that jump neither cut them short nor let anything slip through."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from core.clock import DAY_US, MINUTE_US
from core.delivery.quiet import Quiet, next_allowed

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NIGHT = Quiet(21 * 60, 9 * 60)
VIENNA = ZoneInfo("Europe/Vienna")


def at(text: str, zone: ZoneInfo = VIENNA, fold: int = 0) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-03-10T20:59:59", "2026-03-10T20:59:59"),
        ("2026-03-10T21:00", "2026-03-11T09:00"),
        ("2026-03-11T00:00", "2026-03-11T09:00"),
        ("2026-03-11T08:59:59", "2026-03-11T09:00"),
        ("2026-03-11T09:00", "2026-03-11T09:00"),
    ],
)
def test_a_night_goes_over_midnight(now: str, until: str) -> None:
    assert next_allowed([NIGHT], "email", VIENNA, at(now)) == at(until)


def test_weekdays_are_those_of_the_beginning() -> None:
    saturday = Quiet(22 * 60, 10 * 60, weekdays=frozenset({5}))
    assert next_allowed([saturday], "email", VIENNA, at("2026-03-15T09:00")) == at("2026-03-15T10:00")
    assert next_allowed([saturday], "email", VIENNA, at("2026-03-16T09:00")) == at("2026-03-16T09:00")


def test_rules_of_other_channels_do_not_hold_and_those_that_touch_are_one() -> None:
    rules = [Quiet(60, 120, frozenset({"sms"})), Quiet(120, 180)]
    assert next_allowed(rules, "sms", VIENNA, at("2026-03-10T01:30")) == at("2026-03-10T03:00")
    assert next_allowed(rules, "email", VIENNA, at("2026-03-10T01:30")) == at("2026-03-10T01:30")


def test_an_end_that_the_clock_skips_is_the_jump() -> None:
    rule = Quiet(23 * 60, 2 * 60 + 30)
    assert next_allowed([rule], "email", VIENNA, at("2026-03-29T01:00")) == at("2026-03-29T03:00")
    begin = Quiet(2 * 60 + 30, 4 * 60)
    assert next_allowed([begin], "email", VIENNA, at("2026-03-29T01:59:59")) == at("2026-03-29T01:59:59")
    assert next_allowed([begin], "email", VIENNA, at("2026-03-29T03:00")) == at("2026-03-29T04:00")


def test_an_end_that_comes_twice_is_the_second_one() -> None:
    rule = Quiet(23 * 60, 2 * 60 + 30)
    first, second = at("2026-10-25T02:30"), at("2026-10-25T02:30", fold=1)
    assert second - first == 60 * MINUTE_US
    assert next_allowed([rule], "email", VIENNA, at("2026-10-25T00:00")) == second
    assert next_allowed([rule], "email", VIENNA, first) == second


def test_rules_that_leave_no_time_say_so() -> None:
    assert next_allowed([Quiet(0, 0)], "email", VIENNA, at("2026-03-10T12:00")) is None
    assert next_allowed([Quiet(0, 720), Quiet(720, 0)], "email", VIENNA, at("2026-03-10T12:00")) is None
    day = Quiet(0, 0, weekdays=frozenset({1}))
    assert next_allowed([day], "email", VIENNA, at("2026-03-10T12:00")) == at("2026-03-11T00:00")


@pytest.mark.parametrize(
    "name", ["UTC", "Europe/Vienna", "Australia/Lord_Howe", "America/St_Johns", "Africa/Casablanca"]
)
def test_the_answer_is_the_first_minute_that_the_wall_clock_allows(name: str) -> None:
    """Against a walk, minute by minute, over what the clocks show (no clock there jumps by less than a minute)."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance, zone = random.Random(seed), ZoneInfo(name)
    for _ in range(60):
        rule = Quiet(chance.randrange(1440), chance.randrange(1440), weekdays=frozenset(chance.sample(range(7), 5)))
        now_us = at("2026-01-01T00:00", ZoneInfo("UTC")) + chance.randrange(365 * 1440) * MINUTE_US
        walked = now_us
        while _is_quiet(rule, zone, walked):
            walked += MINUTE_US
        found = next_allowed([rule], "email", zone, now_us)
        assert found is not None and found >= walked
        # Where it is later, the clock was put back within the quiet hours and shows its end a second time.
        assert found == walked or zone.utcoffset(_local(zone, found)) != zone.utcoffset(_local(zone, now_us - DAY_US))


def _local(zone: ZoneInfo, at_us: int) -> datetime:
    return (EPOCH + timedelta(microseconds=at_us)).astimezone(zone)


def _is_quiet(rule: Quiet, zone: ZoneInfo, at_us: int) -> bool:
    local = _local(zone, at_us)
    minute, day = local.hour * 60 + local.minute, local.weekday()
    today, yesterday = day in rule.weekdays, (day - 1) % 7 in rule.weekdays
    if rule.end > rule.begin:
        return today and rule.begin <= minute < rule.end
    return (today and minute >= rule.begin) or (yesterday and minute < rule.end)
