"""Complete Journey through the public API, durable and queryable; then the demo's segments over it."""

from __future__ import annotations

import asyncio
import statistics
from pathlib import Path

from cdp.segment.v1 import segment_pb2
from services.demo.journey import END_US, read
from services.demo.load import load
from services.demo.segments import SEGMENTS
from tests.bench.platform_process import PlatformProcess

_REPEATS = 7


async def measure_journey(folder: Path) -> dict[str, object]:
    """One load into an empty platform; the medians of each segment's evaluation by the server's own measure."""
    journey = await asyncio.to_thread(read, 1.0)
    async with PlatformProcess(folder) as platform:
        client = platform.client
        loaded = await load(client, journey, lambda what, items: None)
        milliseconds = {}
        for one in SEGMENTS:
            rule = segment_pb2.RuleSource(text=one.text)
            save = segment_pb2.SaveSegmentRequest(name=one.name, rule=rule)
            await client.segment.SaveSegment(save, metadata=client.metadata)
            request = segment_pb2.EvaluateRequest(name=one.name, as_of_us=END_US)
            answers = [
                await client.segment.Evaluate(request, metadata=client.metadata, timeout=60.0) for _ in range(_REPEATS)
            ]
            milliseconds[one.name] = statistics.median(answer.elapsed_us for answer in answers) / 1e3
    return {
        "items": loaded.items,
        "orders": len(journey.orders),
        "lines": len(journey.lines.product),
        "acknowledged_s": round(loaded.acknowledged_s, 1),
        "queryable_s": round(loaded.queryable_s, 1),
        "segments_median_ms": round(statistics.median(milliseconds.values()), 2),
        "segments_slowest_ms": round(max(milliseconds.values()), 2),
    }
