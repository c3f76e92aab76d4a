"""The workspaces there are and the keys that open them, as every service sees them: asked of ingest, cached."""

from __future__ import annotations

import asyncio
import hmac
import time

import grpc

from cdp.workspace.v1 import workspace_pb2
from core.errors import CdpError, Code, not_found, unavailable
from services.runtime.caller import Caller, Scope, Workspace
from services.runtime.errors import from_rpc
from services.runtime.stubs import Stubs
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)

#: A revoked key is refused everywhere after this long at most.
KEY_CACHE_S = 10.0
_LONG_POLL_S = 30.0


def workspace_from_proto(message: workspace_pb2.Workspace) -> Workspace:
    """The wire form as a value."""
    return Workspace(
        message.id, message.display_name, message.zone, message.currency, message.bucket, message.created_at_us
    )


class WorkspaceDirectory:
    """A follower of ingest's registry. `run` keeps `all()` current; `authenticate` caches keys for KEY_CACHE_S."""

    def __init__(self, stubs: Stubs, internal_token: str) -> None:
        self._stubs = stubs
        self._internal_token = internal_token
        self._workspaces: dict[str, Workspace] = {}
        self._etag = ""
        self._changed = asyncio.Event()
        self._keys: dict[str, tuple[float, Caller]] = {}

    def all(self) -> tuple[Workspace, ...]:
        """Every workspace known so far, by id."""
        return tuple(self._workspaces[key] for key in sorted(self._workspaces))

    def get(self, workspace_id: str) -> Workspace:
        """The workspace, or NOT_FOUND / NO_SUCH_WORKSPACE."""
        workspace = self._workspaces.get(workspace_id)
        if workspace is None:
            raise not_found("NO_SUCH_WORKSPACE", f"there is no workspace {workspace_id!r} here")
        return workspace

    @property
    def etag(self) -> str:
        """Changes with the list."""
        return self._etag

    async def wait_changed(self, etag: str) -> None:
        """Return as soon as `etag` is not the newest."""
        while self._etag == etag:
            await self._changed.wait()

    async def run(self) -> None:
        """Follow the registry for ever; an ingest that is away is asked again."""
        while True:
            try:
                answer = await self._stubs.workspace().ListWorkspaces(
                    workspace_pb2.ListWorkspacesRequest(wait_etag=self._etag),
                    metadata=self._stubs.internal_metadata(),
                    timeout=_LONG_POLL_S + 5.0,
                )
            except grpc.aio.AioRpcError as error:
                _LOG.info("workspace registry not reached, asking again", status=error.code().name)
                await asyncio.sleep(0.2)
                continue
            if answer.etag == self._etag:
                continue
            self._workspaces = {message.id: workspace_from_proto(message) for message in answer.workspaces}
            self._etag = answer.etag
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    async def internal_caller(self, workspace_id: str | None) -> Caller:
        """A caller that is a service, speaking of `workspace_id`."""
        if workspace_id is None:
            return Caller(None, Scope.INTERNAL, "internal", "internal")
        return Caller(self.get(workspace_id), Scope.INTERNAL, "internal", "internal")

    def is_internal(self, secret: str) -> bool:
        """True for the token that services share; compared in constant time."""
        return hmac.compare_digest(secret.encode(), self._internal_token.encode())

    def cached(self, secret: str) -> Caller | None:
        """The caller behind `secret` if it was asked for within KEY_CACHE_S."""
        entry = self._keys.get(secret)
        if entry is None or entry[0] < time.monotonic():
            return None
        return entry[1]

    async def authenticate(self, secret: str) -> Caller:
        """The caller behind an API key. Raises UNAUTHENTICATED / BAD_KEY for no key of ours, UNAVAILABLE when the
        registry does not answer."""
        known = self.cached(secret)
        if known is not None:
            return known
        if not secret:
            raise CdpError(Code.UNAUTHENTICATED, "NO_KEY", "send an API key: `authorization: Bearer <key>`")
        try:
            answer = await self._stubs.key().Authenticate(
                workspace_pb2.AuthenticateRequest(secret=secret),
                metadata=self._stubs.internal_metadata(),
                timeout=5.0,
            )
        except grpc.aio.AioRpcError as error:
            failure = from_rpc(error)
            if failure.code is Code.UNAUTHENTICATED:
                raise failure from error
            raise unavailable("REGISTRY_UNAVAILABLE", "the key registry does not answer") from error
        found = Caller(
            workspace_from_proto(answer.workspace), Scope(answer.key.scope), answer.key.id, answer.key.display_name
        )
        if len(self._keys) > 100_000:
            self._keys.clear()
        self._keys[secret] = (time.monotonic() + KEY_CACHE_S, found)
        return found
