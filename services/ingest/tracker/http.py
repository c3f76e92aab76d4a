"""The tracker's two routes: the script itself, and the endpoint that it sends its batches to.

A batch is one of the Segment specification, `{writeKey, sentAt, context, batch: [...]}`, as text/plain: so a browser
asks for no permission first, and sendBeacon may send it. On top of the specification `context` may stand once for all
calls, a call of type `web` is an eSputnik-style event, and `linkToken` of a call is the signed token that a click in a
message took along. The address of the sender is neither kept nor passed on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from core.clock import Clock
from core.delivery.visits import visitor_of
from core.errors import CdpError, Violation, invalid
from core.events.columns import MACHINE
from core.identity.rules import VISITOR_COOKIE
from services.ingest.accept import Outcome
from services.ingest.batch_call import BAD_SHAPE, calls_in, take_batch
from services.ingest.body import read_body
from services.ingest.door import Door, page_caller
from services.ingest.registry import Registry
from services.ingest.segment_spec import Sending, take_call
from services.ingest.strict_json import parse
from services.ingest.tracker.bots import is_bot
from services.ingest.tracker.devices import device_of
from services.ingest.tracker.web_events import as_call
from services.ingest.ways import Ways
from services.ingest.writer import BatchWriter
from services.runtime.scripts import Script
from services.runtime.settings import Settings

SCRIPT = Path(__file__).with_name("t.js")

#: The event that opens a visit and tells what does not change within it.
VISIT_EVENT = "site_visited"
_SCREEN = {"width": "screen_width", "height": "screen_height"}
#: What proxies write for "unknown" and for Tor.
_NO_COUNTRY = frozenset({"XX", "T1", "ZZ"})


class TrackerHttp:
    """GET /t.js and POST /t. Needs a key of scope write, which may be read by anybody who opens the shop's pages."""

    def __init__(self, registry: Registry, ways: Ways, clock: Clock, door: Door, settings: Settings) -> None:
        self._registry = registry
        self._ways = ways
        self._clock = clock
        self._door = door
        self._tracking_key = settings.tracking_key
        self._country_header = settings.country_header.lower()
        self._script = Script(SCRIPT)

    def routes(self) -> Sequence[BaseRoute]:
        """Both routes."""
        return (
            Route("/t.js", partial(self._door.answer, self._script.answer), methods=["GET", "OPTIONS"]),
            Route("/t", partial(self._door.answer, self._take), methods=["POST", "OPTIONS"]),
        )

    def warm(self) -> None:
        """Compile the rules about browsers and crawlers: a tenth of a second that must not fall among calls."""
        device_of({"user-agent": "none"}, None)
        is_bot({"user-agent": "none"}, None)

    async def _take(self, request: Request) -> Response:
        body = await read_body(request)
        received_at_us = self._clock.now_us()
        document = parse(body)
        if not isinstance(document, Mapping):
            raise invalid(BAD_SHAPE, "the body must be a JSON object")
        key = document.get("writeKey")
        caller = await page_caller(self._registry, key if isinstance(key, str) else "", request)
        told = document.get("context")
        context: Mapping[str, object] = told if isinstance(told, Mapping) else {}
        workspace = caller.workspace
        usual, first = self._sendings(request, context, document.get("sentAt"), received_at_us)

        def take(writer: BatchWriter, item: object, path: str) -> Outcome:
            if not isinstance(item, Mapping):
                return take_call(writer, item, None, path, usual)
            sending = first if item.get("event") == VISIT_EVENT else usual
            note = None
            if item.get("linkToken") is not None and not usual.flags & MACHINE:
                sending, note = self._known(sending, item["linkToken"], workspace.id, path)
            call = as_call({**item, "context": _joined(context, item.get("context"))})
            outcome = take_call(writer, call, None, path, sending)
            return outcome if note is None else replace(outcome, notes=(*outcome.notes, note))

        way = await self._ways.admit(caller, calls_in(document.get("batch")))
        return JSONResponse(await take_batch(way, document.get("batch"), len(body), take))

    def _sendings(
        self, request: Request, context: Mapping[str, object], sent_at: object, received_at_us: int
    ) -> tuple[Sending, Sending]:
        """What the calls of a request share, and the same with what a visit's first event tells on top."""
        device = device_of(request.headers, context.get("userAgentData"))
        usual = Sending(
            received_at_us,
            sent_at,
            visitor=request.cookies.get(VISITOR_COOKIE),
            flags=MACHINE if is_bot(request.headers, context.get("webdriver")) else 0,
            params=device.always(),
        )
        more = {**device.always(), **device.once(), **_screen(context.get("screen")), **self._country(request)}
        return usual, replace(usual, params=more)

    def _known(self, sending: Sending, token: object, workspace_id: str, path: str) -> tuple[Sending, Violation | None]:
        """`sending` with the contact whom the token names; a bad or old one is noted, and the call taken."""
        try:
            text = token if isinstance(token, str) else ""
            named = visitor_of(self._tracking_key, workspace_id, text, sending.received_at_us)
        except CdpError as error:
            return sending, Violation(f"{path}linkToken", f"left out: {error.message}")
        return replace(sending, contact_key=named), None

    def _country(self, request: Request) -> dict[str, object]:
        """The country that a trusted proxy found; only where the setting names its header."""
        told = request.headers.get(self._country_header, "").strip().upper() if self._country_header else ""
        is_code = len(told) == 2 and told.isascii() and told.isalpha() and told not in _NO_COUNTRY
        return {"country": told} if is_code else {}


def _joined(shared: Mapping[str, object], own: object) -> object:
    return {**shared, **own} if isinstance(own, Mapping) else shared if own is None else own


def _screen(told: object) -> dict[str, object]:
    if not isinstance(told, Mapping):
        return {}
    sizes = {param: told.get(name) for name, param in _SCREEN.items()}
    return {name: size for name, size in sizes.items() if type(size) is int and 0 < size <= 100_000}
