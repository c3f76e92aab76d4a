"""A provider's rate: messages leave one after the other, so many per second."""

from __future__ import annotations

from core.clock import SECOND_US

#: A turn that came this late at most is made up for by the next ones; after a longer rest they begin anew.
_SLACK_US = SECOND_US // 20


class Pace:
    """Turns of one provider; `per_second` 0 has no limit."""

    def __init__(self, per_second: int) -> None:
        self.per_second = per_second
        self._interval_us = SECOND_US / per_second if per_second else 0.0
        self._next_us = 0.0

    def wait_us(self, now_us: int) -> int:
        """How long until the next turn; 0: now."""
        return max(0, -int((now_us - self._next_us) // 1)) if self._interval_us else 0

    def take(self, now_us: int) -> None:
        """A turn is taken now."""
        rested = now_us - self._next_us > _SLACK_US
        self._next_us = (now_us if rested else self._next_us) + self._interval_us
