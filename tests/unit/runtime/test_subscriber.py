"""A subscription over a real server: order, restarts, flow control, and what ends it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from core.errors import CdpError, Code
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import Partition
from services.runtime.host import Host
from services.runtime.roles import Role
from services.runtime.server_process import free_port
from services.runtime.subscriber import Subscription, subscribe_profile
from services.runtime.waiter import LoopWaiter
from tests.unit.runtime.house import TOKEN, House, bearer, channel_to, refusal, toy, until
from tests.unit.runtime.toys import ToyFeed

WHERE = Partition("profile_unification", "acme", 7)
READER = bearer(TOKEN, ("cdp-workspace", "acme"))

Request = profile_pb2.SubscribeRequest
Reading = Subscription[profile_pb2.SubscribeResponse]


@pytest.fixture
async def feed(empty_house: House) -> AsyncIterator[Host]:
    """A host that serves the log of workspace "acme"."""
    host = await empty_house.start(Role.INGEST, Role.PROFILE_UNIFICATION)
    await _knows_acme(empty_house, host)
    yield host
    served = toy(host, ToyFeed) if host in empty_house.hosts else None
    if served is not None:
        gc.collect()
        await until(lambda: served.open == 0, "every stream of the test has ended")


async def _knows_acme(empty_house: House, host: Host) -> None:
    empty_house.registry.add("acme")
    await until(lambda: len(host.runtime.workspaces.all()) == 1, "the workspace is known")


async def fill(house: House, count: int, size: int = 0) -> None:
    """Append `count` entries whose payloads are their positions, filled to `size` characters."""
    _, last = await house.log.bounds(WHERE)
    payloads = [str(last + 1 + n).rjust(size, "0").encode() for n in range(count)]
    await house.log.append(WHERE, payloads, house.clock.now_us())


async def read_one(call: grpc.aio.StreamStreamCall[Any, Any]) -> profile_pb2.SubscribeResponse:
    """The next response of a bare call."""
    response = await call.read()
    assert isinstance(response, profile_pb2.SubscribeResponse)
    return response


async def take(reading: Reading, count: int, acknowledge: bool = True) -> list[int]:
    """Positions of the next `count` entries; each payload has to be its position."""
    positions = []
    async with asyncio.timeout(10):
        async for response in reading:
            assert int(response.batch.events.ids[0]) == response.position
            positions.append(response.position)
            if acknowledge:
                reading.acknowledge(response.position)
            if len(positions) == count:
                break
    return positions


async def test_entries_come_in_order_and_catch_up_is_known(feed: Host, empty_house: House) -> None:
    await fill(empty_house, 150)
    reading = subscribe_profile(feed.runtime, "acme", "reader", 20)
    assert not reading.caught_up(150)
    assert await take(reading, 130) == list(range(21, 151))
    assert reading.last_position == 150
    assert reading.caught_up(150)
    assert not reading.caught_up(149)


async def test_an_empty_log_greets_at_once(feed: Host) -> None:
    reading = subscribe_profile(feed.runtime, "acme", "reader", 0)
    waiting = asyncio.ensure_future(anext(aiter(reading)))
    await until(lambda: reading.caught_up(0), "the greeting has come")
    waiting.cancel()
    await asyncio.wait({waiting})
    await until(lambda: toy(feed, ToyFeed).open == 0, "the call is cancelled")


async def test_acknowledgements_reach_the_server(feed: Host, empty_house: House) -> None:
    await fill(empty_house, 10)
    consumers = toy(feed, ToyFeed).consumers
    assert consumers.lowest(("one", "two")) == 0
    one = subscribe_profile(feed.runtime, "acme", "one", 0)
    two = subscribe_profile(feed.runtime, "acme", "two", 4)
    first, second = aiter(one), aiter(two)
    for _ in range(6):
        one.acknowledge((await anext(first)).position)
    await until(lambda: consumers.lowest(("one",)) == 6, "six are acknowledged")
    assert consumers.lowest(("one", "two")) == 0
    await anext(second)
    assert consumers.lowest(("one", "two")) == 4
    assert consumers.lowest(("one", "two", "three")) == 0


async def test_no_more_than_max_in_flight_is_sent(feed: Host, empty_house: House) -> None:
    await fill(empty_house, 100)
    async with channel_to(feed) as channel:
        call = profile_pb2_grpc.ProfileServiceStub(channel).Subscribe(metadata=READER)
        await call.write(Request(start=Request.Start(consumer="slow", after_position=10, max_in_flight=3)))
        greeting = await read_one(call)
        assert (greeting.position, greeting.last_position) == (10, 100)
        assert [(await read_one(call)).position for _ in range(3)] == [11, 12, 13]
        more = asyncio.ensure_future(read_one(call))
        await asyncio.wait({more}, timeout=0.2)
        assert not more.done()
        await call.write(Request(acknowledged_position=12))
        assert (await more).position == 14
        assert (await read_one(call)).position == 15
        assert toy(feed, ToyFeed).responded == 6
        call.cancel()


async def test_a_reader_that_does_not_read_holds_the_server_not_its_memory(feed: Host, empty_house: House) -> None:
    await fill(empty_house, 2_000, size=50_000)
    async with channel_to(feed) as channel:
        call = profile_pb2_grpc.ProfileServiceStub(channel).Subscribe(metadata=READER)
        await call.write(Request(start=Request.Start(max_in_flight=2_000)))
        await call.read()
        await asyncio.sleep(0.5)
        # 100 MB lie in the log; what was made of them is what the transport took.
        assert toy(feed, ToyFeed).responded < 400
        call.cancel()


@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        ([Request(acknowledged_position=1)], "SUBSCRIBE_ORDER"),
        ([Request()], "SUBSCRIBE_ORDER"),
        ([Request(start=Request.Start()), Request(start=Request.Start())], "SUBSCRIBE_ORDER"),
        ([Request(start=Request.Start()), Request(acknowledged_position=11)], "ACKNOWLEDGED_AHEAD"),
        ([Request(start=Request.Start(after_position=11))], "POSITION_AHEAD"),
        ([Request(start=Request.Start(epoch="another"))], "EPOCH_CHANGED"),
        ([], "SUBSCRIBE_ORDER"),
    ],
)
async def test_requests_that_make_no_sense(
    feed: Host, empty_house: House, requests: list[Request], reason: str
) -> None:
    await fill(empty_house, 10)
    async with channel_to(feed) as channel, asyncio.timeout(3):
        call = profile_pb2_grpc.ProfileServiceStub(channel).Subscribe(iter(requests), metadata=READER)

        async def all_of_it() -> None:
            while await call.read() is not grpc.aio.EOF:
                pass

        _, error = await refusal(all_of_it())
        assert error.reason == reason


async def test_names_of_strangers_hold_back_nothing(feed: Host, empty_house: House) -> None:
    await fill(empty_house, 10)
    async with channel_to(feed) as channel:
        call = profile_pb2_grpc.ProfileServiceStub(channel).Subscribe(metadata=bearer("read-acme"))
        await call.write(Request(start=Request.Start(consumer="segment_engine", after_position=9)))
        assert (await read_one(call)).position == 9
        assert (await read_one(call)).position == 10
        await call.write(Request(acknowledged_position=10))
        await call.done_writing()
        await asyncio.wait({asyncio.ensure_future(call.read())}, timeout=0.1)
        call.cancel()
    assert toy(feed, ToyFeed).consumers.lowest(("segment_engine",)) == 0


async def test_a_server_that_restarts_leaves_no_gap_and_no_repeat(empty_house: House) -> None:
    port = free_port()
    client = await empty_house.start(Role.INGEST, CDP_PROFILE_ADDRESS=f"127.0.0.1:{port}")
    server = await empty_house.start(Role.PROFILE_UNIFICATION, CDP_GRPC_PORT=str(port))
    await _knows_acme(empty_house, client)
    await fill(empty_house, 40)
    reading = subscribe_profile(client.runtime, "acme", "reader", 0)
    iterator, seen = aiter(reading), []

    async def read(count: int) -> None:
        for _ in range(count):
            response = await anext(iterator)
            seen.append(response.position)
            if response.position % 3:  # some are handed out and never said to be durable
                reading.acknowledge(response.position)

    async with asyncio.timeout(20):
        for _ in range(3):
            await read(10)
            await empty_house.stop(server)
            await fill(empty_house, 10)
            server = await empty_house.start(Role.PROFILE_UNIFICATION, CDP_GRPC_PORT=str(port))
        await read(40)
    assert seen == list(range(1, 71))


async def test_only_what_is_durable_is_told_after_a_break(empty_house: House) -> None:
    host = await empty_house.start(Role.INGEST, Role.PROFILE_UNIFICATION)
    await _knows_acme(empty_house, host)
    await fill(empty_house, 5)
    reading = subscribe_profile(host.runtime, "acme", "reader", 0)
    iterator = aiter(reading)
    for _ in range(4):
        response = await anext(iterator)
    reading.acknowledge(2)
    served = toy(host, ToyFeed)
    await until(lambda: served.consumers.lowest(("reader",)) == 2, "two are acknowledged")
    call = iterator._call  # type: ignore[attr-defined]
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await anext(iterator)
    again = aiter(reading)
    assert (await anext(again)).position == response.position + 1
    assert served.consumers.lowest(("reader",)) == 2


async def test_a_trimmed_position_is_told(feed: Host, empty_house: House) -> None:
    await fill(empty_house, 10)
    await empty_house.log.trim(WHERE, 6)
    with pytest.raises(CdpError) as refused:
        await take(subscribe_profile(feed.runtime, "acme", "reader", 3), 1)
    assert (refused.value.code, refused.value.reason) == (Code.NOT_FOUND, "LOG_TRIMMED")
    assert await take(subscribe_profile(feed.runtime, "acme", "reader", 5), 5) == [6, 7, 8, 9, 10]


async def test_another_life_of_the_log_is_told(empty_house: House) -> None:
    port = free_port()
    client = await empty_house.start(Role.INGEST, CDP_PROFILE_ADDRESS=f"127.0.0.1:{port}")
    server = await empty_house.start(Role.PROFILE_UNIFICATION, CDP_GRPC_PORT=str(port))
    await _knows_acme(empty_house, client)
    await fill(empty_house, 10)
    reading = subscribe_profile(client.runtime, "acme", "reader", 0)
    iterator = aiter(reading)
    for _ in range(10):
        reading.acknowledge((await anext(iterator)).position)
    await empty_house.stop(server)
    first_life, empty_house.log = empty_house.log, MemoryLog(empty_house.clock, LoopWaiter(), name="another")
    await fill(empty_house, 20)
    await empty_house.start(Role.PROFILE_UNIFICATION, CDP_GRPC_PORT=str(port))
    with pytest.raises(CdpError) as refused:
        async with asyncio.timeout(10):
            await anext(iterator)
    assert (refused.value.code, refused.value.reason) == (Code.CONFLICT, "EPOCH_CHANGED")
    await first_life.close()


async def test_a_position_beyond_the_end_is_told(feed: Host) -> None:
    with pytest.raises(CdpError) as refused:
        await take(subscribe_profile(feed.runtime, "acme", "reader", 3), 1)
    assert (refused.value.code, refused.value.reason) == (Code.CONFLICT, "POSITION_AHEAD")


async def test_a_gap_is_an_error(feed: Host, empty_house: House) -> None:
    reading = subscribe_profile(feed.runtime, "acme", "reader", 0)
    with pytest.raises(CdpError) as refused:
        reading.take(profile_pb2.SubscribeResponse(position=2))
    assert refused.value.reason == "STREAM_GAP"


async def test_a_subscription_left_alone_cancels_its_call(feed: Host, empty_house: House) -> None:
    await fill(empty_house, 10)
    served = toy(feed, ToyFeed)

    async def abandon() -> None:
        async for _ in subscribe_profile(feed.runtime, "acme", "reader", 0):
            assert served.open == 1
            break

    await abandon()
    await until(lambda: served.open == 0, "leaving the loop cancels the call")

    at_work = asyncio.Event()

    async def fold() -> None:
        async for _ in subscribe_profile(feed.runtime, "acme", "reader", 0):
            at_work.set()
            await asyncio.Event().wait()

    folding = asyncio.create_task(fold())
    await until(at_work.is_set, "an entry is being folded")
    folding.cancel()
    await asyncio.wait({folding})
    del folding
    await until(lambda: served.open == 0, "a task that is cancelled at its work cancels the call")
    await until(lambda: not _senders(), "and its sender")


def _senders() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "reader-acknowledgements"]
