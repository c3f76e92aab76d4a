"""Reading another service's log: one stream that survives restarts of either side, without gap or repeat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Generic, Protocol, TypeVar

import grpc

from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from services.runtime.context import Runtime
from services.runtime.errors import from_rpc
from services.runtime.telemetry import FOLDED_POSITION, UPSTREAM_LAG, get_logger

_LOG = get_logger(__name__)
_PAUSE_S = 0.2


class Response(Protocol):
    """What every service's Subscribe response has."""

    position: int
    recorded_at_us: int
    epoch: str
    last_position: int


R = TypeVar("R", bound=Response)
Call = grpc.aio.StreamStreamCall


class Subscription(Generic[R]):
    """Entries after `after`, in order. Iterate over it; call `acknowledge` once their effect is durable.

    A broken stream is opened again after the last entry handed out. An answer that asking again cannot mend
    (another epoch, trimmed) is raised as CdpError.
    """

    def __init__(
        self,
        runtime: Runtime,
        workspace_id: str,
        consumer: str,
        after: int,
        open_stream: Callable[[], grpc.aio.StreamStreamCall],  # type: ignore[type-arg]
        start: Callable[[int, str], object],
        acknowledgement: Callable[[int], object],
    ) -> None:
        self._labels = (consumer, workspace_id)
        self._runtime = runtime
        self._open_stream = open_stream
        self._start = start
        self._acknowledgement = acknowledgement
        self._position = after
        self._acknowledged = after
        self._epoch = ""
        self._send = asyncio.Event()
        self._greeted = False
        self.last_position = 0

    def caught_up(self, position: int) -> bool:
        """True when `position` is the end of the peer's log as it last told; False before it has spoken."""
        return self._greeted and position >= self.last_position

    def acknowledge(self, position: int) -> None:
        """Everything up to `position` is durable here: the peer may trim it and send more."""
        self._acknowledged = max(self._acknowledged, position)
        self._send.set()
        FOLDED_POSITION.labels(*self._labels).set(position)
        UPSTREAM_LAG.labels(*self._labels).set(max(0, self.last_position - position))

    async def __aiter__(self) -> AsyncIterator[R]:
        while True:
            call = self._open_stream()
            sender = asyncio.create_task(self._acknowledge_all(call))
            try:
                await call.write(self._start(self._position, self._epoch))
                async for response in call:
                    self._epoch = response.epoch
                    self.last_position = response.last_position
                    self._greeted = True
                    if response.position > self._position:
                        self._position = response.position
                        yield response
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as failure:
                error = failure if isinstance(failure, grpc.aio.AioRpcError) else await _ended(call)
                refusal = from_rpc(error)
                if refusal.reason in ("EPOCH_CHANGED", "LOG_TRIMMED", "POSITION_AHEAD"):
                    raise refusal from error
                _LOG.info("stream broken, opening it again", consumer=self._labels[0], reason=refusal.reason)
            finally:
                sender.cancel()
                call.cancel()
            await asyncio.sleep(_PAUSE_S)

    async def _acknowledge_all(self, call: grpc.aio.StreamStreamCall) -> None:  # type: ignore[type-arg]
        sent = self._position
        while True:
            await self._send.wait()
            self._send.clear()
            if self._acknowledged > sent:
                sent = self._acknowledged
                try:
                    await call.write(self._acknowledgement(sent))
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    return  # the reading side sees the same end and opens the stream again


async def _ended(call: grpc.aio.StreamStreamCall) -> grpc.aio.AioRpcError:  # type: ignore[type-arg]
    metadata = await call.trailing_metadata()
    code = await call.code()
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, await call.details())


def subscribe_ingest(
    runtime: Runtime, workspace_id: str, consumer: str, after: int
) -> Subscription[ingest_pb2.SubscribeResponse]:
    """Ingest's accepted batches of one workspace after position `after`."""
    metadata = runtime.stubs.internal_metadata(workspace_id)
    return Subscription(
        runtime,
        workspace_id,
        consumer,
        after,
        lambda: runtime.stubs.ingest().Subscribe(metadata=metadata),
        lambda position, epoch: ingest_pb2.SubscribeRequest(
            start=ingest_pb2.SubscribeRequest.Start(consumer=consumer, after_position=position, epoch=epoch)
        ),
        lambda position: ingest_pb2.SubscribeRequest(acknowledged_position=position),
    )


def subscribe_profile(
    runtime: Runtime, workspace_id: str, consumer: str, after: int
) -> Subscription[profile_pb2.SubscribeResponse]:
    """Unification's resolved facts of one workspace after position `after`."""
    metadata = runtime.stubs.internal_metadata(workspace_id)
    return Subscription(
        runtime,
        workspace_id,
        consumer,
        after,
        lambda: runtime.stubs.profile().Subscribe(metadata=metadata),
        lambda position, epoch: profile_pb2.SubscribeRequest(
            start=profile_pb2.SubscribeRequest.Start(consumer=consumer, after_position=position, epoch=epoch)
        ),
        lambda position: profile_pb2.SubscribeRequest(acknowledged_position=position),
    )
