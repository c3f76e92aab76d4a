"""PUT /v1/feeds/{name}: a feed's file, as it lies; `?import=1` begins the import as well."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from services.ingest.body import body_parts
from services.ingest.door import Door, header_caller
from services.ingest.feeds.desk import FeedDesk
from services.ingest.registry import Registry
from services.runtime.caller import Scope


class FeedHttp:
    """The route of uploads, with a key of scope full in the header."""

    def __init__(self, registry: Registry, desk: FeedDesk, door: Door) -> None:
        self._registry = registry
        self._desk = desk
        self._door = door

    def routes(self) -> Sequence[BaseRoute]:
        """The one route."""
        return (Route("/v1/feeds/{name}", partial(self._door.answer, self._put), methods=["PUT"]),)

    async def _put(self, request: Request) -> Response:
        caller = await header_caller(self._registry, request, Scope.FULL)
        name = request.path_params["name"]
        done = await self._desk.upload(caller.workspace, name, body_parts(request), passed_on=False)
        answer: dict[str, object] = {"success": True, "upload": done.upload, "size_bytes": done.size_bytes}
        if request.query_params.get("import") == "1":
            operation = await self._desk.import_feed(caller.workspace, name, done.upload)
            answer["operation"] = operation.name
        return JSONResponse(answer)
