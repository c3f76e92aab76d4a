"""The feeds of one workspace, on the process that owns its ingest log: imported when asked for, and by schedule."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from cdp.catalog.v1 import catalog_pb2 as pb
from core.clock import SECOND_US, Clock
from core.errors import conflict, invalid
from services.ingest.feeds.books import FeedBooks
from services.ingest.feeds.files import FeedFiles
from services.ingest.feeds.importer import Importer
from services.ingest.feeds.run import UNDER_WAY, FeedRun, RunState
from services.ingest.feeds.shared import is_being_applied
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)

#: How often the schedule is looked at.
_LOOK_S = 1.0
#: A sale's beginning or end brings an import forward, but not sooner after the last.
_LEAST_PAUSE_US = 300 * SECOND_US
RUN_UNDER_WAY = "FEED_RUN_UNDER_WAY"
RUN_HELD = "FEED_RUN_HELD"
NOT_HELD = "FEED_RUN_NOT_HELD"
NO_URL = "FEED_HAS_NO_URL"


class FeedShard:
    """See `services.runtime.ownership.Shard`. One run of a feed at a time; calls come from the RPC side."""

    def __init__(self, clock: Clock, books: FeedBooks, importer: Importer, folder: Path) -> None:
        """`folder` is the workspace's own."""
        self.clock = clock
        self.books = books
        self._importer = importer
        self._folder = folder
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: Held from deciding a change of the books until it is kept.
        self.changing = asyncio.Lock()

    async def run(self) -> None:
        """Go on with what was under way, then keep the schedule, until cancelled or a run cannot go on."""
        resumed = []
        for feed in self.books.all_feeds_with_runs():
            self.files(feed).forget_drafts()
            newest = self.books.newest_run(feed)
            if newest is not None and newest.state in UNDER_WAY:
                resumed.append(newest)
        # The one that was being applied goes first, as it did before.
        for run in sorted(resumed, key=lambda run: not is_being_applied(self.files(run.feed).store, run.number)):
            _LOG.info("feed run resumed", feed=run.feed, run=run.number, state=run.state.value)
            self._start(run)
        while True:
            async with self.changing:
                await self._begin_due()
            done, _ = await asyncio.wait({self._failed}, timeout=_LOOK_S)
            for one in done:
                one.result()

    async def close(self) -> None:
        """End the runs; the next owner goes on with them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._failed.done() and not self._failed.cancelled():
            self._failed.exception()  # told by `run`, unless that had ended before

    def ready(self) -> bool:
        """Always: nobody waits for a feed."""
        return True

    def files(self, feed: str) -> FeedFiles:
        """Where a feed's files lie."""
        return FeedFiles(self._folder / feed)

    async def receive(self, name: str, parts: AsyncIterator[bytes], limit_bytes: int) -> tuple[str, int]:
        """Keep an uploaded file: its name and its bytes. It replaces earlier uploads that no run reads. Raises
        NOT_FOUND, and INVALID as `FeedFiles.receive`."""
        self.books.feed(name)
        upload, size = await self.files(name).receive(parts, limit_bytes)
        newest = self.books.newest_run(name)
        kept = {upload} if newest is None or newest.state not in UNDER_WAY else {upload, newest.upload}
        await asyncio.to_thread(self.files(name).forget_uploads, frozenset(kept))
        return upload, size

    def files_of_known(self, name: str) -> FeedFiles:
        """Where the files lie of a feed that there is or was. Raises NOT_FOUND / NO_SUCH_FEED."""
        if self.books.newest_run(name) is None:
            self.books.feed(name)
        return self.files(name)

    def files_with_items(self) -> dict[str, FeedFiles]:
        """The files of all feeds that told products."""
        found = {name: self.files(name) for name in self.books.all_feeds_with_runs()}
        return {name: files for name, files in found.items() if files.store.exists()}

    async def import_feed(self, name: str, upload: str, request_id: str) -> FeedRun:
        """Begin a run, or the one that the request began before. Raises NOT_FOUND, INVALID / FEED_HAS_NO_URL, CONFLICT:
        FEED_RUN_UNDER_WAY, FEED_RUN_HELD."""
        async with self.changing:
            feed = self.books.feed(name)
            before = self.books.requested(name, request_id)
            if before is not None:
                return before
            if upload:
                self.files(name).upload(upload)
            elif not feed.url:
                raise invalid(NO_URL, f"feed {name!r} has no URL: upload a file and name it")
            return await self._begin(name, upload=upload, request_id=request_id)

    async def delete_feed(self, name: str, etag: str, actor: str, *, remove_products: bool) -> FeedRun | None:
        """End a feed; the run that removes its products, if it is to."""
        async with self.changing:
            self.books.feed(name)
            self._require_idle(name)
            await self.books.delete_feed(name, etag, actor)
            return await self._begin(name, removes_all=True) if remove_products else None

    async def confirm(self, name: str, number: int) -> FeedRun:
        """Apply a held run. Raises NOT_FOUND, CONFLICT / FEED_RUN_NOT_HELD."""
        async with self.changing:
            run = replace(self._held(name, number), state=RunState.APPLYING, reason="", description="")
            return await self._go_on(run)

    async def reject(self, name: str, number: int) -> FeedRun:
        """Drop a held run. Raises as `confirm`."""
        async with self.changing:
            run = self._held(name, number).ended(RunState.REJECTED, self.clock.now_us())
            await self.books.keep(run)
            return run

    def _held(self, name: str, number: int) -> FeedRun:
        run = self.books.run(name, number)
        if run.state is not RunState.HELD:
            raise conflict(NOT_HELD, f"run {run.number} of feed {name!r} is not held, it is {run.state.value}")
        return run

    def _require_idle(self, name: str) -> None:
        newest = self.books.newest_run(name)
        if newest is not None and newest.state in UNDER_WAY:
            raise conflict(RUN_UNDER_WAY, f"run {newest.number} of feed {name!r} is under way")
        if newest is not None and newest.state is RunState.HELD:
            raise conflict(RUN_HELD, f"run {newest.number} of feed {name!r} is held: confirm or reject it first")

    async def _begin(self, name: str, *, upload: str = "", request_id: str = "", removes_all: bool = False) -> FeedRun:
        self._require_idle(name)
        newest = self.books.newest_run(name)
        number = 1 if newest is None else newest.number + 1
        run = FeedRun(name, number, RunState.QUEUED, self.clock.now_us(), request_id, upload, removes_all)
        return await self._go_on(run)

    async def _go_on(self, run: FeedRun) -> FeedRun:
        await self.books.keep(run)
        self._start(run)
        return run

    def _start(self, run: FeedRun) -> None:
        task = asyncio.create_task(self._importer.run(run, self.files(run.feed)), name=f"feed-{run.feed}-{run.number}")
        self._tasks[run.feed] = task
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _begin_due(self) -> None:
        for feed in self.books.feeds():
            newest = self.books.newest_run(feed.name)
            if newest is not None and (newest.state in UNDER_WAY or newest.state is RunState.HELD):
                continue
            if self.clock.now_us() >= due_us(feed, newest, self.books.last_good(feed.name)):
                upload = "" if feed.url else newest.upload if newest is not None else ""
                await self._begin(feed.name, upload=upload)


def due_us(feed: pb.Feed, newest: FeedRun | None, good: FeedRun | None) -> int:
    """When a feed is to be imported by itself: at its interval after the last run began, a little later each time by
    its jitter, and where a sale of the last import begins or ends. 2**63: never."""
    never = 2**63
    at_us = never
    if feed.interval_s and feed.url:
        at_us = 0
        if newest is not None:
            at_us = newest.began_at_us + feed.interval_s * SECOND_US + jitter_us(feed, newest.number)
    if newest is not None and good is not None and newest.number == good.number and good.next_edge_us:
        # With an upload this needs its file, which is kept until the next one.
        at_us = min(at_us, max(good.next_edge_us, good.began_at_us + _LEAST_PAUSE_US))
    return at_us


def jitter_us(feed: pb.Feed, number: int) -> int:
    """Up to a tenth of the interval, by the feed's name and run: many shops' feeds are not fetched at one instant."""
    chance = int.from_bytes(sha256(f"{feed.name}/{number}".encode()).digest()[:8], "big")
    return feed.interval_s * SECOND_US // 10 * chance >> 64
