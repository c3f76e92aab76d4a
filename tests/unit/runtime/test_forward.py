"""Any process takes any call: one that does not own the workspace passes it on to the one that does."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from prometheus_client import REGISTRY

from cdp.segment.v1 import segment_pb2 as pb
from core.errors import CdpError, Code, Violation
from services.runtime.host import Host
from services.runtime.lease import LeaseKeeper
from services.runtime.owners import OWNER_CACHE_S, Owners
from services.runtime.partitions import lease_of
from services.runtime.roles import Role
from tests.unit.runtime.house import TOKEN, House, bearer, refusal, rule, segments, toy, until
from tests.unit.runtime.toys import ToyEngine

LEASE = lease_of(Role.SEGMENT_ENGINE, 7)
KEY = bearer("read-acme")


@pytest.fixture
async def pair(empty_house: House) -> tuple[Host, Host]:
    """The owner of workspace "acme" and a process that waits behind it."""
    owner = await empty_house.start(Role.INGEST, Role.SEGMENT_ENGINE, CDP_LEASE_TTL_S="300")
    empty_house.registry.add("acme", bucket=7)
    await until(toy(owner, ToyEngine).ready, "the workspace is owned")
    behind = await empty_house.start(Role.SEGMENT_ENGINE, CDP_LEASE_TTL_S="300")
    await until(lambda: len(behind.runtime.workspaces.all()) == 1, "the workspace is known")
    return owner, behind


async def test_both_answer_as_the_owner(pair: tuple[Host, Host]) -> None:
    owner, behind = pair
    for host in pair:
        async with segments(host) as stub:
            assert (await stub.ConvertRule(rule("owner"), metadata=KEY)).text == owner.runtime.owner
            internal = bearer(TOKEN, ("cdp-workspace", "acme"))
            assert (await stub.ConvertRule(rule("owner"), metadata=internal)).text == owner.runtime.owner
            members = [m.roaring async for m in stub.Members(pb.MembersRequest(name="owner"), metadata=KEY)]
            assert members == [owner.runtime.owner.encode(), b"end"]
    assert toy(behind, ToyEngine).opened == []


async def test_a_process_passes_on_only_what_it_does_not_own(pair: tuple[Host, Host]) -> None:
    owner, behind = pair
    method = {"method": "/cdp.segment.v1.SegmentService/ConvertRule"}

    def passed_on() -> float:
        return REGISTRY.get_sample_value("cdp_rpc_forwarded_total", method) or 0.0

    before = passed_on()
    async with segments(behind) as stub:
        assert (await stub.ConvertRule(rule("who"), metadata=KEY)).text == "acme/READ/read-acme"
        # Any other refusal stands, with the owner's word or without.
        assert (await refusal(stub.ConvertRule(rule("raise"), metadata=KEY)))[1].reason == "TOLD_SO"
        assert (await refusal(stub.ConvertRule(rule("owner"), metadata=bearer("write-acme"))))[1].code is Code.FORBIDDEN
        assert passed_on() == before
        await stub.ConvertRule(rule("owner"), metadata=KEY)
        assert passed_on() == before + 1
    async with segments(owner) as stub:
        await stub.ConvertRule(rule("owner"), metadata=KEY)
        assert passed_on() == before + 1


async def test_the_owners_error_comes_back_unchanged(pair: tuple[Host, Host]) -> None:
    owner, behind = pair
    told = CdpError(Code.CONFLICT, "OWNERS_WORD", "не так", violations=(Violation("a", "b"),), retry_after_s=3.0)

    def refuse(workspace_id: str) -> None:
        raise told

    toy(owner, ToyEngine).shards.shard = refuse  # type: ignore[method-assign, assignment]
    async with segments(behind) as stub:
        for call in (
            stub.ConvertRule(rule("owner"), metadata=KEY),
            stub.Members(pb.MembersRequest(name="owner"), metadata=KEY).read(),
        ):
            status, error = await refusal(call)
            assert status is grpc.StatusCode.FAILED_PRECONDITION
            assert (error.reason, error.message) == (told.reason, told.message)
            assert (error.violations, error.retry_after_s) == (told.violations, told.retry_after_s)


async def test_a_call_is_passed_on_once(pair: tuple[Host, Host], empty_house: House) -> None:
    owner, behind = pair
    async with segments(behind) as stub:
        marked = (*KEY, ("cdp-forwarded", "1"))
        status, error = await refusal(stub.ConvertRule(rule("owner"), metadata=marked))
        assert (status, error.reason) == (grpc.StatusCode.UNAVAILABLE, "NOT_READY")
    # Two that each take the other for the owner: the second one's refusal comes back.
    await empty_house.log.release(LEASE, owner.runtime.leases.owner)
    assert await empty_house.log.acquire(LEASE, f"{behind.runtime.owner}#x", 300) is not None
    await owner.runtime.leases.release(LEASE)
    shards = toy(owner, ToyEngine).shards
    shards._shards.pop("acme")
    async with segments(owner) as stub, asyncio.timeout(5):
        status, error = await refusal(stub.ConvertRule(rule("owner"), metadata=KEY))
        assert (status, error.reason) == (grpc.StatusCode.UNAVAILABLE, "NOT_READY")
    shards._shards["acme"] = toy(owner, ToyEngine).opened[0]


async def test_the_deadline_goes_with_the_call(pair: tuple[Host, Host]) -> None:
    owner, behind = pair
    engine = toy(owner, ToyEngine)

    async def wait() -> str:
        await engine.wait()
        return ""

    engine.obey = lambda text: wait()  # type: ignore[method-assign]
    async with segments(behind) as stub:
        status, _ = await refusal(stub.ConvertRule(rule("owner"), metadata=KEY, timeout=0.3))
        assert status is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: engine.left == 1, "the owner's handler has ended too")
        engine.entered.clear()
        call = stub.ConvertRule(rule("owner"), metadata=KEY)
        await engine.entered.wait()
        call.cancel()
        await until(lambda: engine.left == 2, "a cancelled call is cancelled there")


async def test_an_owner_that_is_not_there_is_not_named(empty_house: House) -> None:
    host = await empty_house.start(Role.INGEST, Role.SEGMENT_ENGINE)
    assert await empty_house.log.acquire(LEASE, "127.0.0.1:1#killed", 3600.0) is not None
    empty_house.registry.add("acme", bucket=7)
    async with segments(host) as stub:
        for call in (
            stub.ConvertRule(rule("owner"), metadata=KEY, timeout=10),
            stub.Members(pb.MembersRequest(name="owner"), metadata=KEY, timeout=10).read(),
        ):
            status, error = await refusal(call)
            assert (status, error.reason) == (grpc.StatusCode.UNAVAILABLE, "NOT_READY")
            assert "127.0.0.1" not in error.message


async def test_owners_are_remembered_for_a_second(empty_house: House) -> None:
    log, now_s = empty_house.log, 100.0
    one, two = LeaseKeeper(log, "a:1", 300.0), LeaseKeeper(log, "b:1", 300.0)
    await one.acquire(LEASE, 0.0)
    owners = Owners(log, two, lambda: now_s)
    assert await owners.elsewhere(LEASE) == "a:1"
    assert await Owners(log, one).elsewhere(LEASE) is None
    assert await Owners(log, LeaseKeeper(log, "a:1")).elsewhere(LEASE) is None  # its own predecessor
    await one.release(LEASE)
    now_s += OWNER_CACHE_S - 0.001
    assert await owners.elsewhere(LEASE) == "a:1"
    now_s += 0.001
    assert await owners.elsewhere(LEASE) is None
    await one.acquire(LEASE, 0.0)
    assert await owners.elsewhere(LEASE) is None
    now_s += OWNER_CACHE_S
    assert await owners.elsewhere(LEASE) == "a:1"
    await one.release(LEASE)
    await two.acquire(LEASE, 0.0)
    assert await owners.elsewhere(LEASE) is None  # owned here, whatever was remembered
    await two.close()
    await one.close()
