"""Loading through the public API: batches in flight, and the same message ids on every try."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from services.demo import requests
from services.demo.client import CALL_S, Client, DemoError, again
from services.demo.folded import wait_folded
from services.demo.journey import Journey
from services.demo.requests import Request

_IN_FLIGHT = 6

#: Called with (what is loaded, items acknowledged since the last call).
Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did. Seconds count from the first call."""

    items: int
    acknowledged_s: float
    queryable_s: float


async def load(client: Client, journey: Journey, progress: Progress) -> Loaded:
    """Send everything, then wait until segments answer from all of it.

    May be repeated at will: what arrived before is recognised by its message id. Raises DemoError if an item is
    refused, and AioRpcError when the platform is away for longer than a minute.
    """
    started_s = time.perf_counter()
    items = position = 0
    ways: tuple[tuple[str, Any, Iterator[Request]], ...] = (
        ("contacts", client.ingest_batch, requests.person_requests(journey)),
        ("products", client.upsert_products, requests.product_requests(journey)),
        ("messages and coupons", client.ingest_batch, requests.message_requests(journey)),
        ("orders", client.ingest_batch, requests.order_requests(journey)),
    )
    for what, call, batches in ways:
        sent, last = await _send(client, call, batches, what, progress)
        items += sent
        position = max(position, last)
    acknowledged_s = time.perf_counter() - started_s
    await wait_folded(client, position)
    return Loaded(items, acknowledged_s, time.perf_counter() - started_s)


async def _send(
    client: Client, call: Any, batches: Iterator[Request], what: str, progress: Progress
) -> tuple[int, int]:
    """Items sent and the last position of ingest's log. The workers share the iterator: each takes the next batch."""
    items = position = 0

    async def work() -> None:
        nonlocal items, position
        for request in batches:

            async def once(body: bytes = request.body) -> Any:
                return await call(body, metadata=client.metadata, timeout=CALL_S)

            response = await again(once)
            refused = next((result for result in response.results if result.reason), None)
            if refused is not None:
                places = "; ".join(f"{one.path} {one.description}" for one in refused.violations)
                raise DemoError(f"{what}: an item was refused: {refused.reason}: {places or refused.description}")
            items += request.items
            position = max(position, response.position)
            progress(what, request.items)

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_IN_FLIGHT):
                tasks.create_task(work())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None  # the first failure ended the others
    return items, position
