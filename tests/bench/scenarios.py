"""Scenario runs: what a waiting one takes, ten thousand timers due in one second, and from an event to its message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from core.clock import DAY_US, HOUR_US, SECOND_US, ManualClock
from core.events.columns import Event
from core.events.facts import ContactState
from core.scenario import machine
from core.scenario.definition import Block, Condition, Definition, EventTrigger, Exit, Send, Wait
from core.scenario.plan import Plan
from core.scenario.run import Run, State
from core.scenario.trigger import Occurrence
from core.scenario.validate import plan_of
from core.schema import Scalar
from services.runtime.clock import SystemClock
from services.runtime.redis_log import RedisLog
from services.scenario.codec import encode_run
from services.scenario.runs import Runs
from services.scenario.timers import Agenda
from tests.bench.memory import resident_bytes
from tests.servers import start_valkey
from tests.unit.scenario.world import World, peers

WAITING = 1_000_000
TIMERS = 10_000
ENTRIES_A_SECOND = 200
ENTRIES = 4_000
_AT_ONCE = 1_000
_EXIT = "did order_completed (cart_id = :cart_id) from :trigger_at"
#: What every abandoned cart does first: wait, and a purchase ends it.
_CART = Definition(
    EventTrigger("cart_updated"),
    (Block("wait", Wait(2 * HOUR_US)), Block("mail", Send("email", "cart")), Block("end", Exit("done"))),
    exit_when=_EXIT,
)
#: A timer, a question that is the same for everybody, a message.
_DUE = Definition(
    EventTrigger("cart_updated"),
    (
        Block("wait", Wait(DAY_US)),
        Block("asked", Condition("did order_completed in last 7 days", "end", "mail")),
        Block("mail", Send("email", "cart")),
        Block("end", Exit("done")),
    ),
)
#: An event, a question of its own, a message.
_AT_ONCE_SENT = Definition(
    EventTrigger("cart_updated"), (Block("mail", Send("email", "cart")), Block("end", Exit("done"))), exit_when=_EXIT
)  # fmt: skip


async def measure_scenarios(
    folder: Path, waiting: int = WAITING, timers: int = TIMERS, entries: int = ENTRIES
) -> dict[str, object]:
    """Runs in memory and as they are stored; then a shard on a real log server, with peers that run the real evaluator
    and take messages over, all in this one process."""
    found = _waiting(waiting)
    async with _house(folder / "timers", ManualClock(SystemClock().now_us())) as world:
        found.update(await _timers(world, timers))
    async with _house(folder / "entries", SystemClock()) as world:
        found.update(await _entries(world, entries))
    return found


def _waiting(count: int) -> dict[str, object]:
    plan, runs, agenda = plan_of("Abandoned cart", 1, _CART), Runs(), Agenda()
    now_us = SystemClock().now_us()
    before, stored, started_s = resident_bytes(), 0, time.perf_counter()
    for number in range(count):
        run = _started(plan, number, now_us)
        runs.put(run)
        agenda.timers.set(run.run_id, run.due_at_us)
        stored += len(encode_run(run)) + len(run.run_id)
        if number % _AT_ONCE == 0:
            runs.drain()
    seconds = time.perf_counter() - started_s
    runs.drain()
    took = resident_bytes() - before
    return {
        "waiting runs": count,
        "bytes a waiting run in memory": round(took / count),
        "bytes a waiting run stored": round(stored / count),
        "runs started and kept a second": round(count / seconds),
    }


def _started(plan: Plan, number: int, now_us: int) -> Run:
    values = {"cart_id": f"cart-{number}"}
    line: dict[str, Scalar] = {"product_id": f"p{number % 5_000}", "quantity": 1}
    occurrence = Occurrence(f"event-{number:012d}", now_us - number, number, values, (line,), number)
    run, _ = machine.start(plan, occurrence, now_us)
    run, _ = machine.step(plan, run, machine.Answered(machine.Question.EXIT, False, number), now_us)
    if run.state is not State.WAITING:
        raise RuntimeError(f"the run is {run.state}, it should wait")
    return run


async def _timers(world: World, count: int) -> dict[str, object]:
    """All due within one second. The clock stands still, and is then set behind the last of them."""
    await world.save("due", _DUE)
    await _people(world, count)
    for first in range(0, count, _AT_ONCE):
        now_us = world.clock.now_us()
        carts = [(one, _cart(one, now_us)) for one in range(first, min(first + _AT_ONCE, count))]
        await world.append(*carts, seen=False)
        world.clock.advance(SECOND_US // (count // _AT_ONCE or 1))
    await _until(lambda: len(world.shard.runs.active) == count)
    await world.idle()
    world.clock.advance(DAY_US)
    started_s = time.perf_counter()
    await _until(lambda: len(world.channel.taken) == count)
    sent_s = time.perf_counter() - started_s
    await _until(lambda: not world.shard.runs.active)
    return {
        "timers due in one second": count,
        "all messages handed over within, seconds": round(sent_s, 2),
        "all runs at their end within, seconds": round(time.perf_counter() - started_s, 2),
        "messages handed over a second": round(count / sent_s),
    }


async def _entries(world: World, count: int) -> dict[str, object]:
    """An entry of the profile log with one event every 5 ms, until its message is with the channel."""
    await world.save("at once", _AT_ONCE_SENT)
    await _people(world, count)
    handed: dict[int, float] = {}
    world.channel.told = lambda message: handed.setdefault(message.contact, time.perf_counter())
    appended: dict[int, float] = {}
    started_s = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, started_s + number / ENTRIES_A_SECOND - time.perf_counter()))
        appended[number] = time.perf_counter()
        await world.append((number, _cart(number, world.clock.now_us())), seen=False)
    await _until(lambda: len(handed) == count)
    took_ms = sorted((handed[number] - appended[number]) * 1e3 for number in range(count))
    return {
        "entries a second": ENTRIES_A_SECOND,
        "event to message handed over, p50 ms": round(took_ms[count // 2], 1),
        "event to message handed over, p99 ms": round(took_ms[count * 99 // 100], 1),
    }


async def _people(world: World, count: int) -> None:
    now_us = world.clock.now_us()
    for first in range(0, count, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, count))
        await world.append(facts=[ContactState(one, f"key-{one}", True, 1, now_us, 0) for one in numbers], seen=False)


def _cart(number: int, at_us: int) -> Event:
    params = {"cart_id": f"cart-{number}"}
    return Event(f"event-{number:012d}", "cart_updated", at_us, at_us, (), params, ({"product_id": "p1"},))


@asynccontextmanager
async def _house(folder: Path, clock: ManualClock | SystemClock) -> AsyncIterator[World]:
    folder.mkdir(parents=True, exist_ok=True)
    server = start_valkey(folder)
    log = await RedisLog.connect(server.url)
    try:
        async with peers(log, clock) as world:  # type: ignore[arg-type]
            await world.start()
            yield world
            await world.stop()
    finally:
        await log.close()
        server.stop()


async def _until(holds: Callable[[], bool], within_s: float = 300.0) -> None:
    deadline_s = time.perf_counter() + within_s
    while not holds():
        if time.perf_counter() > deadline_s:
            raise RuntimeError(f"not within {within_s} s")
        await asyncio.sleep(0.002)
