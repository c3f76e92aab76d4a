"""The routes of web pushes: both scripts, the public key that a page subscribes with, and what a device showed.

A subscription itself is told to ingest (POST /t/push), as everything else that a page knows of its visitor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from core.delivery.links import SHOWN_INDEX, unknown_link, verify, workspace_of
from core.errors import CdpError, Code
from core.identity.push_tokens import WEB_PUSH
from services.channel.providers import NULL_KIND
from services.channel.senders.sender import Sender
from services.channel.senders.web_push import public_key_of
from services.channel.shard import ChannelShard
from services.runtime.scripts import Script
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
FOLDER = Path(__file__).parent
_ANY_PAGE = {"Access-Control-Allow-Origin": "*"}
_FRESH = {"Cache-Control": "no-store, private, max-age=0"}
_RETRY_AFTER = {"Retry-After": "2"}


class PushPages:
    """The routes. `shards` finds the open shard of a workspace or raises UNAVAILABLE, and NOT_FOUND for no workspace;
    `sender` sends web pushes, by the process's own provider for workspaces that name none; `tracking_key` signs the
    tokens of links."""

    def __init__(self, shards: Callable[[str], ChannelShard], sender: Sender, tracking_key: bytes) -> None:
        self._shards = shards
        self._own = sender.default_provider()
        self._tracking_key = tracking_key
        # A worker is asked for once a day at least, whatever stands here; browsers go past caches for it.
        self._worker = Script(FOLDER / "sw.js", more=_ANY_PAGE)
        self._subscribe = Script(FOLDER / "subscribe.js", more=_ANY_PAGE)

    def routes(self) -> Sequence[BaseRoute]:
        """GET /push/sw.js, /push/subscribe.js and /push/key/ with a workspace; POST /d/ with a token."""
        return (
            Route("/push/sw.js", self._worker.answer, methods=["GET"]),
            Route("/push/subscribe.js", self._subscribe.answer, methods=["GET"]),
            Route("/push/key/{workspace}", self._key, methods=["GET"]),
            Route("/d/{token}", self._shown, methods=["POST"]),
        )

    async def _key(self, request: Request) -> Response:
        """The public key of the workspace's first provider. It is no secret."""
        try:
            providers = self._shards(request.path_params["workspace"]).state.settings.providers.get(WEB_PUSH, ())
        except CdpError as error:
            return _failed(error)
        usable = [one for one in providers if one.kind != NULL_KIND]
        provider = usable[0] if usable else self._own
        if provider is None:
            return PlainTextResponse("unknown", status_code=404, headers={**_FRESH, **_ANY_PAGE})
        key = public_key_of(provider)
        return JSONResponse({"publicKey": key}, headers={**_ANY_PAGE, "Cache-Control": "public, max-age=300"})

    async def _shown(self, request: Request) -> Response:
        """A device showed a message: it is delivered. Durable before it is answered."""
        token = request.path_params["token"]
        try:
            workspace = workspace_of(token)
            claims = verify(self._tracking_key, workspace, token)
            if claims.url_index != SHOWN_INDEX:
                raise unknown_link()
            await self._shards(workspace).delivered(claims.message_id, True, "")
        except CdpError as error:
            return _failed(error)
        return Response(status_code=204, headers=_FRESH)


def _failed(error: CdpError) -> Response:
    if error.code is Code.NOT_FOUND:
        return PlainTextResponse("unknown", status_code=404, headers={**_FRESH, **_ANY_PAGE})
    if error.code in (Code.UNAVAILABLE, Code.EXHAUSTED, Code.CONFLICT):
        _LOG.warning("page put off", reason=error.reason)
        return PlainTextResponse("later", status_code=503, headers={**_FRESH, **_ANY_PAGE, **_RETRY_AFTER})
    raise error
