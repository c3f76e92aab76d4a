"""Typed clients of the five services, one channel per address, calling as a service (internal token)."""

from __future__ import annotations

from collections.abc import Callable

import grpc

from cdp.channel.v1 import channel_pb2_grpc
from cdp.ingest.v1 import ingest_pb2_grpc
from cdp.profile.v1 import profile_pb2_grpc
from cdp.scenario.v1 import scenario_pb2_grpc
from cdp.segment.v1 import computed_pb2_grpc, recommend_pb2_grpc, segment_pb2_grpc
from cdp.workspace.v1 import workspace_pb2_grpc
from services.runtime.roles import Role

Metadata = tuple[tuple[str, str], ...]


class Stubs:
    """Clients of peers. `address` tells where a role answers now; channels are made at first use and kept."""

    def __init__(self, address: Callable[[Role], str], internal_token: str, maximum_message_bytes: int) -> None:
        self._address = address
        self._token = internal_token
        self._limit_bytes = maximum_message_bytes
        self._channels: dict[str, grpc.aio.Channel] = {}

    def internal_metadata(self, workspace_id: str | None = None) -> Metadata:
        """Metadata of an internal call, speaking of `workspace_id` if it is given."""
        bearer = ("authorization", f"Bearer {self._token}")
        return (bearer,) if workspace_id is None else (bearer, ("cdp-workspace", workspace_id))

    def channel_to(self, address: str) -> grpc.aio.Channel:
        """The one channel to `address`."""
        channel = self._channels.get(address)
        if channel is None:
            channel = grpc.aio.insecure_channel(
                address,
                options=[
                    ("grpc.max_receive_message_length", self._limit_bytes),
                    ("grpc.max_send_message_length", self._limit_bytes),
                    ("grpc.initial_reconnect_backoff_ms", 100),
                    ("grpc.min_reconnect_backoff_ms", 100),
                    ("grpc.max_reconnect_backoff_ms", 2_000),
                    ("grpc.keepalive_time_ms", 30_000),
                ],
            )
            self._channels[address] = channel
        return channel

    def channel_of(self, role: Role) -> grpc.aio.Channel:
        """The channel to where `role` answers now."""
        return self.channel_to(self._address(role))

    def _to(self, role: Role) -> grpc.aio.Channel:
        return self.channel_of(role)

    def ingest(self) -> ingest_pb2_grpc.IngestServiceStub:
        """IngestService."""
        return ingest_pb2_grpc.IngestServiceStub(self._to(Role.INGEST))

    def workspace(self) -> workspace_pb2_grpc.WorkspaceServiceStub:
        """WorkspaceService, which ingest answers."""
        return workspace_pb2_grpc.WorkspaceServiceStub(self._to(Role.INGEST))

    def key(self) -> workspace_pb2_grpc.KeyServiceStub:
        """KeyService, which ingest answers."""
        return workspace_pb2_grpc.KeyServiceStub(self._to(Role.INGEST))

    def profile(self) -> profile_pb2_grpc.ProfileServiceStub:
        """ProfileService."""
        return profile_pb2_grpc.ProfileServiceStub(self._to(Role.PROFILE_UNIFICATION))

    def segment(self) -> segment_pb2_grpc.SegmentServiceStub:
        """SegmentService."""
        return segment_pb2_grpc.SegmentServiceStub(self._to(Role.SEGMENT_ENGINE))

    def computed(self) -> computed_pb2_grpc.ComputedServiceStub:
        """ComputedService, which the segment engine answers."""
        return computed_pb2_grpc.ComputedServiceStub(self._to(Role.SEGMENT_ENGINE))

    def recommend(self) -> recommend_pb2_grpc.RecommendServiceStub:
        """RecommendService, which the segment engine answers."""
        return recommend_pb2_grpc.RecommendServiceStub(self._to(Role.SEGMENT_ENGINE))

    def scenario(self) -> scenario_pb2_grpc.ScenarioServiceStub:
        """ScenarioService."""
        return scenario_pb2_grpc.ScenarioServiceStub(self._to(Role.SCENARIO))

    def channel(self) -> channel_pb2_grpc.ChannelServiceStub:
        """ChannelService."""
        return channel_pb2_grpc.ChannelServiceStub(self._to(Role.CHANNEL))

    async def close(self) -> None:
        """Close all channels. Idempotent."""
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            await channel.close()
