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
from core.profile.merge_log import decode_outcome
from core.profile.profile import new_key
from services.profile_unification.marks import MARKS
from services.profile_unification.seen_store import SEEN
from services.profile_unification.tables import (
    DEAD_LETTERS,
    ERASURES,
    IDENTIFIERS,
    MERGES,
    META,
    ORDERS,
    OUTCOMES,
    PROFILES,
    SUSPECTS,
    TOMBSTONES,
)
from services.profile_unification.timeline_store import TimelineStore
from services.runtime.redis_log import RedisLog
from services.runtime.waiter import LoopWaiter
from tests.fault.unification_child import LEASE, fold_all
from tests.flow.unification_house import OWN, UPSTREAM, WORKSPACE, payload_of
from tests.servers import start_valkey
from tests.unit.profile.people import Item, T, event, separation, update

ROOT = Path(__file__).parents[2]
_TABLES = (
    *(IDENTIFIERS, PROFILES, ORDERS, META, MERGES, SUSPECTS, OUTCOMES, DEAD_LETTERS, SEEN),
    *(ERASURES, TOMBSTONES, MARKS),
)
Digest = tuple[list[bytes], dict[str, dict[bytes, bytes]]]


def _payloads(rng: Random) -> list[bytes]:
    """Batches with everything in them: merges, shared cookies, orders, and a fifth sent again in later batches."""
    pool = [Identifier("external_id", f"x{n}") for n in range(20)]
    pool += [Identifier("email", f"{n}@example.com") for n in range(20)]
    pool += [Identifier("anonymous_id", f"c{n}") for n in range(20)]
    sent: list[Item] = []
    # Two who are merged and, later, taken apart again: an order that reads back what the log holds of them.
    one, other = Identifier("external_id", "one"), Identifier("email", "other@example.com")
    payloads = [payload_of([update("first", T, one, attributes={"n": 1})])]
    payloads.append(payload_of([update("second", T, other, attributes={"n": 2})]))
    payloads.append(payload_of([event("both", T, one, other), event("hers", T + 1, other)]))
    keys = new_key(WORKSPACE, 1, 1), new_key(WORKSPACE, 2, 2)
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
        if number == 6:
            batch += [event("theirs", T + 2, one, other), separation("apart", *keys), event("late", T + 3, other)]
        sent += batch
        payloads.append(payload_of(batch))
    return payloads


async def _digest(log: EventLog) -> Digest:
    tables = {}
    for table in _TABLES:
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
    [outcome] = [decode_outcome(row) async for _, row in log.scan(OWN, OUTCOMES)]
    assert (outcome.reason, outcome.survivor, outcome.restored) == ("", 1, 2)


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


@pytest.mark.slow
async def test_kill_9_while_timelines_move_into_their_chunks(tmp_path: Path) -> None:
    people = [Identifier("external_id", f"x{n}") for n in range(300)]
    payloads = [
        payload_of([event(f"m{entry}.{n}", T + entry * 1_000 + n, people[(n * 7) % 300]) for n in range(1_000)])
        for entry in range(60)
    ]
    undisturbed = MemoryLog(ManualClock(T), LoopWaiter())
    await undisturbed.append(UPSTREAM, payloads, T)
    await fold_all(undisturbed, str(tmp_path), 2)
    server = start_valkey(tmp_path / "server", "everysec")
    try:
        log = await RedisLog.connect(server.url)
        await log.append(UPSTREAM, payloads, T)
        for point in ("timeline_moving:1", "timeline_moving:2", "timeline_moved:1", None):
            assert await _child(server.url, tmp_path, point) == (0 if point is None else 137)
        assert await _digest(log) == await _digest(undisturbed)
        here, there = TimelineStore(log, OWN), TimelineStore(undisturbed, OWN)
        await here.load()
        await there.load()
        for contact in range(1, 301):
            assert (await here.refs((contact,))).tolist() == (await there.refs((contact,))).tolist()
        await log.close()
    finally:
        server.stop()


#: Of `_child`, as test_points.py looks for them.
POINTS = (
    "profile_unification.before_commit",
    "profile_unification.after_commit",
    "profile_unification.timeline_moving",
    "profile_unification.timeline_moved",
)


async def _child(url: str, folder: Path, failpoint: str | None) -> int:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if failpoint is not None:
        assert f"profile_unification.{failpoint}".partition(":")[0] in POINTS
        environment["CDP_FAILPOINT"] = f"profile_unification.{failpoint}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fault.unification_child", url, str(folder), cwd=ROOT, env=environment
    )
    async with asyncio.timeout(60):
        return await process.wait()
