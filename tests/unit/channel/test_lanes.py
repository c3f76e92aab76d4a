"""The way to a provider: calls at once, who goes first, who stands aside; and pieces of work in few threads."""

from __future__ import annotations

import asyncio
import threading

import pytest

from core.clock import ManualClock
from services.channel.building import Building
from services.channel.lanes import CALLS_AT_ONCE, Lane
from services.channel.providers import ProviderSettings
from tests.unit.channel.world import NOW_US


def a_lane(per_second: int = 0) -> tuple[Lane, ManualClock, list[str]]:
    clock, back = ManualClock(NOW_US), list[str]()
    return Lane(ProviderSettings("a", "smtp", per_second=per_second), clock, 0.001, back.append), clock, back


async def test_so_many_calls_at_once_and_what_people_are_owed_goes_first() -> None:
    lane, _, _ = a_lane()
    for _ in range(CALLS_AT_ONCE):
        await lane.enter(False)
    entered: list[str] = []

    async def enter(name: str, transactional: bool) -> None:
        await lane.enter(transactional)
        entered.append(name)

    waiting = [asyncio.create_task(enter("promo", False)), asyncio.create_task(enter("receipt", True))]
    await asyncio.sleep(0)
    assert entered == []
    lane.leave()
    lane.leave()
    await asyncio.gather(*waiting)
    assert entered == ["receipt", "promo"]


async def test_whoever_stands_aside_comes_again_as_soon_as_there_is_room() -> None:
    lane, _, back = a_lane()
    for _ in range(CALLS_AT_ONCE):
        await lane.enter(False)
    waiting: list[asyncio.Task[None]] = []
    while not lane.stand_aside(f"m{len(waiting)}"):
        waiting.append(asyncio.create_task(lane.enter(False)))
        await asyncio.sleep(0)
    assert lane.stand_aside("next")
    first = f"m{len(waiting)}"
    assert back == []
    lane.leave()
    assert back == [first]
    lane.leave()
    assert back == [first, "next"]
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


async def test_a_call_that_is_cancelled_while_it_waits_keeps_no_place() -> None:
    lane, clock, _ = a_lane(per_second=1)
    await lane.enter(False)
    left = asyncio.create_task(lane.enter(False))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait((left,))
    clock.advance(1_000_000)
    async with asyncio.timeout(10):
        await lane.enter(False)


async def test_pieces_are_made_in_threads_and_each_has_its_own_error() -> None:
    building, here = Building(), threading.get_ident()

    def make(number: int) -> int:
        assert threading.get_ident() != here
        return 12 // number

    made = await asyncio.gather(
        *(building.make(lambda number=number: make(number)) for number in (3, 0, 4, *[1] * 200)),  # type: ignore[misc]
        return_exceptions=True,
    )
    assert made[0] == 4
    assert isinstance(made[1], ZeroDivisionError)
    assert made[2:] == [3, *[12] * 200]
    with pytest.raises(ZeroDivisionError):
        await building.make(lambda: make(0))
