"""Crashes between the steps of a message: nothing doubled, nothing lost, what is unknown is visible."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from email import message_from_bytes
from pathlib import Path

import pytest

from cdp.channel.v1 import channel_pb2
from core.delivery.outbox import begin
from core.errors import CdpError
from tests.unit.channel.world import World, a_world, outgoing

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world() as made:
        yield made


async def interrupted(world: World, kind: str) -> None:
    """Leave message m1 as a process leaves it that dies between the commit of `sending` and the provider's answer."""
    await world.stop()
    shard = await world.open()
    await world.send(outgoing("m1", kind=kind))
    record = shard.state.pending["m1"]
    record = replace(record, contact_key="key-1").moved(begin(record.delivery, "ann@mail.example"))
    await shard.state.put([record])


async def test_interrupted_marketing_is_uncertain_and_never_sent_by_itself(world: World) -> None:
    await interrupted(world, "promo")
    await world.start()
    found = await world.message("m1")
    assert (found.state, found.reason) == (channel_pb2.MESSAGE_STATE_UNCERTAIN, "INTERRUPTED")
    await world.send(outgoing("m2"))
    await world.until("m2", "accepted")
    await world.stop()
    await world.start()
    await world.told(1)
    assert len(world.mailbox.mails) == 1
    assert [event.message_id for event in world.peers.events("message_sent")] == ["m2:sent"]


async def test_interrupted_transactional_is_sent_again(world: World) -> None:
    await interrupted(world, "transactional")
    await world.start()
    assert (await world.until("m1", "accepted")).attempts == 2
    (_, first), *_ = world.mailbox.mails
    await world.send(outgoing("m2", kind="transactional"))
    await world.until("m2", "accepted")
    ids = {message_from_bytes(raw)["Message-ID"] for _, raw in world.mailbox.mails}
    assert len(ids) == 2
    assert message_from_bytes(first)["Message-ID"].endswith("@shop.example>")


async def test_a_log_that_is_away_while_the_provider_answers_loses_no_outcome(world: World) -> None:
    world.mailbox.hold = asyncio.Event()
    await world.send(outgoing("m1"))
    await world.mailbox.entered.wait()
    world.log.away = True
    world.mailbox.hold.set()
    await world.log.waiter.wait_wake(10)
    world.log.away = False
    await world.until("m1", "accepted")
    (told,) = await world.told(1)
    assert told.event.message_id == "m1:sent"
    assert len(world.mailbox.mails) == 1


async def test_an_orderly_stop_finishes_the_calls_under_way(world: World) -> None:
    world.mailbox.hold = asyncio.Event()
    await world.send(outgoing("m1"))
    await world.mailbox.entered.wait()
    stopping = asyncio.create_task(world.stop())
    world.mailbox.hold.set()
    await stopping
    assert (await world.message("m1")).state == channel_pb2.MESSAGE_STATE_ACCEPTED


async def test_an_old_owner_never_writes_again(world: World) -> None:
    old = world.shard
    await world.open()
    with pytest.raises(CdpError) as caught:
        await old.take_over([outgoing("m1")])
    assert caught.value.reason == "FENCED"
    assert world.mailbox.mails == []


async def test_an_old_owner_that_has_a_message_does_not_call_the_provider(world: World) -> None:
    await world.stop()
    old = await world.open()
    await world.send(outgoing("m1"))
    await world.open()
    with pytest.raises(CdpError) as caught:
        await asyncio.wait_for(old.run(), 10)
    assert caught.value.reason == "FENCED"
    assert world.mailbox.mails == []


async def test_profiles_that_are_away_only_delay(world: World) -> None:
    profiles, world.peers.profiles = world.peers.profiles, {}
    world.peers.profiles_away = True
    await world.send(outgoing("m1"))
    await world.peers.asked.wait()
    world.peers.profiles_away = False
    world.peers.profiles = profiles
    for _ in range(100):
        world.clock.advance(1_000_000)
        found = await world.message("m1")
        if found.state == channel_pb2.MESSAGE_STATE_ACCEPTED:
            break
        await world.log.waiter.wait_wake(0.1)
    assert (found.state, found.attempts) == (channel_pb2.MESSAGE_STATE_ACCEPTED, 1)


async def test_a_report_that_ingest_refuses_is_set_aside_and_holds_back_no_other(world: World) -> None:
    world.peers.refused = "UNKNOWN_EVENT"
    await world.send(outgoing("m1"))
    await world.until("m1", "accepted")
    await world.committed(lambda: not world.shard.state.reports)
    world.peers.refused = ""
    await world.send(outgoing("m2"))
    await world.until("m2", "accepted")
    await world.committed(lambda: not world.shard.state.reports)
    kept = [key async for key, _ in world.log.scan(world.partition, "dead_reports")]
    assert kept == [b"m1:sent"]


KILLED = """
import asyncio, sys
from tests.unit.channel.world import a_world, outgoing

async def main():
    async with a_world() as world:
        await world.send(outgoing("m1"))
        await world.until("m1", "accepted")

asyncio.run(main())
"""


@pytest.mark.parametrize("place", ["channel.sending", "channel.sent"])
def test_failpoints_kill_where_they_say(place: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED],
        cwd=ROOT,
        env={"CDP_FAILPOINT": f"{place}:1", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 137, done.stderr
    assert f"failpoint {place} reached" in done.stderr
