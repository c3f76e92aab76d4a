"""Rates and quotas: never more than the rate and its burst, and the wait that is told is enough."""

from __future__ import annotations

import random

import pytest

from core.clock import DAY_US, SECOND_US
from core.errors import CdpError
from core.limits import QUOTA_SPENT, Limits, Rate, Spent, checked_limits, over_quota

#: 2026-11-30 23:59:50 UTC.
LATE_US = 1_796_083_190 * SECOND_US


@pytest.mark.parametrize("seed", range(8))
def test_no_window_holds_more_than_rate_and_burst(seed: int) -> None:
    chance = random.Random(seed)
    limits = Limits(events_per_s=chance.choice([1, 7, 1_000]), burst=chance.choice([1, 10, 500]))
    shares = chance.choice([1, 3])
    rate, now_us, taken = Rate(), LATE_US, []
    for _ in range(2_000):
        items = chance.randint(1, max(1, limits.burst // shares))
        wait_us = rate.take(items, limits, shares, now_us)
        if wait_us:
            # Whoever waits as told gets in, and not one who comes much earlier.
            now_us += wait_us
            assert rate.take(items, limits, shares, now_us) == 0, f"seed {seed}"
        taken.append((now_us, items))
        now_us += chance.choice([0, 0, 1_000, 300_000, 5 * SECOND_US])
    allowed_per_us = limits.events_per_s / shares / SECOND_US
    burst = max(1.0, limits.burst / shares)
    for start in range(0, len(taken), 37):
        total = 0
        for at_us, items in taken[start:]:
            total += items
            most = burst + (at_us - taken[start][0]) * allowed_per_us
            assert total <= most + 1, f"seed {seed}: {total} items where {most} may come"


def test_a_batch_larger_than_the_burst_is_taken_once_nothing_is_owed() -> None:
    rate, limits = Rate(), Limits(events_per_s=10, burst=20)
    assert rate.take(100, limits, 1, LATE_US) == 0
    wait_us = rate.take(100, limits, 1, LATE_US)
    assert 10 * SECOND_US <= wait_us <= 10 * SECOND_US + 10
    assert rate.take(1, limits, 1, LATE_US + 7 * SECOND_US) > 0
    assert rate.take(100, limits, 1, LATE_US + wait_us) == 0


def test_without_a_rate_everything_passes() -> None:
    rate = Rate()
    assert not any(rate.take(1_000_000, Limits(), 1, LATE_US) for _ in range(10))


def test_quotas_end_with_their_utc_day_and_month() -> None:
    limits = Limits(events_per_day=100, events_per_month=1_000)
    assert over_quota(Spent(99, 500), 1, limits, LATE_US) is None
    by_day = over_quota(Spent(99, 500), 2, limits, LATE_US)
    assert by_day is not None
    assert (by_day.reason, by_day.retry_after_us) == (QUOTA_SPENT, 10 * SECOND_US)
    by_month = over_quota(Spent(0, 1_000), 1, limits, LATE_US - 3 * DAY_US)
    assert by_month is not None
    assert by_month.retry_after_us == 3 * DAY_US + 10 * SECOND_US


@pytest.mark.parametrize(
    ("limits", "path"),
    [
        (Limits(events_per_s=10**9), "limits.events_per_s"),
        (Limits(events_per_day=-1), "limits.events_per_day"),
        (Limits(burst=5), "limits.burst"),
    ],
)
def test_limits_that_make_no_sense(limits: Limits, path: str) -> None:
    with pytest.raises(CdpError) as refused:
        checked_limits(limits)
    assert (refused.value.reason, refused.value.violations[0].path) == ("BAD_LIMITS", path)
