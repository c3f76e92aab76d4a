"""The door for SDKs of the Segment specification."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from core.clock import Clock
from core.errors import invalid
from core.identity.rules import VISITOR_COOKIE
from services.ingest.accept import Outcome
from services.ingest.batch_call import BAD_SHAPE, calls_in, take_batch, take_one, told, violations
from services.ingest.body import header_secret, read_body
from services.ingest.door import Door, page_caller
from services.ingest.registry import Registry
from services.ingest.segment_spec import Sending, take_call
from services.ingest.strict_json import parse
from services.ingest.ways import Ways
from services.ingest.writer import BatchWriter
from services.runtime.caller import Caller, Scope

_PATHS: Mapping[str, tuple[str, ...]] = {
    "track": ("/v1/track", "/v1/t"),
    "identify": ("/v1/identify", "/v1/i"),
    "page": ("/v1/page", "/v1/p"),
    "screen": ("/v1/screen", "/v1/s"),
    "group": ("/v1/group", "/v1/g"),
    "alias": ("/v1/alias", "/v1/a"),
    "batch": ("/v1/batch", "/v1/b", "/v1/import"),
}


class IngestHttp:
    """Routes of the SDK endpoints. A single bad call is answered 400; in a batch a bad item is told under `rejected`
    and the others are accepted."""

    def __init__(self, registry: Registry, ways: Ways, clock: Clock, door: Door) -> None:
        self._registry = registry
        self._ways = ways
        self._clock = clock
        self._door = door

    def routes(self) -> Sequence[BaseRoute]:
        """All routes, with and without a slash at the end."""
        routes: list[BaseRoute] = []
        for kind, paths in _PATHS.items():
            answer = partial(self._door.answer, partial(self._call, None if kind == "batch" else kind))
            routes += [
                Route(path + slash, answer, methods=["POST", "OPTIONS"]) for path in paths for slash in ("", "/")
            ]
        settings = partial(self._door.answer, self._settings)
        routes.append(Route("/v1/projects/{key}/settings", settings, methods=["GET", "OPTIONS"]))
        return routes

    async def _settings(self, request: Request) -> Response:
        key = request.path_params["key"]
        (await self._registry.authenticate(key)).require(Scope.WRITE)
        plan = {"track": {"__default": {"enabled": True, "integrations": {}}}}
        return JSONResponse({"integrations": {"Segment.io": {"apiKey": key}}, "plan": plan})

    async def _call(self, kind: str | None, request: Request) -> Response:
        secret = header_secret(request)
        caller = await page_caller(self._registry, secret, request) if secret else None
        body = await read_body(request)
        received_at_us = self._clock.now_us()
        document = parse(body)
        if not isinstance(document, Mapping):
            raise invalid(BAD_SHAPE, "the body must be a JSON object")
        caller = caller or await self._from_body(document, request)
        sent_at = document.get("sentAt", request.headers.get("sentat"))
        visitor = request.cookies.get(VISITOR_COOKIE)
        sending = Sending(received_at_us, sent_at, request.headers.get("anonymousid"), visitor)

        def take(writer: BatchWriter, item: object, path: str) -> Outcome:
            return take_call(writer, item, kind, path, sending)

        if kind is None:
            way = await self._ways.admit(caller, calls_in(document.get("batch")))
            return JSONResponse(await take_batch(way, document.get("batch"), len(body), take))
        way = await self._ways.admit(caller, 1)
        outcome, entry = await take_one(way, document, "", len(body), take)
        if entry is None:
            raise outcome.error()
        await asyncio.shield(entry)
        return JSONResponse({"success": True, **told("left_out", violations(None, outcome.notes))})

    async def _from_body(self, document: Mapping[str, object], request: Request) -> Caller:
        key = document.get("writeKey")
        return await page_caller(self._registry, key if isinstance(key, str) else "", request)
