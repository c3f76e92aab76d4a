"""Following the engine's membership log: one stream that is opened again after the last entry handed out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc

from cdp.segment.v1 import segment_pb2
from services.runtime.context import Runtime
from services.runtime.errors import from_rpc
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
_PAUSE_S = 0.2
_LONG_PAUSE_S = 5.0
#: The log that this cursor belongs to is gone: read the new one from its start.
_EPOCH_CHANGED = "EPOCH_CHANGED"


async def watch(
    runtime: Runtime, workspace_id: str, after: int, epoch: str
) -> AsyncIterator[segment_pb2.WatchResponse]:
    """All changes of memberships after position `after` of the log with this epoch, in order, for ever."""
    while True:
        call = runtime.stubs.segment().Watch(
            segment_pb2.WatchRequest(after_position=after, epoch=epoch),
            metadata=runtime.stubs.internal_metadata(workspace_id),
        )
        pause_s = _PAUSE_S
        try:
            async for response in call:
                after, epoch = response.position, response.epoch
                yield response
        except grpc.aio.AioRpcError as error:
            refusal = from_rpc(error)
            if refusal.reason == _EPOCH_CHANGED:
                _LOG.error("the membership log was replaced, reading it from its start", workspace=workspace_id)
                after, epoch = 0, ""
            elif refusal.retry_after_s is None:
                _LOG.error("memberships refused", workspace=workspace_id, reason=refusal.reason, after=after)
                pause_s = _LONG_PAUSE_S
            else:
                _LOG.info("memberships not reached, asking again", workspace=workspace_id, reason=refusal.reason)
        finally:
            call.cancel()
        await asyncio.sleep(pause_s)
