"""The feeds of all workspaces on one process: opens a workspace's share, and finds who has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import grpc
from google.longrunning import operations_pb2

from cdp.catalog.v1 import catalog_pb2 as pb
from cdp.catalog.v1 import catalog_pb2_grpc
from core.errors import CdpError
from core.eventlog.protocol import Fence, Partition
from services.ingest.feeds.books import FeedBooks
from services.ingest.feeds.fetch import Limits
from services.ingest.feeds.importer import Importer
from services.ingest.feeds.worker import FeedShard
from services.ingest.ways import Ways
from services.runtime.caller import Workspace
from services.runtime.context import Runtime
from services.runtime.errors import from_rpc
from services.runtime.forward import NOT_OWNED
from services.runtime.owners import Owners
from services.runtime.partitions import lease_of
from services.runtime.roles import Role

_UPLOAD_S = 3_600.0
_CALL_S = 10.0
_PART_BYTES = 1 << 20


class FeedDesk:
    """`shard_of` answers the open share of a workspace, or raises UNAVAILABLE / NOT_READY."""

    def __init__(self, runtime: Runtime, ways: Ways, shard_of: Callable[[str], FeedShard]) -> None:
        self.clock = runtime.clock
        self.shard_of = shard_of
        self._runtime = runtime
        self._ways = ways
        self._owners = Owners(runtime.log, runtime.leases)
        self._reading = asyncio.Semaphore(1)
        settings = runtime.settings
        self._limits = Limits(
            (),
            _listed(settings.feed_hosts),
            frozenset(_listed(settings.feed_private_hosts)),
            settings.feed_maximum_bytes,
        )

    def limits(self, settings: pb.CatalogSettings) -> Limits:
        """What feeds of a workspace with these settings may fetch."""
        return replace(self._limits, hosts=tuple(settings.feed_hosts))

    async def open(self, workspace: Workspace, partition: Partition, fence: Fence) -> FeedShard:
        """The share of a workspace that is owned here from now on."""
        runtime = self._runtime
        books = await FeedBooks.load(runtime.log, runtime.clock, partition, fence)
        way = self._ways.of(workspace)
        assert way.rates is not None, "every way of a workspace has its rates"
        importer = Importer(
            workspace,
            runtime.clock,
            books,
            way.batcher,
            lambda: self.limits(books.settings()),
            way.rates.read,
            self._reading,
        )
        folder = runtime.settings.data_dir / "feeds" / workspace.id
        return FeedShard(runtime.clock, books, importer, folder)

    async def upload(
        self, workspace: Workspace, name: str, parts: AsyncIterator[bytes], *, passed_on: bool
    ) -> pb.UploadFeedResponse:
        """Keep a file where the feed is imported: here, or passed on to the process that owns the workspace, unless it
        was passed on already. Raises as `FeedShard.receive`, UNAVAILABLE / NOT_READY when nobody owns it."""
        try:
            shard = self.shard_of(workspace.id)
        except CdpError as error:
            if error.reason != NOT_OWNED or passed_on:
                raise
            address = await self._owners.elsewhere(lease_of(Role.INGEST, workspace.bucket))
            if address is None:
                raise
            return await self._pass_on(address, workspace, name, parts)
        upload, size = await shard.receive(name, parts, self._limits.limit_bytes)
        return pb.UploadFeedResponse(upload=upload, size_bytes=size)

    async def import_feed(self, workspace: Workspace, name: str, upload: str) -> operations_pb2.Operation:
        """Begin an import of an upload, where the feed is imported. Raises as `FeedShard.import_feed`."""
        try:
            run = await self.shard_of(workspace.id).import_feed(name, upload, "")
        except CdpError as error:
            address = await self._owners.elsewhere(lease_of(Role.INGEST, workspace.bucket))
            if error.reason != NOT_OWNED or address is None:
                raise
            stubs = self._runtime.stubs
            stub = catalog_pb2_grpc.CatalogServiceStub(stubs.channel_to(address))
            request = pb.ImportFeedRequest(name=name, upload=upload)
            try:
                return await stub.ImportFeed(request, metadata=stubs.internal_metadata(workspace.id), timeout=_CALL_S)
            except grpc.aio.AioRpcError as answer:
                raise from_rpc(answer) from answer
        return run.to_operation(self.clock.now_us())

    async def _pass_on(
        self, address: str, workspace: Workspace, name: str, parts: AsyncIterator[bytes]
    ) -> pb.UploadFeedResponse:
        async def requests() -> AsyncIterator[pb.UploadFeedRequest]:
            yield pb.UploadFeedRequest(name=name)
            async for part in parts:
                for first in range(0, len(part), _PART_BYTES):
                    yield pb.UploadFeedRequest(content=part[first : first + _PART_BYTES])

        stubs = self._runtime.stubs
        stub = catalog_pb2_grpc.CatalogServiceStub(stubs.channel_to(address))
        metadata = (*stubs.internal_metadata(workspace.id), PASSED_ON)
        try:
            return await stub.UploadFeed(requests(), metadata=metadata, timeout=_UPLOAD_S)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error


#: Metadata of an upload that another process has passed on.
PASSED_ON = ("cdp-feed-passed-on", "1")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip().lower() for part in text.split(",") if part.strip())
