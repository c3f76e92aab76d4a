"""What the endpoints for pages and apps share: how much is in work at once, small JSON bodies, errors as answers, CORS.

A page names its workspace by a browser's key, which works for its own origins only; an app, or a page whose visitor has
logged in, by a signed token of one contact (core.delivery.inbox_tokens).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from core.api_keys import origin_allowed
from core.clock import Clock
from core.delivery.inbox_tokens import InboxReader, reader_of
from core.errors import CdpError, Code, Violation, invalid
from core.events.checks import Bad, clean_text
from services.runtime.caller import Caller, Scope
from services.runtime.errors import from_rpc, http_response
from services.runtime.shares import Shares
from services.runtime.telemetry import get_logger
from services.runtime.workspaces import WorkspaceDirectory

_LOG = get_logger(__name__)

#: Requests in work at once; a workspace has half of it at the most, and so have all of whom nothing is known yet.
MAX_IN_FLIGHT = 512
MAX_BODY_BYTES = 32 << 10
MAX_BODY_S = 10.0
_STRANGERS = ""
_RETRY_AFTER_S = 1.0
_CORS = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, content-type",
    "Access-Control-Expose-Headers": "Retry-After",
    "Access-Control-Max-Age": "86400",
    "Vary": "Origin",
    "Cache-Control": "no-store, private",
}

Answer = Callable[[Request], Awaitable[Response]]


@dataclass(slots=True)
class _Place:
    """In whose name a request is counted."""

    name: str = _STRANGERS


class PageDoor:
    """Lets requests of pages in, and says whose they are. What passes with time is answered 429 with Retry-After, as
    by ingest's endpoints for pages. No cookie is asked for or set."""

    def __init__(
        self, directory: WorkspaceDirectory, key: bytes, clock: Clock, max_in_flight: int = MAX_IN_FLIGHT
    ) -> None:
        self._directory = directory
        self._key = key
        self._clock = clock
        self.in_work = Shares(max_in_flight)

    async def answer(self, answer: Answer, request: Request) -> Response:
        """What `answer` answers, or its error as one, readable by pages of any origin."""
        response = await self._guarded(answer, request)
        origin = request.headers.get("origin")
        if origin is not None:
            response.headers["Access-Control-Allow-Origin"] = origin
        for name, value in _CORS.items():
            response.headers.setdefault(name, value)
        return response

    async def page_caller(self, request: Request, secret: str) -> Caller:
        """Whose page calls with this key. Raises UNAUTHENTICATED, FORBIDDEN / SCOPE_TOO_NARROW, and FORBIDDEN /
        ORIGIN_NOT_ALLOWED for a page that the key is not meant for."""
        caller = await self._directory.authenticate(secret)
        caller.require(Scope.WRITE)
        if caller.origins and not origin_allowed(request.headers.get("origin", ""), caller.origins):
            raise CdpError(Code.FORBIDDEN, "ORIGIN_NOT_ALLOWED", "this key works in pages of its own origins only")
        self._belongs_to(request, caller.workspace.id)
        return caller

    def reader(self, request: Request, token: str = "") -> InboxReader:
        """Whose inbox the request's token opens: `token`, else that of the header. Raises UNAUTHENTICATED."""
        reader = reader_of(self._key, token or bearer(request), self._clock.now_us())
        self._directory.get(reader.workspace)  # one that is gone is answered like one that never was
        self._belongs_to(request, reader.workspace)
        return reader

    def _belongs_to(self, request: Request, workspace: str) -> None:
        place = request.scope["cdp.page_place"]
        if not self.in_work.move(1, place.name, workspace):
            raise _overloaded("this workspace has too many requests in work at once")
        place.name = workspace

    async def _guarded(self, answer: Answer, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204)
        place = _Place()
        if not self.in_work.take(place.name):
            return http_response(_overloaded("too many requests at once"))
        request.scope["cdp.page_place"] = place
        try:
            return await answer(request)
        except CdpError as error:
            if error.code in (Code.UNAVAILABLE, Code.EXHAUSTED):
                _LOG.warning("page put off", reason=error.reason, error=error.message)
                error = CdpError(Code.EXHAUSTED, error.reason, error.message, retry_after_s=_RETRY_AFTER_S)
            return http_response(error)
        finally:
            self.in_work.give_back(place.name)


def bearer(request: Request) -> str:
    """The token in the Authorization header; empty when there is none."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else ""


async def json_of(request: Request) -> Mapping[str, object]:
    """The body, a JSON object of at most MAX_BODY_BYTES, whatever its type is called. Raises INVALID: BODY_TOO_LARGE,
    BODY_TOO_SLOW, BODY_CUT, BAD_JSON."""
    raw = b""
    try:
        async with asyncio.timeout(MAX_BODY_S):
            async for part in request.stream():
                raw += part
                if len(raw) > MAX_BODY_BYTES:
                    raise invalid("BODY_TOO_LARGE", f"a body has at most {MAX_BODY_BYTES} bytes")
    except TimeoutError as error:
        raise invalid("BODY_TOO_SLOW", f"the body did not arrive within {MAX_BODY_S:.0f} s") from error
    except ClientDisconnect as error:
        raise invalid("BODY_CUT", "the connection ended before the body did") from error
    try:
        document = json.loads(raw.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise invalid("BAD_JSON", f"the body is no JSON document: {error}"[:300]) from error
    if not isinstance(document, Mapping):
        raise invalid("BAD_JSON", "the body must be a JSON object")
    return document


def text_in(document: Mapping[str, object], name: str, most: int = 1_000) -> str:
    """A text of at most `most` characters; "" where it is missing or null. Raises INVALID / BAD_BODY."""
    told = document.get(name)
    if told is None:
        return ""
    clean = clean_text(told) if isinstance(told, str) else None
    if not isinstance(clean, str) or len(clean) > most:
        what = clean.description if isinstance(clean, Bad) else f"is a text of at most {most} characters"
        raise invalid("BAD_BODY", f"{name}: {what}", Violation(name, what))
    return clean


def texts_in(document: Mapping[str, object], name: str, most: int) -> list[str]:
    """A list of at most `most` texts, empty where it is missing. Raises INVALID / BAD_BODY."""
    told = document.get(name)
    if told is None:
        return []
    if not isinstance(told, list) or len(told) > most:
        what = f"is a list of at most {most} texts"
        raise invalid("BAD_BODY", f"{name}: {what}", Violation(name, what))
    return [text_in({name: one}, name) for one in told]


@contextmanager
def asking() -> Iterator[None]:
    """Within it the answer of a service that refuses becomes our error."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise from_rpc(error) from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in its object")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _overloaded(what: str) -> CdpError:
    return CdpError(Code.EXHAUSTED, "OVERLOADED", f"{what}, try again soon", retry_after_s=_RETRY_AFTER_S)
