"""Wiring of the segment engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache

from starlette.routing import BaseRoute

from cdp.segment.v1 import analytics_pb2_grpc, segment_pb2_grpc
from core.eventlog.protocol import Fence, Partition
from core.kernels.threads import use_threads
from core.kernels.warm import warm_up
from services.runtime.caller import Scope, Workspace
from services.runtime.context import Runtime
from services.runtime.definitions import Definitions
from services.runtime.ownership import Ownership
from services.runtime.roles import Role
from services.runtime.service import GrpcService
from services.segment_engine.computed import SavedComputed
from services.segment_engine.computed_rpc import ComputedRpc
from services.segment_engine.export_rpc import ExportRpc
from services.segment_engine.names_rpc import NameRpc
from services.segment_engine.recommend_rpc import RecommendRpc
from services.segment_engine.remembered import Remembered
from services.segment_engine.rfm_models import SavedModels
from services.segment_engine.rpc import SegmentRpc
from services.segment_engine.rpc_analytics import AnalyticsRpc
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
_ANALYTICS_SCOPES = {
    "SaveRfmModel": Scope.FULL,
    "ListRfmModels": Scope.READ,
    "RfmMatrix": Scope.READ,
    "CohortMatrix": Scope.READ,
    "Overlap": Scope.READ,
    "Histogram": Scope.READ,
    "ListTemplates": Scope.READ,
}


@cache
def _warm_up_once() -> None:
    """Kernels belong to the process, however many engines it hosts one after the other."""
    warm_up()


class SegmentEngine:
    """The role: a shard per workspace, and SegmentService and AnalyticsService over them."""

    role = Role.SEGMENT_ENGINE

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.shards: Ownership[EngineShard] = Ownership(runtime, self.role, self._open)
        self._exports = ExportRpc(runtime, self.shards)
        self._warming: asyncio.Task[None] | None = None

    async def _open(self, workspace: Workspace, partition: Partition, fence: Fence) -> EngineShard:
        definitions = await Definitions.load(self._runtime.log, partition, "segment")
        models = SavedModels(await Definitions.load(self._runtime.log, partition, "rfm_model"), workspace.id)
        computed = SavedComputed(
            await Definitions.load(self._runtime.log, partition, "computed_attribute"),
            await Definitions.load(self._runtime.log, partition, "interest_model"),
        )
        committed = await Committed.load(self._runtime.log, partition)
        folder = self._runtime.settings.data_dir / "snapshots" / workspace.id
        snapshots = SnapshotStore(folder, workspace.id)
        index = await asyncio.to_thread(snapshots.load)
        return EngineShard(
            self._runtime,
            workspace,
            partition,
            fence,
            SavedSegments(definitions, workspace.zone, models, computed),
            index,
            snapshots,
            committed,
            await Remembered.load(self._runtime.log, partition),
        )

    def grpc_services(self) -> Sequence[GrpcService]:
        """SegmentService, AnalyticsService, NameService, ComputedService, RecommendService and ExportService."""
        rpc = SegmentRpc(self.shards, self._runtime.log)
        analytics = AnalyticsRpc(self.shards)
        return (
            GrpcService(
                "cdp.segment.v1.SegmentService",
                lambda server: segment_pb2_grpc.add_SegmentServiceServicer_to_server(rpc, server),
                _SCOPES,
            ),
            GrpcService(
                "cdp.segment.v1.AnalyticsService",
                lambda server: analytics_pb2_grpc.add_AnalyticsServiceServicer_to_server(analytics, server),
                _ANALYTICS_SCOPES,
            ),
            NameRpc(self.shards).service(),
            ComputedRpc(self.shards).service(),
            RecommendRpc(self.shards).service(),
            self._exports.service(),
        )

    def http_routes(self) -> Sequence[BaseRoute]:
        """Exports of segments."""
        return self._exports.routes()

    async def start(self) -> None:
        """Begin to own workspaces, and compile the kernels meanwhile."""
        use_threads(self._runtime.settings.question_threads)
        self._warming = asyncio.create_task(asyncio.to_thread(_warm_up_once))
        self.shards.start()

    def ready(self) -> bool:
        """Every workspace is caught up, and no question has to wait for the compiler."""
        warm = self._warming is not None and self._warming.done()
        return warm and self.shards.ready()

    async def stop(self) -> None:
        """Close the shards."""
        await self.shards.stop()
        if self._warming is not None:
            await self._warming


def build(runtime: Runtime) -> SegmentEngine:
    """The role on `runtime`."""
    return SegmentEngine(runtime)
