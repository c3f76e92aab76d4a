"""Turns: one workspace's long line does not stand before another's first call."""

from __future__ import annotations

import asyncio
import random

from services.ingest.turns import Turns


async def line_up(turns: Turns, served: list[str], name: str, calls: int, items: int = 1) -> list[asyncio.Task[None]]:
    """So many calls of `name`, all in line; each is noted when it is its turn."""

    async def one() -> None:
        await turns.take(name, items)
        served.append(name)

    tasks = [asyncio.create_task(one()) for _ in range(calls)]
    await asyncio.sleep(0)
    return tasks


async def test_a_newcomer_passes_a_long_line() -> None:
    turns, served = Turns(items_a_pass=4), list[str]()
    flood = await line_up(turns, served, "flood", 1_000)
    before = len(served)
    assert turns.waiting >= 900
    small = await line_up(turns, served, "small", 1)
    await small[0]
    assert served.index("small") - before <= 2 * 4, "one pass that is under way, and its own"
    await asyncio.gather(*flood)
    assert len(served) == 1_001


async def test_items_are_shared_evenly_not_calls() -> None:
    turns, served = Turns(items_a_pass=10), list[str]()
    batches = await line_up(turns, served, "batches", 50, items=100)
    singles = await line_up(turns, served, "singles", 2_000)
    while len(served) < 1_000:  # noqa: ASYNC110 - a turn is one pass of the loop
        await asyncio.sleep(0)
    had = {"batches": served.count("batches") * 100, "singles": served.count("singles")}
    assert abs(had["batches"] - had["singles"]) <= 220, had
    for task in (*batches, *singles):
        task.cancel()
    await asyncio.gather(*batches, *singles, return_exceptions=True)


async def test_nobody_waits_where_nobody_is() -> None:
    turns = Turns(items_a_pass=4)
    for _ in range(100):
        await asyncio.wait_for(turns.take("alone", 1_000), 1.0)
    assert turns.waiting == 0
    passes = 0
    while turns._scheduled:  # what was taken beyond a pass is made up for, and then the loop is left alone
        await asyncio.sleep(0)
        passes += 1
    assert passes > 100


async def test_calls_of_one_workspace_keep_their_order_and_those_who_leave_cost_nothing() -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    turns, served = Turns(items_a_pass=3), list[tuple[str, int]]()

    async def one(name: str, number: int, items: int) -> None:
        await turns.take(name, items)
        served.append((name, number))

    tasks = {}
    for number in range(600):
        name = chance.choice("abc")
        tasks[name, number] = asyncio.create_task(one(name, number, chance.randrange(1, 9)))
        if not number % 50:
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    gone = {key for key, task in tasks.items() if chance.random() < 0.3 and task.cancel()}
    await asyncio.wait_for(asyncio.gather(*tasks.values(), return_exceptions=True), 10.0)
    assert turns.waiting == 0
    assert {*served} >= tasks.keys() - gone
    for name in "abc":
        mine = [number for who, number in served if who == name]
        assert mine == sorted(mine)
