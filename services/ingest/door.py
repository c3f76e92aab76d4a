"""What every HTTP endpoint of ingest shares: how much is in work at once, errors as answers, and CORS."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from core.api_keys import origin_allowed
from core.errors import CdpError, Code
from core.limits import QUOTA_SPENT, RATE_LIMITED
from services.ingest.body import header_secret
from services.ingest.place import OVERLOADED, Place, place_of, put_place
from services.ingest.registry import Registry
from services.runtime.caller import Caller, Scope
from services.runtime.errors import http_response
from services.runtime.shares import Shares
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)

#: Requests in work at once, and bytes of their bodies, packed and unpacked; beyond it they are told to come back. A
#: workspace has half of it at the most, and so have all of whom nothing is known yet.
MAX_IN_FLIGHT = 512
MAX_HELD_BYTES = 64 << 20
_RETRY_AFTER_S = 1.0

#: Refusals that are not logged each: a caller who sends too much must not fill our logs as well.
_OF_THE_CALLER = frozenset({RATE_LIMITED, QUOTA_SPENT, OVERLOADED})

_CORS = {
    # The visitor's cookie comes along from the shop's own site; it is SameSite=Lax, so from nowhere else.
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    # From x-retry-count on: what browser SDKs add to a call that they repeat.
    "Access-Control-Allow-Headers": "authorization, content-type, anonymousid, sentat, x-retry-count, rsa-recovered, "
    "rsa-retry-attempt, rsa-retry-reason, rsa-since-first-attempt, rsa-since-last-attempt",
    "Access-Control-Expose-Headers": "Retry-After",
    "Access-Control-Max-Age": "86400",
    "Vary": "Origin",
}

Answer = Callable[[Request], Awaitable[Response]]


class Door:
    """Lets requests in. Whatever passes with time is answered 429 with Retry-After, because SDKs obey that and hammer
    on 503. One door stands before all endpoints of a process, so that they share its room."""

    def __init__(self, max_in_flight: int = MAX_IN_FLIGHT, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self.requests = Shares(max_in_flight)
        self.held = Shares(max_held_bytes)

    async def answer(self, answer: Answer, request: Request) -> Response:
        """What `answer` answers, or its error as one, readable by pages of any origin."""
        response = await self._guarded(answer, request)
        origin = request.headers.get("origin")
        if origin is not None:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers.update(_CORS)
        return response

    async def _guarded(self, answer: Answer, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204)
        place = Place(self.requests, self.held, with_key="authorization" in request.headers)
        try:
            place.enter()
        except CdpError as error:
            return http_response(error)
        put_place(request, place)
        try:
            return await answer(request)
        except CdpError as error:
            if error.code in (Code.UNAVAILABLE, Code.EXHAUSTED) and error.reason not in _OF_THE_CALLER:
                _LOG.warning("call put off", reason=error.reason, error=error.message)
                error = _later(error.reason, error.message)
            return http_response(error)
        finally:
            place.leave()


async def page_caller(registry: Registry, secret: str, request: Request) -> Caller:
    """Who sends facts by this key. Raises UNAUTHENTICATED, FORBIDDEN / SCOPE_TOO_NARROW, and FORBIDDEN /
    ORIGIN_NOT_ALLOWED for a browser's key in a page that it is not meant for, or outside of any."""
    caller = await registry.authenticate(secret)
    caller.require(Scope.WRITE)
    if caller.origins and not origin_allowed(request.headers.get("origin", ""), caller.origins):
        raise CdpError(
            Code.FORBIDDEN,
            "ORIGIN_NOT_ALLOWED",
            "this key works in pages of its own origins only; add the page's origin to the key (KeyService.UpdateKey)",
        )
    place_of(request).belongs_to(caller.workspace.id)
    return caller


async def header_caller(registry: Registry, request: Request, scope: Scope) -> Caller:
    """Who calls by the key in the header. Raises UNAUTHENTICATED, FORBIDDEN / SCOPE_TOO_NARROW."""
    caller = await registry.authenticate(header_secret(request))
    caller.require(scope)
    place_of(request).belongs_to(caller.workspace.id)
    return caller


def _later(reason: str, message: str) -> CdpError:
    return CdpError(Code.EXHAUSTED, reason, message, retry_after_s=_RETRY_AFTER_S)
