"""Count of a saved segment through gRPC against an empty grpc.aio echo: calls a second, same client, same run."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc

from cdp.segment.v1 import segment_pb2
from services.runtime.server_process import free_port
from tests.bench.platform_process import ROOT, PlatformProcess

_CALLS = 3_000
_AT_ONCE = 32
_ROUNDS = 9
_ECHO = "/echo.Echo/Echo"


async def serve_echo(port: int) -> None:
    """The empty server that Count is held against; it has a process of its own, as the platform has."""

    async def echo(request: bytes, context: Any) -> bytes:
        return request

    server = grpc.aio.server()
    handlers: dict[str, Any] = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def _start_echo(port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.bench", "--echo", str(port)], cwd=ROOT)


async def _rate(call: Callable[[], Awaitable[object]]) -> float:
    left = _CALLS

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call()

    started_s = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    return _CALLS / (time.perf_counter() - started_s)


async def measure_calls(folder: Path) -> dict[str, object]:
    """Medians of alternated rounds, and the median of the paired ratios."""
    port = free_port()
    echo = _start_echo(port)
    try:
        async with PlatformProcess(folder) as platform, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            client = platform.client
            await client.segment.SaveSegment(
                segment_pb2.SaveSegmentRequest(name="everyone", rule=segment_pb2.RuleSource(text="everyone")),
                metadata=client.metadata,
            )
            request = segment_pb2.CountRequest(name="everyone")
            echo_call: Any = channel.unary_unary(_ECHO)
            await channel.channel_ready()

            async def ask_echo() -> object:
                return await echo_call(b"", timeout=10.0)

            async def ask_count() -> object:
                return await client.segment.Count(request, metadata=client.metadata, timeout=10.0)

            await _rate(ask_echo)
            await _rate(ask_count)
            pairs = [(await _rate(ask_echo), await _rate(ask_count)) for _ in range(_ROUNDS)]
    finally:
        echo.terminate()
        echo.wait()
    return {
        "echo_calls_per_s": round(statistics.median(pair[0] for pair in pairs)),
        "count_calls_per_s": round(statistics.median(pair[1] for pair in pairs)),
        "ratio": round(statistics.median(pair[1] / pair[0] for pair in pairs), 2),
        "rounds": _ROUNDS,
        "calls_at_once": _AT_ONCE,
    }
