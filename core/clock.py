"""Time as a value: instants are UTC microseconds since 1970, durations are microseconds."""

from __future__ import annotations

from typing import Protocol

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
WEEK_US = 7 * DAY_US

#: Instants outside `[MIN_INSTANT_US, MAX_INSTANT_US)` (years 1 to 9999) are refused at the door.
MIN_INSTANT_US = -62_135_596_800 * SECOND_US
MAX_INSTANT_US = 253_402_300_800 * SECOND_US


class Clock(Protocol):
    """The edge's source of `now`; core functions get the instant as an argument instead."""

    def now_us(self) -> int:
        """The current instant, UTC microseconds."""
        ...


class ManualClock:
    """A clock that stands still until told, for tests, dry runs and the demo's time scale."""

    def __init__(self, now_us: int) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        """The instant last set."""
        return self._now_us

    def advance(self, by_us: int) -> int:
        """Move forward by `by_us` >= 0 and return the new instant."""
        if by_us < 0:
            raise ValueError(f"a clock never runs back, got {by_us} us")
        self._now_us += by_us
        return self._now_us

    def set(self, now_us: int) -> None:
        """Move forward to `now_us`, which must not lie in the past of this clock."""
        self.advance(now_us - self._now_us)
