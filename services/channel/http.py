"""What tracked links lead to: the open pixel, redirects of clicks, and the unsubscribe page.

A hit is durable before it is answered, and told to ingest from there. When the hit cannot be kept, the reader still
gets the pixel or the page; an unsubscribe alone is never acknowledged before it is durable. GET and HEAD change
nothing about a person.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from cdp.ingest.v1 import ingest_pb2
from core.clock import Clock
from core.delivery.links import OPEN_INDEX, UNSUBSCRIBE_INDEX, LinkClaims, unknown_link, verify, workspace_of
from core.delivery.machines import is_machine_click, is_machine_open
from core.errors import CdpError, Code
from core.identity.rules import VISITOR_COOKIE
from services.channel import reports
from services.channel.pages import PIXEL, page
from services.channel.record import Record
from services.channel.shard import ChannelShard
from services.channel.worker import Tracking
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
_COOKIE_AGE_S = 2 * 365 * 86_400
_ANONYMOUS_ID = re.compile(r"[A-Za-z0-9_-]{8,128}")
_FRESH = {"Cache-Control": "no-store, private, max-age=0", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}


class LinkPages:
    """The HTTP routes of this role. `shards` finds the open shard of a workspace or raises UNAVAILABLE."""

    def __init__(self, shards: Callable[[str], ChannelShard], tracking: Tracking, clock: Clock) -> None:
        self._shards = shards
        self._tracking = tracking
        self._clock = clock

    def routes(self) -> Sequence[BaseRoute]:
        """GET /o/, GET /c/, GET and POST /u/, each with a token."""
        return (
            Route("/o/{token}", self._open, methods=["GET"]),
            Route("/c/{token}", self._click, methods=["GET"]),
            Route("/u/{token}", self._ask, methods=["GET"]),
            Route("/u/{token}", self._unsubscribe, methods=["POST"]),
        )

    async def _open(self, request: Request) -> Response:
        try:
            shard, record, _ = await self._found(request, OPEN_INDEX)
        except CdpError as error:
            return self._failed(error)
        machine = is_machine_open(request.method, request.headers)
        await self._kept(shard, [reports.opened(record, machine, self._clock.now_us())])
        return Response(PIXEL, media_type="image/gif", headers=_FRESH)

    async def _click(self, request: Request) -> Response:
        try:
            shard, record, claims = await self._found(request, None)
            destinations = await shard.state.links(record.id)
            if claims.url_index >= len(destinations):
                raise unknown_link()
        except CdpError as error:
            return self._failed(error)
        destination = destinations[claims.url_index]
        machine = is_machine_click(request.method, request.headers)
        now_us = self._clock.now_us()
        items = [reports.clicked(record, claims.url_index, destination, machine, now_us)]
        response = RedirectResponse(destination, status_code=302, headers=_FRESH)
        if not machine:
            anonymous_id = request.cookies.get(VISITOR_COOKIE, "")
            if not _ANONYMOUS_ID.fullmatch(anonymous_id):
                anonymous_id = secrets.token_urlsafe(18)
            response.set_cookie(
                VISITOR_COOKIE,
                anonymous_id,
                max_age=_COOKIE_AGE_S,
                path="/",
                secure=self._tracking.public_url.startswith("https:"),
                httponly=True,
                samesite="lax",
            )
            items.append(reports.visitor(record, anonymous_id, now_us))
        await self._kept(shard, items)
        return response

    async def _ask(self, request: Request) -> Response:
        try:
            await self._found(request, UNSUBSCRIBE_INDEX)
        except CdpError as error:
            return self._failed(error)
        return HTMLResponse(page("ask"), headers=_FRESH)

    async def _unsubscribe(self, request: Request) -> Response:
        try:
            shard, record, _ = await self._found(request, UNSUBSCRIBE_INDEX)
            await shard.unsubscribe(record)
        except CdpError as error:
            return self._failed(error)
        return HTMLResponse(page("done"), headers=_FRESH)

    async def _found(self, request: Request, index: int | None) -> tuple[ChannelShard, Record, LinkClaims]:
        """The message behind a genuine token with link `index` (None: any destination's). NOT_FOUND otherwise."""
        token = request.path_params["token"]
        workspace = workspace_of(token)
        claims = verify(self._tracking.key, workspace, token)
        is_click = claims.url_index not in (OPEN_INDEX, UNSUBSCRIBE_INDEX)
        if (index is None and not is_click) or (index is not None and claims.url_index != index):
            raise unknown_link()
        shard = self._shards(workspace)
        (record,) = await shard.state.get([claims.message_id])
        # A message that was never called for has no contact key, and no genuine reader either.
        if record is None or not record.contact_key:
            raise unknown_link()
        return shard, record, claims

    async def _kept(self, shard: ChannelShard, items: Sequence[ingest_pb2.BatchItem]) -> None:
        try:
            await shard.tell(items)
        except CdpError as error:
            _LOG.error("hit lost", workspace=shard.workspace.id, reason=error.reason, count=len(items))

    def _failed(self, error: CdpError) -> Response:
        if error.code is Code.NOT_FOUND:
            return HTMLResponse(page("unknown"), status_code=404, headers=_FRESH)
        if error.code in (Code.UNAVAILABLE, Code.EXHAUSTED, Code.CONFLICT):
            _LOG.warning("link not answered", reason=error.reason)
            return HTMLResponse(page("later"), status_code=503, headers={**_FRESH, "Retry-After": "2"})
        raise error
