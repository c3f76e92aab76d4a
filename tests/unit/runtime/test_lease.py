"""Leases are renewed, given back, and their loss is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from core.clock import SECOND_US, ManualClock
from core.errors import CdpError, Code
from core.eventlog.memory import MemoryLog
from services.runtime.lease import LeaseKeeper, owner_address
from services.runtime.waiter import LoopWaiter

LEASE = "segment_engine:17"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_700_000_000 * SECOND_US)


@pytest.fixture
async def log(clock: ManualClock) -> AsyncIterator[MemoryLog]:
    memory = MemoryLog(clock, LoopWaiter())
    yield memory
    await memory.close()


async def test_acquire_and_release(log: MemoryLog) -> None:
    first, second = LeaseKeeper(log, "10.0.0.1:7001"), LeaseKeeper(log, "10.0.0.2:7001")
    fence = await first.acquire(LEASE, 0.0)
    assert await first.acquire(LEASE, 0.0) == fence == first.fence(LEASE)
    assert owner_address(await log.owner(LEASE) or "") == "10.0.0.1:7001"
    with pytest.raises(CdpError) as refused:
        await second.acquire(LEASE, 0.0)
    assert (refused.value.code, refused.value.reason) == (Code.UNAVAILABLE, "LEASE_HELD")
    assert "10.0.0.1:7001" in refused.value.message
    lost = first.lost(LEASE)
    await first.release(LEASE)
    await first.release(LEASE)
    assert first.fence(LEASE) is None
    assert not lost.is_set()
    assert (await second.acquire(LEASE, 0.0)).epoch == fence.epoch + 1
    await second.close()
    assert await log.owner(LEASE) is None
    await first.close()


async def test_a_restarted_process_is_another_owner(log: MemoryLog) -> None:
    before, after = LeaseKeeper(log, "10.0.0.1:7001"), LeaseKeeper(log, "10.0.0.1:7001")
    await before.acquire(LEASE, 0.0)
    with pytest.raises(CdpError, match=r"is held by 10\.0\.0\.1:7001#"):
        await after.acquire(LEASE, 0.0)
    await before.close()
    await after.close()


async def test_waits_for_the_present_owner(log: MemoryLog) -> None:
    first, second = LeaseKeeper(log, "a:1", ttl_s=0.1), LeaseKeeper(log, "b:1", ttl_s=0.1)
    await first.acquire(LEASE, 0.0)
    waiting = asyncio.create_task(second.acquire(LEASE, 5.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    await first.close()
    assert (await waiting).epoch == 2
    await second.close()


async def test_renews_in_the_background(log: MemoryLog, clock: ManualClock) -> None:
    keeper = LeaseKeeper(log, "a:1", ttl_s=0.06)
    await keeper.acquire(LEASE, 0.0)
    for _ in range(3):
        clock.advance(SECOND_US)  # it has run out, and nobody took it
        assert await log.owner(LEASE) is None
        await _until_owned(log)
    assert not keeper.lost(LEASE).is_set()
    await keeper.close()


async def test_a_taken_lease_is_told(log: MemoryLog, clock: ManualClock) -> None:
    keeper = LeaseKeeper(log, "a:1", ttl_s=0.06)
    await keeper.acquire(LEASE, 0.0)
    lost = keeper.lost(LEASE)
    clock.advance(SECOND_US)
    assert await log.acquire(LEASE, "b:1#2", 60.0) is not None
    async with asyncio.timeout(5):
        await lost.wait()
    assert keeper.fence(LEASE) is None
    await keeper.close()
    assert await log.owner(LEASE) == "b:1#2"


async def test_a_lease_taken_and_given_back_is_lost_too(log: MemoryLog, clock: ManualClock) -> None:
    keeper = LeaseKeeper(log, "a:1", ttl_s=0.06)
    await keeper.acquire(LEASE, 0.0)
    lost = keeper.lost(LEASE)
    clock.advance(SECOND_US)
    await log.acquire(LEASE, "b:1#2", 60.0)
    await log.release(LEASE, "b:1#2")
    async with asyncio.timeout(5):
        await lost.wait()
    await keeper.close()
    assert await log.owner(LEASE) is None


async def test_a_log_that_is_away_for_too_long(log: MemoryLog) -> None:
    keeper = LeaseKeeper(log, "a:1", ttl_s=0.06)
    await keeper.acquire(LEASE, 0.0)
    lost = keeper.lost(LEASE)
    await log.close()
    async with asyncio.timeout(5):
        await lost.wait()
    await keeper.close()


async def _until_owned(log: MemoryLog) -> None:
    deadline_s = asyncio.get_running_loop().time() + 5
    while await log.owner(LEASE) is None:
        assert asyncio.get_running_loop().time() < deadline_s
        await asyncio.sleep(0)
