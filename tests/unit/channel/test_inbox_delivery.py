"""Messages to an inbox by the outbox: no consent is asked, a denial holds, and a crash makes one message of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from cdp.channel.v1 import channel_pb2
from core.clock import HOUR_US
from core.delivery.outbox import State
from core.eventlog.protocol import Commit
from services.channel.inbox import INBOX, Held
from services.channel.record import decode
from services.channel.senders.inbox import own_surfaces
from tests.unit.channel.world import NO_CONTEXT, World, a_world, outgoing


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world() as made:
        made.senders.update(own_surfaces(lambda workspace: made.shard.inbox))
        url = "https://shop.example/{{ contact.first_name }}"
        await made.save_template("note", channel="inbox", subject="Hi {{ contact.first_name }}", url=url)
        yield made


def note(message_id: str, kind: str = "promo", until_us: int = 0) -> channel_pb2.OutgoingMessage:
    return outgoing(message_id, channel="inbox", template="note", kind=kind, expires_at_us=until_us)


async def held(world: World) -> list[Held]:
    return await world.shard.inbox.held(["key-1"], INBOX)


async def test_it_is_rendered_linked_and_told(world: World) -> None:
    until_us = world.clock.now_us() + HOUR_US
    await world.send(note("m1", until_us=until_us))
    done = await world.until("m1", "accepted")
    assert (done.address, done.channel, done.provider) == ("key-1", "inbox", "own")
    [one] = await held(world)
    assert (one.item.title, one.item.body, one.item.expires_at_us) == ("Hi Ann1", "Hello", until_us)
    assert "/c/" in one.item.url
    assert await world.shard.state.links("m1") == ["https://shop.example/Ann1"]
    await world.told(1)
    [event] = world.peers.events("message_sent")
    assert event.params["channel"].text == "inbox"
    world.clock.advance(HOUR_US)
    assert await held(world) == []


async def test_nobody_has_to_agree_but_a_denial_holds(world: World) -> None:
    world.peers.profiles[1].consents.add(channel="inbox", state="denied", occurred_at_us=1)
    await world.send(note("m1"), note("receipt", "transactional"))
    assert (await world.until("m1", "refused")).reason == "NO_CONSENT"
    await world.until("receipt", "accepted")
    await world.set(killed_channels=["inbox"])
    await world.send(note("m2", "transactional"))
    assert (await world.until("m2", "refused")).reason == "CHANNEL_KILLED"
    assert [one.item.id for one in await held(world)] == ["receipt"]


@pytest.mark.parametrize(("kind", "state"), [("transactional", "accepted"), ("promo", "uncertain")])
async def test_a_crash_between_the_inbox_and_the_outbox(world: World, kind: str, state: str) -> None:
    reached = asyncio.Event()

    async def hang(commit: Commit) -> None:
        rows = [row for write in commit.writes if write.table == "outbox" for row in write.put.values()]
        if any(decode(row).delivery.state is State.ACCEPTED for row in rows):
            reached.set()
            await asyncio.Event().wait()

    world.log.before, world.drain_s = hang, 0.0
    await world.stop()
    await world.start()  # from here on a stop is a crash
    await world.send(note("m1", kind))
    await asyncio.wait_for(reached.wait(), 10)
    await world.stop()
    world.log.before = None
    await world.start()
    await world.until("m1", state)
    assert [one.item.id for one in await held(world)] == ["m1"]


async def test_who_is_erased_holds_nothing(world: World) -> None:
    world.peers.add(2, "bob@mail.example")
    await world.send(note("m1"), outgoing("m2", 2, channel="inbox", template="note", kind="promo"))
    await world.until("m1", "accepted")
    await world.until("m2", "accepted")
    await world.rpc.Forget(channel_pb2.ForgetRequest(contacts=[1]), NO_CONTEXT)
    assert await held(world) == []
    assert [key async for key, _ in world.log.scan(world.partition, "inbox")] == [b"key-2"]
