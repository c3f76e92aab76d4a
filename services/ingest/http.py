"""The door for SDKs of the Segment specification."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from core.clock import Clock
from core.errors import CdpError, Code, Violation, invalid
from core.identity.rules import VISITOR_COOKIE
from services.ingest.accept import MAX_EVENT_BYTES, TOO_LARGE, Outcome, refused
from services.ingest.batcher import Batcher
from services.ingest.body import header_secret, read_body
from services.ingest.registry import Registry
from services.ingest.segment_spec import Sending, take_call
from services.ingest.strict_json import parse, size_of
from services.ingest.ways import Ways
from services.runtime.caller import Caller, Scope
from services.runtime.errors import http_response
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)

BAD_SHAPE = "BAD_SHAPE"
EMPTY_BATCH = "EMPTY_BATCH"
OVERLOADED = "OVERLOADED"

#: Requests in work at once; beyond it they are told to come back.
MAX_IN_FLIGHT = 512
_TURN_S = 0.002
_RETRY_AFTER_S = 1.0

_PATHS: Mapping[str, tuple[str, ...]] = {
    "track": ("/v1/track", "/v1/t"),
    "identify": ("/v1/identify", "/v1/i"),
    "page": ("/v1/page", "/v1/p"),
    "screen": ("/v1/screen", "/v1/s"),
    "group": ("/v1/group", "/v1/g"),
    "alias": ("/v1/alias", "/v1/a"),
    "batch": ("/v1/batch", "/v1/b", "/v1/import"),
}
_CORS = {
    # The visitor's cookie comes along from the shop's own site; it is SameSite=Lax, so from nowhere else.
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, content-type, anonymousid, sentat",
    "Access-Control-Max-Age": "86400",
    "Vary": "Origin",
}

Answer = Callable[[Request], Awaitable[Response]]


class IngestHttp:
    """Routes of the SDK endpoints. A single bad call is answered 400; in a batch a bad item is told under `rejected`
    and the others are accepted. Whatever passes with time is answered 429 with Retry-After, because SDKs obey that
    and hammer on 503."""

    def __init__(self, registry: Registry, ways: Ways, clock: Clock, max_in_flight: int = MAX_IN_FLIGHT) -> None:
        self._registry = registry
        self._ways = ways
        self._clock = clock
        self._max_in_flight = max_in_flight
        self._in_flight = 0

    def routes(self) -> Sequence[BaseRoute]:
        """All routes, with and without a slash at the end."""
        routes: list[BaseRoute] = []
        for kind, paths in _PATHS.items():
            answer = partial(self._answer, partial(self._call, None if kind == "batch" else kind))
            routes += [
                Route(path + slash, answer, methods=["POST", "OPTIONS"]) for path in paths for slash in ("", "/")
            ]
        settings = partial(self._answer, self._settings)
        routes.append(Route("/v1/projects/{key}/settings", settings, methods=["GET", "OPTIONS"]))
        return routes

    async def _answer(self, answer: Answer, request: Request) -> Response:
        response = await self._guarded(answer, request)
        origin = request.headers.get("origin")
        if origin is not None:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers.update(_CORS)
        return response

    async def _guarded(self, answer: Answer, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204)
        if self._in_flight >= self._max_in_flight:
            return http_response(_later(OVERLOADED, "too many requests at once"))
        self._in_flight += 1
        try:
            return await answer(request)
        except CdpError as error:
            if error.code in (Code.UNAVAILABLE, Code.EXHAUSTED):
                _LOG.warning("call put off", reason=error.reason, error=error.message)
                error = _later(error.reason, error.message)
            return http_response(error)
        finally:
            self._in_flight -= 1

    async def _settings(self, request: Request) -> Response:
        key = request.path_params["key"]
        (await self._registry.authenticate(key)).require(Scope.WRITE)
        plan = {"track": {"__default": {"enabled": True, "integrations": {}}}}
        return JSONResponse({"integrations": {"Segment.io": {"apiKey": key}}, "plan": plan})

    async def _call(self, kind: str | None, request: Request) -> Response:
        secret = header_secret(request)
        caller = await self._registry.authenticate(secret) if secret else None
        body = await read_body(request)
        received_at_us = self._clock.now_us()
        document = parse(body)
        if not isinstance(document, Mapping):
            raise invalid(BAD_SHAPE, "the body must be a JSON object")
        caller = caller or await self._from_body(document)
        caller.require(Scope.WRITE)
        sent_at = document.get("sentAt", request.headers.get("sentat"))
        visitor = request.cookies.get(VISITOR_COOKIE)
        sending = Sending(received_at_us, sent_at, request.headers.get("anonymousid"), visitor)
        batcher = self._ways.of(caller.workspace).batcher
        if kind is not None:
            outcome, entry = self._take(batcher, document, kind, "", sending, len(body))
            if entry is None:
                raise outcome.error()
            await asyncio.shield(entry)
            return JSONResponse({"success": True, **_told("left_out", _violations(None, outcome.notes))})
        return await self._batch(batcher, document, sending, len(body))

    async def _batch(
        self, batcher: Batcher, document: Mapping[str, object], sending: Sending, body_bytes: int
    ) -> Response:
        items = document.get("batch")
        if not isinstance(items, list):
            raise invalid(BAD_SHAPE, "`batch` must be a list of calls", Violation("batch", "must be a list"))
        if not items:
            raise invalid(EMPTY_BATCH, "`batch` is empty", Violation("batch", "needs at least one call"))
        rejected: list[dict[str, object]] = []
        left_out: list[dict[str, object]] = []
        entries: dict[asyncio.Future[int], None] = {}
        turn_until_s = time.perf_counter() + _TURN_S
        for index, item in enumerate(items):
            # Only in a body larger than one item may be can an item be too large.
            size_bytes = size_of(item) if body_bytes > MAX_EVENT_BYTES else body_bytes // len(items)
            outcome, entry = self._take(batcher, item, None, f"batch[{index}].", sending, size_bytes)
            if entry is not None:
                entries[entry] = None
            if outcome.refusal is not None:
                first = outcome.refusal.violations[0]
                rejected.append(
                    {"index": index, "reason": outcome.refusal.reason, "path": first.path}
                    | {"description": first.description}
                )
            left_out += _violations(index, outcome.notes)
            if time.perf_counter() > turn_until_s:
                await asyncio.sleep(0)
                turn_until_s = time.perf_counter() + _TURN_S
        for entry in entries:
            await asyncio.shield(entry)
        return JSONResponse({"success": True, **_told("rejected", rejected), **_told("left_out", left_out)})

    def _take(
        self, batcher: Batcher, item: object, kind: str | None, path: str, sending: Sending, size_bytes: int
    ) -> tuple[Outcome, asyncio.Future[int] | None]:
        if size_bytes > MAX_EVENT_BYTES:
            return refused(TOO_LARGE, path.rstrip("."), f"a call has at most {MAX_EVENT_BYTES} bytes"), None
        outcome = take_call(batcher.writer(size_bytes), item, kind, path, sending)
        return outcome, batcher.commit(size_bytes) if outcome.refusal is None else None

    async def _from_body(self, document: Mapping[str, object]) -> Caller:
        key = document.get("writeKey")
        return await self._registry.authenticate(key if isinstance(key, str) else "")


def _later(reason: str, message: str) -> CdpError:
    return CdpError(Code.EXHAUSTED, reason, message, retry_after_s=_RETRY_AFTER_S)


def _violations(index: int | None, notes: Sequence[Violation]) -> list[dict[str, object]]:
    which = {} if index is None else {"index": index}
    return [{**which, "path": note.path, "description": note.description} for note in notes]


def _told(name: str, entries: list[dict[str, object]]) -> dict[str, object]:
    return {name: entries} if entries else {}
