"""Caps count calendar days and weeks of the person's own zone, or a rolling window, and never pass their limit."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from core.clock import DAY_US, HOUR_US, SECOND_US
from core.delivery.caps import Cap, CapPeriod, cap_reached, is_another_day
from core.delivery.content import has_had
from core.delivery.ledger import LONGEST_WINDOW_US, Counted, Ledger, content_number, pack, unpack

VIENNA = ZoneInfo("Europe/Vienna")
ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Vienna", "America/New_York", "Asia/Kolkata", "Pacific/Apia")]
DAILY = Cap("daily", 2, CapPeriod.DAY)


def at(text: str, zone: ZoneInfo = VIENNA) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // (datetime.resolution)


def sent(*moments: int, channel: str = "email", category: str = "") -> list[Counted]:
    return [Counted(number, moment, channel, category) for number, moment in enumerate(moments, 1)]


def reached(cap: Cap, known: list[Counted], now_us: int, channel: str = "email", category: str = "") -> bool:
    return cap_reached([cap], channel, category, known, 99, VIENNA, now_us) == cap.name


def test_a_day_is_the_persons_own() -> None:
    known = sent(at("2026-03-10T00:00"), at("2026-03-10T22:00"))
    assert reached(DAILY, known, at("2026-03-10T23:59:59"))
    assert not reached(DAILY, known, at("2026-03-11T00:00"))
    known = sent(at("2026-03-09T23:59:59"), at("2026-03-10T22:00"))
    assert not reached(DAILY, known, at("2026-03-10T23:00"))


def test_a_day_of_25_hours_is_one_day() -> None:
    known = sent(at("2026-10-25T00:10"), at("2026-10-25T00:20"))
    assert reached(DAILY, known, at("2026-10-25T00:10") + 24 * HOUR_US)
    assert not reached(DAILY, known, at("2026-10-25T00:00") + 25 * HOUR_US)


def test_a_week_begins_on_monday() -> None:
    weekly = Cap("weekly", 1, CapPeriod.WEEK)
    sunday = sent(at("2026-03-15T23:59:59"))
    assert reached(weekly, sunday, at("2026-03-15T23:59:59"))
    assert not reached(weekly, sunday, at("2026-03-16T00:00"))
    assert reached(weekly, sent(at("2026-03-16T00:00")), at("2026-03-22T23:59:59"))


def test_a_rolling_window_ends_to_the_microsecond() -> None:
    rolling = Cap("rolling", 1, CapPeriod.ROLLING, rolling_us=7 * DAY_US)
    first = at("2026-03-10T12:00")
    assert reached(rolling, sent(first), first + 7 * DAY_US - 1)
    assert not reached(rolling, sent(first), first + 7 * DAY_US)


def test_caps_of_channels_and_categories_count_their_own() -> None:
    now = at("2026-03-10T12:00")
    phones = Cap("phones", 1, CapPeriod.DAY, frozenset({"sms", "messenger"}))
    assert not reached(phones, sent(now), now, "sms")
    assert reached(phones, sent(now, channel="messenger"), now, "sms")
    assert not reached(phones, sent(now, channel="messenger"), now, "email")
    news = Cap("news", 1, CapPeriod.DAY, category="news")
    assert reached(news, sent(now, category="news"), now, category="news")
    assert not reached(news, sent(now, category="offers"), now, category="news")
    assert not reached(news, sent(now, category="news"), now, category="offers")


def test_a_message_by_two_channels_counts_once_over_all_and_once_on_each() -> None:
    now = at("2026-03-10T12:00")
    known = [Counted(7, now, "messenger"), Counted(7, now, "sms")]
    assert not cap_reached([DAILY], "email", "", known, 8, VIENNA, now)
    assert not cap_reached([Cap("one", 1, CapPeriod.DAY)], "sms", "", known, 7, VIENNA, now)
    assert cap_reached([Cap("sms", 1, CapPeriod.DAY, frozenset({"sms"}))], "sms", "", known, 8, VIENNA, now) == "sms"


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_no_order_of_moments_passes_a_cap_in_any_zone(zone: ZoneInfo) -> None:
    """What a cap let pass is counted again from its definition: local dates, Mondays and distances."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    caps = [Cap("day", 2, CapPeriod.DAY), Cap("week", 5, CapPeriod.WEEK)]
    caps.append(Cap("rolling", 4, CapPeriod.ROLLING, rolling_us=3 * DAY_US))
    passed: list[Counted] = []
    moment = at("2026-03-01T00:00", zone)
    for number in range(400):
        moment += chance.choice((SECOND_US, HOUR_US, 5 * HOUR_US, 11 * HOUR_US))
        if not cap_reached(caps, "email", "", passed, number, zone, moment):
            passed.append(Counted(number, moment, "email"))
    local = [datetime.fromtimestamp(one.at_us / SECOND_US, zone) for one in passed]
    days = [one.date() for one in local]
    weeks = [one.isocalendar()[:2] for one in local]
    assert max(days.count(day) for day in days) == 2
    assert max(weeks.count(week) for week in weeks) == 5
    moments = [one.at_us for one in passed]
    assert max(sum(0 <= one - start < 3 * DAY_US for one in moments) for start in moments) <= 4


def test_another_day_is_told_at_midnight_of_the_zone() -> None:
    assert not is_another_day(at("2026-03-10T00:00"), at("2026-03-10T23:59:59"), VIENNA)
    assert is_another_day(at("2026-03-10T23:59:59"), at("2026-03-11T00:00"), VIENNA)


def test_contents_come_once_within_the_window() -> None:
    sale = content_number("sale")
    known = [Counted(1, 1_000, "email", "", sale)]
    assert has_had(known, sale, 2, 500, 1_499)
    assert not has_had(known, sale, 2, 500, 1_500)
    assert not has_had(known, sale, 1, 500, 1_100)
    assert not has_had(known, content_number("other"), 2, 500, 1_100)
    assert not has_had([Counted(1, 1_000, "email")], content_number(""), 2, 500, 1_100)


def test_rows_come_back_as_they_were_stored() -> None:
    entries = [Counted(1, -5, "email"), Counted(2**40, 2**50, "mobile_push", "offers", content_number("x"))]
    assert unpack(pack(entries)) == entries
    assert unpack(b"") == []


def test_a_ledger_reads_all_keys_of_a_person_and_forgets_what_is_old() -> None:
    ledger, now = Ledger(), LONGEST_WINDOW_US
    ledger.add("a", Counted(1, now, "email"))
    ledger.add("b", Counted(2, now, "sms"))
    ledger.add("a", Counted(1, now + 1, "email"))
    assert ledger.of(("a", "b", "a", "c")) == [Counted(1, now + 1, "email"), Counted(2, now, "sms")]
    ledger.remove("b", 2, "email")
    assert ledger.row("b")
    ledger.remove("b", 2, "sms")
    assert (ledger.row("b"), len(ledger)) == (b"", 1)
    ledger.add("a", Counted(3, now + 1 + LONGEST_WINDOW_US, "email"))
    assert [one.sequence for one in ledger.of(["a"])] == [3]
    row = pack([Counted(9, 0, "email")])
    assert ledger.load("old", row, LONGEST_WINDOW_US - 1)
    assert not ledger.load("old", row, LONGEST_WINDOW_US)
    assert ledger.forget(["a", "none"]) == ["a"]
