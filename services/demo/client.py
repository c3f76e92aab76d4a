"""A caller of the public gRPC API: one channel, one API key, and patience with a server that restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc

from cdp.channel.v1 import channel_pb2_grpc
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from cdp.profile.v1 import profile_pb2_grpc
from cdp.scenario.v1 import scenario_pb2_grpc
from cdp.segment.v1 import segment_pb2_grpc
from cdp.workspace.v1 import workspace_pb2_grpc

Metadata = tuple[tuple[str, str], ...]
Answer = TypeVar("Answer")

#: The server did not do it, or it does not matter that it did: the same call may be made again.
_AGAIN = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED})
#: The deadline of a call.
CALL_S = 60.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
_LIMIT_BYTES = 64 << 20


class DemoError(Exception):
    """The demo cannot go on; the message says to a person why, and what to do."""


class Client:
    """Stubs of all services at `address` (host:port). Every call needs `metadata=client.metadata`. Close it."""

    def __init__(self, address: str, secret: str) -> None:
        self.address = address
        self.metadata: Metadata = (("authorization", f"Bearer {secret}"),)
        self.channel = grpc.aio.insecure_channel(
            address,
            options=[
                ("grpc.max_receive_message_length", _LIMIT_BYTES),
                ("grpc.max_send_message_length", _LIMIT_BYTES),
                ("grpc.max_reconnect_backoff_ms", 1_000),
            ],
        )
        self.ingest = ingest_pb2_grpc.IngestServiceStub(self.channel)
        self.profile = profile_pb2_grpc.ProfileServiceStub(self.channel)
        self.segment = segment_pb2_grpc.SegmentServiceStub(self.channel)
        self.scenario = scenario_pb2_grpc.ScenarioServiceStub(self.channel)
        self.messages = channel_pb2_grpc.ChannelServiceStub(self.channel)
        self.workspace = workspace_pb2_grpc.WorkspaceServiceStub(self.channel)
        # These two take requests that are serialised already: see services.demo.wire.
        self.ingest_batch = self._serialised("IngestBatch", ingest_pb2.IngestBatchResponse.FromString)
        self.upsert_products = self._serialised("UpsertProducts", ingest_pb2.UpsertProductsResponse.FromString)

    def _serialised(self, method: str, parse: Callable[[bytes], Any]) -> Any:
        return self.channel.unary_unary(f"/cdp.ingest.v1.IngestService/{method}", None, parse)

    async def close(self) -> None:
        """Let the connection go. Idempotent."""
        await self.channel.close()


async def again(call: Callable[[], Awaitable[Answer]], within_s: float = 60.0) -> Answer:
    """The answer of `call`, which is repeated while the server cannot take it: only for calls that may be repeated.

    Raises the last AioRpcError after `within_s`, and every other one at once.
    """
    loop = asyncio.get_running_loop()
    give_up_s = loop.time() + within_s
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error.code() not in _AGAIN or loop.time() + pause_s > give_up_s:
                raise
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
