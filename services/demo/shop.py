"""A small shop with the web tracker in its pages, and what its visitors do, as it arrives."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc

from cdp.ingest.v1 import ingest_pb2
from cdp.workspace.v1 import workspace_pb2, workspace_pb2_grpc
from services.demo.client import CALL_S, Client, DemoError, again
from services.demo.screen import Screen
from services.runtime.facts import columns_from_proto
from services.runtime.server_process import free_port

_ROOT = Path(__file__).parents[2]
_SERVER = "tests.shop.server"
#: What a line shows of an event.
_SHOWN = ("product_id", "name", "category", "query", "total", "url")
_PAUSE_S = 1.0


class DemoShop:
    """The shop's server as a process of its own, with a key that works in its pages only."""

    def __init__(self, url: str, process: asyncio.subprocess.Process) -> None:
        self.url = url
        self._process = process

    @classmethod
    async def start(cls, client: Client, http_url: str) -> DemoShop | None:
        """Open it. None where the shop's pages are not at hand: they lie beside the tests, not in the package."""
        if not (_ROOT / "tests" / "shop" / "server.py").exists():
            return None
        port = free_port()
        url = f"http://shop.localhost:{port}/"
        keys = workspace_pb2_grpc.KeyServiceStub(client.channel)
        wanted = workspace_pb2.CreateKeyRequest(
            display_name="demo shop",
            scope=workspace_pb2.SCOPE_WRITE,
            origins=[url.rstrip("/"), f"http://localhost:{port}", f"http://127.0.0.1:{port}"],
        )
        made = await again(lambda: keys.CreateKey(wanted, metadata=client.metadata, timeout=CALL_S))
        command = (sys.executable, "-m", _SERVER, str(port), http_url, made.secret)
        process = await asyncio.create_subprocess_exec(
            *command, cwd=_ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"}, stdout=asyncio.subprocess.DEVNULL
        )
        shop = cls(url, process)
        await shop._opened(port)
        return shop

    async def _opened(self, port: int) -> None:
        """Return once the port answers. Raises DemoError when the server ends instead."""
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                if self._process.returncode is not None:
                    raise DemoError(f"the demo shop ended with {self._process.returncode}") from None
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return

    async def close(self) -> None:
        """End it. Idempotent."""
        if self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


async def show_visits(client: Client, screen: Screen) -> None:
    """A line for every event that is accepted from now on and that came from a page, until cancelled. Where the
    stream breaks it is taken up again."""
    while True:
        try:
            await _show(client, screen)
        except grpc.aio.AioRpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
                raise
        await asyncio.sleep(_PAUSE_S)


async def _show(client: Client, screen: Screen) -> None:
    stop = asyncio.Event()

    async def requests() -> AsyncIterator[ingest_pb2.SubscribeRequest]:
        # From the very end: a position beyond the last one waits for what comes.
        yield ingest_pb2.SubscribeRequest(start=ingest_pb2.SubscribeRequest.Start(after_position=last))
        async for _ in _until(stop, seen):
            yield ingest_pb2.SubscribeRequest(acknowledged_position=seen[-1])

    seen: list[int] = []
    last = await _last_position(client)
    async for response in client.ingest.Subscribe(requests(), metadata=client.metadata):
        for event in columns_from_proto(response.batch.events).rows():
            if "url" not in event.params:
                continue
            who = ", ".join(f"{one.kind} {one.value[:12]}" for one in event.identifiers)
            told = ", ".join(str(event.params[name]) for name in _SHOWN if name in event.params)
            screen.plain(f"shop: {event.type} by {who}: {told}")
        seen.append(response.position)
    stop.set()


async def _until(stop: asyncio.Event, seen: list[int]) -> AsyncIterator[None]:
    told = 0
    while not stop.is_set():
        await asyncio.sleep(0.2)
        if len(seen) > told:
            told = len(seen)
            yield


async def _last_position(client: Client) -> int:
    """The position of the newest entry."""

    async def from_the_start() -> AsyncIterator[ingest_pb2.SubscribeRequest]:
        yield ingest_pb2.SubscribeRequest(start=ingest_pb2.SubscribeRequest.Start(max_in_flight=1))
        await asyncio.sleep(CALL_S)

    call = client.ingest.Subscribe(from_the_start(), metadata=client.metadata)
    try:
        async for response in call:
            return int(response.last_position)
    finally:
        call.cancel()
    return 0
