"""The scenario process killed while it starts, stops and moves many runs: nobody is left out or comes twice."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from core.clock import MINUTE_US, SECOND_US, ManualClock
from core.eventlog.rules import lease_name
from core.events.columns import Event
from core.events.facts import AttributeWrite, ContactState, ProductChange, ProductChangeKind, ProductState
from core.scenario.definition import (
    ApiTrigger,
    Block,
    Definition,
    FieldTrigger,
    ProductTrigger,
    Reentry,
    ScheduleTrigger,
    Send,
    Wait,
)
from services.runtime.clock import SystemClock
from services.runtime.partitions import partition
from services.runtime.redis_log import RedisLog
from services.runtime.roles import Role
from services.scenario.convert import definition_to_proto
from services.scenario.worker import ScenarioShard
from tests.fault.processes import ROOT
from tests.servers import start_valkey
from tests.unit.scenario.world import WORKSPACE, World, peers, runtime_of, until

CONTACTS = range(1, 131)
DAY_US = 86_400 * SECOND_US


def sends(template: str) -> tuple[Block, ...]:
    return (Block("m", Send("email", template)),)


#: Everyone starts every run that there is, so that a second start would show as a second message.
SCENARIOS = {
    "product": Definition(ProductTrigger(("back_in_stock",), "viewers"), sends("product"), reentry=Reentry.ALWAYS),
    "field": Definition(FieldTrigger("tier"), sends("field"), reentry=Reentry.ALWAYS),
    "schedule": Definition(ScheduleTrigger("everybody", "* * * * *"), sends("schedule"), reentry=Reentry.ALWAYS),
    "called": Definition(ApiTrigger(), (Block("w", Wait(DAY_US)), *sends("called")), reentry=Reentry.ALWAYS),
}


class Ahead(SystemClock):
    """The system's clock, put ahead."""

    def __init__(self, by_us: int) -> None:
        super().__init__()
        self._by_us = by_us

    def now_us(self) -> int:
        return super().now_us() + self._by_us


async def serve(url: str, port: int, name: str, ahead_us: int) -> None:
    """The scenario role alone, with one scenario. One that is called is called, moved or stopped once it is open."""
    log = await RedisLog.connect(url)
    lease = lease_name(Role.SCENARIO.value, WORKSPACE.bucket)
    fence = await log.acquire(lease, f"pid-{os.getpid()}", 0.2)
    while fence is None:
        await asyncio.sleep(0.05)
        fence = await log.acquire(lease, f"pid-{os.getpid()}", 0.2)
    runtime = runtime_of(log, Ahead(ahead_us), port)
    shard = await ScenarioShard.open(runtime, WORKSPACE, partition(Role.SCENARIO, WORKSPACE), fence)
    scenario, _, order = name.partition(" ")
    if not shard.catalogue.definitions.newest():
        await shard.save(scenario, definition_to_proto(SCENARIOS[scenario]), "", "tester", "")
    print("open", flush=True)
    work = asyncio.create_task(shard.run())
    await until(shard.ready)
    if order == "call":
        called = await shard.calls.start_runs(scenario, CONTACTS, {}, "r1")
        print(len(called.run_ids), called.refused, flush=True)
    if order == "move":
        await shard.save(scenario, definition_to_proto(SCENARIOS[scenario]), "", "tester", "v2")
        await shard.calls.migrate_runs(scenario, 1, 2, {"w": "w"})
    if order == "stop":
        await shard.calls.stop_runs(scenario, [], "asked for")
    print("done", flush=True)
    await work


