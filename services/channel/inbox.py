"""What people have in their inboxes: messages on the channels `inbox` and `popup`, durable and per contact key.

Table "inbox": contact key -> cdp.channel.v1.StoredInbox. A message stays under the key that its recipient had when it
was sent, so two people who are merged have one inbox, and two of their own again when they are taken apart. Nothing is
kept in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import grpc

from cdp.channel.v1 import channel_pb2, inbox_pb2
from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from core.clock import Clock
from core.errors import Code, unavailable
from core.eventlog.protocol import EventLog, Fence, Partition, TableWrite
from services.channel.commits import Commits
from services.channel.record import Record
from services.runtime.errors import from_rpc
from services.runtime.stubs import Stubs

INBOX = "inbox"
POPUP = "popup"
#: What one contact key holds; beyond it the oldest go.
MOST_KEPT = 200

_TABLE = "inbox"
#: Contact (4 bytes) and contact key -> nothing: whose rows hold test messages, which no outbox knows of.
_TESTS = "inbox_tests"
#: What the ids of test messages begin with.
TEST_ID = "test-"
_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Held:
    """One message that somebody holds, and the key under which it is kept."""

    key: str
    channel: str
    item: channel_pb2.InboxItem


@dataclass(slots=True)
class _Locks:
    """One lock for each key that is being changed."""

    held: dict[str, tuple[asyncio.Lock, int]] = field(default_factory=dict)

    @asynccontextmanager
    async def of(self, key: str) -> AsyncIterator[None]:
        lock, waiting = self.held.get(key, (asyncio.Lock(), 0))
        self.held[key] = lock, waiting + 1
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self.held.pop(key)
            if waiting > 1:
                self.held[key] = lock, waiting - 1


class Inbox:
    """The inboxes of one workspace while its lease is held."""

    def __init__(self, log: EventLog, partition: Partition, fence: Fence, clock: Clock, stubs: Stubs) -> None:
        self._log = log
        self._partition = partition
        self._commits = Commits(log, partition, fence, clock)
        self._clock = clock
        self._stubs = stubs
        self._locks = _Locks()
        self._watchers: dict[str, set[asyncio.Event]] = {}

    async def profile(self, identifier: facts_pb2.Identifier) -> profile_pb2.Profile:
        """Whom an identifier names, as they are now. Raises NOT_FOUND / NO_SUCH_CONTACT, INVALID for what is no usable
        identifier, UNAVAILABLE / PROFILE_UNAVAILABLE."""
        try:
            answer = await self._stubs.profile().Get(
                profile_pb2.GetRequest(identifier=identifier, timeline_size=-1),
                metadata=self._stubs.internal_metadata(self._partition.workspace),
                timeout=_TIMEOUT_S,
            )
        except grpc.aio.AioRpcError as error:
            failure = from_rpc(error)
            if failure.code in (Code.NOT_FOUND, Code.INVALID):
                raise failure from error
            raise unavailable("PROFILE_UNAVAILABLE", f"{failure.reason}: {failure.message}") from error
        return answer.profile

    async def keys_of(self, contact_key: str) -> tuple[str, ...]:
        """Under which keys the messages of a contact are kept: its own, and those of whom it was merged with."""
        profile = await self.profile(facts_pb2.Identifier(kind="contact_key", value=contact_key))
        return profile.key, *profile.merged_keys

    async def put(self, key: str, channel: str, item: channel_pb2.InboxItem) -> None:
        """Keep a message; durable when this returns. One that is there, or was and is deleted, stays as it is."""

        def change(stored: inbox_pb2.StoredInbox) -> bool:
            if any(one.item.id == item.id for one in stored.entries):
                return False
            stored.entries.add(channel=channel, item=item)
            now_us = self._clock.now_us()
            kept = [one for one in stored.entries if not _is_over(one.item, now_us)]
            del stored.entries[:]
            stored.entries.extend(kept[-MOST_KEPT:])
            return True

        await self._change(key, change)

    async def held(self, keys: Sequence[str], channel: str) -> list[Held]:
        """What may be shown of the messages under `keys` on one channel, newest first, none that is over."""
        now_us = self._clock.now_us()
        found: dict[str, Held] = {}
        for key, stored in zip(keys, await self._stored(keys), strict=True):
            for one in stored.entries:
                if one.channel == channel and not _is_over(one.item, now_us):
                    found.setdefault(one.item.id, Held(key, channel, one.item))
        return sorted(found.values(), key=lambda one: (-one.item.sent_at_us, one.item.id))

    async def read(self, messages: Iterable[Held]) -> None:
        """The person has read these; durable when this returns."""
        now_us = self._clock.now_us()
        for key, ids in _by_key(messages).items():
            await self._change(key, lambda stored, ids=ids: _read(stored, ids, now_us))  # type: ignore[misc]

    async def delete(self, messages: Iterable[Held]) -> None:
        """The person does not want these any more. Their ids stay, so that they never come back."""
        for key, ids in _by_key(messages).items():
            await self._change(key, lambda stored, ids=ids: _empty(stored, ids))  # type: ignore[misc]

    async def forget(self, messages: Mapping[str, Collection[str]]) -> None:
        """Contact key -> ids of messages that must leave no trace."""
        for key, ids in messages.items():
            await self._change(key, lambda stored, ids=ids: _remove(stored, ids))  # type: ignore[misc]

    async def expect_test(self, contact: int, key: str) -> None:
        """A test message is about to be kept under `key` for `contact`; `forget_tests` finds it."""
        write = TableWrite(_TESTS, {contact.to_bytes(4, "big") + key.encode(): b""})
        await self._commits.commit([write], _nothing)

    async def forget_tests(self, contacts: Collection[int]) -> None:
        """Test messages to `contacts` must leave no trace."""
        rows = [row async for row, _ in self._log.scan(self._partition, _TESTS)]
        theirs = [row for row in rows if int.from_bytes(row[:4], "big") in contacts]
        for row in theirs:
            await self._change(row[4:].decode(), _remove_tests)
        if theirs:
            await self._commits.commit([TableWrite(_TESTS, delete=theirs)], _nothing)

    @asynccontextmanager
    async def watched(self, keys: Sequence[str]) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever something under `keys` has changed; whoever waits for it clears it."""
        changed = asyncio.Event()
        for key in keys:
            self._watchers.setdefault(key, set()).add(changed)
        try:
            yield changed
        finally:
            for key in keys:
                self._watchers[key].discard(changed)
                if not self._watchers[key]:
                    del self._watchers[key]

    async def _stored(self, keys: Sequence[str]) -> list[inbox_pb2.StoredInbox]:
        found = await self._log.get(self._partition, _TABLE, [key.encode() for key in keys])
        return [inbox_pb2.StoredInbox.FromString(raw or b"") for raw in found]

    async def _change(self, key: str, change: Callable[[inbox_pb2.StoredInbox], bool]) -> None:
        """One change of one row, to its end: a caller who is cancelled stops waiting only."""
        task = asyncio.create_task(self._changed(key, change))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            raise

    async def _changed(self, key: str, change: Callable[[inbox_pb2.StoredInbox], bool]) -> None:
        async with self._locks.of(key):
            [stored] = await self._stored([key])
            if not change(stored):
                return
            raw = key.encode()
            put = {raw: stored.SerializeToString(deterministic=True)} if stored.entries else {}
            write = TableWrite(_TABLE, put, [] if put else [raw])
            await self._commits.commit([write], partial(self._wake, key))

    def _wake(self, key: str) -> None:
        for watcher in self._watchers.get(key, ()):
            watcher.set()


