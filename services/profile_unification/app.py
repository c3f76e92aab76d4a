"""Wiring of the unification service."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from starlette.routing import BaseRoute

from cdp.profile.v1 import profile_pb2_grpc
from core.eventlog.protocol import Fence, Partition
from core.identity.rules import IdentityRules
from services.profile_unification.dead_letter_rpc import DeadLetterRpc
from services.profile_unification.rpc import ProfileServicer
from services.profile_unification.worker import UnificationShard
from services.runtime.caller import Scope, Workspace
from services.runtime.context import Runtime
from services.runtime.ownership import Ownership
from services.runtime.phone import international
from services.runtime.roles import Role
from services.runtime.service import GrpcService

_SCOPES = {
    "Get": Scope.READ,
    "BatchGet": Scope.READ,
    "AttributeHistory": Scope.READ,
    "Resolve": Scope.READ,
    "ResolveLink": Scope.READ,
    "Unmerge": Scope.FULL,
    "ListMerges": Scope.READ,
    "ListSuspiciousIdentifiers": Scope.READ,
    "GetIdentityRules": Scope.READ,
    "UpdateIdentityRules": Scope.FULL,
    "View": Scope.READ,
    "Export": Scope.FULL,
    "Erase": Scope.FULL,
    "GetErasure": Scope.READ,
    "ListErasures": Scope.READ,
    "Subscribe": Scope.READ,
}


class UnificationService:
    """The role `profile_unification` in this process."""

    role = Role.PROFILE_UNIFICATION

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._rules = IdentityRules(phone=international)
        self._ownership: Ownership[UnificationShard] = Ownership(runtime, self.role, self._open)
        self._servicer = ProfileServicer(runtime, self._ownership, self._rules)

    def grpc_services(self) -> Sequence[GrpcService]:
        """ProfileService and DeadLetterService."""
        add = partial(profile_pb2_grpc.add_ProfileServiceServicer_to_server, self._servicer)
        dead_letters = DeadLetterRpc(self._runtime, self._ownership).service()
        return (GrpcService("cdp.profile.v1.ProfileService", add, _SCOPES), dead_letters)

    def http_routes(self) -> Sequence[BaseRoute]:
        """None: people call ingest."""
        return ()

    def shard(self, workspace_id: str) -> UnificationShard:
        """The open shard of a workspace. Raises UNAVAILABLE / NOT_READY."""
        return self._ownership.shard(workspace_id)

    async def start(self) -> None:
        """Take the workspaces whose leases are free."""
        self._ownership.start()

    def ready(self) -> bool:
        """Every workspace is caught up."""
        return self._ownership.ready()

    async def stop(self) -> None:
        """Give the workspaces back."""
        await self._ownership.stop()

    async def _open(self, workspace: Workspace, partition: Partition, fence: Fence) -> UnificationShard:
        return await UnificationShard.open(self._runtime, workspace, partition, fence, self._rules)


def build(runtime: Runtime) -> UnificationService:
    """The service for `runtime`."""
    return UnificationService(runtime)
