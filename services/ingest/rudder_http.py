"""What RudderStack's browser SDK asks for before it sends: the configuration of its source.

Its calls themselves are of the Segment specification (`services.ingest.http`). It is told that the source is on, has no
destinations in the browser, and that nothing is to be reported about the SDK itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from services.ingest.body import header_secret
from services.ingest.door import Door
from services.ingest.registry import Registry
from services.runtime.caller import Scope

_SILENT = {"enabled": False}


class RudderHttp:
    """GET /sourceConfig; the key stands in the header, or in the query as `writeKey`."""

    def __init__(self, registry: Registry, door: Door) -> None:
        self._registry = registry
        self._door = door

    def routes(self) -> Sequence[BaseRoute]:
        """The route, with and without a slash at the end."""
        answer = partial(self._door.answer, self._source)
        return tuple(Route("/sourceConfig" + slash, answer, methods=["GET", "OPTIONS"]) for slash in ("", "/"))

    async def _source(self, request: Request) -> Response:
        key = header_secret(request) or request.query_params.get("writeKey", "")
        caller = await self._registry.authenticate(key)
        caller.require(Scope.WRITE)
        source = {
            "id": caller.workspace.id,
            "name": caller.workspace.id,
            "workspaceId": caller.workspace.id,
            "writeKey": key,
            "enabled": True,
            "config": {"statsCollection": {"errors": _SILENT, "metrics": _SILENT}},
            "destinations": [],
            "dataplanes": {},
        }
        return JSONResponse({"source": source})
