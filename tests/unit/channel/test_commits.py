"""Changes of one moment share a commit, become visible in their order, and fail together."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from core.clock import ManualClock
from core.errors import CdpError
from core.eventlog.protocol import Commit, Partition, TableWrite
from services.channel.commits import Commits
from services.runtime.waiter import LoopWaiter
from tests.unit.channel.world import NOW_US, WatchedLog

PLACE = Partition("channel", "w1", 7)
LEASE = "channel:7"


async def a_log() -> tuple[WatchedLog, Commits, list[Commit]]:
    clock = ManualClock(NOW_US)
    log = WatchedLog(clock, LoopWaiter())
    fence = await log.acquire(LEASE, "me", 1e6)
    assert fence is not None
    seen: list[Commit] = []

    async def before(commit: Commit) -> None:
        seen.append(commit)
        await asyncio.sleep(0)

    log.before = before
    return log, Commits(log, PLACE, fence, clock), seen


def write(key: str, value: str | None) -> list[TableWrite]:
    raw = key.encode()
    return [TableWrite("t", {} if value is None else {raw: value.encode()}, [raw] if value is None else [])]


async def test_those_who_come_together_share_a_commit_and_the_last_word_counts() -> None:
    log, commits, seen = await a_log()
    shown: list[str] = []
    steps = [("a", "1"), ("b", "1"), ("a", None), ("b", "2"), ("c", "1")]
    changes = [(write(key, value), partial(shown.append, str(at))) for at, (key, value) in enumerate(steps)]
    await asyncio.gather(*(commits.commit(*change) for change in changes))
    assert len(seen) == 1
    assert shown == ["0", "1", "2", "3", "4"]
    assert {key: value async for key, value in log.scan(PLACE, "t")} == {b"b": b"2", b"c": b"1"}


async def test_those_who_come_meanwhile_wait_for_the_next_one() -> None:
    log, commits, seen = await a_log()
    shown: list[int] = []
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def before(commit: Commit) -> None:
        seen.append(commit)
        entered.set()
        await go_on.wait()

    log.before = before
    first = asyncio.create_task(commits.commit(write("a", "1"), lambda: shown.append(1)))
    await entered.wait()
    rest = [asyncio.create_task(commits.commit(write("b", str(n)), partial(shown.append, n))) for n in (2, 3)]
    go_on.set()
    await asyncio.gather(first, *rest)
    assert (len(seen), shown) == (2, [1, 2, 3])


async def test_a_log_that_refuses_shows_nothing_and_takes_the_next() -> None:
    log, commits, _ = await a_log()
    shown: list[int] = []
    log.away = True
    done = await asyncio.gather(
        *(commits.commit(write("a", "1"), lambda: shown.append(1)) for _ in range(2)), return_exceptions=True
    )
    assert [one.reason for one in done if isinstance(one, CdpError)] == ["LOG_UNAVAILABLE"] * 2
    log.away = False
    await commits.commit(write("a", "2"), lambda: shown.append(2))
    assert shown == [2]


async def test_whoever_leaves_stops_nothing_and_an_old_owner_is_refused() -> None:
    log, commits, _ = await a_log()
    shown: list[int] = []
    left = asyncio.create_task(commits.commit(write("a", "1"), lambda: shown.append(1)))
    await asyncio.sleep(0)
    left.cancel()
    await commits.commit(write("b", "1"), lambda: shown.append(2))
    assert shown == [1, 2]
    await log.release(LEASE, "me")
    await log.acquire(LEASE, "another", 1e6)
    with pytest.raises(CdpError) as caught:
        await commits.commit(write("a", "2"), lambda: shown.append(3))
    assert (caught.value.reason, shown) == ("FENCED", [1, 2])
