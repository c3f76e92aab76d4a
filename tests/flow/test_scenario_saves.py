"""Definitions are saved as a whole: whoever hangs up, and whatever fails, no version is written over."""

from __future__ import annotations

import asyncio

import pytest

from core.clock import ManualClock
from core.errors import CdpError, unavailable
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import Commit, Committed, Fence, Partition
from services.runtime.definitions import Stored
from services.runtime.waiter import LoopWaiter
from services.scenario.convert import definition_to_proto
from tests.carts import abandoned_cart
from tests.unit.scenario.plays import T0
from tests.unit.scenario.world import World, a_world


class SlowAnswers(MemoryLog):
    """Commits of definitions are durable before they answer: after `answer` is set, or with a lost connection."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock, LoopWaiter())
        self.durable, self.answer = asyncio.Event(), asyncio.Event()
        self.lost = False

    async def commit(self, partition: Partition, fence: Fence, commit: Commit) -> Committed:
        done = await super().commit(partition, fence, commit)
        if any(write.table == "definition_versions" for write in commit.writes):
            self.durable.set()
            await self.answer.wait()
            if self.lost:
                raise unavailable("LOG_AWAY", "the answer is lost")
        return done


async def save(world: World, template: str, request_id: str = "") -> Stored:
    message = definition_to_proto(abandoned_cart(email_template=template))
    return await world.shard.save("cart", message, "", "tester", request_id)


@pytest.mark.parametrize("request_id", ["", "r1"])
async def test_a_caller_who_hangs_up_loses_no_version(request_id: str) -> None:
    clock = ManualClock(T0)
    log = SlowAnswers(clock)
    async with a_world(log, clock) as world:
        first = asyncio.create_task(save(world, "first", request_id))
        await log.durable.wait()
        first.cancel()
        second = asyncio.create_task(save(world, "second", request_id))
        with pytest.raises(asyncio.CancelledError):
            await first
        log.answer.set()
        version = (await second).revision.version
        assert version == (1 if request_id else 2), "the same request is answered with what it made"
        await world.restart()
        assert len(world.shard.catalogue.definitions.versions("cart")) == version
        audit = [record async for record in log.scan(world.partition, "audit")]
        assert len(audit) == version


async def test_a_commit_whose_answer_is_lost_ends_the_shard() -> None:
    """It is durable, but memory does not know: nothing is decided before the shard is opened again."""
    clock = ManualClock(T0)
    log = SlowAnswers(clock)
    log.lost = True
    log.answer.set()
    async with a_world(log, clock) as world:
        await world.stop()
        running = asyncio.create_task((await world.open()).run())
        for template in ("first", "second"):
            with pytest.raises(CdpError, match=r"lost|again"):
                await save(world, template)
        with pytest.raises(CdpError, match="lost"):
            await running
        log.lost = False
        await world.restart()
        assert (await save(world, "second")).revision.version == 2
