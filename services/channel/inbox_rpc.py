"""The inbox part of ChannelService, and InboxService: convert, ask the inbox, convert."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import grpc

from cdp.channel.v1 import channel_pb2, inbox_pb2, inbox_pb2_grpc
from core.clock import Clock
from core.delivery.inbox_tokens import LONGEST_LIFETIME_US, USUAL_LIFETIME_US, InboxReader, sign_reader
from core.errors import Violation, invalid
from services.channel import reports
from services.channel.inbox import INBOX, POPUP, Held, chosen, unread
from services.channel.shard import ChannelShard
from services.runtime.caller import Scope, caller
from services.runtime.pages import bad_page_token, number_of, page_entries

_LIMIT_IDS = 1_000
#: So often a watcher looks by itself: for what is over, for a merge, for an owner that is another one.
_LOOK_S = 20.0
_Context = grpc.aio.ServicerContext[Any, Any]

#: Of the methods below, for ChannelService.
INBOX_SCOPES: Mapping[str, Scope] = {
    "ListInbox": Scope.READ,
    "WatchInbox": Scope.READ,
    "MarkInbox": Scope.FULL,
}
TOKEN_SCOPES: Mapping[str, Scope] = {"IssueInboxToken": Scope.FULL}


class InboxCalls:
    """Methods of ChannelService, for its servicer to inherit."""

    _shards: Callable[[str], ChannelShard]
    _clock: Clock

    async def ListInbox(
        self,
        request: channel_pb2.ListInboxRequest,
        context: _Context,
    ) -> channel_pb2.ListInboxResponse:
        """See the .proto. Raises NOT_FOUND / NO_SUCH_CONTACT, INVALID / UNKNOWN_CHANNEL."""
        channel = request.channel or INBOX
        if channel not in (INBOX, POPUP):
            what = f"is {INBOX} or {POPUP}"
            raise invalid("UNKNOWN_CHANNEL", f"channel: {what}", Violation("channel", what))
        inbox = self._shards(caller().workspace.id).inbox
        after = _place_of(request.page_token)
        messages = await inbox.held(await inbox.keys_of(request.contact_key), channel)
        rest = [one for one in messages if after is None or _place(one) > after]
        page = rest[: page_entries(request.page_size)]
        token = _token(page[-1]) if len(page) < len(rest) else ""
        return channel_pb2.ListInboxResponse(
            items=[one.item for one in page], next_page_token=token, unread=unread(messages)
        )

    async def WatchInbox(
        self,
        request: channel_pb2.WatchInboxRequest,
        context: _Context,
    ) -> AsyncIterator[channel_pb2.WatchInboxResponse]:
        """See the .proto. The first answer has everything; a reader resumes by asking again."""
        told: dict[str, bytes] | None = None
        while True:
            # Asked anew each time: the person may have been merged, and the workspace may be another process's by now.
            inbox = self._shards(caller().workspace.id).inbox
            keys = await inbox.keys_of(request.contact_key)
            async with inbox.watched(keys) as changed:
                messages = await inbox.held(keys, INBOX)
                now = {one.item.id: one.item.SerializeToString(deterministic=True) for one in messages}
                if told is None or now != told:
                    before = told or {}
                    yield channel_pb2.WatchInboxResponse(
                        items=[one.item for one in messages if before.get(one.item.id) != now[one.item.id]],
                        unread=unread(messages),
                        gone_ids=sorted(before.keys() - now.keys()),
                    )
                    told = now
                try:
                    async with asyncio.timeout(_LOOK_S):
                        await changed.wait()
                except TimeoutError:
                    continue

    async def MarkInbox(
        self,
        request: channel_pb2.MarkInboxRequest,
        context: _Context,
    ) -> channel_pb2.MarkInboxResponse:
        """See the .proto. Ids of messages that are not there are left out."""
        _check_ids(request.ids)
        shard = self._shards(caller().workspace.id)
        inbox = shard.inbox
        keys = await inbox.keys_of(request.contact_key)
        messages = await inbox.held(keys, INBOX)
        wanted = chosen(messages, request.ids)
        if request.deleted:
            await inbox.delete(wanted)
        else:
            await tell_opened(shard, wanted, self._clock.now_us())
            await inbox.read(wanted)
        return channel_pb2.MarkInboxResponse(unread=unread(await inbox.held(keys, INBOX)))


async def tell_opened(shard: ChannelShard, messages: Sequence[Held], now_us: int) -> None:
    """Let ingest know of those that are read for the first time. Their ids are made of the messages alone: told once
    more, because the mark after it was lost, it counts once."""
    fresh = [one.item.id for one in messages if not one.item.read_at_us]
    if not fresh:
        return
    items = []
    for record in await shard.state.get(fresh):
        if record is None or not record.contact_key:
            continue  # a message that was forgotten meanwhile
        item = reports.opened(record, False, now_us)
        item.event.message_id = f"{record.id}:opened:read"
        items.append(item)
    await shard.tell(items)


class InboxRpc(inbox_pb2_grpc.InboxServiceServicer):
    """InboxService: tokens for apps and pages, signed with `key`."""

    def __init__(self, shards: Callable[[str], ChannelShard], key: bytes, clock: Clock) -> None:
        self._shards = shards
        self._key = key
        self._clock = clock

    async def IssueInboxToken(
        self,
        request: inbox_pb2.IssueInboxTokenRequest,
        context: _Context,
    ) -> inbox_pb2.IssueInboxTokenResponse:
        """See the .proto. Raises NOT_FOUND / NO_SUCH_CONTACT, INVALID / BAD_LIFETIME."""
        if not 0 <= request.lifetime_us <= LONGEST_LIFETIME_US:
            what = f"is between 0 and {LONGEST_LIFETIME_US} (30 days)"
            raise invalid("BAD_LIFETIME", f"lifetime_us: {what}", Violation("lifetime_us", what))
        workspace = caller().workspace.id
        profile = await self._shards(workspace).inbox.profile(request.identifier)
        until_us = self._clock.now_us() + (request.lifetime_us or USUAL_LIFETIME_US)
        token = sign_reader(self._key, InboxReader(workspace, profile.key), until_us)
        return inbox_pb2.IssueInboxTokenResponse(token=token, expires_at_us=until_us)


def _check_ids(ids: Sequence[str]) -> None:
    if len(ids) > _LIMIT_IDS:
        what = f"has more than {_LIMIT_IDS} ids"
        raise invalid("TOO_MANY_IDS", f"`ids` {what}", Violation("ids", what))


def _place(one: Held) -> tuple[int, str]:
    return -one.item.sent_at_us, one.item.id


def _token(one: Held) -> str:
    return f"{one.item.sent_at_us}.{one.item.id}"


def _place_of(token: str) -> tuple[int, str] | None:
    if not token:
        return None
    at, dot, message_id = token.partition(".")
    if not dot or not message_id:
        raise bad_page_token()
    return -number_of(at), message_id
