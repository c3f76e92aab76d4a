"""BulkService: files, imports of them, and the reports of refused rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
from google.longrunning import operations_pb2

from cdp.bulk.v1 import bulk_pb2 as pb
from cdp.bulk.v1 import bulk_pb2_grpc
from core.errors import invalid
from services.ingest.bulk.desk import PASSED_ON, BulkDesk
from services.ingest.bulk.files import FileState, is_file_name
from services.ingest.bulk.report import Report
from services.ingest.bulk.worker import BulkShard
from services.runtime.caller import Scope, caller
from services.runtime.pages import bad_page_token, page_entries
from services.runtime.service import GrpcService

Context = grpc.aio.ServicerContext[Any, Any]

BAD_UPLOAD = "BAD_UPLOAD"

_SCOPES = {
    "UploadFile": Scope.FULL,
    "GetFile": Scope.READ,
    "ListFiles": Scope.READ,
    "DeleteFile": Scope.FULL,
    "ProposeMapping": Scope.READ,
    "StartImport": Scope.FULL,
    "GetImport": Scope.READ,
    "ListImports": Scope.READ,
    "DownloadRejectedRows": Scope.FULL,
}


class BulkRpc(bulk_pb2_grpc.BulkServiceServicer):
    """Answered by the process that owns the workspace; others pass calls on to it."""

    def __init__(self, desk: BulkDesk) -> None:
        self._desk = desk

    def service(self) -> GrpcService:
        """Ready to be added to a server."""
        add = partial(bulk_pb2_grpc.add_BulkServiceServicer_to_server, self)
        return GrpcService("cdp.bulk.v1.BulkService", add, _SCOPES)

    # --- files ------------------------------------------------------------------------------------------------

    async def UploadFile(
        self, request_iterator: AsyncIterator[pb.UploadFileRequest], context: Context
    ) -> pb.UploadFileResponse:
        first = await anext(aiter(request_iterator), None)
        if first is None or first.WhichOneof("part") != "start":
            raise invalid(BAD_UPLOAD, "the first message says where the file begins, the others are its bytes")
        passed_on = PASSED_ON in (tuple(pair) for pair in context.invocation_metadata() or ())
        parts = _contents(request_iterator)
        file = await self._desk.upload(caller().workspace, first.start, parts, passed_on=passed_on)
        return pb.UploadFileResponse(file=file)

    async def GetFile(self, request: pb.GetFileRequest, context: Context) -> pb.GetFileResponse:
        return pb.GetFileResponse(file=_file(self._shard().files.state(request.name)))

    async def ListFiles(self, request: pb.ListFilesRequest, context: Context) -> pb.ListFilesResponse:
        if request.page_token and not is_file_name(request.page_token):
            raise bad_page_token()
        found = await asyncio.to_thread(self._shard().files.all)
        rest = [one for one in found if one.name > request.page_token]
        page = rest[: page_entries(request.page_size)]
        token = page[-1].name if len(page) < len(rest) else ""
        return pb.ListFilesResponse(files=[_file(one) for one in page], next_page_token=token)

    async def DeleteFile(self, request: pb.DeleteFileRequest, context: Context) -> pb.DeleteFileResponse:
        self._shard().delete_file(request.name)
        return pb.DeleteFileResponse()

    # --- imports ----------------------------------------------------------------------------------------------

    async def ProposeMapping(self, request: pb.ProposeMappingRequest, context: Context) -> pb.ProposeMappingResponse:
        return await self._shard().propose(request.spec)

    async def StartImport(self, request: pb.StartImportRequest, context: Context) -> operations_pb2.Operation:
        who = caller()
        run = await self._shard().start(request, "" if who.internal else who.key_id)
        return run.to_operation(self._desk.clock.now_us())

    async def GetImport(self, request: pb.GetImportRequest, context: Context) -> pb.GetImportResponse:
        found = self._shard().books.run(request.number).to_proto(self._desk.clock.now_us())
        return pb.GetImportResponse(**{"import": found})

    async def ListImports(self, request: pb.ListImportsRequest, context: Context) -> pb.ListImportsResponse:
        runs, token = self._shard().books.page(request.page_size, request.page_token)
        now_us = self._desk.clock.now_us()
        return pb.ListImportsResponse(imports=[run.to_proto(now_us) for run in runs], next_page_token=token)

    async def DownloadRejectedRows(
        self, request: pb.DownloadRejectedRowsRequest, context: Context
    ) -> AsyncIterator[pb.DownloadRejectedRowsResponse]:
        run, folder = self._shard().rejected(request.number)
        parts = Report(folder).parts([one.column for one in run.whole_spec.columns])
        try:
            while (part := await asyncio.to_thread(next, parts, None)) is not None:
                yield pb.DownloadRejectedRowsResponse(content=part)
        finally:
            await asyncio.to_thread(parts.close)

    def _shard(self) -> BulkShard:
        return self._desk.shard_of(caller().workspace.id)


def _file(state: FileState) -> pb.File:
    return pb.File(name=state.name, size_bytes=state.size_bytes, complete=state.complete)


async def _contents(requests: AsyncIterator[pb.UploadFileRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("part") != "content":
            raise invalid(BAD_UPLOAD, "after where the file begins come its bytes")
        yield request.content
