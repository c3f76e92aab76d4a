"""Counts are shared, made anew when facts changed, and never waited for longer than needed."""

from __future__ import annotations

import asyncio

import pytest

from core.clock import DAY_US
from core.query.execute_context import Context
from core.recommend.counts import Counts
from services.segment_engine.kept_counts import LATEST_S, KeptCounts
from tests.unit.index.small_world import SmallWorld

NOW = 20_000 * DAY_US


class Seconds:
    """A clock that moves on by `step_s` whenever it is read."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.step_s = 0.0

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def seen(views: int) -> Context:
    """A shop in which one product was viewed so many times."""
    world = SmallWorld().contacts(0)
    for view in range(views):
        world.event(0, "product_viewed", NOW - view, {"product_id": f"p{view}"})
    return Context(world.root(), NOW, "UTC")


async def settled(kept: KeptCounts, everyone: Context, products: int) -> Counts:
    """The counts once they hold so many products."""
    async with asyncio.timeout(10):
        while True:
            counts = await kept.of(everyone)
            if len(counts) == products:
                return counts
            await asyncio.sleep(0.001)


async def test_those_who_ask_at_once_share_one_counting() -> None:
    kept, everyone = KeptCounts(Seconds()), seen(1)
    found = await asyncio.gather(*(kept.of(everyone) for _ in range(5)))
    assert len(found[0]) == 1
    assert all(one is found[0] for one in found)
    assert await kept.of(everyone) is found[0], "nothing changed"


async def test_within_the_pause_and_while_new_ones_are_made_the_old_ones_answer() -> None:
    seconds = Seconds()
    seconds.step_s = 0.1  # counting takes that long by this clock, and asking as well
    kept = KeptCounts(seconds)
    old = await kept.of(seen(1))
    more = seen(2)
    assert await kept.of(more) is old, "a twentieth of the time is enough"
    seconds.now_s += 3.0
    assert await kept.of(more) is old, "not waited for"
    assert len(await settled(kept, more, 2)) == 2


async def test_what_is_long_out_of_date_is_waited_for() -> None:
    seconds = Seconds()
    kept = KeptCounts(seconds)
    await kept.of(seen(1))
    seconds.now_s += LATEST_S
    assert len(await kept.of(seen(3))) == 3


async def test_who_goes_away_leaves_the_counting_going() -> None:
    kept, everyone = KeptCounts(Seconds()), seen(1)
    impatient = asyncio.create_task(kept.of(everyone))
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert len(await kept.of(everyone)) == 1
