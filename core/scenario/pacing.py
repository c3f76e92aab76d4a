"""So many messages a minute over all runs of a scenario: each run that is to send takes the next turn.

A turn is an instant. Turns of one scenario are handed out in the order in which runs ask, each a step after the one
before and none in the past. The step is a little longer than a minute divided by the limit, so that no minute of the
clock, wherever it begins, has more messages than the limit even if turns are acted upon `LATE_US` late.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.clock import MINUTE_US, SECOND_US

#: A turn that comes later than this (a downtime, a pause) is taken anew, with all that wait behind it.
LATE_US = SECOND_US


@dataclass(slots=True)
class Pace:
    """The turns of one scenario. `last_us` is the last one that was handed out; 0: none yet."""

    last_us: int = 0

    def turn(self, a_minute: int, now_us: int) -> int:
        """The next turn, `now_us` at the earliest."""
        self.last_us = max(now_us, self.last_us + step_us(a_minute))
        return self.last_us


def step_us(a_minute: int) -> int:
    """How far turns are apart, for a limit > 0; microseconds, rounded up."""
    return -(-(MINUTE_US + LATE_US) // a_minute)


def is_late(turn_us: int, now_us: int) -> bool:
    """Whether a turn passed unused for so long that acting on it now would be too many at once."""
    return now_us - turn_us > LATE_US


def anew(waiting: Iterable[tuple[int, str]], a_minute: int, now_us: int) -> tuple[dict[str, int], Pace]:
    """Turns from `now_us` on for runs that wait, given as (former turn, run id), in the order of their former turns;
    and the pace after them."""
    pace = Pace(now_us - step_us(a_minute))
    return {run_id: pace.turn(a_minute, now_us) for _, run_id in sorted(waiting)}, pace
