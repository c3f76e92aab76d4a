"""A piece of work that comes just as the threads finish others is made all the same."""

from __future__ import annotations

import asyncio

from services.channel.building import Building

CALLERS, TIMES = 3, 700


async def test_pieces_that_come_one_after_the_other_are_all_made() -> None:
    building = Building()

    async def caller() -> int:
        return sum([await building.make(lambda: 1) for _ in range(TIMES)])

    async with asyncio.timeout(30):
        assert await asyncio.gather(*(caller() for _ in range(CALLERS))) == [TIMES] * CALLERS
