"""How much a key or a workspace may send: a rate with a burst, and quotas by the day and the month.

Pure: every function gets `now_us`. The rate is kept by the generic cell rate algorithm (ITU-T I.371): one instant says
how far the caller has sent ahead of its rate, so a bucket costs eight bytes and never ticks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from core.clock import DAY_US, SECOND_US
from core.errors import Violation, invalid

MAX_EVENTS_PER_S = 1_000_000
MAX_QUOTA = 10**15


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be sent; 0 says nothing. `burst` items may come at once (0: those of two seconds)."""

    events_per_s: int = 0
    burst: int = 0
    events_per_day: int = 0
    events_per_month: int = 0

    @property
    def quotas(self) -> bool:
        """Whether what was sent before counts."""
        return self.events_per_day > 0 or self.events_per_month > 0


@dataclass(frozen=True, slots=True)
class Spent:
    """Items accepted in the present UTC day and month."""

    day: int
    month: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Why nothing more is taken now, and when to come again."""

    reason: str
    description: str
    retry_after_us: int


RATE_LIMITED = "RATE_LIMITED"
QUOTA_SPENT = "QUOTA_SPENT"


def checked_limits(limits: Limits, path: str = "limits") -> Limits:
    """`limits` if each is in its range. Raises INVALID / BAD_LIMITS, naming the field."""
    ranges = {
        "events_per_s": MAX_EVENTS_PER_S,
        "burst": MAX_EVENTS_PER_S,
        "events_per_day": MAX_QUOTA,
        "events_per_month": MAX_QUOTA,
    }
    for name, most in ranges.items():
        if not 0 <= getattr(limits, name) <= most:
            what = f"from 0 (no limit) to {most}"
            raise invalid("BAD_LIMITS", f"{path}.{name}: {what}", Violation(f"{path}.{name}", what))
    if limits.burst and not limits.events_per_s:
        what = "a burst is that of a rate: set events_per_s as well"
        raise invalid("BAD_LIMITS", f"{path}.burst: {what}", Violation(f"{path}.burst", what))
    return limits


def limits_from(stored: Mapping[str, int]) -> Limits:
    """The limits of their stored fields."""
    return Limits(**stored)


class Rate:
    """How far a caller has sent ahead. A batch is taken whole or not at all; one larger than the burst is taken when
    nothing is owed, and is paid off before the next."""

    __slots__ = ("_paid_at_us",)

    def __init__(self) -> None:
        self._paid_at_us = 0.0

    def mark(self) -> float:
        """The state, for `reset`."""
        return self._paid_at_us

    def reset(self, mark: float) -> None:
        """Undo what was taken since `mark`, as another limit refused it."""
        self._paid_at_us = mark

    def take(self, items: int, limits: Limits, shares: int, now_us: int) -> int:
        """0 when `items` were taken, else the microseconds to wait; `shares` processes divide the rate evenly."""
        if not limits.events_per_s:
            return 0
        each_us = SECOND_US * shares / limits.events_per_s
        ahead_us = each_us * max(1.0, (limits.burst or 2 * limits.events_per_s) / shares)
        paid_at_us = max(self._paid_at_us, float(now_us))
        after_us = paid_at_us + items * each_us
        if after_us - now_us > ahead_us and paid_at_us > now_us:
            # Until the batch fits into the burst, or, where it never will, until nothing is owed.
            return max(1, int(min(after_us - ahead_us, after_us - items * each_us + 1) - now_us) + 1)
        self._paid_at_us = after_us
        return 0


def over_quota(spent: Spent, items: int, limits: Limits, now_us: int) -> Refused | None:
    """Why `items` more would pass a quota; None: they would not."""
    if limits.events_per_day and spent.day + items > limits.events_per_day:
        wait_us = DAY_US - now_us % DAY_US
        return Refused(QUOTA_SPENT, f"the quota of {limits.events_per_day} items a day (UTC) is spent", wait_us)
    if limits.events_per_month and spent.month + items > limits.events_per_month:
        wait_us = _next_month_us(now_us) - now_us
        return Refused(QUOTA_SPENT, f"the quota of {limits.events_per_month} items a month (UTC) is spent", wait_us)
    return None


def day_of(at_us: int) -> str:
    """The UTC day of an instant, as 2026-11-22; its first seven characters are the month."""
    return datetime.fromtimestamp(at_us // SECOND_US, UTC).strftime("%Y-%m-%d")


def _next_month_us(now_us: int) -> int:
    now = datetime.fromtimestamp(now_us // SECOND_US, UTC)
    year, month = (now.year + 1, 1) if now.month == 12 else (now.year, now.month + 1)
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * SECOND_US
