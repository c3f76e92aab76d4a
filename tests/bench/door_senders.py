"""Programs that send, in a process of their own: batches of 100 events over several connections, made beforehand.

`python -m tests.bench.door_senders http|grpc ADDRESS KEY BATCHES` prints one line of JSON: {"events", "seconds"}.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
import uuid
from typing import Any

import grpc

from cdp.ingest.v1 import ingest_pb2

BATCH = 100
_CONNECTIONS = 16
_CATEGORIES = 50
_PEOPLE = 20_000


def http_bodies(batches: int) -> list[bytes]:
    """Bodies of POST /v1/batch as a shop's server sends them."""
    return [
        json.dumps({"batch": [_call(batch * BATCH + i) for i in range(BATCH)], "sentAt": "2026-11-01T10:00:00.000Z"})
        .encode()
        for batch in range(batches)
    ]  # fmt: skip


def _call(n: int) -> dict[str, object]:
    return {
        "type": "track",
        "event": "Product Viewed",
        "userId": f"customer-{n * 7919 % _PEOPLE}",
        "anonymousId": str(uuid.UUID(int=n * 7919 % _PEOPLE)),
        "messageId": f"http-{uuid.UUID(int=n)}",
        "timestamp": "2026-11-01T09:59:59.500Z",
        "properties": {
            "product_id": f"p{n % 5_000}",
            "name": f"Product number {n % 5_000}",
            "category": f"category {n % _CATEGORIES}",
            "price": (n % 1_000) + 0.99,
        },
        "context": {"page": {"url": f"https://shop.example/p/{n % 5_000}", "title": "A product"}, "locale": "en-GB"},
    }


def grpc_requests(batches: int) -> list[bytes]:
    """Serialised IngestBatchRequests that say the same."""
    requests = []
    for batch in range(batches):
        request = ingest_pb2.IngestBatchRequest()
        for i in range(BATCH):
            n = batch * BATCH + i
            event = request.items.add().event
            event.type = "product_viewed"
            event.message_id = f"grpc-{uuid.UUID(int=n)}"
            event.occurred_at_us = 1_793_527_199_500_000
            event.identifiers.add(kind="external_id", value=f"customer-{n * 7919 % _PEOPLE}")
            event.identifiers.add(kind="anonymous_id", value=str(uuid.UUID(int=n * 7919 % _PEOPLE)))
            event.params["product_id"].text = f"p{n % 5_000}"
            event.params["name"].text = f"Product number {n % 5_000}"
            event.params["category"].text = f"category {n % _CATEGORIES}"
            event.params["price"].decimal_units = (n % 1_000) * 10_000 + 9_900
            event.params["url"].text = f"https://shop.example/p/{n % 5_000}"
            event.params["language"].text = "en-GB"
        requests.append(request.SerializeToString())
    return requests


async def send_http(host: str, port: int, path: str, key: str, bodies: list[bytes]) -> float:
    """Seconds until every body was answered 200."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Authorization: Basic {base64.b64encode(f'{key}:'.encode()).decode()}\r\nContent-Length: "
    ).encode()
    queue = iter(bodies)

    async def work() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        for body in queue:
            writer.write(head + str(len(body)).encode() + b"\r\n\r\n" + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in answer.split(b"\r\n", 1)[0]:
                raise RuntimeError(f"refused: {answer[:300]!r}")
            length = int(answer.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            told = await reader.readexactly(length)
            if b'"rejected"' in told:
                raise RuntimeError(f"items were rejected: {told[:300]!r}")
        writer.close()

    started_s = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(_CONNECTIONS)))
    return time.perf_counter() - started_s


async def send_grpc(address: str, method: str, key: str, requests: list[bytes]) -> float:
    """Seconds until every request was answered."""
    queue = iter(requests)
    async with grpc.aio.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(method, None, ingest_pb2.IngestBatchResponse.FromString)
        await channel.channel_ready()

        async def work() -> None:
            for request in queue:
                answer = await call(request, metadata=(("authorization", f"Bearer {key}"),), timeout=60.0)
                if any(result.reason for result in answer.results):
                    raise RuntimeError(f"items were refused: {answer.results[0]}")

        started_s = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(_CONNECTIONS)))
        return time.perf_counter() - started_s


async def _main(way: str, address: str, path: str, key: str, batches: int) -> None:
    if way == "http":
        host, _, port = address.partition(":")
        seconds = await send_http(host, int(port), path, key, http_bodies(batches))
    else:
        seconds = await send_grpc(address, path, key, grpc_requests(batches))
    print(json.dumps({"events": batches * BATCH, "seconds": seconds}))


if __name__ == "__main__":
    _way, _address, _path, _key, _batches = sys.argv[1:]
    asyncio.run(_main(_way, _address, _path, _key, int(_batches)))
