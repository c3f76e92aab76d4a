"""The scenario process killed at its named places, on a real log server: no message doubled, none missing."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from core.clock import SECOND_US, ManualClock
from core.eventlog.rules import lease_name
from core.events.columns import Event
from core.scenario.definition import (
    ApiTrigger,
    Block,
    ChangeLists,
    Condition,
    Definition,
    EventTrigger,
    Exit,
    IssueCoupon,
    Send,
    SetAttribute,
    StartScenario,
    Wait,
)
from services.runtime.clock import SystemClock
from services.runtime.partitions import partition
from services.runtime.redis_log import RedisLog
from services.runtime.roles import Role
from services.scenario.convert import definition_to_proto
from services.scenario.worker import ScenarioShard
from tests.carts import abandoned_cart
from tests.servers import start_valkey
from tests.unit.scenario.plays import cart
from tests.unit.scenario.world import WORKSPACE, World, peers, runtime_of

ROOT = Path(__file__).parents[2]
CONTACTS = range(1, 13)
#: The abandoned cart with its hours as tenths of a second.
FAST = abandoned_cart(
    email_after_us=SECOND_US // 5, open_within_us=SECOND_US // 5, offer_after_us=SECOND_US * 3 // 5
)  # fmt: skip
#: A scenario that is waiting when its process is killed.
LATE = Definition(
    EventTrigger("signed_up"), (Block("w", Wait(SECOND_US)), Block("m", Send("email", "late")))
)  # fmt: skip
#: Blocks that tell other services something, and a scenario that is started by another one.
TELLING = Definition(
    EventTrigger("signed_in"),
    (
        Block("city", SetAttribute("city", "Wien")),
        Block("lists", ChangeLists(("warm",))),
        Block("coupon", IssueCoupon("spring", "code")),
        Block("start", StartScenario("other")),
        Block("sees", Condition('city = "Wien"', when_true="mail", when_false="end")),
        Block("mail", Send("email", "t", content="coupon :code")),
        Block("end", Exit("done")),
    ),
)
OTHER = Definition(ApiTrigger(), (Block("mail", Send("email", "other")),))
#: Every contact that does not buy gets all three.
TEMPLATES = ("abandoned_cart", "abandoned_cart_offer", "abandoned_cart_push")


async def serve(url: str, port: int) -> None:
    """The scenario role alone, as a process: its log at `url`, its peers at `port`. Prints "open", then works."""
    log = await RedisLog.connect(url)
    lease = lease_name(Role.SCENARIO.value, WORKSPACE.bucket)
    fence = await log.acquire(lease, f"pid-{os.getpid()}", 0.2)
    while fence is None:
        await asyncio.sleep(0.05)
        fence = await log.acquire(lease, f"pid-{os.getpid()}", 0.2)
    shard = await ScenarioShard.open(
        runtime_of(log, SystemClock(), port), WORKSPACE, partition(Role.SCENARIO, WORKSPACE), fence
    )
    if not shard.catalogue.definitions.newest():
        for name, definition in (("cart", FAST), ("late", LATE), ("other", OTHER), ("telling", TELLING)):
            await shard.save(name, definition_to_proto(definition), "", "tester", "")
    print("open", flush=True)
    await shard.run()


class Process:
    """The scenario role, started again and again until it lives long enough; `deaths` are its exit codes."""

    def __init__(self, url: str, port: int) -> None:
        self._arguments = (url, str(port))
        self._process: asyncio.subprocess.Process | None = None
        self.deaths: list[int] = []

    async def start(self, failpoint: str = "") -> None:
        """Start it, dying at `failpoint` ("name:n"), and wait until it has opened its shard or died."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "CDP_FAILPOINT": failpoint}
        if not failpoint:
            del environment["CDP_FAILPOINT"]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, *self._arguments,
            cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        await asyncio.wait_for(self._process.stdout.readline(), 90)

    async def wait_death(self, within_s: float = 90.0) -> int:
        """Its exit code once it has died."""
        assert self._process is not None
        _, errors = await asyncio.wait_for(self._process.communicate(), within_s)
        code = self._process.returncode
        assert code == 137, errors.decode()
        self.deaths.append(code)
        return code

    async def kill(self) -> None:
        """kill -9."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[tuple[World, Process]]:
    """A log server, the peers on it, and the scenario process, not started yet."""
    server = start_valkey(folder)
    log = await RedisLog.connect(server.url)
    process = Process(server.url, 0)
    try:
        async with peers(log, ManualClock(SystemClock().now_us())) as world:
            process = Process(server.url, world.port)
            yield world, process
            await process.kill()
    finally:
        await process.kill()
        await log.close()
        server.stop()


async def start_carts(world: World) -> None:
    """Contacts exist and fill their carts; those with an even number buy right after."""
    now_us = SystemClock().now_us()
    world.clock.set(now_us)
    await world.append(
        *((one, cart(f"cart-{one}", now_us, {"cart_id": f"c{one}"})) for one in CONTACTS),
        *((one, bought(one, now_us)) for one in CONTACTS if one % 2 == 0),
        seen=False,
    )


def bought(contact: int, at_us: int) -> Event:
    return Event(f"order-{contact}", "order_completed", at_us, at_us, (), {"cart_id": f"c{contact}"})


async def all_sent(world: World, within_s: float = 30.0) -> None:
    deadline_s = asyncio.get_running_loop().time() + within_s
    wanted = sorted((one, template) for one in CONTACTS if one % 2 for template in TEMPLATES)
    while sorted((m.contact, m.template) for m in world.channel.taken.values()) != wanted:
        assert asyncio.get_running_loop().time() < deadline_s, world.channel.templates()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "places",
    [
        ["scenario.before_commit:2", "scenario.before_commit:4", "scenario.before_commit:6"],
        ["scenario.before_send:1", "scenario.before_send:4", "scenario.before_send:2"],
        ["scenario.after_send:1", "scenario.after_send:3", "scenario.after_send:1"],
    ],
    ids=["before_commit", "before_send", "after_send"],
)
async def test_killed_at(tmp_path: Path, places: list[str]) -> None:
    async with stage(tmp_path) as (world, process):
        await process.start()
        await process.kill()
        await start_carts(world)
        for place in places:
            await process.start(place)
            await process.wait_death()
        await process.start()
        await all_sent(world)
        assert process.deaths == [137] * len(places)
        ids = [message.id for message in world.channel.calls]
        if places[0].startswith("scenario.after_send"):
            assert len(ids) > len(set(ids)), "a killed process asks again, by the same id"
        assert len(set(ids)) == len(TEMPLATES) * len(CONTACTS) // 2, "no second id for the same step"


async def test_killed_while_it_tells_others(tmp_path: Path) -> None:
    """At every place where another service is told something: each is told once for each contact, by its id."""
    places = ["scenario.before_change", "scenario.after_change", "scenario.before_coupon", "scenario.after_coupon"]
    async with stage(tmp_path) as (world, process):
        await process.start()
        await process.kill()
        now_us = SystemClock().now_us()
        world.clock.set(now_us)
        event = replace(cart(items=()), type="signed_in", occurred_at_us=now_us, received_at_us=now_us, params={})
        await world.contacts_only(*CONTACTS)
        await world.append(*((one, replace(event, id=f"r{one}")) for one in CONTACTS), seen=False)
        for place in (*places, "scenario.before_start"):
            await process.start(f"{place}:3")
            await process.wait_death()
        await process.start()
        started = asyncio.get_running_loop().time()
        while len(world.channel.taken) < 2 * len(CONTACTS):
            assert asyncio.get_running_loop().time() < started + 90, world.channel.templates()
            await asyncio.sleep(0.02)
        assert sorted(world.channel.templates()) == ["other"] * len(CONTACTS) + ["t"] * len(CONTACTS)
        assert len(world.ingest.taken) == 2 * len(CONTACTS), "an attribute and a list for each"
        assert len(world.ingest.calls) > len(world.ingest.taken), "a killed process tells again, by the same id"
        assert len(world.coupons.issued) == len(CONTACTS)
        assert len(world.coupons.calls) > len(world.coupons.issued)
        contents = {message.content for message in world.channel.taken.values() if message.template == "t"}
        assert contents == {f"coupon spring-{one}" for one in range(1, len(CONTACTS) + 1)}


async def test_timers_survive_a_downtime(tmp_path: Path) -> None:
    """Killed while all runs wait; the timers fall due while nobody is there."""
    async with stage(tmp_path) as (world, process):
        await process.start()
        now_us = SystemClock().now_us()
        world.clock.set(now_us)
        signed = replace(cart(items=()), type="signed_up", occurred_at_us=now_us, received_at_us=now_us, params={})
        await world.append(*((one, replace(signed, id=f"s{one}")) for one in CONTACTS), seen=False)
        started = asyncio.get_running_loop().time()
        while len(await stored(world)) < len(CONTACTS):
            assert asyncio.get_running_loop().time() < started + 20
            await asyncio.sleep(0.01)
        await process.kill()
        assert world.channel.calls == []
        await asyncio.sleep(1.2)  # the downtime itself
        await process.start()
        while len(world.channel.taken) < len(CONTACTS):
            assert asyncio.get_running_loop().time() < started + 30
            await asyncio.sleep(0.01)
        assert len(world.channel.calls) == len(CONTACTS)


async def stored(world: World) -> list[bytes]:
    """The ids of the active runs that are stored."""
    return [key async for key, _ in world.log.scan(world.partition, "runs")]


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
