"""Wiring of the segment engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.routing import BaseRoute

from cdp.segment.v1 import segment_pb2_grpc
from core.eventlog.protocol import Fence, Partition
from services.runtime.caller import Scope, Workspace
from services.runtime.context import Runtime
from services.runtime.definitions import Definitions
from services.runtime.ownership import Ownership
from services.runtime.roles import Role
from services.runtime.service import GrpcService
from services.segment_engine.rpc import SegmentRpc
from services.segment_engine.saved import SavedSegments
from services.segment_engine.shard import Committed, EngineShard
from services.segment_engine.snapshots import SnapshotStore

_SCOPES = {
    "SaveSegment": Scope.FULL,
    "GetSegment": Scope.READ,
    "ListSegments": Scope.READ,
    "DeleteSegment": Scope.FULL,
    "ListSegmentVersions": Scope.READ,
    "ListAuditRecords": Scope.READ,
    "ConvertRule": Scope.READ,
    "Count": Scope.READ,
    "Evaluate": Scope.READ,
    "Members": Scope.READ,
    "ListMembers": Scope.READ,
    "IsMember": Scope.READ,
    "Watch": Scope.READ,
}


class SegmentEngine:
    """The role: a shard per workspace, and SegmentService over them."""

    role = Role.SEGMENT_ENGINE

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.shards: Ownership[EngineShard] = Ownership(runtime, self.role, self._open)

    async def _open(self, workspace: Workspace, partition: Partition, fence: Fence) -> EngineShard:
        definitions = await Definitions.load(self._runtime.log, partition, "segment")
        committed = await Committed.load(self._runtime.log, partition)
        folder = self._runtime.settings.data_dir / "snapshots" / workspace.id
        snapshots = SnapshotStore(folder, workspace.id)
        index = await asyncio.to_thread(snapshots.load)
        return EngineShard(
            self._runtime,
            workspace,
            partition,
            fence,
            SavedSegments(definitions, workspace.zone),
            index,
            snapshots,
            committed,
        )

    def grpc_services(self) -> Sequence[GrpcService]:
        """SegmentService."""
        rpc = SegmentRpc(self.shards, self._runtime.log)
        return (
            GrpcService(
                "cdp.segment.v1.SegmentService",
                lambda server: segment_pb2_grpc.add_SegmentServiceServicer_to_server(rpc, server),
                _SCOPES,
            ),
        )

    def http_routes(self) -> Sequence[BaseRoute]:
        """None."""
        return ()

    async def start(self) -> None:
        """Begin to own workspaces."""
        self.shards.start()

    def ready(self) -> bool:
        """Every workspace is caught up."""
        return self.shards.ready()

    async def stop(self) -> None:
        """Close the shards."""
        await self.shards.stop()


def build(runtime: Runtime) -> SegmentEngine:
    """The role on `runtime`."""
    return SegmentEngine(runtime)
