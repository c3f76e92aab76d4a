"""The channel role, wired."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from starlette.routing import BaseRoute

from cdp.channel.v1 import channel_pb2_grpc, inbox_pb2_grpc, popup_pb2_grpc
from core.eventlog.protocol import Fence, Partition
from services.channel.http import LinkPages
from services.channel.inbox import Inbox
from services.channel.inbox_http import InboxHttp
from services.channel.inbox_rpc import TOKEN_SCOPES, InboxRpc
from services.channel.page_door import PageDoor
from services.channel.popups.http import PopupHttp
from services.channel.popups.popup_rpc import SCOPES as POPUP_SCOPES
from services.channel.popups.popup_rpc import PopupRpc
from services.channel.push.http import PushPages
from services.channel.receipt_listeners import ReceiptListeners
from services.channel.rpc import SCOPES, ChannelRpc
from services.channel.senders.inbox import own_surfaces
from services.channel.senders.sms import SmsSender
from services.channel.senders.table import all_senders
from services.channel.shard import ChannelShard
from services.channel.viber_callbacks import ViberCallbacks
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
        self._senders = {**all_senders(settings), **own_surfaces(self._inbox)}
        self._tracking = Tracking(
            settings.tracking_key,
            settings.public_url or f"http://{settings.http_host}:{settings.http_port}",
            settings.link_token_hosts,
        )
        self._ownership: Ownership[ChannelShard] = Ownership(runtime, self.role, self._open)
        self._rpc = ChannelRpc(self._ownership.shard, self._senders, runtime.clock)
        self._pages = LinkPages(self._ownership.shard, self._tracking, runtime.clock)
        self._viber = ViberCallbacks(self._shard, runtime.clock)
        sms = self._senders["sms"]
        assert isinstance(sms, SmsSender)
        self._receipts = ReceiptListeners(
            sms, lambda: [one.id for one in runtime.workspaces.all()], self._ownership.shard, runtime.clock
        )
        self._push = PushPages(self._shard, self._senders["web_push"], settings.tracking_key)
        self._inbox_rpc = InboxRpc(self._ownership.shard, settings.tracking_key, runtime.clock)
        self._popup_rpc = PopupRpc(self._ownership.shard, runtime.stubs, runtime.clock)
        door = PageDoor(runtime.workspaces, settings.tracking_key, runtime.clock)
        self._inbox_http = InboxHttp(runtime.stubs, door)
        self._popup_http = PopupHttp(runtime.stubs, door, settings.tracking_key)

    def grpc_services(self) -> Sequence[GrpcService]:
        """ChannelService, InboxService and PopupService of cdp.channel.v1."""
        add = partial(channel_pb2_grpc.add_ChannelServiceServicer_to_server, self._rpc)
        add_inbox = partial(inbox_pb2_grpc.add_InboxServiceServicer_to_server, self._inbox_rpc)
        add_popups = partial(popup_pb2_grpc.add_PopupServiceServicer_to_server, self._popup_rpc)
        return (
            GrpcService("cdp.channel.v1.ChannelService", add, SCOPES),
            GrpcService("cdp.channel.v1.InboxService", add_inbox, TOKEN_SCOPES),
            GrpcService("cdp.channel.v1.PopupService", add_popups, POPUP_SCOPES),
        )

    def http_routes(self) -> Sequence[BaseRoute]:
        """Tracked links, the scripts and reports of web pushes, reports of messengers, the inbox and pop-ups."""
        return (
            *self._pages.routes(),
            *self._push.routes(),
            *self._viber.routes(),
            *self._inbox_http.routes(),
            *self._popup_http.routes(),
        )

    async def start(self) -> None:
        """Begin to take workspaces."""
        self._ownership.start()
        self._receipts.start()

    def ready(self) -> bool:
        """Every workspace's outbox is loaded."""
        return self._ownership.ready()

    async def stop(self) -> None:
        """Finish the calls under way and let connections go."""
        await self._receipts.stop()
        await self._ownership.stop()
        for sender in self._senders.values():
            await sender.close()

    def _shard(self, workspace: str) -> ChannelShard:
        """The open shard of a workspace that an address names. Raises NOT_FOUND for no workspace, and UNAVAILABLE."""
        return self._ownership.shard(self._runtime.workspaces.get(workspace).id)

    def _inbox(self, workspace: str) -> Inbox:
        return self._ownership.shard(workspace).inbox

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
