"""The imports of all workspaces on one process: opens a workspace's share, and finds who has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import grpc

from cdp.bulk.v1 import bulk_pb2 as pb
from cdp.bulk.v1 import bulk_pb2_grpc
from core.errors import CdpError
from core.eventlog.protocol import Fence, Partition
from services.ingest.bulk.books import ImportBooks
from services.ingest.bulk.files import BulkFiles
from services.ingest.bulk.importer import MOST_BEHIND, Importer
from services.ingest.bulk.retention import Retention
from services.ingest.bulk.worker import BulkShard
from services.ingest.ways import Ways
from services.runtime.caller import Workspace
from services.runtime.context import Runtime
from services.runtime.errors import from_rpc
from services.runtime.forward import NOT_OWNED
from services.runtime.owners import Owners
from services.runtime.partitions import lease_of
from services.runtime.roles import Role

_UPLOAD_S = 6 * 3_600.0
_CALL_S = 10.0
_PART_BYTES = 1 << 20

#: Metadata of an upload that another process has passed on.
PASSED_ON = ("cdp-file-passed-on", "1")


class BulkDesk:
    """`shard_of` answers the open share of a workspace, or raises UNAVAILABLE / NOT_READY."""

    def __init__(
        self, runtime: Runtime, ways: Ways, shard_of: Callable[[str], BulkShard], most_behind: int = MOST_BEHIND
    ) -> None:
        self.clock = runtime.clock
        self.shard_of = shard_of
        self._runtime = runtime
        self._ways = ways
        self._most_behind = most_behind
        self._owners = Owners(runtime.log, runtime.leases)
        self._reading = asyncio.Semaphore(1)

    async def open(self, workspace: Workspace, partition: Partition, fence: Fence) -> BulkShard:
        """The share of a workspace that is owned here from now on."""
        runtime = self._runtime
        books = await ImportBooks.load(runtime.log, runtime.clock, partition, fence)
        folder = runtime.settings.data_dir / "bulk" / workspace.id
        files = BulkFiles(folder / "files", runtime.settings.file_maximum_bytes)
        _, end = await runtime.log.bounds(partition)
        importer = Importer(
            workspace,
            runtime.clock,
            books,
            self._ways.of(workspace),
            files,
            folder / "imports",
            self._reading,
            end,
            self._most_behind,
            cancelled=lambda _: False,
        )
        retention = Retention(runtime.settings.file_retention_days)
        return BulkShard(runtime.clock, books, files, importer, workspace.zone, retention)

    async def upload(
        self, workspace: Workspace, start: pb.FileStart, parts: AsyncIterator[bytes], *, passed_on: bool
    ) -> pb.File:
        """Take a file where it is imported: here, or passed on to the process that owns the workspace, unless it was
        passed on already. Raises as `BulkFiles.receive`, UNAVAILABLE / NOT_READY when nobody owns it."""
        try:
            shard = self.shard_of(workspace.id)
        except CdpError as error:
            address = await self._elsewhere(workspace, error)
            if address is None or passed_on:
                raise
            return await self._pass_on(address, workspace, start, parts)
        state = await shard.files.receive(start.name, start.offset, start.size_bytes, parts)
        if state.complete:
            shard.files.stamp(state.name, self.clock.now_us())
        return pb.File(name=state.name, size_bytes=state.size_bytes, complete=state.complete)

    async def state(self, workspace: Workspace, name: str) -> pb.File:
        """How much of a file there is, where it is imported. Raises NOT_FOUND, UNAVAILABLE / NOT_READY."""
        try:
            state = self.shard_of(workspace.id).files.state(name)
        except CdpError as error:
            address = await self._elsewhere(workspace, error)
            if address is None:
                raise
            stubs = self._runtime.stubs
            stub = bulk_pb2_grpc.BulkServiceStub(stubs.channel_to(address))
            request, metadata = pb.GetFileRequest(name=name), stubs.internal_metadata(workspace.id)
            try:
                return (await stub.GetFile(request, metadata=metadata, timeout=_CALL_S)).file
            except grpc.aio.AioRpcError as answer:
                raise from_rpc(answer) from answer
        return pb.File(name=state.name, size_bytes=state.size_bytes, complete=state.complete)

    async def _elsewhere(self, workspace: Workspace, refusal: CdpError) -> str | None:
        if refusal.reason != NOT_OWNED:
            return None
        return await self._owners.elsewhere(lease_of(Role.INGEST, workspace.bucket))

    async def _pass_on(
        self, address: str, workspace: Workspace, start: pb.FileStart, parts: AsyncIterator[bytes]
    ) -> pb.File:
        async def requests() -> AsyncIterator[pb.UploadFileRequest]:
            yield pb.UploadFileRequest(start=start)
            async for part in parts:
                for first in range(0, len(part), _PART_BYTES):
                    yield pb.UploadFileRequest(content=part[first : first + _PART_BYTES])

        stubs = self._runtime.stubs
        stub = bulk_pb2_grpc.BulkServiceStub(stubs.channel_to(address))
        metadata = (*stubs.internal_metadata(workspace.id), PASSED_ON)
        try:
            return (await stub.UploadFile(requests(), metadata=metadata, timeout=_UPLOAD_S)).file
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error
