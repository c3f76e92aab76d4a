"""Who owns a workspace: leases taken, lost, handed over; shards opened, restarted, closed; readiness of a standby."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from core.clock import SECOND_US
from core.errors import CdpError, conflict
from services.runtime.host import Host
from services.runtime.partitions import lease_of
from services.runtime.roles import Role
from tests.unit.runtime.house import House, toy, until
from tests.unit.runtime.toys import ToyEngine, ToyShard

LEASE = lease_of(Role.SEGMENT_ENGINE, 7)


async def acme(house: House, **extra: str) -> tuple[Host, ToyEngine, ToyShard]:
    """A host, its engine, and its shard of workspace "acme"."""
    host = await house.start(Role.INGEST, Role.SEGMENT_ENGINE, **extra)
    house.registry.add("acme", bucket=7)
    engine = toy(host, ToyEngine)
    await until(engine.ready, "the workspace is owned")
    return host, engine, engine.shards.shard("acme")


async def standby(house: House) -> tuple[Host, ToyEngine]:
    """A second host of the engine, which knows the workspace and waits for its lease."""
    host = await house.start(Role.SEGMENT_ENGINE)
    engine = toy(host, ToyEngine)
    await until(lambda: len(host.runtime.workspaces.all()) == 1, "the workspace is known")
    await until(engine.ready, "somebody else owns it, and lives")
    assert engine.opened == []
    return host, engine


async def test_a_shard_lives_as_long_as_its_lease(empty_house: House) -> None:
    host, engine, shard = await acme(empty_house)
    assert await empty_house.log.owner(LEASE) == host.runtime.leases.owner
    assert (shard.fence, shard.life) == (host.runtime.leases.fence(LEASE), ["opened", "ran"])
    await empty_house.stop(host)
    assert shard.life == ["opened", "ran", "closed"]
    assert await empty_house.log.owner(LEASE) is None
    with pytest.raises(CdpError, match="does not own"):
        engine.shards.shard("acme")
    await engine.stop()


async def test_a_shard_that_fails_is_closed_and_opened_again(empty_house: House) -> None:
    _, engine, shard = await acme(empty_house)
    with capture_logs() as logs:
        shard.broken.set_result(ValueError("it broke"))
        await until(lambda: len(engine.opened) == 2 and engine.ready(), "it is opened again")
    assert shard.life == ["opened", "ran", "closed"]
    assert engine.opened[1].fence == shard.fence  # the lease was kept
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["worker failed, starting again"]


async def test_a_fenced_shard_takes_a_new_lease(empty_house: House) -> None:
    host, engine, shard = await acme(empty_house, CDP_LEASE_TTL_S="30")
    empty_house.clock.advance(31 * SECOND_US)
    assert await empty_house.log.acquire(LEASE, "thief:1#x", 1.0) is not None
    with pytest.raises(CdpError) as refused:
        await shard.write(b"too late")
    assert refused.value.reason == "FENCED"
    shard.broken.set_result(ExceptionGroup("tasks", [refused.value]))
    await until(lambda: "closed" in shard.life, "it is closed")
    empty_house.clock.advance(2 * SECOND_US)
    await until(lambda: len(engine.opened) == 2 and engine.ready(), "it is opened again")
    assert engine.opened[1].fence.epoch > shard.fence.epoch
    assert await engine.opened[1].write(b"again") == 1
    assert host.runtime.leases.fence(LEASE) == engine.opened[1].fence


async def test_a_lost_lease_closes_the_shard(empty_house: House) -> None:
    _, engine, shard = await acme(empty_house)
    empty_house.clock.advance(1 * SECOND_US)
    assert await empty_house.log.acquire(LEASE, "thief:1#x", 3600.0) is not None
    await until(lambda: "closed" in shard.life, "it is closed")
    with pytest.raises(CdpError, match="does not own"):
        engine.shards.shard("acme")
    assert not engine.ready()  # nobody answers at the thief's address
    await empty_house.log.release(LEASE, "thief:1#x")
    await until(lambda: len(engine.opened) == 2 and engine.ready(), "it is owned again")


async def test_workspaces_of_one_bucket_do_not_fence_each_other_for_ever(empty_house: House) -> None:
    host, engine, first = await acme(empty_house, CDP_LEASE_TTL_S="30")
    empty_house.registry.add("neighbour", bucket=7)
    await until(lambda: len(engine.opened) == 2 and engine.ready(), "both are owned")
    second = engine.shards.shard("neighbour")
    assert first.fence == second.fence
    fenced = conflict("FENCED", "the lease is another's")
    first.broken.set_result(fenced)
    await until(lambda: len(engine.opened) == 3 and engine.ready(), "the first has a new lease")
    again = engine.shards.shard("acme")
    assert again.fence.epoch == first.fence.epoch + 1
    second.broken.set_result(fenced)
    await until(lambda: len(engine.opened) == 4 and engine.ready(), "the second shares it")
    assert engine.shards.shard("neighbour").fence == again.fence == host.runtime.leases.fence(LEASE)
    assert again.life == ["opened", "ran"]
    assert await again.write(b"one") == await engine.shards.shard("neighbour").write(b"one") == 1


async def test_one_of_two_hosts_owns_and_the_other_takes_over(empty_house: House) -> None:
    first, _, shard = await acme(empty_house)
    second, waiting = await standby(empty_house)
    assert await empty_house.log.owner(LEASE) == first.runtime.leases.owner
    # The registry goes with the first host; what the second knows is enough to take over.
    await empty_house.stop(first)
    await until(lambda: len(waiting.opened) == 1, "released, the lease is taken at once")
    assert shard.life[-1] == "closed"
    assert await empty_house.log.owner(LEASE) == second.runtime.leases.owner
    assert waiting.opened[0].fence.epoch == shard.fence.epoch + 1
    with pytest.raises(CdpError) as refused:
        await shard.write(b"of the old owner")
    assert refused.value.reason == "FENCED"
    assert await waiting.opened[0].write(b"of the new one") == 1


async def test_an_owner_that_stopped_renewing_is_replaced_at_its_end(empty_house: House) -> None:
    first, engine, shard = await acme(empty_house, CDP_LEASE_TTL_S="300")
    _, waiting = await standby(empty_house)
    empty_house.clock.advance(301 * SECOND_US)  # the first does not get to renew in time
    await until(lambda: len(waiting.opened) == 1, "the lease has run out and is taken")
    with pytest.raises(CdpError) as refused:
        await shard.write(b"of the old owner")
    assert refused.value.reason == "FENCED"
    shard.broken.set_result(refused.value)
    await until(lambda: shard.life[-1] == "closed", "the old one closes")
    await until(engine.ready, "and is a standby now")
    assert first.runtime.leases.fence(LEASE) is None
    assert len(engine.opened) == 1


async def test_a_dead_owner_does_not_make_a_standby_ready(empty_house: House) -> None:
    host = await empty_house.start(Role.INGEST, Role.SEGMENT_ENGINE)
    engine = toy(host, ToyEngine)
    assert await empty_house.log.acquire(LEASE, "127.0.0.1:1#killed", 3600.0) is not None
    own = f"{host.runtime.owner}#before-the-restart"
    assert await empty_house.log.acquire(lease_of(Role.SEGMENT_ENGINE, 8), own, 3600.0) is not None
    empty_house.registry.add("acme", bucket=7)
    await until(lambda: len(host.runtime.workspaces.all()) == 1, "the workspace is known")
    await asyncio.sleep(0.3)
    assert not engine.ready()
    empty_house.clock.advance(3601 * SECOND_US)
    await until(engine.ready, "both leases have run out")
    empty_house.registry.add("other", bucket=8)
    await until(lambda: len(engine.opened) == 2 and engine.ready(), "its own predecessor's too")
