"""What other services know of one person: asked of them, never read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc

from cdp.channel.v1 import channel_pb2
from cdp.scenario.v1 import scenario_pb2
from cdp.segment.v1 import segment_pb2
from core.errors import CdpError, Code
from services.runtime.errors import from_rpc
from services.runtime.stubs import Metadata, Stubs

_CALL_S = 10.0
_PAGE = 1_000
_ABREAST = 16
#: A saved segment of parameters has no members of its own.
_NO_MEMBERS = (Code.INVALID, Code.NOT_FOUND)


class Elsewhere:
    """Asks for one workspace. Every method raises the service's refusal, UNAVAILABLE when it does not answer."""

    def __init__(self, stubs: Stubs, workspace_id: str) -> None:
        self._stubs = stubs
        self._workspace_id = workspace_id

    async def segments_of(self, contact: int) -> list[str]:
        """The saved segments that the contact is in, by name."""
        try:
            names: list[str] = []
            token = ""
            while True:
                request = segment_pb2.ListSegmentsRequest(page_size=_PAGE, page_token=token)
                page = await self._stubs.segment().ListSegments(request, metadata=self._metadata, timeout=_CALL_S)
                names += [one.revision.name for one in page.segments]
                token = page.next_page_token
                if not token:
                    break
            abreast = asyncio.Semaphore(_ABREAST)
            inside = await asyncio.gather(*(self._is_in(name, contact, abreast) for name in names))
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error
        return sorted(name for name, one in zip(names, inside, strict=True) if one)

    async def runs_of(self, contacts: Sequence[int], limit: int | None = None) -> list[scenario_pb2.Run]:
        """Runs of scenarios for any of these numbers of one person, the newest first, at most `limit`."""
        found: dict[str, scenario_pb2.Run] = {}
        try:
            for contact in contacts:
                token = ""
                while True:
                    request = scenario_pb2.ListRunsRequest(
                        contact=contact, by_contact=True, page_size=min(limit or _PAGE, _PAGE), page_token=token
                    )
                    page = await self._stubs.scenario().ListRuns(request, metadata=self._metadata, timeout=_CALL_S)
                    found |= {run.run_id: run for run in page.runs}
                    token = page.next_page_token
                    if not token or limit is not None:
                        break
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error
        newest = sorted(found.values(), key=lambda run: (run.started_at_us, run.run_id), reverse=True)
        return newest[:limit]

    async def messages_of(self, contacts: Sequence[int], limit: int | None = None) -> list[channel_pb2.Message]:
        """Messages to any of these numbers of one person, the newest first, at most `limit`."""
        found: list[channel_pb2.Message] = []
        token = ""
        try:
            while True:
                request = channel_pb2.ListMessagesRequest(
                    page_size=min(limit or _PAGE, _PAGE), page_token=token, contacts=contacts
                )
                page = await self._stubs.channel().ListMessages(request, metadata=self._metadata, timeout=_CALL_S)
                found += page.messages
                token = page.next_page_token
                if not token or (limit is not None and len(found) >= limit):
                    return found[:limit]
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error

    async def inbox_of(self, key: str, channel: str) -> list[channel_pb2.InboxItem]:
        """What the person of this contact key holds on one of the channels inbox and popup, the newest first."""
        found: list[channel_pb2.InboxItem] = []
        token = ""
        try:
            while True:
                request = channel_pb2.ListInboxRequest(
                    contact_key=key, channel=channel, page_size=_PAGE, page_token=token
                )
                page = await self._stubs.channel().ListInbox(request, metadata=self._metadata, timeout=_CALL_S)
                found += page.items
                token = page.next_page_token
                if not token:
                    return found
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error

    async def _is_in(self, name: str, contact: int, abreast: asyncio.Semaphore) -> bool:
        request = segment_pb2.IsMemberRequest(name=name, contacts=[contact])
        async with abreast:
            try:
                answer = await self._stubs.segment().IsMember(request, metadata=self._metadata, timeout=_CALL_S)
            except grpc.aio.AioRpcError as error:
                failure: CdpError = from_rpc(error)
                if failure.code in _NO_MEMBERS:
                    return False
                raise
        return bool(answer.is_member[0])

    @property
    def _metadata(self) -> Metadata:
        return self._stubs.internal_metadata(self._workspace_id)
