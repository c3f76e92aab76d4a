"""The inbox for apps and pages: read, mark, and follow as it changes. Whose it is, the signed token in the header says
(InboxService.IssueInboxToken); nothing else opens an inbox."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from functools import partial

import grpc
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from cdp.channel.v1 import channel_pb2
from core.delivery.inbox_tokens import InboxReader
from core.errors import Violation, invalid
from services.channel.page_door import PageDoor, asking, json_of, texts_in
from services.runtime.errors import from_rpc
from services.runtime.pages import number_of
from services.runtime.shares import Shares
from services.runtime.stubs import Stubs

_MOST_IDS = 1_000
_TIMEOUT_S = 10.0
#: A stream is ended after this long, and opened again by whoever still reads: so that none is held by nobody.
_STREAM_S = 600.0
_BEAT_S = 15.0
#: Streams open at once; a workspace has half of them at the most. Each is a call of ours for as long as it is open, and
#: a process takes 1,000 calls: the rest is for everybody else.
MAX_STREAMS = 500


class InboxHttp:
    """GET /inbox, POST /inbox/read and /inbox/delete, GET /inbox/live (server-sent events).

    Each asks the ChannelService, so that any process answers for every workspace.
    """

    def __init__(self, stubs: Stubs, door: PageDoor, max_streams: int = MAX_STREAMS) -> None:
        self._stubs = stubs
        self._door = door
        self._streams = Shares(max_streams)

    def routes(self) -> Sequence[BaseRoute]:
        """All routes."""
        ways = (
            ("/inbox", self._list, "GET"),
            ("/inbox/read", partial(self._mark, False), "POST"),
            ("/inbox/delete", partial(self._mark, True), "POST"),
            ("/inbox/live", self._live, "GET"),
        )
        return [
            Route(path, partial(self._door.answer, answer), methods=[method, "OPTIONS"])
            for path, answer, method in ways
        ]

    async def _list(self, request: Request) -> Response:
        reader = self._door.reader(request)
        size = request.query_params.get("page_size", "0")
        asked = channel_pb2.ListInboxRequest(
            contact_key=reader.contact_key,
            page_size=min(number_of(size), 1_000),
            page_token=request.query_params.get("page_token", "")[:300],
        )
        with asking():
            answer = await self._stubs.channel().ListInbox(
                asked, metadata=self._stubs.internal_metadata(reader.workspace), timeout=_TIMEOUT_S
            )
        told = {"items": [_item(one) for one in answer.items], "unread": answer.unread}
        return JSONResponse(told | ({"next_page_token": answer.next_page_token} if answer.next_page_token else {}))

    async def _mark(self, deleted: bool, request: Request) -> Response:
        reader = self._door.reader(request)
        document = await json_of(request)
        ids = texts_in(document, "ids", _MOST_IDS)
        if bool(ids) == (document.get("all") is True):
            what = 'give either "ids" or "all": true'
            raise invalid("BAD_BODY", what, Violation("ids", what))
        asked = channel_pb2.MarkInboxRequest(contact_key=reader.contact_key, ids=ids, deleted=deleted)
        with asking():
            answer = await self._stubs.channel().MarkInbox(
                asked, metadata=self._stubs.internal_metadata(reader.workspace), timeout=_TIMEOUT_S
            )
        return JSONResponse({"success": True, "unread": answer.unread})

    async def _live(self, request: Request) -> Response:
        """EventSource cannot send a header, so the token may stand in the address here."""
        reader = self._door.reader(request, request.query_params.get("token", ""))
        headers = {"X-Accel-Buffering": "no"}  # proxies that collect answers would hold it back
        return StreamingResponse(self._events(reader), media_type="text/event-stream", headers=headers)

    async def _events(self, reader: InboxReader) -> AsyncIterator[str]:
        """`data: {"items", "unread", "gone"}` whenever something changed, all of it first; a comment meanwhile."""
        if not self._streams.take(reader.workspace):
            yield "retry: 30000\n: TOO_MANY_STREAMS\n\n"
            return
        call = self._stubs.channel().WatchInbox(
            channel_pb2.WatchInboxRequest(contact_key=reader.contact_key),
            metadata=self._stubs.internal_metadata(reader.workspace),
            timeout=_STREAM_S,
        )
        reading: asyncio.Task[object] | None = None
        try:
            yield "retry: 2000\n\n"
            while True:
                reading = reading or asyncio.create_task(call.read())
                await asyncio.wait({reading}, timeout=_BEAT_S)
                if not reading.done():
                    yield ": still here\n\n"
                    continue
                answer, reading = reading.result(), None
                if not isinstance(answer, channel_pb2.WatchInboxResponse):
                    return  # the end of the stream
                told = {
                    "items": [_item(one) for one in answer.items],
                    "unread": answer.unread,
                    "gone": list(answer.gone_ids),
                }
                yield f"data: {json.dumps(told)}\n\n"
        except grpc.aio.AioRpcError as error:
            # The browser asks again by itself, and is told there what is wrong if it still is.
            yield f": {from_rpc(error).reason}\n\n"
        finally:
            if reading is not None:
                reading.cancel()
            call.cancel()
            self._streams.give_back(reader.workspace)


def _item(one: channel_pb2.InboxItem) -> dict[str, object]:
    told = {
        "id": one.id,
        "title": one.title,
        "body": one.body,
        "url": one.url,
        "image_url": one.image_url,
        "sent_at_us": one.sent_at_us,
        "read_at_us": one.read_at_us,
        "expires_at_us": one.expires_at_us,
    }
    return {name: value for name, value in told.items() if value or name in ("title", "body")}
