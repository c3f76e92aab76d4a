"""Read-your-writes across services: from a position of ingest's log to answers that include it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from cdp.profile.v1 import profile_pb2
from cdp.segment.v1 import segment_pb2
from services.demo.client import CALL_S, Client, DemoError, again
from services.demo.journey import END_US

_WITHIN_S = 300.0


async def wait_folded(client: Client, position: int) -> int:
    """Return once segments answer from `position` of ingest's log: the position of the profile log that holds it.

    Two steps, because each service counts its own log: unification says when it has folded ingest's position, and
    the end of its log is then what the segment engine must reach.
    """

    async def unified() -> None:
        request = profile_pb2.BatchGetRequest(contacts=[0], min_upstream_position=position)
        await client.profile.BatchGet(request, metadata=client.metadata, timeout=CALL_S)

    await again(unified, _WITHIN_S)
    end = await end_of_profile_log(client)

    async def answered() -> None:
        request = segment_pb2.EvaluateRequest(
            rule=segment_pb2.RuleSource(text="everyone"), as_of_us=END_US, min_position=end
        )
        await client.segment.Evaluate(request, metadata=client.metadata, timeout=CALL_S)

    await again(answered, _WITHIN_S)
    return end


async def end_of_profile_log(client: Client) -> int:
    """The last position of the log of resolved facts, as its stream tells with the first entry."""
    closing = asyncio.Event()

    async def asked() -> AsyncIterator[profile_pb2.SubscribeRequest]:
        yield profile_pb2.SubscribeRequest(start=profile_pb2.SubscribeRequest.Start(max_in_flight=1))
        await closing.wait()  # an end of the requests would end the answers

    stream = client.profile.Subscribe(asked(), metadata=client.metadata, timeout=CALL_S)
    try:
        async for response in stream:
            return response.last_position
        raise DemoError("the stream of profiles ended without an entry")
    finally:
        closing.set()
        stream.cancel()
