"""ExportService, and the same by HTTP: GET /v1/exports/{segment} with a key of scope read."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from urllib.parse import quote

import grpc
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from cdp.bulk.v1 import bulk_pb2 as pb
from cdp.bulk.v1 import bulk_pb2_grpc
from core.errors import CdpError, invalid
from services.runtime.caller import Scope, Workspace, caller
from services.runtime.context import Runtime
from services.runtime.errors import from_rpc, http_response
from services.runtime.forward import NOT_OWNED
from services.runtime.owners import Owners
from services.runtime.ownership import Ownership
from services.runtime.partitions import lease_of
from services.runtime.roles import Role
from services.runtime.service import GrpcService
from services.segment_engine.asked import Context, patience_s
from services.segment_engine.export import BAD_EXPORT, exported
from services.segment_engine.shard import EngineShard

_SCOPES = {"ExportSegment": Scope.READ}
_WAIT_S = 10.0
_FORMATS: Mapping[str, tuple[pb.ExportFormat.ValueType, str]] = {
    "csv": (pb.EXPORT_FORMAT_CSV, "text/csv; charset=utf-8"),
    "ndjson": (pb.EXPORT_FORMAT_NDJSON, "application/x-ndjson"),
    "parquet": (pb.EXPORT_FORMAT_PARQUET, "application/vnd.apache.parquet"),
}
_NUMBERS = ("as_of_us", "min_position", "page_size")
_KNOWN = frozenset({*_NUMBERS, "format", "attributes", "page_token", "formula_safe", "list_separator"})


class ExportRpc(bulk_pb2_grpc.ExportServiceServicer):
    """Answers from the published version of the caller's workspace."""

    def __init__(self, runtime: Runtime, shards: Ownership[EngineShard]) -> None:
        self._runtime = runtime
        self._shards = shards
        self._owners = Owners(runtime.log, runtime.leases)

    def service(self) -> GrpcService:
        """Ready to be added to a server."""
        add = partial(bulk_pb2_grpc.add_ExportServiceServicer_to_server, self)
        return GrpcService("cdp.bulk.v1.ExportService", add, _SCOPES)

    def routes(self) -> Sequence[BaseRoute]:
        """The one route."""
        return (Route("/v1/exports/{segment}", self._get, methods=["GET"]),)

    async def ExportSegment(
        self, request: pb.ExportSegmentRequest, context: Context
    ) -> AsyncIterator[pb.ExportSegmentResponse]:
        shard = self._shards.shard(caller().workspace.id)
        async for answer in exported(shard, request, patience_s(context)):
            yield answer

    async def _get(self, request: Request) -> Response:
        try:
            who = await self._runtime.workspaces.authenticate(_secret(request))
            who.require(Scope.READ)
            asked = _asked(request)
            answers = await self._answers(who.workspace, asked)
            first = await anext(answers)
        except CdpError as error:
            return http_response(error)
        kind = request.query_params.get("format", "csv")
        name = quote(f"{asked.name}.{kind}", safe="")
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
            "Cache-Control": "no-store",
            "X-Cdp-As-Of-Us": str(first.freshness.as_of_us),
            "X-Cdp-Position": str(first.freshness.position),
            "X-Cdp-Contacts": str(first.contacts),
        }
        return StreamingResponse(_contents(first, answers), media_type=_FORMATS[kind][1], headers=headers)

    async def _answers(
        self, workspace: Workspace, asked: pb.ExportSegmentRequest
    ) -> AsyncIterator[pb.ExportSegmentResponse]:
        """From the shard here, or from the process that owns the workspace."""
        try:
            return exported(self._shards.shard(workspace.id), asked, _WAIT_S)
        except CdpError as error:
            address = await self._owners.elsewhere(lease_of(Role.SEGMENT_ENGINE, workspace.bucket))
            if error.reason != NOT_OWNED or address is None:
                raise
        return self._from(address, workspace, asked)

    async def _from(
        self, address: str, workspace: Workspace, asked: pb.ExportSegmentRequest
    ) -> AsyncIterator[pb.ExportSegmentResponse]:
        stubs = self._runtime.stubs
        stub = bulk_pb2_grpc.ExportServiceStub(stubs.channel_to(address))
        try:
            async for answer in stub.ExportSegment(asked, metadata=stubs.internal_metadata(workspace.id)):
                yield answer
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error


async def _contents(
    first: pb.ExportSegmentResponse, answers: AsyncIterator[pb.ExportSegmentResponse]
) -> AsyncIterator[bytes]:
    """What comes breaks off where an error comes, so that nobody takes a part for the whole."""
    yield first.content
    async for answer in answers:
        if answer.content:
            yield answer.content


def _asked(request: Request) -> pb.ExportSegmentRequest:
    given = request.query_params
    unknown = sorted(set(given) - _KNOWN)
    if unknown:
        raise invalid(BAD_EXPORT, f"there is no parameter {unknown[0][:100]!r}; there are {', '.join(sorted(_KNOWN))}")
    if given.get("format", "csv") not in _FORMATS:
        raise invalid(BAD_EXPORT, f"format is one of {', '.join(_FORMATS)}")
    numbers = {}
    for name in _NUMBERS:
        text = given.get(name, "0")
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise invalid(BAD_EXPORT, f"{name} is a natural number")
        numbers[name] = int(text)
    if numbers["page_size"] >= 2**32:
        raise invalid(BAD_EXPORT, "page_size is a number of contacts")
    return pb.ExportSegmentRequest(
        name=request.path_params["segment"],
        attributes=[one for one in given.get("attributes", "").split(",") if one],
        format=_FORMATS[given.get("format", "csv")][0],
        page_token=given.get("page_token", ""),
        formula_safe=given.get("formula_safe") in ("1", "true"),
        list_separator=given.get("list_separator", ""),
        as_of_us=numbers["as_of_us"],
        min_position=numbers["min_position"],
        page_size=numbers["page_size"],
    )


def _secret(request: Request) -> str:
    """The key: a Bearer token, or the user of Basic."""
    scheme, _, rest = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest.strip(), validate=True).decode("utf-8", "replace").partition(":")[0]
    except binascii.Error:
        return ""