class Process:
    """The scenario role for one scenario, started again and again."""

    def __init__(self, url: str, port: int, ahead_us: int) -> None:
        self._url, self._port, self.ahead_us = url, port, ahead_us
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, name: str, place: str = "") -> None:
        """Start it, dying at `place` ("name:n") if one is given."""
        environment = {one: value for one, value in os.environ.items() if one != "CDP_FAILPOINT"}
        environment["PYTHONPATH"] = str(ROOT)
        if place:
            environment["CDP_FAILPOINT"] = place
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, self._url, str(self._port), name, str(self.ahead_us),
            cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def dies(self) -> None:
        """Wait until its failpoint has ended it."""
        assert self.process is not None
        _, errors = await asyncio.wait_for(self.process.communicate(), 60)
        assert self.process.returncode == 137, errors.decode()

    async def prints(self, line: str) -> None:
        """Wait until it has printed a line."""
        assert self.process is not None and self.process.stdout is not None
        while (read := (await asyncio.wait_for(self.process.stdout.readline(), 60)).decode().strip()) != line:
            assert read or self.process.returncode is None, "it ended before"

    async def kill(self) -> None:
        """kill -9."""
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.communicate()


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[tuple[World, Process]]:
    """A log server, the peers on it with everybody there, and a process whose clock is just before a full minute."""
    server = start_valkey(folder)
    log = await RedisLog.connect(server.url)
    real_us = SystemClock().now_us()
    ahead_us = -real_us % MINUTE_US - 3 * SECOND_US
    process = Process(server.url, 0, ahead_us)
    try:
        async with peers(log, ManualClock(real_us + ahead_us)) as world:
            world.engine.segments["everybody"] = "among all contacts: email is missing"
            world.engine.segments["viewers"] = "among all contacts: did product_viewed (product_id = :product_id)"
            await world.append(facts=[known(one, world) for one in CONTACTS], seen=False)
            process = Process(server.url, world.port, ahead_us)
            yield world, process
    finally:
        await process.kill()
        await log.close()
        server.stop()


async def sent(world: World, template: str) -> None:
    """Wait until everybody has the message, and look that nobody has it twice by another id."""
    deadline_s = asyncio.get_running_loop().time() + 60
    while len({one.contact for one in world.channel.taken.values()}) < len(CONTACTS):
        assert asyncio.get_running_loop().time() < deadline_s, len(world.channel.taken)
        await asyncio.sleep(0.05)
    messages = Counter(one.contact for one in world.channel.taken.values() if one.template == template)
    assert messages == dict.fromkeys(CONTACTS, 1)


async def test_a_product_change(tmp_path: Path) -> None:
    async with stage(tmp_path) as (world, process):
        await process.start("product")
        await process.prints("open")
        await process.kill()
        now_us = catch_up(world, process)
        await world.append(*((one, viewed(one, now_us)) for one in CONTACTS), seen=False)
        back = ProductChange(ProductChangeKind.BACK_IN_STOCK)
        await world.append(facts=[ProductState("p1", {"stock": 3}, now_us, 0, (back,))], seen=False)
        for place in (
            "scenario.before_launch_fixed",
            "scenario.before_launch_page:2",
            "scenario.after_launch_page:1",
        ):
            await process.start("product", place)
            await process.dies()
        await process.start("product")
        await sent(world, "product")


async def test_a_schedule(tmp_path: Path) -> None:
    async with stage(tmp_path) as (world, process):
        await process.start("schedule", "scenario.launch_planned")
        await process.dies()
        await process.start("schedule", "scenario.before_launch_page:3")
        await process.dies()
        await process.start("schedule")
        await sent(world, "schedule")


async def test_changes_of_an_attribute(tmp_path: Path) -> None:
    async with stage(tmp_path) as (world, process):
        await process.start("field")
        await process.prints("open")
        await process.kill()
        at_us = catch_up(world, process)
        await world.append(facts=[AttributeWrite(one, "tier", "gold", at_us, False, 0) for one in CONTACTS], seen=False)
        for place in ("scenario.before_field_start:1", "scenario.before_field_start:40"):
            await process.start("field", place)
            await process.dies()
        await process.start("field")
        await sent(world, "field")


async def test_calls_moves_and_stops(tmp_path: Path) -> None:
    async with stage(tmp_path) as (world, process):
        for order, place in (
            ("call", "scenario.before_called_starts"),
            ("move", "scenario.migrated_some:1"),
            ("stop", "scenario.stopped_some:1"),
        ):
            await process.start(f"called {order}", place)
            await process.dies()
            await process.start(f"called {order}")
            await process.prints("done")
            await process.kill()
            active = [key async for key, _ in world.log.scan(world.partition, "runs")]
            ended = [key async for key, _ in world.log.scan(world.partition, "ended")]
            assert (len(active), len(ended)) == ((0, 130) if order == "stop" else (130, 0)), order


def catch_up(world: World, process: Process) -> int:
    """Let the world's clock show what the process's shows: facts are recorded by it, after the scenario was saved."""
    world.clock.set(SystemClock().now_us() + process.ahead_us)
    return world.clock.now_us()


def known(contact: int, world: World) -> ContactState:
    return ContactState(contact, f"key-{contact}", True, 1, world.clock.now_us(), 0)


def viewed(contact: int, at_us: int) -> Event:
    return Event(f"v{contact}", "product_viewed", at_us, at_us, (), {"product_id": "p1"})


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
