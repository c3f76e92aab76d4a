"""A product feed of a million items: uploaded, read, compared, durable in ingest's log, and the memory it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cdp.catalog.v1 import catalog_pb2 as pb
from cdp.catalog.v1 import catalog_pb2_grpc
from services.demo.client import again
from services.runtime.roles import Role
from tests.bench.feed_file import write_merchant_feed
from tests.fault.processes import Processes, platform

ITEMS = 1_000_000
_SEED = 7
_CHANGED_SHARE = 0.01
_PART_BYTES = 1 << 20
_LOOK_S = 0.2
_UNDER_WAY = (
    pb.FEED_RUN_STATE_QUEUED,
    pb.FEED_RUN_STATE_FETCHING,
    pb.FEED_RUN_STATE_READING,
    pb.FEED_RUN_STATE_APPLYING,
)


async def measure_feed(folder: Path, items: int = ITEMS) -> dict[str, object]:
    """The first import, where everything is new, and a second one with one changed price in a hundred; fsync before
    every acknowledgement. Memory is the most that the serving process, and the one that reads, ever held."""
    found: dict[str, object] = {"items": items}
    async with platform(folder / "house", {}, (Role.INGEST,)) as processes, _channel(processes) as channel:
        catalog = catalog_pb2_grpc.CatalogServiceStub(channel)
        metadata = (("authorization", f"Bearer {processes.secret}"),)
        save = pb.SaveFeedRequest(feed=pb.Feed(name="bench"), request_id="once")
        await again(lambda: catalog.SaveFeed(save, metadata=metadata))
        found["serving process before, MB"] = peak_bytes(processes.pid(Role.INGEST)) >> 20
        for what, share in (("first import", 0.0), ("second import", _CHANGED_SHARE)):
            file = folder / "feed.xml"
            await asyncio.to_thread(write_merchant_feed, file, items, _SEED, share)
            found[f"{what}: file, MB"] = file.stat().st_size >> 20
            upload = await catalog.UploadFeed(_parts(file), metadata=metadata, timeout=600)
            seconds, run, peaks = await _import(catalog, metadata, upload.upload, processes, items, what)
            if run.state != pb.FEED_RUN_STATE_DONE:
                raise RuntimeError(f"the import ended as {run.state}: {run.description}")
            found[f"{what}: seconds, durable"] = round(seconds, 1)
            found[f"{what}: items a second"] = round(items / seconds)
            found[f"{what}: changed"] = run.items_changed
            found[f"{what}: serving process, peak MB"] = peaks[0] >> 20
            found[f"{what}: reading process, peak MB"] = peaks[1] >> 20
    return found


def _channel(processes: Processes) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(processes.address(Role.INGEST))


async def _import(
    catalog: catalog_pb2_grpc.CatalogServiceStub,
    metadata: tuple[tuple[str, str], ...],
    upload: str,
    processes: Processes,
    items: int,
    what: str,
) -> tuple[float, pb.FeedRun, tuple[int, int]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    pid = processes.pid(Role.INGEST)
    reading = 0
    with Progress(*columns, transient=True) as progress:
        read = progress.add_task(f"{what}: read", total=items)
        applied = progress.add_task(f"{what}: applied", total=None)
        started_s = time.perf_counter()
        await catalog.ImportFeed(pb.ImportFeedRequest(name="bench", upload=upload), metadata=metadata)
        while True:
            answer = await catalog.GetFeedRun(pb.GetFeedRunRequest(feed="bench"), metadata=metadata)
            run = answer.run
            progress.update(read, completed=run.items_read)
            progress.update(applied, completed=run.items_applied, total=run.items_changed or None)
            reading = max([reading, *(peak_bytes(child) for child in children(pid))])
            if run.state not in _UNDER_WAY:
                return time.perf_counter() - started_s, run, (peak_bytes(pid), reading)
            await asyncio.sleep(_LOOK_S)


async def _parts(file: Path) -> AsyncIterator[pb.UploadFeedRequest]:
    yield pb.UploadFeedRequest(name="bench")
    with file.open("rb") as content:
        while part := await asyncio.to_thread(content.read, _PART_BYTES):
            yield pb.UploadFeedRequest(content=part)


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in task.read_text().split()]
    return found


def peak_bytes(pid: int) -> int:
    """The most that a process ever held; 0 for one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
