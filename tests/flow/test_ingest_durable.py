"""Ingest on a real log server that is killed in the middle: what was acknowledged is there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2 as pb
from services.runtime.clock import SystemClock
from services.runtime.redis_log import RedisLog
from tests.servers import start_valkey
from tests.unit.ingest.house import House, running

ANN = facts_pb2.Identifier(kind="external_id", value="ann")


async def caller(house: House, name: str, acknowledged: dict[str, int], stop: asyncio.Event) -> int:
    """Track one event after the other until told to stop; how many calls failed."""
    failed = number = 0
    while not stop.is_set():
        event = pb.Event(type="site_visited", message_id=f"{name}-{number}", identifiers=[ANN])
        try:
            answer = await house.ingest.Track(pb.TrackRequest(event=event), metadata=house.metadata, timeout=20)
            acknowledged[answer.message_id] = answer.position
        except grpc.aio.AioRpcError as error:
            assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
            failed += 1
        number += 1
    return failed


async def reached(acknowledged: dict[str, int], count: int) -> None:
    """Return once `count` are acknowledged."""
    async with asyncio.timeout(30):
        while len(acknowledged) < count:  # noqa: ASYNC110 - the callers count in a plain dict
            await asyncio.sleep(0.01)


async def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    server = start_valkey(tmp_path / "valkey")
    log = await RedisLog.connect(server.url)
    acknowledged: dict[str, int] = {}
    try:
        async with running(tmp_path / "data", log, SystemClock()) as house:
            stop = asyncio.Event()
            callers = [asyncio.create_task(caller(house, f"c{n}", acknowledged, stop)) for n in range(8)]
            await reached(acknowledged, 100)
            await asyncio.to_thread(server.kill)
            before = len(acknowledged)
            await asyncio.to_thread(server.start)
            await reached(acknowledged, before + 100)
            stop.set()
            await asyncio.gather(*callers)
            batches = await house.columns()
            for message_id, position in acknowledged.items():
                assert message_id in batches[position - 1].ids
    finally:
        await log.close()
        server.stop()
