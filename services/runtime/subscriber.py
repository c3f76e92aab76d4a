"""Reading another service's log: one stream that survives restarts of either side, without gap or repeat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, Protocol, TypeVar, cast

import grpc

from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from core.errors import CdpError, Code, unavailable
from services.runtime.context import Runtime
from services.runtime.errors import from_rpc
from services.runtime.telemetry import FOLDED_POSITION, UPSTREAM_LAG, get_logger

_LOG = get_logger(__name__)
#: A broken stream is opened again after this pause, which doubles up to the longest while nothing comes.
_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 1.0


class Response(Protocol):
    """What every service's Subscribe response has."""

    position: int
    recorded_at_us: int
    epoch: str
    last_position: int


R = TypeVar("R", bound=Response)
Call = grpc.aio.StreamStreamCall[Any, Any]
#: The type of a service's Subscribe requests, made with `start` or with `acknowledged_position`.
Request = Callable[..., object]

#: Refusals that asking again cannot mend.
_FINAL = ("EPOCH_CHANGED", "LOG_TRIMMED", "POSITION_AHEAD", "ACKNOWLEDGED_AHEAD")


class Subscription(Generic[R]):
    """Entries after `after`, in order, each once. Iterate over it; call `acknowledge` once their effect is durable.

    A broken stream is opened again after the last entry handed out. An answer that asking again cannot mend
    (another epoch, trimmed, a position out of order) is raised as CdpError. Iterating ends with the iterator: once
    nobody holds it, or its task is cancelled, the call is cancelled at once.
    """

    def __init__(
        self,
        workspace_id: str,
        consumer: str,
        after: int,
        open_stream: Callable[[], Call],
        request: Request,
        epoch: str = "",
    ) -> None:
        self.consumer = consumer
        self.last_position = 0
        self._labels = (consumer, workspace_id)
        self._open_stream = open_stream
        self._request = request
        self._position = after
        self._acknowledged = after
        self._epoch = epoch
        self._send = asyncio.Event()
        self._greeted = False

    @property
    def epoch(self) -> str:
        """The life of the peer's log that positions belong to; empty before it has spoken."""
        return self._epoch

    def caught_up(self, position: int) -> bool:
        """True when `position` is the end of the peer's log as it last told; False before it has spoken."""
        return self._greeted and position >= self.last_position

    def acknowledge(self, position: int) -> None:
        """Everything up to `position` is durable here: the peer may trim it and send more."""
        self._acknowledged = max(self._acknowledged, position)
        self._send.set()
        FOLDED_POSITION.labels(*self._labels).set(position)
        UPSTREAM_LAG.labels(*self._labels).set(max(0, self.last_position - position))

    def __aiter__(self) -> AsyncIterator[R]:
        return _Iterator(self)

    def open(self) -> tuple[Call, asyncio.Task[None]]:
        """A stream from the acknowledged position on, and the task that sends on it."""
        call = self._open_stream()
        # From what is durable, not from what was handed out: the peer trims below a position that it was told.
        sending = self._send_all(call, self._acknowledged, self._epoch)
        return call, asyncio.create_task(sending, name=f"{self.consumer}-acknowledgements")

    def take(self, response: R) -> bool:
        """Note what `response` says; True for an entry that was not handed out yet.

        Raises INTERNAL / STREAM_GAP when entries are missing before it.
        """
        self._epoch = response.epoch
        self.last_position = response.last_position
        self._greeted = True
        if response.position <= self._position:
            return False
        if response.position != self._position + 1:
            what = f"position {response.position} came after {self._position}"
            raise CdpError(Code.INTERNAL, "STREAM_GAP", what)
        self._position = response.position
        return True

    async def _send_all(self, call: Call, sent: int, epoch: str) -> None:
        start = {"consumer": self.consumer, "after_position": sent, "epoch": epoch}
        try:
            await call.write(self._request(start=start))
            while True:
                if self._acknowledged > sent:
                    sent = self._acknowledged
                    await call.write(self._request(acknowledged_position=sent))
                    continue
                self._send.clear()
                await self._send.wait()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the reading side sees the same end and opens the stream again


class _Iterator(AsyncIterator[R]):
    """One pass over a subscription. Not a generator: those end only when the loop gets to finalise them."""

    def __init__(self, subscription: Subscription[R]) -> None:
        self._subscription = subscription
        self._call: Call | None = None
        self._sender: asyncio.Task[None] | None = None
        self._pause_s = _PAUSE_S

    async def __anext__(self) -> R:
        try:
            return await self._next()
        except BaseException:
            self._close()
            raise

    async def _next(self) -> R:
        subscription = self._subscription
        while True:
            if self._call is None:
                self._call, self._sender = subscription.open()
            try:
                response = await self._call.read()
            except grpc.aio.AioRpcError as error:
                await self._broken(from_rpc(error), error)
                continue
            if response is grpc.aio.EOF:
                await self._broken(unavailable("STREAM_ENDED", "the peer ended the stream"), None)
                continue
            self._pause_s = _PAUSE_S
            entry = cast("R", response)
            if subscription.take(entry):
                return entry

    async def _broken(self, refusal: CdpError, error: grpc.aio.AioRpcError | None) -> None:
        """Pause before the stream is opened again. Raises `refusal` if that cannot help."""
        if refusal.reason in _FINAL:
            raise refusal from error
        self._close()
        # A refusal in words of ours that is no "not now" wants somebody's eye, though it may still pass.
        log = _LOG.info if refusal.code is Code.UNAVAILABLE or refusal.reason.startswith("PEER_") else _LOG.warning
        log("stream broken, opening it again", consumer=self._subscription.consumer, reason=refusal.reason)
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _close(self) -> None:
        sender, self._sender = self._sender, None
        call, self._call = self._call, None
        if sender is not None and not sender.get_loop().is_closed():
            sender.cancel()
        if call is not None:
            call.cancel()

    def __del__(self) -> None:
        self._close()


def subscribe_ingest(
    runtime: Runtime, workspace_id: str, consumer: str, after: int
) -> Subscription[ingest_pb2.SubscribeResponse]:
    """Ingest's accepted batches of one workspace after position `after`."""
    metadata = runtime.stubs.internal_metadata(workspace_id)
    return Subscription(
        workspace_id,
        consumer,
        after,
        lambda: runtime.stubs.ingest().Subscribe(metadata=metadata),
        ingest_pb2.SubscribeRequest,
    )


def subscribe_profile(
    runtime: Runtime, workspace_id: str, consumer: str, after: int, epoch: str = ""
) -> Subscription[profile_pb2.SubscribeResponse]:
    """Unification's resolved facts of one workspace after position `after` of the log's life `epoch` (empty: any)."""
    metadata = runtime.stubs.internal_metadata(workspace_id)
    return Subscription(
        workspace_id,
        consumer,
        after,
        lambda: runtime.stubs.profile().Subscribe(metadata=metadata),
        profile_pb2.SubscribeRequest,
        epoch,
    )
