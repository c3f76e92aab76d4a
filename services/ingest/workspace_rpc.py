"""WorkspaceService and KeyService over the registry."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import grpc

from cdp.workspace.v1 import workspace_pb2 as pb
from cdp.workspace.v1 import workspace_pb2_grpc
from core.api_keys import KeyRecord
from core.clock import SECOND_US
from core.errors import CdpError, Code, Violation, invalid
from core.limits import Limits
from core.workspace import WorkspaceRecord
from services.ingest.key_desk import KeyDesk
from services.ingest.registry import Registry
from services.ingest.ways import Ways
from services.runtime.caller import Caller, Scope, caller
from services.runtime.pages import number_of, page_entries
from services.runtime.service import GrpcService

_LONG_POLL_S = 30.0
_USAGE_DAYS = 31
MAX_USAGE_DAYS = 400

Context = grpc.aio.ServicerContext[Any, Any]

_WORKSPACE_SCOPES = {
    "CreateWorkspace": Scope.ADMIN,
    "GetWorkspace": Scope.READ,
    "ListWorkspaces": Scope.INTERNAL,
    "UpdateWorkspace": Scope.ADMIN,
    "LimitWorkspace": Scope.INTERNAL,
    "GetUsage": Scope.ADMIN,
    "ListAuditRecords": Scope.ADMIN,
}
_KEY_SCOPES = {
    "CreateKey": Scope.ADMIN,
    "ListKeys": Scope.ADMIN,
    "UpdateKey": Scope.ADMIN,
    "RotateKey": Scope.ADMIN,
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
        limits=limits_to_proto(record.limits),
    )


def key_to_proto(record: KeyRecord) -> pb.Key:
    """The record on the wire, without its hash."""
    return pb.Key(
        id=record.id,
        display_name=record.display_name,
        scope=pb.Scope.ValueType(record.scope),
        created_at_us=record.created_at_us,
        revoked=record.revoked,
        origins=record.origins,
        expires_at_us=record.expires_at_us,
        limits=limits_to_proto(record.limits),
        former_secret_until_us=record.former_until_us,
    )


def limits_to_proto(limits: Limits) -> pb.Limits:
    """Limits on the wire."""
    return pb.Limits(
        events_per_s=limits.events_per_s,
        burst=limits.burst,
        events_per_day=limits.events_per_day,
        events_per_month=limits.events_per_month,
    )


def limits_from_proto(message: pb.Limits) -> Limits:
    """Limits from the wire, unchecked."""
    return Limits(message.events_per_s, message.burst, message.events_per_day, message.events_per_month)


def registry_services(registry: Registry, ways: Ways) -> Sequence[GrpcService]:
    """Both services, ready to be added to a server."""
    workspaces, keys = WorkspaceRpc(registry, ways), KeyRpc(registry)
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

    def __init__(self, registry: Registry, ways: Ways) -> None:
        self._registry = registry
        self._ways = ways

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
        await self._require_currency_free(who, wanted.currency)
        record = await self._registry.update_workspace(
            who.workspace.id, wanted.display_name, wanted.zone, wanted.currency, wanted.etag, _actor(who)
        )
        return pb.UpdateWorkspaceResponse(workspace=workspace_to_proto(record))

    async def _require_currency_free(self, who: Caller, currency: str) -> None:
        now = self._registry.workspace(who.workspace.id).currency
        if not currency or currency == now:
            return
        held = await self._ways.told_in_its_currency(who.workspace)
        if held:
            what = f"stays {now}: the workspace has {held} in it already; make another workspace for another one"
            place = Violation("workspace.currency", what)
            raise CdpError(Code.CONFLICT, "CURRENCY_IN_USE", f"workspace.currency: {what}", violations=(place,))

    async def LimitWorkspace(self, request: pb.LimitWorkspaceRequest, context: Context) -> pb.LimitWorkspaceResponse:
        """For the operator: a workspace does not set its own."""
        limits = limits_from_proto(request.limits)
        record = await self._registry.limit_workspace(request.id, limits, _actor(caller()))
        return pb.LimitWorkspaceResponse(workspace=workspace_to_proto(record))

    async def GetUsage(self, request: pb.GetUsageRequest, context: Context) -> pb.GetUsageResponse:
        """What the caller's workspace sent."""
        if request.days > MAX_USAGE_DAYS:
            what = f"at most {MAX_USAGE_DAYS}"
            raise invalid("BAD_DAYS", f"days: {what}", Violation("days", what))
        rows = await self._ways.usage_by_day(caller().workspace, request.days or _USAGE_DAYS)
        return pb.GetUsageResponse(rows=[pb.Usage(day=day, key_id=key, items=items) for day, key, items in rows])

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
        self._desk = KeyDesk(registry)

    async def CreateKey(self, request: pb.CreateKeyRequest, context: Context) -> pb.CreateKeyResponse:
        """Make a key; its secret is in the answer and nowhere else."""
        who = caller()
        made = await self._desk.create(
            who.workspace.id,
            request.display_name,
            request.scope,
            _actor(who),
            request_id=request.request_id,
            origins=request.origins,
            expires_at_us=request.expires_at_us,
            limits=limits_from_proto(request.limits),
        )
        return pb.CreateKeyResponse(key=key_to_proto(made.key), secret=made.secret)

    async def ListKeys(self, request: pb.ListKeysRequest, context: Context) -> pb.ListKeysResponse:
        """The keys, revoked ones included, without secrets."""
        keys = self._registry.keys(caller().workspace.id)
        return pb.ListKeysResponse(keys=[key_to_proto(key) for key in keys])

    async def UpdateKey(self, request: pb.UpdateKeyRequest, context: Context) -> pb.UpdateKeyResponse:
        """Change what is set."""
        who = caller()
        key = await self._desk.change(
            who.workspace.id,
            request.id,
            _actor(who),
            display_name=request.display_name,
            origins=request.origins.values if request.HasField("origins") else None,
            limits=limits_from_proto(request.limits) if request.HasField("limits") else None,
        )
        return pb.UpdateKeyResponse(key=key_to_proto(key))

    async def RotateKey(self, request: pb.RotateKeyRequest, context: Context) -> pb.RotateKeyResponse:
        """A new secret, which is in the answer and nowhere else."""
        who = caller()
        made = await self._desk.rotate(who.workspace.id, request.id, request.grace_s * SECOND_US, _actor(who))
        return pb.RotateKeyResponse(key=key_to_proto(made.key), secret=made.secret)

    async def RevokeKey(self, request: pb.RevokeKeyRequest, context: Context) -> pb.RevokeKeyResponse:
        """Take a key out of force; it is refused everywhere within seconds."""
        who = caller()
        return pb.RevokeKeyResponse(
            key=key_to_proto(await self._desk.revoke(who.workspace.id, request.id, _actor(who)))
        )

    async def Authenticate(self, request: pb.AuthenticateRequest, context: Context) -> pb.AuthenticateResponse:
        """For services: whose key is this?"""
        workspace, key = self._registry.open(request.secret)
        return pb.AuthenticateResponse(workspace=workspace_to_proto(workspace), key=key_to_proto(key))


def _actor(who: Caller) -> str:
    return who.key_name or who.key_id
