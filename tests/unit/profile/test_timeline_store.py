"""A long tail moves into the chunks a part at a time, and no reader can tell."""

from __future__ import annotations

import numpy as np

from core.clock import ManualClock
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import Fence, Partition
from services.profile_unification.timeline_store import TIMELINE, TimelineStore
from services.runtime.waiter import LoopWaiter

PARTITION = Partition("profile_unification", "w", 1)
SEED = 11
CONTACTS = 3_000
ASKED = (0, 1, 777, CONTACTS)
_BATCH = 1_000


async def begun() -> tuple[MemoryLog, Fence, TimelineStore]:
    log = MemoryLog(ManualClock(0), LoopWaiter())
    fence = await log.acquire("profile_unification:1", "me", 60)
    assert fence is not None
    return log, fence, TimelineStore(log, PARTITION)


async def rows_of(log: MemoryLog) -> int:
    return len([key async for key, _ in log.scan(PARTITION, TIMELINE)])


async def told(store: TimelineStore) -> list[list[tuple[int, int, int]]]:
    """The timeline of each asked contact."""
    return [(await store.newest_first([contact])).tolist() for contact in ASKED]


async def test_readers_see_every_event_once_while_the_tail_moves() -> None:
    print(f"seed {SEED}")
    draw = np.random.default_rng(SEED)
    log, fence, store = await begun()
    expected: dict[int, list[tuple[int, int, int]]] = {contact: [] for contact in ASKED}
    partly = set()
    for position in range(1, 81):
        contacts = draw.integers(0, CONTACTS, _BATCH).astype(np.uint32)
        at_us = draw.integers(0, 10_000, _BATCH)
        store.add(position, contacts, at_us)
        for row, (contact, at) in enumerate(zip(contacts.tolist(), at_us.tolist(), strict=True)):
            if contact in expected:
                expected[contact].append((at, position, row))
        before = await rows_of(log)
        await store.flush_if_long(fence, 0)
        partly.add(0 < await rows_of(log) - before < CONTACTS // 4)
        assert await told(store) == [sorted(expected[contact], reverse=True) for contact in ASKED]
        earliest = [min((at for at, _, _ in expected[contact]), default=None) for contact in ASKED]
        assert await store.earliest_us(ASKED) == earliest
    assert partly == {False, True}
    assert await rows_of(log) >= CONTACTS


async def test_a_move_that_was_broken_off_is_done_again() -> None:
    print(f"seed {SEED}")
    draw = np.random.default_rng(SEED)
    log, fence, store = await begun()
    batches = [(draw.integers(0, CONTACTS, _BATCH).astype(np.uint32), draw.integers(0, 99, _BATCH)) for _ in range(60)]
    for position, (contacts, at_us) in enumerate(batches[:36], 1):
        store.add(position, contacts, at_us)
        await store.flush_if_long(fence, 0)
    assert 0 < await rows_of(log) < CONTACTS
    again = TimelineStore(log, PARTITION)
    for position, (contacts, at_us) in enumerate(batches, 1):
        again.add(position, contacts, at_us)
        await again.flush_if_long(fence, 0)
    assert await rows_of(log) >= CONTACTS
    _, other_fence, fresh = await begun()
    for position, (contacts, at_us) in enumerate(batches, 1):
        fresh.add(position, contacts, at_us)
    assert other_fence is not None
    assert await told(again) == await told(fresh)
