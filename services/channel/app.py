"""The channel role, wired."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from starlette.routing import BaseRoute

from cdp.channel.v1 import channel_pb2_grpc
from core.eventlog.protocol import Fence, Partition
from services.channel.http import LinkPages
from services.channel.rpc import SCOPES, ChannelRpc
from services.channel.senders.table import all_senders
from services.channel.shard import ChannelShard
from services.channel.worker import Tracking
from services.runtime.caller import Workspace
from services.runtime.context import Runtime
from services.runtime.ownership import Ownership
from services.runtime.roles import Role
from services.runtime.service import GrpcService


class ChannelService:
    """Role `channel`: ChannelService over gRPC, tracked links over HTTP, one shard per workspace."""

    role = Role.CHANNEL

    def __init__(self, runtime: Runtime) -> None:
        settings = runtime.settings
        self._runtime = runtime
        self._senders = all_senders(settings)
        self._tracking = Tracking(
            settings.tracking_key,
            settings.public_url or f"http://{settings.http_host}:{settings.http_port}",
            settings.link_token_hosts,
        )
        self._ownership: Ownership[ChannelShard] = Ownership(runtime, self.role, self._open)
        self._rpc = ChannelRpc(self._ownership.shard, self._senders, runtime.clock)
        self._pages = LinkPages(self._ownership.shard, self._tracking, runtime.clock)

    def grpc_services(self) -> Sequence[GrpcService]:
        """cdp.channel.v1.ChannelService."""
        add = partial(channel_pb2_grpc.add_ChannelServiceServicer_to_server, self._rpc)
        return (GrpcService("cdp.channel.v1.ChannelService", add, SCOPES),)

    def http_routes(self) -> Sequence[BaseRoute]:
        """/o/, /c/ and /u/."""
        return self._pages.routes()

    async def start(self) -> None:
        """Begin to take workspaces."""
        self._ownership.start()

    def ready(self) -> bool:
        """Every workspace's outbox is loaded."""
        return self._ownership.ready()

    async def stop(self) -> None:
        """Finish the calls under way and let connections go."""
        await self._ownership.stop()
        for sender in self._senders.values():
            await sender.close()

    async def _open(self, workspace: Workspace, partition: Partition, fence: Fence) -> ChannelShard:
        runtime = self._runtime
        return await ChannelShard.open(
            runtime.log,
            partition,
            fence,
            workspace,
            runtime.clock,
            runtime.stubs,
            self._senders,
            self._tracking,
            runtime.settings.tick_interval_s,
            runtime.settings.drain_s,
        )


def build(runtime: Runtime) -> ChannelService:
    """The role, not yet started."""
    return ChannelService(runtime)
