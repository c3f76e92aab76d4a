"""The instants of cron expressions, over gaps and overlaps of clock changes."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from core.clock import DAY_US, HOUR_US, MINUTE_US
from core.query.local_time import find_zone
from core.scenario.definition import ScheduleTrigger
from core.scenario.schedule import check_cron, latest_due, next_due


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def zone(name: str) -> ZoneInfo:
    found = find_zone(name)
    assert found is not None
    return found


def dues(cron: str, zone_name: str, after: str, count: int) -> list[str]:
    trigger, at_us, found = ScheduleTrigger("s", cron), us(after), []
    for _ in range(count):
        due_us = next_due(trigger, zone(zone_name), at_us)
        assert due_us is not None
        at_us = due_us
        found.append(datetime.fromtimestamp(due_us / 1e6, UTC).strftime("%m-%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        # On 29 March the clocks of Kyiv go from 03:00 to 04:00, at 01:00 UTC.
        ("30 3 * * *", "2026-03-28T00:00", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),
        ("0,30 3,4 * * *", "2026-03-28T23:00", ["03-29 01:00", "03-29 01:30", "03-30 00:00"]),
        # On 25 October they go from 04:00 back to 03:00, at 01:00 UTC.
        ("30 3 * * *", "2026-10-24T12:00", ["10-25 00:30", "10-26 01:30", "10-27 01:30"]),
        ("0 9 * * mon", "2026-10-20T00:00", ["10-26 07:00", "11-02 07:00"]),
        ("0 0 1 * *", "2026-10-20T00:00", ["10-31 22:00", "11-30 22:00"]),
    ],
)
def test_a_wall_time_comes_once(cron: str, after: str, expected: list[str]) -> None:
    assert dues(cron, "Europe/Kyiv", after, len(expected)) == expected


def test_it_is_strictly_after_and_within_its_bounds() -> None:
    nine = us("2026-05-01T09:00")
    assert next_due(ScheduleTrigger("s", "0 9 * * *"), zone("UTC"), nine) == nine + DAY_US
    assert next_due(ScheduleTrigger("s", "0 9 * * *"), zone("UTC"), nine - 1) == nine
    assert next_due(ScheduleTrigger("s", "0 9 * * *", not_before_us=nine), zone("UTC"), 0) == nine
    ended = ScheduleTrigger("s", "0 9 * * *", until_us=nine + DAY_US)
    assert next_due(ended, zone("UTC"), nine - 1) == nine
    assert next_due(ended, zone("UTC"), nine) is None
    assert latest_due(ended, zone("UTC"), 0, nine + 9 * DAY_US) == nine
    assert latest_due(ended, zone("UTC"), nine, nine + 9 * DAY_US) is None


def test_the_latest_is_the_last_of_all() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for name in ("Europe/Kyiv", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"):
        for cron in ("*/20 * * * *", "30 2,3 * * *", "0 9 * * mon"):
            trigger = ScheduleTrigger("s", cron)
            for _ in range(15):
                first = us("2026-03-01T00:00") + chance.randrange(300 * 24) * HOUR_US
                last = first + chance.randrange(3 * 24 * 60) * MINUTE_US
                at_us, expected = first, None
                while (due_us := next_due(trigger, zone(name), at_us)) is not None and due_us <= last:
                    assert due_us > at_us
                    at_us = expected = due_us
                assert latest_due(trigger, zone(name), first, last) == expected, (name, cron, first, last)


@pytest.mark.parametrize(
    ("cron", "what"),
    [
        ("* * * *", "5 fields"),
        ("0 0 9 * * *", "5 fields"),
        ("61 * * * *", "minute"),
        ("0 0 30 2 *", "day-of-month"),
        ("a b c d e", "bad"),
        ("", "5 fields"),
    ],
)
def test_an_expression_that_cannot_be(cron: str, what: str) -> None:
    assert what in check_cron(cron)


@pytest.mark.parametrize("cron", ["0 9 * * *", "*/15 8-20 * * mon-fri", "0 0 29 2 *", "0 9 L * *"])
def test_an_expression_that_can_be(cron: str) -> None:
    assert check_cron(cron) == ""
