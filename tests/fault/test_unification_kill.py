"""Unification killed around its commits: what it decided is what an undisturbed run decides."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from core.clock import ManualClock
from core.errors import CdpError
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import Commit, Committed, EventLog, Fence, Partition
from core.events.columns import Identifier
from services.profile_unification.seen_store import SEEN
from services.profile_unification.tables import DEAD_LETTERS, IDENTIFIERS, META, ORDERS, PROFILES
from services.runtime.redis_log import RedisLog
from services.runtime.waiter import LoopWaiter
from tests.fault.unification_child import LEASE, fold_all
from tests.flow.unification_house import OWN, UPSTREAM, payload_of
from tests.servers import start_valkey
from tests.unit.profile.people import Item, T, event, update

ROOT = Path(__file__).parents[2]
Digest = tuple[list[bytes], dict[str, dict[bytes, bytes]]]


def _payloads(rng: Random) -> list[bytes]:
    """Batches with everything in them: merges, shared cookies, orders, and a fifth sent again in later batches."""
    pool = [Identifier("external_id", f"x{n}") for n in range(20)]
    pool += [Identifier("email", f"{n}@example.com") for n in range(20)]
    pool += [Identifier("anonymous_id", f"c{n}") for n in range(20)]
    sent: list[Item] = []
    payloads = []
    for number in range(12):
        batch: list[Item] = []
        for n in range(30):
            names = rng.sample(pool, rng.randint(1, 3))
            if sent and rng.random() < 0.2:
                batch.append(rng.choice(sent))
            elif rng.random() < 0.3:
                batch.append(update(f"u{number}.{n}", T + rng.randrange(99), *names, attributes={"n": n}))
            elif rng.random() < 0.2:
                batch.append(event(f"order:{number}.{n}:completed", T, *names, type_="order_completed"))
            else:
                batch.append(event(f"m{number}.{n}", T + rng.randrange(99), *names))
        sent += batch
        payloads.append(payload_of(batch))
    return payloads


async def _digest(log: EventLog) -> Digest:
    tables = {}
    for table in (IDENTIFIERS, PROFILES, ORDERS, META, DEAD_LETTERS, SEEN):
        tables[table] = {key: value async for key, value in log.scan(OWN, table)}
    return [entry.payload for entry in await log.read(OWN, 0, 10_000, 1 << 30)], tables


async def _undisturbed(payloads: Sequence[bytes], folder: Path, entries_a_commit: int) -> Digest:
    log = MemoryLog(ManualClock(T), LoopWaiter())
    await log.append(UPSTREAM, payloads, T)
    await fold_all(log, str(folder), entries_a_commit)
    return await _digest(log)


class BrokenLog(MemoryLog):
    """A log that fails now and then, before or after it did what it was asked."""

    rng: Random

    async def commit(self, partition: Partition, fence: Fence, commit: Commit) -> Committed:
        """Half of the commits end with an error: some did happen, some did not."""
        if self.rng.random() < 0.3:
            raise ConnectionResetError("the process ends before")
        done = await super().commit(partition, fence, commit)
        if self.rng.random() < 0.3:
            raise ConnectionResetError("the process ends after")
        return done


async def test_a_fold_that_ends_around_any_commit_goes_on_from_there(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = Random(seed)
    payloads = _payloads(rng)
    expected = await _undisturbed(payloads, tmp_path, 3)
    log = BrokenLog(ManualClock(T), LoopWaiter())
    log.rng = rng
    await log.append(UPSTREAM, payloads, T)
    for _ in range(200):
        try:
            await fold_all(log, str(tmp_path), rng.randint(1, 4))
            break
        except ConnectionResetError:
            continue
    assert await _digest(log) == expected


async def test_an_owner_that_was_superseded_writes_nothing(tmp_path: Path) -> None:
    log = MemoryLog(ManualClock(T), LoopWaiter())
    fence = await log.acquire(LEASE, "first", 1.0)
    assert fence is not None
    await log.release(LEASE, "first")
    await log.append(UPSTREAM, _payloads(Random(1)), T)
    await fold_all(log, str(tmp_path), 4)
    before = await _digest(log)
    with pytest.raises(CdpError) as refused:
        await log.commit(OWN, fence, Commit("ingest", 99, [b"late"], (), T))
    assert refused.value.reason == "FENCED"
    assert await _digest(log) == before


async def test_kill_9_before_and_after_a_commit(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    payloads = _payloads(Random(seed))
    expected = await _undisturbed(payloads, tmp_path, 3)
    server = start_valkey(tmp_path / "server", "everysec")
    try:
        log = await RedisLog.connect(server.url)
        await log.append(UPSTREAM, payloads, T)
        points = ("before_commit:2", "after_commit:1", "before_commit:1", "after_commit:2")
        for point in (*points, None):
            assert await _child(server.url, tmp_path, point) == (0 if point is None else 137)
        assert await _digest(log) == expected
        await log.close()
    finally:
        server.stop()


async def _child(url: str, folder: Path, failpoint: str | None) -> int:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if failpoint is not None:
        environment["CDP_FAILPOINT"] = f"profile_unification.{failpoint}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fault.unification_child", url, str(folder), cwd=ROOT, env=environment
    )
    async with asyncio.timeout(60):
        return await process.wait()
