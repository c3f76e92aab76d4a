"""Wiring of the ingest service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.routing import BaseRoute

from core.eventlog.protocol import Fence, Partition
from services.ingest import development
from services.ingest.allowances import Allowances
from services.ingest.archive_table import facts_table
from services.ingest.bulk.desk import BulkDesk
from services.ingest.bulk.http import BulkHttp
from services.ingest.bulk_rpc import BulkRpc
from services.ingest.catalog_rpc import CatalogRpc
from services.ingest.coupons.books import CouponBooks
from services.ingest.coupons.rpc import CouponRpc
from services.ingest.door import Door
from services.ingest.feeds.desk import FeedDesk
from services.ingest.feeds.http import FeedHttp
from services.ingest.http import IngestHttp
from services.ingest.money_rpc import MoneyRpc
from services.ingest.operations_rpc import OperationsRpc
from services.ingest.order_rpc import OrderRpc
from services.ingest.order_shard import OrderShard
from services.ingest.owned import Owned
from services.ingest.posthog_http import PosthogHttp
from services.ingest.push_http import PushHttp
from services.ingest.registry import Registry
from services.ingest.rpc import IngestRpc
from services.ingest.rudder_http import RudderHttp
from services.ingest.schema_rpc import SchemaRpc
from services.ingest.tracker.http import TrackerHttp
from services.ingest.ways import Ways
from services.ingest.worker import ArchiveShard
from services.ingest.workspace_rpc import registry_services
from services.runtime.caller import Workspace
from services.runtime.context import Runtime
from services.runtime.ownership import Ownership
from services.runtime.roles import Role
from services.runtime.service import GrpcService, Service


class Ingest:
    """The front door: facts in, workspaces and keys, the archive. See `services.runtime.service.Service`."""

    role = Role.INGEST

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.registry = Registry(runtime.log, runtime.clock, runtime.leases)
        self._ways = Ways(runtime, Allowances(self.registry, runtime.settings.ingest_processes))
        self._rpc = IngestRpc(runtime, self._ways, lambda workspace_id: self._owned.shard(workspace_id))
        self._door = Door()
        self._http = IngestHttp(self.registry, self._ways, runtime.clock, self._door)
        self._posthog = PosthogHttp(self.registry, self._ways, runtime.clock, self._door)
        self._rudder = RudderHttp(self.registry, self._door)
        self._tracker = TrackerHttp(self.registry, self._ways, runtime.clock, self._door, runtime.settings)
        self._push = PushHttp(self.registry, self._ways, runtime.clock, self._door, runtime.settings)
        self._owned = Ownership(runtime, Role.INGEST, self._open_owned)
        self._feeds = FeedDesk(runtime, self._ways, lambda workspace_id: self._owned.shard(workspace_id).feeds)
        self._bulk = BulkDesk(runtime, self._ways, lambda workspace_id: self._owned.shard(workspace_id).bulk)

    def grpc_services(self) -> Sequence[GrpcService]:
        """IngestService, the other services of facts, Operations, WorkspaceService and KeyService."""
        own = (self._rpc.service(), SchemaRpc(self._ways).service(), CatalogRpc(self._feeds).service())
        bulk = (BulkRpc(self._bulk).service(), OperationsRpc(self._bulk, self._feeds, self._runtime.stubs).service())
        coupons = CouponRpc(self._ways, lambda workspace_id: self._owned.shard(workspace_id).orders.coupons)
        money = (MoneyRpc(self._ways).service(), OrderRpc(self._runtime, self._ways).service(), coupons.service())
        return (*own, *money, *bulk, *registry_services(self.registry, self._ways))

    def http_routes(self) -> Sequence[BaseRoute]:
        """The SDK endpoints under /v1, the web tracker, uploads of feeds and of files."""
        feeds = FeedHttp(self.registry, self._feeds, self._door)
        bulk = BulkHttp(self.registry, self._bulk, self._door)
        compatible = (*self._posthog.routes(), *self._rudder.routes(), *self._push.routes())
        return (*self._http.routes(), *compatible, *self._tracker.routes(), *feeds.routes(), *bulk.routes())

    async def start(self) -> None:
        """Follow the registry, archive the workspaces that this process owns."""
        await self.registry.start()
        # Arrow's first array imports pandas where that is installed: a busy second that must not fall among calls.
        await asyncio.to_thread(facts_table, ())
        await asyncio.to_thread(self._tracker.warm)
        self._owned.start()

    def ready(self) -> bool:
        """Calls can be answered as soon as keys can be checked."""
        return self.registry.ready()

    async def stop(self) -> None:
        """Let what was taken reach the log, then end. Idempotent."""
        await self._ways.drain()
        await self._owned.stop()
        await self._ways.drain()  # what feeds wrote until then
        await self.registry.stop()

    async def _open_owned(self, workspace: Workspace, partition: Partition, fence: Fence) -> Owned:
        folder = self._runtime.settings.data_dir / "archive" / workspace.id
        consumers = self._ways.of(workspace).consumers
        log, clock = self._runtime.log, self._runtime.clock
        coupons = await CouponBooks.load(log, clock, partition, fence)
        orders = OrderShard(log, clock, partition, fence, coupons)
        await orders.open()
        archive = ArchiveShard(log, clock, partition, fence, folder, consumers, followed=lambda: orders.committed)
        await archive.open()
        feeds = await self._feeds.open(workspace, partition, fence)
        return Owned(archive, feeds, await self._bulk.open(workspace, partition, fence), orders)


def build(runtime: Runtime) -> Ingest:
    """The service of role ingest."""
    return Ingest(runtime)


async def ensure_development_key(runtime: Runtime, service: Service, zone: str = "UTC") -> str | None:
    """For the embedded mode: the secret of workspace "dev"; see `services.ingest.development`. `service` is what
    `build` gave."""
    if not isinstance(service, Ingest):
        raise TypeError(f"the ingest service is needed, not {type(service).__name__}")
    return await development.ensure_development_key(service.registry, runtime.settings.data_dir, zone)
