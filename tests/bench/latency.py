"""From an acknowledged event to its record on Watch at a steady rate, and from the end of a window to the exit."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.segment.v1 import segment_pb2
from tests.bench.platform_process import PlatformProcess

_EVENTS_PER_S = 500
_SECONDS = 10
_WINDOW_S = 12
#: Segments beside the watched one that every event touches.
_OTHERS = (
    "did product_viewed at least 3 times in last 1 hours",
    'did product_viewed (category = "tea") and not did order_completed in last 7 days',
    "did product_viewed in last 30 minutes for the same product_id",
    "among all contacts: did product_viewed this calendar day",
)


def _percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


async def measure_latency(folder: Path) -> dict[str, object]:
    """Every event is of a person of its own, who enters once and leaves when the window has slid past the event."""
    async with PlatformProcess(folder) as platform:
        client = platform.client
        texts = {f"other {number}": text for number, text in enumerate(_OTHERS)}
        texts["watched"] = f"did product_viewed in last {_WINDOW_S} seconds"
        for name, text in texts.items():
            request = segment_pb2.SaveSegmentRequest(name=name, rule=segment_pb2.RuleSource(text=text))
            await client.segment.SaveSegment(request, metadata=client.metadata)
        total = _EVENTS_PER_S * _SECONDS
        acknowledged: dict[str, float] = {}
        entered: list[float] = []
        left: list[float] = []

        async def watch() -> None:
            request = segment_pb2.WatchRequest(segment="watched")
            async for step in client.segment.Watch(request, metadata=client.metadata):
                now_s, wall_us = time.perf_counter(), time.time_ns() // 1_000
                for record in step.memberships:
                    if record.change == segment_pb2.CHANGE_ENTERED:
                        entered.append(now_s - acknowledged.get(record.witness_event_ids[0], now_s))
                    else:
                        left.append((wall_us - record.effective_at_us) / 1e6)
                if len(left) >= total:
                    return

        async def send(number: int) -> None:
            event = ingest_pb2.Event(
                message_id=f"e{number}",
                type="product_viewed",
                identifiers=[facts_pb2.Identifier(kind="external_id", value=f"u{number}")],
                params={
                    "product_id": facts_pb2.Value(text=f"p{number % 50}"),
                    "category": facts_pb2.Value(text="tea" if number % 2 else "coffee"),
                },
            )
            await client.ingest.Track(ingest_pb2.TrackRequest(event=event), metadata=client.metadata)
            acknowledged[f"e{number}"] = time.perf_counter()

        watcher = asyncio.create_task(watch())
        started_s = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number in range(total):
                wait_s = started_s + number / _EVENTS_PER_S - time.perf_counter()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                tasks.create_task(send(number))
        await asyncio.wait_for(watcher, _WINDOW_S + 60)
    return {
        "events_per_s": _EVENTS_PER_S,
        "events": total,
        "live_segments": len(texts),
        "event_to_record_p50_ms": round(_percentile(entered, 50) * 1e3, 1),
        "event_to_record_p99_ms": round(_percentile(entered, 99) * 1e3, 1),
        "window_end_to_exit_p50_ms": round(_percentile(left, 50) * 1e3, 1),
        "window_end_to_exit_p99_ms": round(_percentile(left, 99) * 1e3, 1),
    }
