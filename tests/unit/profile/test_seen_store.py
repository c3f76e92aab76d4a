"""Remembered message ids over restarts: few rows, nothing forgotten too early, nothing kept too long."""

from __future__ import annotations

from core.clock import ManualClock
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import Commit, Fence, Partition
from core.identity.dedupe import HORIZON_HOURS, SeenIds, hash_ids
from services.profile_unification.seen_store import SEEN, SeenStore
from services.runtime.waiter import LoopWaiter

PARTITION = Partition("profile_unification", "w", 1)


async def _save(log: MemoryLog, fence: Fence, store: SeenStore) -> None:
    await log.commit(PARTITION, fence, Commit(None, None, (), store.writes(), 0))


async def _rows(log: MemoryLog) -> int:
    return len([key async for key, _ in log.scan(PARTITION, SEEN)])


async def test_an_hour_that_is_over_takes_one_row() -> None:
    log = MemoryLog(ManualClock(0), LoopWaiter())
    fence = await log.acquire("profile_unification:1", "me", 60)
    assert fence is not None
    store = await SeenStore.load(log, PARTITION, SeenIds())
    for position in range(1, 11):
        if position == 4:
            store = await SeenStore.load(log, PARTITION, SeenIds())
        store.remember(hash_ids([f"m{position}"]), 1000, position)
        await _save(log, fence, store)
    assert await _rows(log) == 10
    store.remember(hash_ids(["n"]), 1001, 11)
    await _save(log, fence, store)
    assert await _rows(log) == 3 + 1 + 1
    for hour, kept in ((1000 + HORIZON_HOURS, True), (1001 + HORIZON_HOURS, False)):
        again = await SeenStore.load(log, PARTITION, SeenIds())
        assert again.seen.contains(hash_ids([f"m{n}" for n in range(1, 11)]), hour).tolist() == [kept] * 10
    store.remember(hash_ids(["late"]), 1002 + HORIZON_HOURS, 12)
    await _save(log, fence, store)
    assert await _rows(log) == 1


async def test_hours_that_pass_within_one_commit() -> None:
    log = MemoryLog(ManualClock(0), LoopWaiter())
    fence = await log.acquire("profile_unification:1", "me", 60)
    assert fence is not None
    store = await SeenStore.load(log, PARTITION, SeenIds())
    for position, hour in enumerate((5000, 5000, 5001, 5000, 5001, 5002), start=1):
        store.remember(hash_ids([f"m{position}"]), hour, position)
    await _save(log, fence, store)
    assert await _rows(log) == 3
    again = await SeenStore.load(log, PARTITION, SeenIds())
    assert again.seen.contains(hash_ids([f"m{n}" for n in range(1, 7)]), 5002).all()
