"""Turns to send: in order, never too many in a minute, taken anew after a downtime."""

from __future__ import annotations

from bisect import bisect_left
from random import Random

import pytest

from core.clock import HOUR_US, MINUTE_US, SECOND_US
from core.scenario.pacing import LATE_US, Pace, anew, is_late, step_us
from tests.unit.scenario.plays import T0


@pytest.mark.parametrize("a_minute", [1, 7, 60, 48_000, 1_000_000])
@pytest.mark.parametrize("seed", range(2))
def test_no_minute_has_more(a_minute: int, seed: int) -> None:
    """Wherever the minute begins, and if each turn is acted upon up to LATE_US late."""
    print(f"seed {seed}")
    random = Random(seed)
    pace, now_us, acted, last = Pace(), T0, [], 0
    for _ in range(min(20_000, 50 * a_minute)):
        now_us += random.choice((0, 0, 0, random.randrange(2 * step_us(a_minute))))
        turn_us = pace.turn(a_minute, now_us)
        assert turn_us >= now_us
        assert turn_us >= last + step_us(a_minute)
        last = turn_us
        acted.append(turn_us + random.randrange(LATE_US + 1))
    acted.sort()
    for index, at_us in enumerate(acted):
        assert bisect_left(acted, at_us + MINUTE_US) - index <= a_minute


def test_who_asks_first_goes_first_and_at_once() -> None:
    pace = Pace()
    assert pace.turn(60, T0) == T0
    assert pace.turn(60, T0) == T0 + step_us(60)
    assert pace.turn(60, T0 + HOUR_US) == T0 + HOUR_US


def test_late_turns_are_taken_anew_in_their_order() -> None:
    waiting = [(T0 + index * SECOND_US, f"r{9 - index}") for index in range(5)]
    now_us = T0 + HOUR_US
    assert is_late(waiting[0][0], now_us)
    assert not is_late(now_us - LATE_US, now_us)
    turns, pace = anew(reversed(waiting), 60, now_us)
    assert turns == {run_id: now_us + index * step_us(60) for index, (_, run_id) in enumerate(waiting)}
    assert pace.turn(60, now_us) == now_us + 5 * step_us(60)
