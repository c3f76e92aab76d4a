"""PUT /v1/files/{name}: a file, whole or from a byte on (`Content-Range: bytes 1000-1999/5000`); GET tells how much of
it there is."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from cdp.bulk.v1 import bulk_pb2 as pb
from core.errors import invalid
from services.ingest.body import body_parts
from services.ingest.bulk.desk import BulkDesk
from services.ingest.door import Door, header_caller
from services.ingest.registry import Registry
from services.runtime.caller import Scope

BAD_RANGE = "BAD_CONTENT_RANGE"
RANGE_NOT_FILLED = "RANGE_NOT_FILLED"

_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)", re.ASCII)


class BulkHttp:
    """The routes of files, with a key of scope full in the header."""

    def __init__(self, registry: Registry, desk: BulkDesk, door: Door) -> None:
        self._registry = registry
        self._desk = desk
        self._door = door

    def routes(self) -> Sequence[BaseRoute]:
        """PUT and GET of a file."""
        return (
            Route("/v1/files/{name}", partial(self._door.answer, self._put), methods=["PUT"]),
            Route("/v1/files/{name}", partial(self._door.answer, self._get), methods=["GET"]),
        )

    async def _put(self, request: Request) -> Response:
        caller = await header_caller(self._registry, request, Scope.FULL)
        start, length = _start(request)
        taken = 0

        async def parts() -> AsyncIterator[bytes]:
            nonlocal taken
            async for part in body_parts(request):
                taken += len(part)
                if length is not None and taken > length:
                    raise invalid(RANGE_NOT_FILLED, f"Content-Range tells of {length} bytes, and more came")
                yield part
            if length is not None and taken < length:
                raise invalid(RANGE_NOT_FILLED, f"Content-Range tells of {length} bytes, {taken} came")

        file = await self._desk.upload(caller.workspace, start, parts(), passed_on=False)
        return _told(file)

    async def _get(self, request: Request) -> Response:
        caller = await header_caller(self._registry, request, Scope.FULL)
        return _told(await self._desk.state(caller.workspace, request.path_params["name"]))


def _start(request: Request) -> tuple[pb.FileStart, int | None]:
    name, told = request.path_params["name"], request.headers.get("content-range")
    if told is None:
        length = request.headers.get("content-length", "")
        known = int(length) if length.isascii() and length.isdigit() and len(length) <= 15 else 0
        return pb.FileStart(name=name, size_bytes=known), None
    found = _RANGE.fullmatch(told.strip())
    if found is None or int(found[2]) < int(found[1]):
        raise invalid(BAD_RANGE, "Content-Range is like: bytes 1000-1999/5000")
    first, last = int(found[1]), int(found[2])
    if found[3] == "*":
        raise invalid(BAD_RANGE, "Content-Range has to tell the size of the whole file")
    if last >= int(found[3]):
        raise invalid(BAD_RANGE, "Content-Range lies beyond the size that it tells")
    return pb.FileStart(name=name, offset=first, size_bytes=int(found[3])), last - first + 1


def _told(file: pb.File) -> Response:
    answer = {"name": file.name, "size_bytes": file.size_bytes, "complete": file.complete}
    return JSONResponse(answer, 200 if file.complete else 202)
