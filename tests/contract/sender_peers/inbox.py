"""The inbox's peer is the log that keeps it: it takes rows, is full, or is lost between the row and its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from cdp.channel.v1 import inbox_pb2
from cdp.profile.v1 import profile_pb2
from core.clock import ManualClock
from core.errors import CdpError, Code, unavailable
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import Commit, Committed, Fence, Partition
from core.eventlog.rules import lease_name
from services.channel.inbox import Inbox
from services.channel.senders.inbox import own_surfaces
from services.channel.templates import Template
from services.runtime.stubs import Stubs
from services.runtime.waiter import LoopWaiter
from tests.contract.sender_peers.peer import NOW_US, Behaviour, Peer, Subject

_PARTITION = Partition("channel", "w1", 7)


class _Log(MemoryLog):
    """Behaves as it is told, and remembers the messages that came."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock, LoopWaiter())
        self.now = Behaviour.ACCEPT
        self.taken: list[str] = []

    async def commit(self, partition: Partition, fence: Fence, commit: Commit) -> Committed:
        """See EventLog."""
        if self.now is Behaviour.THROTTLE:
            raise CdpError(Code.EXHAUSTED, "LOG_FULL", "full", retry_after_s=1.0)
        done = await super().commit(partition, fence, commit)
        for write in commit.writes:
            for row in write.put.values():
                self.taken.append(inbox_pb2.StoredInbox.FromString(row).entries[-1].item.id)
        if self.now is Behaviour.NO_ANSWER:
            raise unavailable("LOG_UNAVAILABLE", "gone", 0.01)
        return done


@asynccontextmanager
async def _open(channel: str) -> AsyncIterator[Subject]:
    clock = ManualClock(NOW_US)
    log = _Log(clock)
    fence = await log.acquire(lease_name("channel", 7), "me", 1e6)
    assert fence is not None
    stubs = Stubs(lambda role: "127.0.0.1:1", "token", 1 << 20)
    inbox = Inbox(log, _PARTITION, fence, clock, stubs)
    sender = own_surfaces(lambda workspace: inbox)[channel]
    provider = sender.default_provider()
    assert provider is not None

    def behave(behaviour: Behaviour) -> None:
        log.now = behaviour

    yield Subject(
        sender,
        provider,
        "key-1",
        profile_pb2.Profile(contact=1, key="key-1"),
        Template(channel, "Hello {{ name }}", "", "Your order is on its way", "", url="https://shop.example/order"),
        behave,
        lambda: log.taken,
    )
    await log.close()


_ABLE = frozenset({Behaviour.ACCEPT, Behaviour.THROTTLE, Behaviour.NO_ANSWER})
PEER = Peer("inbox", _ABLE, partial(_open, "inbox"))
POPUP_PEER = Peer("popup", _ABLE, partial(_open, "popup"))
