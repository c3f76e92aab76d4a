"""WorkspaceService and KeyService over the registry."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import grpc

from cdp.workspace.v1 import workspace_pb2 as pb
from cdp.workspace.v1 import workspace_pb2_grpc
from core.errors import CdpError, Code
from core.workspace import KeyRecord, WorkspaceRecord
from services.ingest.registry import Registry
from services.runtime.caller import Caller, Scope, caller
from services.runtime.pages import number_of, page_entries
from services.runtime.service import GrpcService

_LONG_POLL_S = 30.0

Context = grpc.aio.ServicerContext[Any, Any]

_WORKSPACE_SCOPES = {
    "CreateWorkspace": Scope.ADMIN,
    "GetWorkspace": Scope.READ,
    "ListWorkspaces": Scope.INTERNAL,
    "UpdateWorkspace": Scope.ADMIN,
    "ListAuditRecords": Scope.ADMIN,
}
_KEY_SCOPES = {
    "CreateKey": Scope.ADMIN,
    "ListKeys": Scope.ADMIN,
    "RevokeKey": Scope.ADMIN,
    "Authenticate": Scope.INTERNAL,
}


def workspace_to_proto(record: WorkspaceRecord) -> pb.Workspace:
    """The record on the wire."""
    return pb.Workspace(
        id=record.id,
        display_name=record.display_name,
        zone=record.zone,
        currency=record.currency,
        bucket=record.bucket,
        created_at_us=record.created_at_us,
        etag=record.etag,
    )


def key_to_proto(record: KeyRecord) -> pb.Key:
    """The record on the wire, without its hash."""
    return pb.Key(
        id=record.id,
        display_name=record.display_name,
        scope=pb.Scope.ValueType(record.scope),
        created_at_us=record.created_at_us,
        revoked=record.revoked,
    )


def registry_services(registry: Registry) -> Sequence[GrpcService]:
    """Both services, ready to be added to a server."""
    workspaces, keys = WorkspaceRpc(registry), KeyRpc(registry)
    return (
        GrpcService(
            "cdp.workspace.v1.WorkspaceService",
            partial(workspace_pb2_grpc.add_WorkspaceServiceServicer_to_server, workspaces),
            _WORKSPACE_SCOPES,
        ),
        GrpcService(
            "cdp.workspace.v1.KeyService",
            partial(workspace_pb2_grpc.add_KeyServiceServicer_to_server, keys),
            _KEY_SCOPES,
        ),
    )


class WorkspaceRpc(workspace_pb2_grpc.WorkspaceServiceServicer):
    """WorkspaceService. Except for services, everybody sees their own workspace only."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def CreateWorkspace(self, request: pb.CreateWorkspaceRequest, context: Context) -> pb.CreateWorkspaceResponse:
        """Make a workspace and its first key."""
        wanted = request.workspace
        made = await self._registry.create_workspace(
            wanted.id,
            wanted.display_name,
            wanted.zone,
            wanted.currency,
            _actor(caller()),
            request_id=request.request_id,
        )
        return pb.CreateWorkspaceResponse(
            workspace=workspace_to_proto(made.workspace), key=key_to_proto(made.key), secret=made.secret
        )

    async def GetWorkspace(self, request: pb.GetWorkspaceRequest, context: Context) -> pb.GetWorkspaceResponse:
        """The caller's workspace."""
        record = self._registry.workspace(caller().workspace.id)
        return pb.GetWorkspaceResponse(workspace=workspace_to_proto(record))

    async def ListWorkspaces(self, request: pb.ListWorkspacesRequest, context: Context) -> pb.ListWorkspacesResponse:
        """All of them, for services; waits while `wait_etag` is the newest."""
        if request.wait_etag:
            await self._registry.wait_changed(request.wait_etag, _LONG_POLL_S)
        records = self._registry.workspaces()
        return pb.ListWorkspacesResponse(
            workspaces=[workspace_to_proto(record) for record in records], etag=self._registry.etag
        )

    async def UpdateWorkspace(self, request: pb.UpdateWorkspaceRequest, context: Context) -> pb.UpdateWorkspaceResponse:
        """Change the caller's workspace."""
        who, wanted = caller(), request.workspace
        if wanted.id not in ("", who.workspace.id):
            raise CdpError(Code.NOT_FOUND, "NO_SUCH_WORKSPACE", f"there is no workspace {wanted.id!r}")
        record = await self._registry.update_workspace(
            who.workspace.id, wanted.display_name, wanted.zone, wanted.currency, wanted.etag, _actor(who)
        )
        return pb.UpdateWorkspaceResponse(workspace=workspace_to_proto(record))

    async def ListAuditRecords(
        self, request: pb.ListAuditRecordsRequest, context: Context
    ) -> pb.ListAuditRecordsResponse:
        """What was changed of the workspace and its keys, oldest first."""
        after = number_of(request.page_token) if request.page_token else 0
        records, following = await self._registry.audit(caller().workspace.id, after, page_entries(request.page_size))
        return pb.ListAuditRecordsResponse(records=records, next_page_token=str(following) if following else "")


class KeyRpc(workspace_pb2_grpc.KeyServiceServicer):
    """KeyService, for the caller's own workspace."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def CreateKey(self, request: pb.CreateKeyRequest, context: Context) -> pb.CreateKeyResponse:
        """Make a key; its secret is in the answer and nowhere else."""
        who = caller()
        made = await self._registry.create_key(
            who.workspace.id, request.display_name, request.scope, _actor(who), request_id=request.request_id
        )
        return pb.CreateKeyResponse(key=key_to_proto(made.key), secret=made.secret)

    async def ListKeys(self, request: pb.ListKeysRequest, context: Context) -> pb.ListKeysResponse:
        """The keys, revoked ones included, without secrets."""
        keys = self._registry.keys(caller().workspace.id)
        return pb.ListKeysResponse(keys=[key_to_proto(key) for key in keys])

    async def RevokeKey(self, request: pb.RevokeKeyRequest, context: Context) -> pb.RevokeKeyResponse:
        """Take a key out of force; it is refused everywhere within seconds."""
        who = caller()
        return pb.RevokeKeyResponse(
            key=key_to_proto(await self._registry.revoke_key(who.workspace.id, request.id, _actor(who)))
        )

    async def Authenticate(self, request: pb.AuthenticateRequest, context: Context) -> pb.AuthenticateResponse:
        """For services: whose key is this?"""
        workspace, key = self._registry.open(request.secret)
        return pb.AuthenticateResponse(workspace=workspace_to_proto(workspace), key=key_to_proto(key))


def _actor(who: Caller) -> str:
    return who.key_name or who.key_id
