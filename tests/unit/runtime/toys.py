"""Small services for tests of the runtime: a registry of workspaces and keys, and one that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

import grpc
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from cdp.segment.v1 import segment_pb2 as pb
from cdp.segment.v1 import segment_pb2_grpc
from cdp.workspace.v1 import workspace_pb2, workspace_pb2_grpc
from core.errors import CdpError, Code, invalid
from core.eventlog.protocol import Commit, Entry, Fence, Partition
from services.runtime.caller import Scope, Workspace, caller
from services.runtime.context import Runtime
from services.runtime.feed import ConsumerPositions, serve_feed
from services.runtime.ownership import Ownership
from services.runtime.partitions import partition
from services.runtime.roles import Role
from services.runtime.service import GrpcService
from tests.passive_service import PassiveService

Context = grpc.aio.ServicerContext[Any, Any]


class ToyRegistry(PassiveService):
    """Role ingest: workspaces and keys that the test sets. A change is told to those who wait for one."""

    role = Role.INGEST

    def __init__(self, runtime: Runtime | None = None) -> None:
        self.workspaces: dict[str, workspace_pb2.Workspace] = {}
        self.keys: dict[str, workspace_pb2.AuthenticateResponse] = {}
        self.asked: list[str] = []
        self._etag = 1
        self._changed = asyncio.Event()

    def add(self, workspace_id: str, bucket: int = 7) -> None:
        """A workspace with keys read-<id>, write-<id> and full-<id>."""
        workspace = workspace_pb2.Workspace(id=workspace_id, zone="UTC", currency="USD", bucket=bucket)
        self.workspaces[workspace_id] = workspace
        for scope in (Scope.WRITE, Scope.READ, Scope.FULL):
            name = f"{scope.name.lower()}-{workspace_id}"
            key = workspace_pb2.Key(id=name, display_name=name, scope=workspace_pb2.Scope.ValueType(scope.value))
            self.keys[name] = workspace_pb2.AuthenticateResponse(workspace=workspace, key=key)
        self._etag += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def grpc_services(self) -> Sequence[GrpcService]:
        """WorkspaceService and KeyService, as far as services ask them."""
        add_workspace = partial(workspace_pb2_grpc.add_WorkspaceServiceServicer_to_server, _Workspaces(self))  # type: ignore[abstract]
        add_key = partial(workspace_pb2_grpc.add_KeyServiceServicer_to_server, _Keys(self))  # type: ignore[abstract]
        return (
            GrpcService("cdp.workspace.v1.WorkspaceService", add_workspace, {"ListWorkspaces": Scope.INTERNAL}),
            GrpcService("cdp.workspace.v1.KeyService", add_key, {"Authenticate": Scope.INTERNAL}),
        )

    async def list(self, wait_etag: str) -> workspace_pb2.ListWorkspacesResponse:
        """The workspaces, once the etag is not `wait_etag`."""
        while wait_etag == str(self._etag):
            await self._changed.wait()
        return workspace_pb2.ListWorkspacesResponse(workspaces=self.workspaces.values(), etag=str(self._etag))


class _Workspaces(workspace_pb2_grpc.WorkspaceServiceServicer):
    def __init__(self, registry: ToyRegistry) -> None:
        self._registry = registry

    async def ListWorkspaces(
        self, request: workspace_pb2.ListWorkspacesRequest, context: Context
    ) -> workspace_pb2.ListWorkspacesResponse:
        return await self._registry.list(request.wait_etag)


class _Keys(workspace_pb2_grpc.KeyServiceServicer):
    def __init__(self, registry: ToyRegistry) -> None:
        self._registry = registry

    async def Authenticate(
        self, request: workspace_pb2.AuthenticateRequest, context: Context
    ) -> workspace_pb2.AuthenticateResponse:
        self._registry.asked.append(request.secret)
        await asyncio.sleep(0)
        found = self._registry.keys.get(request.secret)
        if found is None:
            raise CdpError(Code.UNAUTHENTICATED, "BAD_KEY", "this is no API key")
        return found


class ToyShard:
    """Runs until `broken` is set, then raises it; says what became of it in `life`."""

    def __init__(self, workspace: Workspace, where: Partition, fence: Fence, runtime: Runtime) -> None:
        self.workspace = workspace
        self.partition = where
        self.fence = fence
        self.broken: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self.life: list[str] = ["opened"]
        self._runtime = runtime

    async def run(self) -> None:
        """Wait to be broken."""
        self.life.append("ran")
        raise await self.broken

    async def close(self) -> None:
        """Note it."""
        self.life.append("closed")

    def ready(self) -> bool:
        """Once it runs."""
        return "ran" in self.life

    async def write(self, payload: bytes) -> int:
        """Append an entry under the shard's fence; its position."""
        commit = Commit(None, None, [payload], (), self._runtime.clock.now_us())
        return (await self._runtime.log.commit(self.partition, self.fence, commit)).last


