"""Disks and logs without room: what is kept in reserve, what is refused, and what waits."""

from __future__ import annotations

import asyncio
import errno
import shutil
import sqlite3
from pathlib import Path

import pytest

from core.clock import ManualClock
from core.errors import CdpError, Code
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import Commit, Fence, Partition
from services.runtime.disk_brake import DiskReserve
from services.runtime.durable import is_disk_full, require_room
from services.runtime.errors import from_unexpected
from services.runtime.patience import commit_patiently
from services.runtime.waiter import LoopWaiter

NOW_US = 1_700_000_000_000_000
WS = Partition("ingest", "ws", 17)


def test_a_reserve_is_held_and_given_up(tmp_path: Path) -> None:
    reserve, file = DiskReserve(tmp_path, keep_free_bytes=1 << 20), tmp_path / "server.reserve"
    reserve.check(free_bytes=2 << 20)
    assert not file.exists(), "there is not room enough to put some aside"
    reserve.check(free_bytes=(2 << 20) + 1)
    assert file.stat().st_size == 1 << 16
    reserve.check(free_bytes=1 << 16)
    assert file.exists()
    for _ in range(2):
        reserve.check(free_bytes=(1 << 16) - 1)
        assert not file.exists()


def test_what_a_full_disk_means_to_a_caller(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert is_disk_full(full)
    assert is_disk_full(sqlite3.OperationalError("database or disk is full"))
    assert not is_disk_full(OSError(errno.EIO, "Input/output error"))
    refusal = from_unexpected(full, "here")
    assert (refusal.code, refusal.reason) == (Code.EXHAUSTED, "DISK_FULL")
    assert refusal.retry_after_s is not None
    with pytest.raises(CdpError, match="no room"):
        require_room(tmp_path, shutil.disk_usage(tmp_path).free)
    require_room(tmp_path, 0)


async def _full_log() -> tuple[MemoryLog, Fence]:
    log = MemoryLog(ManualClock(NOW_US), LoopWaiter(), limit_bytes=1_000_000)
    fence = await log.acquire("ingest:17", "a#1", 60.0)
    assert fence is not None
    with pytest.raises(CdpError):
        while True:
            await log.append(WS, [b"x" * 100_000], NOW_US)
    return log, fence


@pytest.mark.parametrize("position", [1, None])
async def test_a_commit_waits_for_room(position: int | None) -> None:
    log, fence = await _full_log()
    source = None if position is None else "s"
    commit = Commit(source, position, [b"y" * 100_000], (), NOW_US)
    waiting = asyncio.create_task(commit_patiently(log, WS, fence, commit))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    _, last = await log.bounds(WS)
    await log.trim(WS, last)
    done = await asyncio.wait_for(waiting, 10)
    assert (done.applied, done.last) == (True, last + 1)
    await log.close()


async def test_what_time_does_not_mend_is_raised() -> None:
    log, fence = await _full_log()
    await log.release("ingest:17", "a#1")
    assert await log.acquire("ingest:17", "b#1", 60.0) is not None
    with pytest.raises(CdpError) as refused:
        await commit_patiently(log, WS, fence, Commit("s", 1, [], (), NOW_US))
    assert refused.value.reason == "FENCED"
    await log.close()
