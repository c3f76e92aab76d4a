"""kill -9 of ingest in the middle of an import, at every named point: each product is told once, none is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from cdp.catalog.v1 import catalog_pb2 as pb
from cdp.catalog.v1 import catalog_pb2_grpc
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.demo.client import again
from services.runtime.roles import Role
from tests.bench.feed_file import write_merchant_feed
from tests.fault.processes import Processes, platform
from tests.flow.platform import eventually

pytestmark = pytest.mark.slow

ITEMS = 7_000
#: Read for longer than the process that reads is silent.
_LONG = 30_000
SEED = 5
#: Entries of 500 facts are appended four at a time: the third passing lies behind 6,000 items.
_LONG_RUN = pytest.mark.fault
POINTS = (
    "feed.appended:1",
    "feed.settled:1",
    pytest.param("feed.appended:3", marks=_LONG_RUN),
    pytest.param("feed.applied:1", marks=_LONG_RUN),
)


class Shop:
    """A client of the one workspace; every call is tried again until the process answers."""

    def __init__(self, processes: Processes) -> None:
        self._channel = grpc.aio.insecure_channel(processes.address(Role.INGEST))
        self._catalog = catalog_pb2_grpc.CatalogServiceStub(self._channel)
        self._ingest = ingest_pb2_grpc.IngestServiceStub(self._channel)
        self._metadata = (("authorization", f"Bearer {processes.secret}"),)

    async def close(self) -> None:
        await self._channel.close()

    async def save(self) -> None:
        request = pb.SaveFeedRequest(feed=pb.Feed(name="shop"), request_id="one")
        await again(lambda: self._catalog.SaveFeed(request, metadata=self._metadata, timeout=10))

    async def begin(self, content: bytes, request_id: str = "import") -> None:
        async def parts() -> AsyncIterator[pb.UploadFeedRequest]:
            yield pb.UploadFeedRequest(name="shop")
            for first in range(0, len(content), 1 << 20):
                yield pb.UploadFeedRequest(content=content[first : first + (1 << 20)])

        done = await self._catalog.UploadFeed(parts(), metadata=self._metadata, timeout=30)
        request = pb.ImportFeedRequest(name="shop", upload=done.upload, request_id=request_id)
        await again(lambda: self._catalog.ImportFeed(request, metadata=self._metadata, timeout=10))

    async def run(self) -> pb.FeedRun:
        request = pb.GetFeedRunRequest(feed="shop")
        return (await again(lambda: self._catalog.GetFeedRun(request, metadata=self._metadata, timeout=10))).run

    async def told(self) -> tuple[Counter[str], int]:
        """How often each product stands in the log, each fact id counted once; and how many facts there are in all."""

        async def start() -> AsyncIterator[ingest_pb2.SubscribeRequest]:
            yield ingest_pb2.SubscribeRequest(start=ingest_pb2.SubscribeRequest.Start(max_in_flight=1_000))

        facts: list[tuple[str, str]] = []
        call = self._ingest.Subscribe(start(), metadata=self._metadata, timeout=60)
        async for answer in call:
            facts += [(fact.id, fact.product.product_id) for fact in answer.batch.facts]
            if answer.position == answer.last_position:
                break
        call.cancel()
        return Counter(product for _, product in set(facts)), len(facts)


@pytest.mark.parametrize("point", POINTS)
async def test_an_import_survives_a_kill_at_every_named_point(tmp_path: Path, point: str) -> None:
    async with _importing(tmp_path, point) as (processes, shop):
        await processes.wait_dead(Role.INGEST, 60.0)
        await processes.restart(Role.INGEST)
        await _check(shop)


async def test_a_process_that_dies_over_a_file_fails_that_run_alone(tmp_path: Path) -> None:
    """What a hostile file does to a parser stays in the process that reads: the one that serves goes on."""
    async with _importing(tmp_path, "feed.reading:1", _LONG) as (processes, shop):

        async def failed() -> bool:
            return (await shop.run()).state == pb.FEED_RUN_STATE_FAILED

        await eventually(failed, "the run ends", 60.0)
        processes.check_alive()
        assert (await shop.told())[1] == 0, "nothing of it was told"
        processes.kill(Role.INGEST)
        await processes.restart(Role.INGEST)
        await shop.save()  # answered by its owner: it has the workspace again
        await shop.begin((tmp_path / "feed.xml").read_bytes(), "once more")
        await _check(shop, _LONG)


@asynccontextmanager
async def _importing(folder: Path, point: str, items: int = ITEMS) -> AsyncIterator[tuple[Processes, Shop]]:
    """An import under way in a process that is to die at `point`."""
    file = folder / "feed.xml"
    write_merchant_feed(file, items, SEED)
    async with platform(folder / "house", {}, (Role.INGEST,)) as processes:
        processes.kill(Role.INGEST)
        await processes.restart(Role.INGEST, point)
        shop = Shop(processes)
        await shop.save()
        await shop.begin(file.read_bytes())
        yield processes, shop
        await shop.close()


async def _check(shop: Shop, items: int = ITEMS) -> None:
    """The run ends, and each product is told once."""

    async def done() -> bool:
        run = await shop.run()
        assert run.state != pb.FEED_RUN_STATE_FAILED, run.description
        return run.state == pb.FEED_RUN_STATE_DONE

    await eventually(done, "the run goes on and ends", 60.0)
    run = await shop.run()
    assert (run.items_new, run.items_applied) == (items, items)
    told, facts = await shop.told()
    assert len(told) == items
    assert set(told.values()) == {1}, "a fact that was written twice has its id twice, and counts once"
    assert facts <= 2 * items
