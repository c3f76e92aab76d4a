"""Leases and fences: two owners never both write."""

from __future__ import annotations

import asyncio

import pytest

from core.errors import CdpError, Code
from core.eventlog.protocol import Commit, Fence, TableWrite
from core.eventlog.rules import lease_name
from tests.contract.subject import Subject

NOW_US = 1_700_000_000_000_000


async def test_one_owner_at_a_time(subject: Subject) -> None:
    lease = lease_name(subject.partition().workspace, 17)
    first = await subject.log.acquire(lease, "a#1", 60.0)
    assert first == Fence(lease, 1)
    assert await subject.again.acquire(lease, "b#2", 60.0) is None
    assert await subject.again.acquire(lease, "a#1", 60.0) == first  # renewed
    assert await subject.again.owner(lease) == "a#1"
    await subject.again.release(lease, "b#2")  # not its own: nothing happens
    assert await subject.log.owner(lease) == "a#1"
    await subject.log.release(lease, "a#1")
    assert await subject.again.owner(lease) is None
    assert await subject.again.acquire(lease, "b#2", 60.0) == Fence(lease, 2)


async def test_an_unknown_lease_is_nobody_s(subject: Subject) -> None:
    lease = lease_name(subject.partition().workspace, 3)
    assert await subject.log.owner(lease) is None
    await subject.log.release(lease, "a#1")
    assert await subject.log.acquire(lease, "a#1", 60.0) == Fence(lease, 1)


async def test_many_ask_one_gets_it(subject: Subject) -> None:
    lease = lease_name(subject.partition().workspace, 200)
    asked = [(subject.log if number % 2 else subject.again).acquire(lease, f"o#{number}", 60.0) for number in range(20)]
    assert [fence for fence in await asyncio.gather(*asked) if fence] == [Fence(lease, 1)]


async def test_a_lease_ends_by_itself(subject: Subject) -> None:
    lease = lease_name(subject.partition().workspace, 5)
    assert await subject.log.acquire(lease, "a#1", subject.ttl_s) == Fence(lease, 1)
    await subject.let_end(lease)
    assert await subject.log.owner(lease) is None
    # Nobody took it in between: the old owner goes on with its epoch.
    assert await subject.log.acquire(lease, "a#1", subject.ttl_s) == Fence(lease, 1)
    await subject.let_end(lease)
    assert await subject.again.acquire(lease, "b#2", 60.0) == Fence(lease, 2)
    assert await subject.log.acquire(lease, "a#1", 60.0) is None


async def test_stop_take_over_continue(subject: Subject) -> None:
    partition = subject.partition("profile_unification")
    lease = lease_name(partition.workspace, partition.bucket)
    old = await subject.log.acquire(lease, "a#1", subject.ttl_s)
    assert old is not None
    await subject.log.commit(partition, old, Commit("in", 1, [b"old"], [TableWrite("t", {b"k": b"old"})], NOW_US))
    await subject.let_end(lease)  # the owner is stopped
    new = await subject.again.acquire(lease, "b#2", 60.0)
    assert new is not None
    assert new.epoch > old.epoch
    stale = Commit("in", 2, [b"stale"], [TableWrite("t", {b"k": b"stale"}, drop=True)], NOW_US)
    with pytest.raises(CdpError) as refused:  # it continues: its very first write is refused, whole
        await subject.log.commit(partition, old, stale)
    assert (refused.value.code, refused.value.reason) == (Code.CONFLICT, "FENCED")
    assert await subject.log.bounds(partition) == (1, 1)
    assert await subject.log.get(partition, "t", [b"k"]) == [b"old"]
    assert await subject.log.source_position(partition, "in") == 1
    fresh = Commit("in", 2, [b"new"], [TableWrite("t", {b"k": b"new"})], NOW_US)
    assert (await subject.again.commit(partition, new, fresh)).applied
    assert await subject.log.get(partition, "t", [b"k"]) == [b"new"]


@pytest.mark.parametrize("epoch", [0, 1, 2**40])
async def test_a_fence_that_nobody_gave(subject: Subject, epoch: int) -> None:
    partition = subject.partition()
    fence = Fence(lease_name(partition.workspace, partition.bucket), epoch)
    with pytest.raises(CdpError) as refused:
        await subject.log.commit(partition, fence, Commit(None, None, [b"x"], [], NOW_US))
    assert refused.value.reason == "FENCED"
    assert await subject.log.bounds(partition) == (1, 0)


async def test_a_replay_by_a_lost_owner_is_refused_too(subject: Subject) -> None:
    partition = subject.partition()
    old = await subject.fence(partition)
    await subject.log.commit(partition, old, Commit("in", 1, [b"x"], [], NOW_US))
    await subject.log.release(old.lease, "first#1")
    assert await subject.again.acquire(old.lease, "b#2", 60.0) == Fence(old.lease, old.epoch + 1)
    with pytest.raises(CdpError, match="epoch"):
        await subject.log.commit(partition, old, Commit("in", 1, [b"x"], [], NOW_US))