def unread(messages: Iterable[Held]) -> int:
    """How many of these were not read."""
    return sum(not one.item.read_at_us for one in messages)


def chosen(messages: Sequence[Held], ids: Collection[str]) -> list[Held]:
    """Those of `messages` that `ids` names; all of them for no ids. What it does not name is left out."""
    wanted = set(ids)
    return [one for one in messages if not wanted or one.item.id in wanted]


def rows_of(records: Iterable[Record]) -> Mapping[str, set[str]]:
    """Contact key -> ids of the messages that may be kept under it, for `Inbox.forget`."""
    found: dict[str, set[str]] = {}
    for one in records:
        if one.contact_key:
            found.setdefault(one.contact_key, set()).add(one.id)
    return found


def _by_key(messages: Iterable[Held]) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in messages:
        found.setdefault(one.key, set()).add(one.item.id)
    return found


def _read(stored: inbox_pb2.StoredInbox, ids: Collection[str], now_us: int) -> bool:
    fresh = [one.item for one in stored.entries if one.item.id in ids and not one.item.read_at_us]
    for item in fresh:
        item.read_at_us = now_us
    return bool(fresh)


def _empty(stored: inbox_pb2.StoredInbox, ids: Collection[str]) -> bool:
    gone = [one for one in stored.entries if one.item.id in ids and one.channel]
    for one in gone:
        one.channel = ""
        one.item.CopyFrom(channel_pb2.InboxItem(id=one.item.id))
    return bool(gone)


def _remove(stored: inbox_pb2.StoredInbox, ids: Collection[str]) -> bool:
    kept = [one for one in stored.entries if one.item.id not in ids]
    if len(kept) == len(stored.entries):
        return False
    del stored.entries[:]
    stored.entries.extend(kept)
    return True


def _remove_tests(stored: inbox_pb2.StoredInbox) -> bool:
    return _remove(stored, {one.item.id for one in stored.entries if one.item.id.startswith(TEST_ID)})


def _nothing() -> None:
    """Nothing of it is in memory."""


def _is_over(item: channel_pb2.InboxItem, now_us: int) -> bool:
    return 0 < item.expires_at_us <= now_us
