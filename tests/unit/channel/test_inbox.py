"""What people hold: kept once, shown while it lasts, one inbox after a merge, nothing after an erasure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import pytest_asyncio

from cdp.channel.v1 import channel_pb2
from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from core.clock import HOUR_US, ManualClock
from core.errors import CdpError
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import Partition
from core.eventlog.rules import lease_name
from services.channel.inbox import INBOX, MOST_KEPT, POPUP, Inbox, chosen, unread
from services.runtime.stubs import Stubs
from services.runtime.waiter import LoopWaiter

NOW_US = 1_800_000_000_000_000
PARTITION = Partition("channel", "w1", 7)


class People(profile_pb2_grpc.ProfileServiceServicer):
    """Canned profiles by contact key."""

    def __init__(self) -> None:
        self.merged: dict[str, list[str]] = {"ann": [], "bob": []}

    async def Get(self, request: profile_pb2.GetRequest, context: Any) -> profile_pb2.GetResponse:
        """Whoever has, or had, the key."""
        asked = request.identifier.value
        for key, merged in self.merged.items():
            if asked == key or asked in merged:
                return profile_pb2.GetResponse(profile=profile_pb2.Profile(contact=1, key=key, merged_keys=merged))
        await context.abort(grpc.StatusCode.NOT_FOUND, "nobody")
        raise AssertionError("abort raises")


@dataclass
class Held:
    inbox: Inbox
    people: People
    clock: ManualClock
    log: MemoryLog

    async def ids(self, key: str, channel: str = INBOX) -> list[str]:
        """Ids of what somebody may see, the newest first."""
        return [one.item.id for one in await self.inbox.held(await self.inbox.keys_of(key), channel)]


@pytest_asyncio.fixture
async def held() -> AsyncIterator[Held]:
    clock = ManualClock(NOW_US)
    log = MemoryLog(clock, LoopWaiter())
    fence = await log.acquire(lease_name("channel", 7), "me", 1e6)
    assert fence is not None
    server = grpc.aio.server()
    people = People()  # type: ignore[abstract]
    profile_pb2_grpc.add_ProfileServiceServicer_to_server(people, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stubs = Stubs(lambda role: f"127.0.0.1:{port}", "token", 1 << 20)
    yield Held(Inbox(log, PARTITION, fence, clock, stubs), people, clock, log)
    await stubs.close()
    await server.stop(0)
    await log.close()


def item(message_id: str, at_us: int = NOW_US, until_us: int = 0) -> channel_pb2.InboxItem:
    return channel_pb2.InboxItem(
        id=message_id, title=message_id.upper(), body="text", sent_at_us=at_us, expires_at_us=until_us
    )


async def test_a_message_is_kept_once_and_each_channel_has_its_own(held: Held) -> None:
    inbox = held.inbox
    await inbox.put("ann", INBOX, item("a", NOW_US))
    await inbox.put("ann", INBOX, item("b", NOW_US + 1))
    await inbox.put("ann", INBOX, item("a", NOW_US + 9))
    await inbox.put("ann", POPUP, item("p"))
    assert await held.ids("ann") == ["b", "a"]
    assert await held.ids("ann", POPUP) == ["p"]
    assert await held.ids("bob") == []
    with pytest.raises(CdpError, match="nobody"):
        await held.ids("stranger")


async def test_read_and_deleted(held: Held) -> None:
    inbox = held.inbox
    for name in "abc":
        await inbox.put("ann", INBOX, item(name))
    messages = await inbox.held(["ann"], INBOX)
    await inbox.read(chosen(messages, ["a", "nobody's"]))
    held.clock.advance(HOUR_US)
    await inbox.read(chosen(messages, ["a"]))
    again = await inbox.held(["ann"], INBOX)
    assert [(one.item.id, one.item.read_at_us) for one in again] == [("a", NOW_US), ("b", 0), ("c", 0)]
    assert unread(again) == 2
    await inbox.delete(chosen(again, ["b"]))
    await inbox.put("ann", INBOX, item("b"))
    assert await held.ids("ann") == ["a", "c"]
    [stored] = [value async for _, value in held.log.scan(PARTITION, "inbox")]
    assert stored.count(b"text") == 2, "of a deleted message its id alone is left"
    await inbox.read(chosen(again, []))
    assert unread(await inbox.held(["ann"], INBOX)) == 0


async def test_what_is_over_is_not_shown_and_the_oldest_go(held: Held) -> None:
    inbox = held.inbox
    await inbox.put("ann", INBOX, item("short", until_us=NOW_US + HOUR_US))
    assert await held.ids("ann") == ["short"]
    held.clock.advance(HOUR_US)
    assert await held.ids("ann") == []
    for number in range(MOST_KEPT + 5):
        await inbox.put("ann", INBOX, item(f"m{number}", NOW_US + number))
    ids = await held.ids("ann")
    assert (len(ids), ids[0], ids[-1]) == (MOST_KEPT, f"m{MOST_KEPT + 4}", "m5")


async def test_two_who_are_one_have_one_inbox(held: Held) -> None:
    inbox = held.inbox
    await inbox.put("ann", INBOX, item("a", NOW_US))
    await inbox.put("bob", INBOX, item("b", NOW_US + 1))
    held.people.merged = {"ann": ["bob"]}
    assert await held.ids("ann") == await held.ids("bob") == ["b", "a"]
    await inbox.read(await inbox.held(await inbox.keys_of("bob"), INBOX))
    await inbox.put("ann", INBOX, item("c", NOW_US + 2))
    held.people.merged = {"ann": [], "bob": []}
    assert await held.ids("bob") == ["b"]
    assert await held.ids("ann") == ["c", "a"]
    assert unread(await inbox.held(["bob"], INBOX)) == 0


async def test_what_is_forgotten_leaves_no_row(held: Held) -> None:
    inbox = held.inbox
    await inbox.put("ann", INBOX, item("a"))
    await inbox.put("ann", POPUP, item("p"))
    await inbox.put("bob", INBOX, item("b"))
    await inbox.forget({"ann": {"a"}, "nobody": {"x"}})
    assert await held.ids("ann", POPUP) == ["p"]
    await inbox.forget({"ann": {"p"}})
    assert [key async for key, _ in held.log.scan(PARTITION, "inbox")] == [b"bob"]


async def test_many_at_once_lose_nothing_and_wake_who_watches(held: Held) -> None:
    inbox = held.inbox
    async with inbox.watched(["ann"]) as changed, inbox.watched(["bob"]) as other:
        await asyncio.gather(*(inbox.put("ann", INBOX, item(f"m{number}")) for number in range(50)))
        assert changed.is_set()
        assert not other.is_set()
        changed.clear()
        await inbox.put("ann", INBOX, item("m1"))
        assert not changed.is_set(), "nothing changed"
    assert len(await held.ids("ann")) == 50
    call = asyncio.create_task(inbox.put("ann", INBOX, item("last")))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert "last" in await held.ids("ann")