class ToyEngine:
    """Role segment_engine: SegmentService of three methods that obey the text they get, and a shard per workspace.

    ConvertRule with text "who" answers the caller, "owner" the process that owns the workspace, "raise" raises
    `failure`, "wait" waits for `go`, "log" calls the log; any other text comes back. Members of "owner" or of a
    number n streams the owner or n blocks, of "wait" waits for `go`.
    """

    role = Role.SEGMENT_ENGINE

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.shards: Ownership[ToyShard] = Ownership(runtime, self.role, self._open)
        self.opened: list[ToyShard] = []
        self.failure: Exception = invalid("TOLD_SO", "as told")
        self.go = asyncio.Event()
        self.entered = asyncio.Event()
        self.left = 0
        self.sent = 0
        self.is_ready: Callable[[], bool] = self.shards.ready

    async def _open(self, workspace: Workspace, where: Partition, fence: Fence) -> ToyShard:
        self.opened.append(ToyShard(workspace, where, fence, self.runtime))
        return self.opened[-1]

    def grpc_services(self) -> Sequence[GrpcService]:
        """SegmentService; DeleteSegment has no scope, by mistake."""
        add = partial(segment_pb2_grpc.add_SegmentServiceServicer_to_server, _Segments(self))  # type: ignore[abstract]
        scopes = {"ConvertRule": Scope.READ, "SaveSegment": Scope.FULL, "Members": Scope.READ}
        return (GrpcService("cdp.segment.v1.SegmentService", add, scopes),)

    def http_routes(self) -> Sequence[BaseRoute]:
        """/toy/<text> as ConvertRule."""

        async def toy(request: Request) -> Response:
            return PlainTextResponse(await self.obey(request.path_params["text"]))

        return (Route("/toy/{text}", toy),)

    async def start(self) -> None:
        """Begin to own."""
        self.shards.start()

    def ready(self) -> bool:
        """As the ownership says, or as the test set it."""
        return self.is_ready()

    async def stop(self) -> None:
        """Stop owning."""
        await self.shards.stop()

    async def obey(self, text: str) -> str:
        """See the class."""
        match text:
            case "who":
                who = caller()
                return f"{who.workspace.id}/{who.scope.name}/{who.key_name}"
            case "owner":
                self.shards.shard(caller().workspace.id)
                return self.runtime.owner
            case "raise":
                raise self.failure
            case "wait":
                await self.wait()
        return text

    async def wait(self) -> None:
        """Until `go`, or until the call is cancelled."""
        self.entered.set()
        try:
            await self.go.wait()
        finally:
            self.left += 1


class _Segments(segment_pb2_grpc.SegmentServiceServicer):
    def __init__(self, engine: ToyEngine) -> None:
        self._engine = engine

    async def ConvertRule(self, request: pb.ConvertRuleRequest, context: Context) -> pb.ConvertRuleResponse:
        return pb.ConvertRuleResponse(text=await self._engine.obey(request.rule.text))

    async def SaveSegment(self, request: pb.SaveSegmentRequest, context: Context) -> pb.SaveSegmentResponse:
        return pb.SaveSegmentResponse()

    async def DeleteSegment(self, request: pb.DeleteSegmentRequest, context: Context) -> pb.DeleteSegmentResponse:
        raise AssertionError("a method without a scope was called")

    async def Members(self, request: pb.MembersRequest, context: Context) -> AsyncIterator[pb.MembersResponse]:
        engine = self._engine
        if request.name.isdecimal():
            try:
                for _ in range(int(request.name)):
                    engine.sent += 1
                    yield pb.MembersResponse(roaring=bytes(1 << 16))
            finally:
                engine.left += 1
            return
        if request.name == "wait":
            yield pb.MembersResponse(roaring=b"waiting")
        answer = await engine.obey(request.name)
        yield pb.MembersResponse(roaring=answer.encode())
        yield pb.MembersResponse(roaring=b"end")


class ToyFeed(PassiveService):
    """Role profile_unification: ProfileService.Subscribe over the workspace's partition, nothing else."""

    role = Role.PROFILE_UNIFICATION

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.consumers = ConsumerPositions()
        self.epochs: list[str] = []
        self.starts: list[profile_pb2.SubscribeRequest.Start] = []
        self.responded = 0
        self.open = 0
        self.opened = asyncio.Event()

    def grpc_services(self) -> Sequence[GrpcService]:
        """ProfileService."""
        add = partial(profile_pb2_grpc.add_ProfileServiceServicer_to_server, _Feed(self))  # type: ignore[abstract]
        return (GrpcService("cdp.profile.v1.ProfileService", add, {"Subscribe": Scope.READ}),)

    def respond(self, entry: Entry, epoch: str, last: int) -> profile_pb2.SubscribeResponse:
        """The payload goes as the id of one event."""
        self.responded += 1
        response = profile_pb2.SubscribeResponse(position=entry.position, epoch=epoch, last_position=last)
        response.batch.events.ids.append(entry.payload.decode())
        return response


class _Feed(profile_pb2_grpc.ProfileServiceServicer):
    def __init__(self, feed: ToyFeed) -> None:
        self._feed = feed

    async def Subscribe(
        self, request_iterator: AsyncIterator[profile_pb2.SubscribeRequest], context: Context
    ) -> AsyncIterator[profile_pb2.SubscribeResponse]:
        feed = self._feed
        where = partition(feed.role, caller().workspace)
        feed.open += 1
        feed.opened.set()
        try:
            served = serve_feed(feed.runtime.log, where, request_iterator, feed.respond, feed.consumers)
            async for response in served:
                yield response
        finally:
            feed.open -= 1
