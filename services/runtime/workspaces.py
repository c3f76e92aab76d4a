"""The workspaces there are and the keys that open them, as every service sees them: asked of ingest, cached."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable

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
_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 2.0
#: No secret of ours is longer; nothing longer is asked of the registry.
_LONGEST_SECRET = 200
_MOST_KEYS = 100_000
#: What a key of the registry may carry. INTERNAL is none of them: only the shared token makes a caller a service.
_KEY_SCOPES = {scope.value: scope for scope in Scope if scope is not Scope.INTERNAL}


def workspace_from_proto(message: workspace_pb2.Workspace) -> Workspace:
    """The wire form as a value."""
    return Workspace(
        message.id, message.display_name, message.zone, message.currency, message.bucket, message.created_at_us
    )


class WorkspaceDirectory:
    """A follower of ingest's registry. `run` keeps `all()` current; `authenticate` caches keys for KEY_CACHE_S."""

    def __init__(self, stubs: Stubs, internal_token: str, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        """`monotonic_s` is the time by which keys are kept."""
        self._stubs = stubs
        self._internal_token = internal_token.encode()
        self._monotonic_s = monotonic_s
        self._workspaces: dict[str, Workspace] = {}
        self._etag = ""
        self._changed = asyncio.Event()
        self._keys: dict[str, tuple[float, Caller]] = {}
        self._asking: dict[str, asyncio.Task[Caller]] = {}

    def all(self) -> tuple[Workspace, ...]:
        """Every workspace known so far, by id."""
        return tuple(self._workspaces[key] for key in sorted(self._workspaces))

    def get(self, workspace_id: str) -> Workspace:
        """The workspace, or NOT_FOUND / NO_SUCH_WORKSPACE; UNAVAILABLE / WORKSPACES_UNKNOWN before the first list."""
        workspace = self._workspaces.get(workspace_id)
        if workspace is None and not self._etag:
            raise unavailable("WORKSPACES_UNKNOWN", "the list of workspaces has not been read yet", 0.2)
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
        pause_s = _PAUSE_S
        while True:
            try:
                answer = await self._stubs.workspace().ListWorkspaces(
                    workspace_pb2.ListWorkspacesRequest(wait_etag=self._etag),
                    metadata=self._stubs.internal_metadata(),
                    timeout=_LONG_POLL_S + 5.0,
                )
            except grpc.aio.AioRpcError as error:
                failure = from_rpc(error)
                log = _LOG.info if failure.code is Code.UNAVAILABLE else _LOG.warning
                log("workspace registry not reached, asking again", reason=failure.reason)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            pause_s = _PAUSE_S
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
        return hmac.compare_digest(secret.encode("utf-8", "surrogatepass"), self._internal_token)

    def cached(self, secret: str) -> Caller | None:
        """The caller behind `secret` if it was asked for within KEY_CACHE_S."""
        entry = self._keys.get(secret)
        if entry is None or entry[0] < self._monotonic_s():
            return None
        return entry[1]

    async def authenticate(self, secret: str) -> Caller:
        """The caller behind an API key. Raises UNAUTHENTICATED / BAD_KEY for no key of ours, UNAVAILABLE when the
        registry does not answer. Calls that wait for the same key ask once."""
        known = self.cached(secret)
        if known is not None:
            return known
        if not secret:
            raise CdpError(Code.UNAUTHENTICATED, "NO_KEY", "send an API key: `authorization: Bearer <key>`")
        if len(secret) > _LONGEST_SECRET or not secret.isascii():
            raise CdpError(Code.UNAUTHENTICATED, "BAD_KEY", "this is no API key")
        asking = self._asking.get(secret)
        if asking is None:
            asking = self._asking[secret] = asyncio.create_task(self._ask(secret), name="authenticate")
            asking.add_done_callback(lambda task: self._answered(secret, task))
        # Shielded: a caller that goes away must not take the answer from those who wait with it.
        return await asyncio.shield(asking)

    def _answered(self, secret: str, task: asyncio.Task[Caller]) -> None:
        self._asking.pop(secret, None)
        if not task.cancelled():
            task.exception()  # those who waited have it; if all of them went away, nobody misses it

    async def _ask(self, secret: str) -> Caller:
        asked_s = self._monotonic_s()
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
        scope = _KEY_SCOPES.get(answer.key.scope)
        if scope is None:
            raise CdpError(Code.INTERNAL, "UNKNOWN_SCOPE", f"the registry gives a key the scope {answer.key.scope}")
        if answer.key.origins:
            raise CdpError(
                Code.FORBIDDEN,
                "BROWSER_KEY",
                "this key is for pages in a browser: it opens the HTTP endpoints, to its origins only",
            )
        found = Caller(workspace_from_proto(answer.workspace), scope, answer.key.id, answer.key.display_name)
        if len(self._keys) > _MOST_KEYS:
            self._keys.clear()
        # Counted from the question, so that a key revoked while the answer was on its way lives no longer.
        self._keys[secret] = (asked_s + KEY_CACHE_S, found)
        return found
