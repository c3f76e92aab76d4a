"""Timers: in order, once, never early, over a month and a restart."""

from __future__ import annotations

from random import Random

import pytest

from core.clock import DAY_US
from core.scenario.timers import Timers
from tests.unit.scenario.plays import T0


@pytest.mark.parametrize("seed", range(5))
def test_ten_thousand_over_thirty_days(seed: int) -> None:
    print(f"seed {seed}")
    random = Random(seed)
    wanted = {f"r{i}": T0 + random.randrange(30 * DAY_US) for i in range(10_000)}
    timers = Timers()
    for run_id, due_at_us in wanted.items():
        timers.set(run_id, due_at_us)
    changed = random.sample(sorted(wanted), 2_000)
    for run_id in changed[:1_000]:
        timers.clear(run_id)
        del wanted[run_id]
    for run_id in changed[1_000:]:
        wanted[run_id] = T0 + random.randrange(30 * DAY_US)
        timers.set(run_id, wanted[run_id])
    fired: list[tuple[int, str]] = []
    now_us = T0
    restart_at: int | None = T0 + random.randrange(30 * DAY_US)
    while now_us < T0 + 30 * DAY_US:
        now_us += random.randrange(2 * DAY_US)
        if restart_at is not None and now_us > restart_at:
            timers, restart_at = Timers(), None
            done = {run_id for _, run_id in fired}
            for run_id in random.sample(sorted(wanted), len(wanted)):
                if run_id not in done:
                    timers.set(run_id, wanted[run_id])
        while due := timers.pop_due(now_us, random.randrange(1, 300)):
            assert all(due_at_us <= now_us for due_at_us, _ in due)
            fired += due
    assert fired == sorted((due_at_us, run_id) for run_id, due_at_us in wanted.items())
    assert len(timers) == 0


def test_the_last_instant_that_was_set_counts() -> None:
    timers = Timers()
    timers.set("a", 5)
    timers.set("a", 9)
    assert timers.pop_due(8, 10) == []
    timers.set("a", 5)
    assert timers.pop_due(8, 10) == [(5, "a")]
    assert timers.pop_due(100, 10) == []


def test_stale_entries_do_not_pile_up() -> None:
    timers = Timers()
    for instant in range(50_000):
        timers.set("a", instant)
    assert len(timers._heap) < 2_000
    assert timers.pop_due(50_000, 10) == [(49_999, "a")]
