"""The door for PostHog's SDKs.

A body is `{"api_key", "batch": [...], "sent_at"}`, one event with its key, or a list of events; JSON, gzip by header or
by its first bytes, or base64 in a form's field `data`. Feature flags, recordings and surveys are not ours: the SDKs
that ask for them are told that there are none, so that they stop asking and switch off what would record.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from functools import partial
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from core.clock import Clock
from core.errors import invalid
from core.identity.rules import VISITOR_COOKIE
from services.ingest.accept import Outcome
from services.ingest.batch_call import BAD_SHAPE, calls_in, take_batch
from services.ingest.body import header_secret, read_body
from services.ingest.door import Door, page_caller
from services.ingest.posthog import parts_of, take_part
from services.ingest.registry import Registry
from services.ingest.segment_spec import Sending
from services.ingest.strict_json import BAD_JSON, parse
from services.ingest.ways import Ways
from services.ingest.writer import BatchWriter
from services.runtime.caller import Caller, Scope

_EVENTS = ("/batch", "/e", "/capture", "/i/v0/e", "/track", "/engage")
_FLAGS = ("/flags", "/decide")
_KEYS = ("api_key", "token")
_FORM = b"data="

_NO_FLAGS: Mapping[str, object] = {
    "flags": {},
    "featureFlags": {},
    "featureFlagPayloads": {},
    "errorsWhileComputingFlags": False,
}
#: What posthog-js may do in a page: send events, and nothing else by itself.
_CONFIG: Mapping[str, object] = {
    "supportedCompression": ["gzip", "gzip-js"],
    "hasFeatureFlags": False,
    "autocapture_opt_out": True,
    "autocaptureExceptions": False,
    "captureDeadClicks": False,
    "capturePerformance": False,
    "heatmaps": False,
    "sessionRecording": False,
    "surveys": False,
    "siteApps": [],
    "analytics": {"endpoint": "/e/"},
    "defaultIdentifiedOnly": True,
    "elementsChainAsString": True,
}


class PosthogHttp:
    """Routes of PostHog's endpoints. A bad event is told under `rejected`, the others of its body are accepted."""

    def __init__(self, registry: Registry, ways: Ways, clock: Clock, door: Door) -> None:
        self._registry = registry
        self._ways = ways
        self._clock = clock
        self._door = door

    def routes(self) -> Sequence[BaseRoute]:
        """All routes, with and without a slash at the end."""
        take = partial(self._door.answer, self._take)
        flags = partial(self._door.answer, self._flags)
        config = partial(self._door.answer, self._config)
        return (
            *(Route(path + slash, take, methods=["POST", "OPTIONS"]) for path in _EVENTS for slash in ("", "/")),
            *(Route(path + slash, flags, methods=["POST", "OPTIONS"]) for path in _FLAGS for slash in ("", "/")),
            Route("/array/{key}/config", config, methods=["GET", "OPTIONS"]),
        )

    async def _take(self, request: Request) -> Response:
        body = unwrapped(await read_body(request))
        received_at_us = self._clock.now_us()
        document = parse(body)
        events = _events(document)
        caller = await self._caller(request, document)
        sent_at = document.get("sent_at") if isinstance(document, Mapping) else None
        sending = Sending(received_at_us, sent_at, visitor=request.cookies.get(VISITOR_COOKIE))

        def take(writer: BatchWriter, part: object, path: str) -> Outcome:
            return take_part(writer, part, path, sending)

        way = await self._ways.admit(caller, calls_in(events))
        return JSONResponse({"status": 1, **await take_batch(way, events, len(body), take, parts_of)})

    async def _flags(self, request: Request) -> Response:
        await self._caller(request, parse(unwrapped(await read_body(request))))
        return JSONResponse({**_CONFIG, **_NO_FLAGS})

    async def _config(self, request: Request) -> Response:
        key = request.path_params["key"]
        (await self._registry.authenticate(key)).require(Scope.WRITE)
        return JSONResponse({"token": key, **_CONFIG})

    async def _caller(self, request: Request, document: object) -> Caller:
        """Who sends it: by the header, else by the key in the body or in its first event."""
        return await page_caller(self._registry, header_secret(request) or _key(document), request)


def unwrapped(body: bytes) -> bytes:
    """The JSON of `body`: what is in its form field `data`, in base64 or as it is, else itself."""
    if not body.startswith(_FORM):
        return body
    field = unquote_to_bytes(body[len(_FORM) :].partition(b"&")[0].replace(b"+", b" ")).strip()
    if field.startswith((b"{", b"[")):
        return field
    try:
        return base64.b64decode(field.replace(b" ", b"+"), validate=True)
    except binascii.Error as error:
        raise invalid(BAD_JSON, "the form's field `data` is no base64") from error


def _events(document: object) -> object:
    if isinstance(document, Mapping):
        return document.get("batch", [document])
    if isinstance(document, list):
        return document
    raise invalid(BAD_SHAPE, "the body must be a JSON object, or a list of events")


def _key(document: object) -> str:
    if isinstance(document, list):
        document = document[0] if document else None
    if not isinstance(document, Mapping):
        return ""
    properties = document.get("properties")
    for fields in (document, properties if isinstance(properties, Mapping) else {}):
        for name in _KEYS:
            if isinstance(key := fields.get(name), str) and key:
                return key
    return ""
