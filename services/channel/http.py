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
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from cdp.ingest.v1 import ingest_pb2
from core.clock import Clock
from core.delivery.bursts import EVERY_LINK
from core.delivery.links import (
    OPEN_INDEX,
    PREFERENCES_INDEX,
    UNSUBSCRIBE_INDEX,
    LinkClaims,
    unknown_link,
    verify,
    workspace_of,
)
from core.delivery.machines import is_machine_click, is_machine_open
from core.delivery.mail_reports import MAX_REPORT_BYTES, read_report
from core.delivery.visits import sign_visit
from core.errors import CdpError, Code
from core.events.facts import MarkedEvent
from core.identity.rules import VISITOR_COOKIE
from services.channel import choice_pages, reports
from services.channel.list_links import ask_page, move_of
from services.channel.pages import PIXEL, page
from services.channel.preferences import preference_page
from services.channel.record import Record
from services.channel.shard import ChannelShard
from services.channel.visit_links import is_at_home, with_visit
from services.channel.worker import Tracking
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
_COOKIE_AGE_S = 2 * 365 * 86_400
_ANONYMOUS_ID = re.compile(r"[A-Za-z0-9_-]{8,128}")
_MAX_MAIL_BYTES = 40 << 20
_FRESH = {"Cache-Control": "no-store, private, max-age=0", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}


class LinkPages:
    """The HTTP routes of this role. `shards` finds the open shard of a workspace or raises UNAVAILABLE."""

    def __init__(self, shards: Callable[[str], ChannelShard], tracking: Tracking, clock: Clock) -> None:
        self._shards = shards
        self._tracking = tracking
        self._clock = clock

    def routes(self) -> Sequence[BaseRoute]:
        """GET /o/, GET and POST /c/, /u/ and /p/, each with a token; POST /mail-reports with a mail as received."""
        return (
            Route("/o/{token}", self._open, methods=["GET"]),
            Route("/c/{token}", self._click, methods=["GET"]),
            Route("/u/{token}", self._ask, methods=["GET"]),
            Route("/u/{token}", self._unsubscribe, methods=["POST"]),
            Route("/c/{token}", self._answer, methods=["POST"]),
            Route("/p/{token}", self._offer, methods=["GET"]),
            Route("/p/{token}", self._choose, methods=["POST"]),
            Route("/mail-reports", self._mail_report, methods=["POST"]),
        )

    async def _open(self, request: Request) -> Response:
        try:
            shard, record, _ = await self._found(request, OPEN_INDEX)
        except CdpError as error:
            return self._failed(error)
        machine = is_machine_open(request.method, request.headers)
        item = reports.opened(record, machine, self._clock.now_us())
        if not machine:
            shard.bursts.opened(record.id, _marked(item))
        await self._kept(shard, [item])
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
        move = move_of(destination)
        if move is not None:
            destination = move.url
        now_us, delivered_us = self._clock.now_us(), record.delivery.finished_at_us
        machine = is_machine_click(request.method, request.headers)
        items = [reports.clicked(record, claims.url_index, destination, machine, now_us)]
        response: Response = (
            RedirectResponse(self._led_to(shard, record, destination, machine), status_code=302, headers=_FRESH)
            if move is None
            else HTMLResponse(ask_page(move), headers=_FRESH)
        )
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
            clicked = _marked(items[0])
            found = shard.bursts.clicked(record.id, claims.url_index, len(destinations), delivered_us, clicked)
            if found:
                items.append(reports.marked(record, found, EVERY_LINK, now_us))
        await self._kept(shard, items)
        return response

    def _led_to(self, shard: ChannelShard, record: Record, destination: str, machine: bool) -> str:
        """The destination, on the shop's own site with a token that tells its tracker who comes."""
        if machine or not is_at_home(destination, self._tracking.visit_hosts):
            return destination
        now_us = self._clock.now_us()
        return with_visit(destination, sign_visit(self._tracking.key, shard.workspace.id, record.contact_key, now_us))

    async def _answer(self, request: Request) -> Response:
        """The button behind a link that moves from list to list."""
        try:
            shard, record, claims = await self._found(request, None)
            destinations = await shard.state.links(record.id)
            move = move_of(destinations[claims.url_index]) if claims.url_index < len(destinations) else None
            if move is None:
                raise unknown_link()
            await choice_pages.move(shard, record, claims.url_index, move, self._clock)
        except CdpError as error:
            return self._failed(error)
        return RedirectResponse(self._led_to(shard, record, move.url, False), status_code=303, headers=_FRESH)

    async def _offer(self, request: Request) -> Response:
        try:
            shard, record, _ = await self._found(request, PREFERENCES_INDEX)
            saved, choices = await choice_pages.offered(shard, record)
        except CdpError as error:
            return self._failed(error)
        return HTMLResponse(preference_page(saved, choices), headers=_FRESH)

    async def _choose(self, request: Request) -> Response:
        try:
            shard, record, _ = await self._found(request, PREFERENCES_INDEX)
            form = await choice_pages.form_of(request)
            proof = choice_pages.proof_of(request, self._tracking.key)
            await choice_pages.choose(shard, record, form, proof, self._clock)
        except CdpError as error:
            if error.reason == "FORM_TOO_LARGE":
                return PlainTextResponse(error.message, status_code=413)
            return self._failed(error)
        return HTMLResponse(page("saved"), headers=_FRESH)

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

    async def _mail_report(self, request: Request) -> Response:
        """A mail server passes on what came to the address of bounces or complaints. It needs no key: a report counts
        for the message alone whose token it brings back."""
        raw = b""
        async for part in request.stream():
            raw += part
            if len(raw) > _MAX_MAIL_BYTES:
                return PlainTextResponse("the mail is too large", status_code=413)
        report = read_report(raw[:MAX_REPORT_BYTES])
        if report is None:
            return PlainTextResponse("no report", status_code=200)
        try:
            shard, record = await self._reported(report.token)
            await shard.returned(record, report)
        except CdpError as error:
            if error.code is Code.NOT_FOUND:
                return PlainTextResponse("a report about no message of ours", status_code=200)
            return self._failed(error)
        return PlainTextResponse(report.told.value, status_code=200)

    async def _reported(self, token: str) -> tuple[ChannelShard, Record]:
        """The message that a genuine token names. NOT_FOUND otherwise."""
        workspace = workspace_of(token)
        claims = verify(self._tracking.key, workspace, token)
        shard = self._shards(workspace)
        (record,) = await shard.state.get([claims.message_id])
        if record is None or not record.contact_key:
            raise unknown_link()
        return shard, record

    async def _found(self, request: Request, index: int | None) -> tuple[ChannelShard, Record, LinkClaims]:
        """The message behind a genuine token with link `index` (None: any destination's). NOT_FOUND otherwise."""
        token = request.path_params["token"]
        workspace = workspace_of(token)
        claims = verify(self._tracking.key, workspace, token)
        is_click = claims.url_index not in (OPEN_INDEX, UNSUBSCRIBE_INDEX, PREFERENCES_INDEX)
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


def _marked(item: ingest_pb2.BatchItem) -> MarkedEvent:
    return MarkedEvent(item.event.message_id, item.event.occurred_at_us)
