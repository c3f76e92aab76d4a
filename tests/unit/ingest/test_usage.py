"""Usage is a fold of the log: each entry counts once, whoever archives it and whenever a quota is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.clock import DAY_US, ManualClock
from core.eventlog.memory import MemoryLog
from core.limits import Spent
from services.ingest.usage import EVERYBODY, Usage, usage_by_day
from services.ingest.worker import ArchiveShard
from services.ingest.writer import BatchWriter
from services.runtime.feed import ConsumerPositions
from services.runtime.waiter import LoopWaiter
from tests.unit.ingest.house import DEV, NOW_US

LEASE = f"ingest:{DEV.bucket}"


@pytest.fixture
async def log() -> AsyncIterator[MemoryLog]:
    clock = ManualClock(NOW_US)
    memory = MemoryLog(clock, LoopWaiter())
    yield memory
    await memory.close()


async def sent(log: MemoryLog, usage: Usage | None, at_us: int, **items: int) -> None:
    """An entry that a process appended; `usage` is that process's."""
    writer = BatchWriter()
    for key_id, count in items.items():
        writer.count(key_id, count)
    done = await log.append(DEV, [writer.payload()], at_us)
    if usage is not None:
        usage.appended(done.last, at_us, writer.uses)


async def archiver(log: MemoryLog, folder: Path, owner: str) -> ArchiveShard:
    """The worker of the process that owns the workspace."""
    fence = await log.acquire(LEASE, owner, 10.0)
    assert fence is not None
    shard = ArchiveShard(log, ManualClock(NOW_US), DEV, fence, folder, ConsumerPositions(), flush_s=0.0)
    await shard.open()
    return shard


async def test_every_entry_counts_once(log: MemoryLog, tmp_path: Path) -> None:
    mine = Usage(log, DEV, ManualClock(NOW_US))
    await sent(log, mine, NOW_US - DAY_US, a=7)
    await sent(log, mine, NOW_US, a=2, b=3)
    await sent(log, None, NOW_US, a=5)  # another process, not archived yet: this one cannot know of it
    assert await mine.spent("a") == Spent(2, 2), "yesterday was another month"
    shard = await archiver(log, tmp_path, "one")
    await shard.step()
    again = Usage(log, DEV, ManualClock(NOW_US))
    assert await again.spent("a") == Spent(7, 7)
    assert await again.spent(EVERYBODY) == Spent(10, 10)
    await sent(log, again, NOW_US, a=1)
    assert await again.spent("a") == Spent(8, 8)
    other = await archiver(log, tmp_path, "one")  # reads from where the first committed
    await other.step()
    assert await usage_by_day(log, DEV, 2, NOW_US) == [
        ("2026-10-31", "a", 7),
        ("2026-11-01", "a", 8),
        ("2026-11-01", "b", 3),
    ]
    assert await Usage(log, DEV, ManualClock(NOW_US)).spent("a") == Spent(8, 8)


async def test_what_was_archived_is_not_counted_from_memory_again(log: MemoryLog, tmp_path: Path) -> None:
    mine = Usage(log, DEV, ManualClock(NOW_US))
    for _ in range(5):
        await sent(log, mine, NOW_US, a=1)
    shard = await archiver(log, tmp_path, "one")
    await shard.step()
    assert await mine.spent("a") == Spent(5, 5), "counted when first asked, memory let go"
    await sent(log, mine, NOW_US, a=1)
    assert await mine.spent("a") == Spent(6, 6)
