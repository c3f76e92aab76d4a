"""google.longrunning.Operations over the long jobs of ingest: imports of files, and of product feeds."""

from __future__ import annotations

import asyncio
import re
import time
from functools import partial
from typing import Any

import grpc
from google.longrunning import operations_pb2 as pb
from google.longrunning import operations_pb2_grpc
from google.protobuf import empty_pb2

from cdp.profile.v1 import profile_pb2
from core.errors import CdpError, Code, invalid, not_found
from services.ingest.bulk.desk import BulkDesk
from services.ingest.bulk.run import OPERATIONS
from services.ingest.bulk.worker import BulkShard
from services.ingest.feeds.books import FeedBooks
from services.ingest.feeds.desk import FeedDesk
from services.runtime.caller import Scope, caller
from services.runtime.errors import from_rpc
from services.runtime.service import GrpcService
from services.runtime.stubs import Stubs

Context = grpc.aio.ServicerContext[Any, Any]

NO_SUCH_OPERATION = "NO_SUCH_OPERATION"
_ERASURES = "operations/erasures/"
_NAME = re.compile(re.escape(OPERATIONS) + r"(\d{1,9})", re.ASCII)
_FEED_RUN = re.compile(r"operations/feeds/([a-z0-9_-]{1,63})/runs/(\d{1,9})", re.ASCII)
_FEED = re.compile(r"operations/feeds/([a-z0-9_-]{1,63})", re.ASCII)
#: A feed's run tells nobody when it ends: so often is looked.
_LOOK_S = 0.1
_LONGEST_WAIT_S = 50.0

_SCOPES = {
    "ListOperations": Scope.READ,
    "GetOperation": Scope.READ,
    "DeleteOperation": Scope.FULL,
    "CancelOperation": Scope.FULL,
    "WaitOperation": Scope.READ,
}


class OperationsRpc(operations_pb2_grpc.OperationsServicer):  # type: ignore[misc,unused-ignore]
    """Answered by the process that owns the workspace; others pass calls on to it."""

    def __init__(self, desk: BulkDesk, feeds: FeedDesk, stubs: Stubs) -> None:
        self._stubs = stubs
        self._desk = desk
        self._feeds = feeds

    def service(self) -> GrpcService:
        """Ready to be added to a server."""
        add = partial(operations_pb2_grpc.add_OperationsServicer_to_server, self)
        return GrpcService("google.longrunning.Operations", add, _SCOPES)

    async def ListOperations(self, request: pb.ListOperationsRequest, context: Context) -> pb.ListOperationsResponse:
        """Newest first: imports where `name` is empty or "operations/imports", the runs of a feed where it is
        "operations/feeds/<feed>"; filters are refused."""
        if request.filter:
            raise invalid("NO_FILTERS", "operations are listed without a filter")
        feed = _FEED.fullmatch(request.name)
        if feed is not None:
            found, token = self._books().runs_page(feed[1], max(0, request.page_size), request.page_token)
            at_us = self._feeds.clock.now_us()
            return pb.ListOperationsResponse(
                operations=[run.to_operation(at_us) for run in found], next_page_token=token
            )
        runs, token = self._shard().books.page(max(0, request.page_size), request.page_token)
        now_us = self._desk.clock.now_us()
        return pb.ListOperationsResponse(operations=[run.to_operation(now_us) for run in runs], next_page_token=token)

    async def GetOperation(self, request: pb.GetOperationRequest, context: Context) -> pb.Operation:
        if request.name.startswith(_ERASURES):
            return await self._erasure(request.name)
        feed = _FEED_RUN.fullmatch(request.name)
        if feed is not None:
            return self._feed_run(feed)
        run = self._shard().books.run(_number(request.name))
        return run.to_operation(self._desk.clock.now_us())

    async def DeleteOperation(self, request: pb.DeleteOperationRequest, context: Context) -> empty_pb2.Empty:
        """Refused: an import is remembered with its report, and the oldest are forgotten."""
        if _FEED_RUN.fullmatch(request.name) is not None:
            raise CdpError(Code.INVALID, "KEPT_OPERATION", "runs of feeds are kept; the oldest are forgotten")
        self._shard().books.run(_number(request.name))
        raise CdpError(Code.INVALID, "KEPT_OPERATION", "imports are kept with their reports; the oldest are forgotten")

    async def CancelOperation(self, request: pb.CancelOperationRequest, context: Context) -> empty_pb2.Empty:
        feed = _FEED_RUN.fullmatch(request.name)
        if feed is not None:
            # A run that is held can be dropped; one under way ends by itself within minutes.
            await self._feeds.shard_of(caller().workspace.id).reject(feed[1], int(feed[2]))
            return empty_pb2.Empty()
        await self._shard().cancel(_number(request.name))
        return empty_pb2.Empty()

    async def WaitOperation(self, request: pb.WaitOperationRequest, context: Context) -> pb.Operation:
        asked_s = request.timeout.seconds + request.timeout.nanos / 1e9 if request.HasField("timeout") else 3_600.0
        left_s = context.time_remaining()
        patience_s = min(asked_s, _LONGEST_WAIT_S, _LONGEST_WAIT_S if left_s is None else left_s * 0.9)
        if request.name.startswith(_ERASURES):
            return await self._erasure_ended(request.name, patience_s)
        feed = _FEED_RUN.fullmatch(request.name)
        if feed is not None:
            return await self._feed_run_ended(feed, patience_s)
        run = await self._shard().books.wait(_number(request.name), max(0.0, patience_s))
        return run.to_operation(self._desk.clock.now_us())

    async def _erasure(self, name: str) -> pb.Operation:
        """An erasure of a person, which unification carries out."""
        metadata = self._stubs.internal_metadata(caller().workspace.id)
        request = profile_pb2.GetErasureRequest(name=name)
        try:
            return await self._stubs.profile().GetErasure(request, metadata=metadata, timeout=_LONGEST_WAIT_S)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error

    async def _erasure_ended(self, name: str, patience_s: float) -> pb.Operation:
        operation = await self._erasure(name)
        give_up_s = time.monotonic() + patience_s
        while not operation.done and time.monotonic() < give_up_s:
            await asyncio.sleep(_LOOK_S)
            operation = await self._erasure(name)
        return operation

    def _books(self) -> FeedBooks:
        return self._feeds.shard_of(caller().workspace.id).books

    def _feed_run(self, name: re.Match[str]) -> pb.Operation:
        run = self._books().run(name[1], int(name[2]))
        return run.to_operation(self._feeds.clock.now_us())

    async def _feed_run_ended(self, name: re.Match[str], patience_s: float) -> pb.Operation:
        operation = self._feed_run(name)
        give_up_s = time.monotonic() + patience_s
        while not operation.done and time.monotonic() < give_up_s:
            await asyncio.sleep(_LOOK_S)
            operation = self._feed_run(name)
        return operation

    def _shard(self) -> BulkShard:
        return self._desk.shard_of(caller().workspace.id)


def _number(name: str) -> int:
    found = _NAME.fullmatch(name)
    if found is None:
        raise not_found(NO_SUCH_OPERATION, "there is no such operation")
    return int(found[1])
