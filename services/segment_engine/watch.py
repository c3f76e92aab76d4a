"""The stream of memberships out of the engine's own log."""

from __future__ import annotations

from collections.abc import AsyncIterator

from cdp.segment.v1 import segment_pb2
from core.errors import conflict
from core.eventlog.protocol import EventLog, Partition

_READ_ENTRIES = 64
_READ_BYTES = 4 << 20
_WAIT_S = 5.0


async def watch_memberships(
    log: EventLog, partition: Partition, request: segment_pb2.WatchRequest
) -> AsyncIterator[segment_pb2.WatchResponse]:
    """Steps after the asked position, of one segment or all. Steps that say nothing of the asked segment are passed
    over. CONFLICT / EPOCH_CHANGED for a cursor of another life of the log."""
    epoch = await log.epoch(partition)
    if request.epoch and request.epoch != epoch:
        raise conflict("EPOCH_CHANGED", "this position belongs to another log: read from the start")
    position = request.after_position
    while True:
        entries = await log.read(partition, position, _READ_ENTRIES, _READ_BYTES)
        if not entries:
            await log.wait(partition, position, _WAIT_S)
            continue
        for entry in entries:
            position = entry.position
            response = segment_pb2.WatchResponse.FromString(entry.payload)
            if request.segment:
                memberships = [one for one in response.memberships if one.segment == request.segment]
                bulk = [one for one in response.bulk if one.segment == request.segment]
                if not memberships and not bulk:
                    continue
                response = segment_pb2.WatchResponse(
                    memberships=memberships, bulk=bulk, profile_position=response.profile_position
                )
            response.position = entry.position
            response.epoch = epoch
            yield response
