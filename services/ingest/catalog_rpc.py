"""CatalogService: feeds, their runs and reports, the products that they told, and the catalogue's settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
from google.longrunning import operations_pb2

from cdp.catalog.v1 import catalog_pb2 as pb
from cdp.catalog.v1 import catalog_pb2_grpc
from core.errors import invalid
from services.ingest.feeds import reading
from services.ingest.feeds.definition import checked_feed, checked_settings
from services.ingest.feeds.desk import PASSED_ON, FeedDesk
from services.ingest.feeds.worker import FeedShard
from services.runtime.caller import Caller, Scope, caller
from services.runtime.service import GrpcService

Context = grpc.aio.ServicerContext[Any, Any]

BAD_UPLOAD = "BAD_UPLOAD"

_SCOPES = {
    "SaveFeed": Scope.FULL,
    "GetFeed": Scope.READ,
    "ListFeeds": Scope.READ,
    "DeleteFeed": Scope.FULL,
    "ImportFeed": Scope.FULL,
    "UploadFeed": Scope.FULL,
    "GetFeedRun": Scope.READ,
    "ListFeedRuns": Scope.READ,
    "ConfirmFeedRun": Scope.FULL,
    "RejectFeedRun": Scope.FULL,
    "ListRejectedItems": Scope.READ,
    "DownloadRejectedItems": Scope.READ,
    "GetProduct": Scope.READ,
    "ListProducts": Scope.READ,
    "GetCatalogSettings": Scope.READ,
    "SaveCatalogSettings": Scope.FULL,
}


class CatalogRpc(catalog_pb2_grpc.CatalogServiceServicer):
    """Answered by the process that owns the workspace; others pass calls on to it."""

    def __init__(self, desk: FeedDesk) -> None:
        self._desk = desk

    def service(self) -> GrpcService:
        """Ready to be added to a server."""
        add = partial(catalog_pb2_grpc.add_CatalogServiceServicer_to_server, self)
        return GrpcService("cdp.catalog.v1.CatalogService", add, _SCOPES)

    # --- feeds ------------------------------------------------------------------------------------------------

    async def SaveFeed(self, request: pb.SaveFeedRequest, context: Context) -> pb.SaveFeedResponse:
        shard, who = self._shard(), caller()
        async with shard.changing:
            feed = checked_feed(request.feed, self._desk.limits(shard.books.settings()))
            saved = await shard.books.save_feed(feed, request.etag, _actor(who), request.request_id)
        return pb.SaveFeedResponse(feed=saved)

    async def GetFeed(self, request: pb.GetFeedRequest, context: Context) -> pb.GetFeedResponse:
        return pb.GetFeedResponse(feed=self._shard().books.feed(request.name))

    async def ListFeeds(self, request: pb.ListFeedsRequest, context: Context) -> pb.ListFeedsResponse:
        feeds, token = self._shard().books.page(request.page_size, request.page_token)
        return pb.ListFeedsResponse(feeds=feeds, next_page_token=token)

    async def DeleteFeed(self, request: pb.DeleteFeedRequest, context: Context) -> pb.DeleteFeedResponse:
        shard = self._shard()
        run = await shard.delete_feed(
            request.name, request.etag, _actor(caller()), remove_products=request.remove_products
        )
        return pb.DeleteFeedResponse(run=None if run is None else run.to_proto(self._desk.clock.now_us()))

    # --- runs -------------------------------------------------------------------------------------------------

    async def ImportFeed(self, request: pb.ImportFeedRequest, context: Context) -> operations_pb2.Operation:
        run = await self._shard().import_feed(request.name, request.upload, request.request_id)
        return run.to_operation(self._desk.clock.now_us())

    async def UploadFeed(
        self, request_iterator: AsyncIterator[pb.UploadFeedRequest], context: Context
    ) -> pb.UploadFeedResponse:
        first = await anext(aiter(request_iterator), None)
        if first is None or first.WhichOneof("part") != "name":
            raise invalid(BAD_UPLOAD, "the first message names the feed, the others are its bytes")
        passed_on = PASSED_ON in (tuple(pair) for pair in context.invocation_metadata() or ())
        return await self._desk.upload(caller().workspace, first.name, _contents(request_iterator), passed_on=passed_on)

    async def GetFeedRun(self, request: pb.GetFeedRunRequest, context: Context) -> pb.GetFeedRunResponse:
        run = self._shard().books.run(request.feed, request.number)
        return pb.GetFeedRunResponse(run=run.to_proto(self._desk.clock.now_us()))

    async def ListFeedRuns(self, request: pb.ListFeedRunsRequest, context: Context) -> pb.ListFeedRunsResponse:
        runs, token = self._shard().books.runs_page(request.feed, request.page_size, request.page_token)
        now_us = self._desk.clock.now_us()
        return pb.ListFeedRunsResponse(runs=[run.to_proto(now_us) for run in runs], next_page_token=token)

    async def ConfirmFeedRun(self, request: pb.ConfirmFeedRunRequest, context: Context) -> pb.ConfirmFeedRunResponse:
        run = await self._shard().confirm(request.feed, request.number)
        return pb.ConfirmFeedRunResponse(run=run.to_proto(self._desk.clock.now_us()))

    async def RejectFeedRun(self, request: pb.RejectFeedRunRequest, context: Context) -> pb.RejectFeedRunResponse:
        run = await self._shard().reject(request.feed, request.number)
        return pb.RejectFeedRunResponse(run=run.to_proto(self._desk.clock.now_us()))

    # --- reports ----------------------------------------------------------------------------------------------

    async def ListRejectedItems(
        self, request: pb.ListRejectedItemsRequest, context: Context
    ) -> pb.ListRejectedItemsResponse:
        files = self._shard().files_of_known(request.feed)
        items, token = await asyncio.to_thread(reading.rejected_page, files, request.page_size, request.page_token)
        return pb.ListRejectedItemsResponse(items=items, next_page_token=token)

    async def DownloadRejectedItems(
        self, request: pb.DownloadRejectedItemsRequest, context: Context
    ) -> AsyncIterator[pb.DownloadRejectedItemsResponse]:
        parts = reading.rejected_csv(self._shard().files_of_known(request.feed))
        try:
            while (part := await asyncio.to_thread(next, parts, None)) is not None:
                yield pb.DownloadRejectedItemsResponse(content=part)
        finally:
            await asyncio.to_thread(parts.close)

    # --- products ---------------------------------------------------------------------------------------------

    async def GetProduct(self, request: pb.GetProductRequest, context: Context) -> pb.GetProductResponse:
        files = self._shard().files_with_items()
        feed, product = await asyncio.to_thread(reading.product, files, request.product_id)
        return pb.GetProductResponse(product=product, feed=feed)

    async def ListProducts(self, request: pb.ListProductsRequest, context: Context) -> pb.ListProductsResponse:
        shard = self._shard()
        files = {request.feed: shard.files_of_known(request.feed)} if request.feed else shard.files_with_items()
        products, token = await asyncio.to_thread(reading.products_page, files, request.page_size, request.page_token)
        return pb.ListProductsResponse(products=products, next_page_token=token)

    # --- settings ---------------------------------------------------------------------------------------------

    async def GetCatalogSettings(
        self, request: pb.GetCatalogSettingsRequest, context: Context
    ) -> pb.GetCatalogSettingsResponse:
        return pb.GetCatalogSettingsResponse(settings=self._shard().books.settings())

    async def SaveCatalogSettings(
        self, request: pb.SaveCatalogSettingsRequest, context: Context
    ) -> pb.SaveCatalogSettingsResponse:
        shard, who = self._shard(), caller()
        kept = checked_settings(request.settings)
        async with shard.changing:
            saved = await shard.books.save_settings(kept, request.etag, _actor(who))
        return pb.SaveCatalogSettingsResponse(settings=saved)

    def _shard(self) -> FeedShard:
        return self._desk.shard_of(caller().workspace.id)


async def _contents(requests: AsyncIterator[pb.UploadFeedRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("part") != "content":
            raise invalid(BAD_UPLOAD, "after the feed's name come its bytes")
        yield request.content


def _actor(who: Caller) -> str:
    return who.key_name or who.key_id
