"""Wiring of the ingest service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.routing import BaseRoute

from core.eventlog.protocol import Fence, Partition
from services.ingest import development
from services.ingest.archive_table import facts_table
from services.ingest.http import IngestHttp
from services.ingest.registry import Registry
from services.ingest.rpc import IngestRpc
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
        self._ways = Ways(runtime)
        self.registry = Registry(runtime.log, runtime.clock, runtime.leases)
        self._rpc = IngestRpc(runtime, self._ways)
        self._http = IngestHttp(self.registry, self._ways, runtime.clock)
        self._archives = Ownership(runtime, Role.INGEST, self._open_archive)

    def grpc_services(self) -> Sequence[GrpcService]:
        """IngestService, WorkspaceService and KeyService."""
        return (self._rpc.service(), *registry_services(self.registry))

    def http_routes(self) -> Sequence[BaseRoute]:
        """The SDK endpoints under /v1."""
        return self._http.routes()

    async def start(self) -> None:
        """Follow the registry, archive the workspaces that this process owns."""
        await self.registry.start()
        # Arrow's first array imports pandas where that is installed: a busy second that must not fall among calls.
        await asyncio.to_thread(facts_table, ())
        self._archives.start()

    def ready(self) -> bool:
        """Calls can be answered as soon as keys can be checked."""
        return self.registry.ready()

    async def stop(self) -> None:
        """Let what was taken reach the log, then end. Idempotent."""
        await self._ways.drain()
        await self._archives.stop()
        await self.registry.stop()

    async def _open_archive(self, workspace: Workspace, partition: Partition, fence: Fence) -> ArchiveShard:
        folder = self._runtime.settings.data_dir / "archive" / workspace.id
        consumers = self._ways.of(workspace).consumers
        shard = ArchiveShard(self._runtime.log, self._runtime.clock, partition, fence, folder, consumers)
        await shard.open()
        return shard


def build(runtime: Runtime) -> Ingest:
    """The service of role ingest."""
    return Ingest(runtime)


async def ensure_development_key(runtime: Runtime, service: Service, zone: str = "UTC") -> str | None:
    """For the embedded mode: the secret of workspace "dev"; see `services.ingest.development`. `service` is what
    `build` gave."""
    if not isinstance(service, Ingest):
        raise TypeError(f"the ingest service is needed, not {type(service).__name__}")
    return await development.ensure_development_key(service.registry, runtime.settings.data_dir, zone)
