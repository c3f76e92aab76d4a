"""One run of a feed from its beginning to its end: fetched, staged, held or applied, settled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

from cdp.catalog.v1 import catalog_pb2 as pb
from core.catalog.offer import OfferRules
from core.clock import Clock
from core.errors import CdpError, Code
from core.money.rates import Rates
from services.ingest.batcher import Batcher
from services.ingest.feeds.apply import apply_staged
from services.ingest.feeds.books import FeedBooks
from services.ingest.feeds.definition import MAXIMUM_ITEMS, low_stock_of, shrank_too_much, shrink_limit_percent
from services.ingest.feeds.fetch import Limits, fetch
from services.ingest.feeds.files import FeedFiles
from services.ingest.feeds.job import StageJob, StageProgress, stage_aside
from services.ingest.feeds.run import UNDER_WAY, FeedRun, RunState
from services.ingest.feeds.shared import hold_removals
from services.ingest.feeds.staging import Staging, Tally
from services.ingest.feeds.store import HANDED_OVER, FeedStore
from services.runtime.caller import Workspace
from services.runtime.failpoints import failpoint
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)

SHRANK = "FEED_SHRANK"
STAGED_LOST = "STAGED_LOST"
#: How far the appending is, is kept after so many facts; a restart appends them again, and they are dropped.
_KEEP_EVERY = 20_000


@dataclass(slots=True)
class Importer:
    """Runs of one workspace. What a feed or its file has done wrong ends the run as failed; a log that is away is
    waited for; anything else is raised, and the run goes on after a restart."""

    workspace: Workspace
    clock: Clock
    books: FeedBooks
    batcher: Batcher
    limits: Callable[[], Limits]
    #: The workspace's currency and its rates, not older than a second. UNAVAILABLE while the log is away.
    rates: Callable[[], Awaitable[Rates]]
    #: Files are read one at a time in a process; other runs wait.
    reading: asyncio.Semaphore
    #: One run of the workspace is applied at a time: what a feed removes depends on what the others tell.
    applying: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, run: FeedRun, files: FeedFiles) -> None:
        """Take a run that is under way as far as it goes: to its end, or to where it is held."""
        if run.state is not RunState.APPLYING:
            prepared = await self._prepare(run, files)
            if prepared is None:
                return
            run = prepared
        async with self.applying:
            await self._apply(run, files)

    async def _prepare(self, run: FeedRun, files: FeedFiles) -> FeedRun | None:
        """Stage the run; None when it has ended or is held."""
        try:
            if run.removes_all:
                run = await self._stage_removal(run, files)
            else:
                feed = self.books.feed(run.feed)
                fetched = await self._at_hand(run, feed, files)
                if fetched is None:
                    return None
                run = await self._stage(fetched, feed, files)
                if not feed.partial:
                    run = replace(run, removed=run.missing)
                    limit = shrink_limit_percent(feed)
                    if shrank_too_much(run.known_before, run.missing, limit):
                        said = f"{run.missing} of {run.known_before} products are missing, more than {limit} %"
                        await self.books.keep(replace(run, state=RunState.HELD, reason=SHRANK, description=said))
                        _LOG.warning("feed held", workspace=self.workspace.id, feed=run.feed, run=run.number)
                        return None
        except CdpError as error:
            if error.code is Code.CONFLICT or error.reason in ("LOG_UNAVAILABLE", "LOG_FULL"):
                raise
            shown = self.books.run(run.feed, run.number)
            await self.books.keep(shown.ended(RunState.FAILED, self.clock.now_us(), error.reason, error.message))
            _LOG.info("feed failed", workspace=self.workspace.id, feed=run.feed, run=run.number, reason=error.reason)
            return None
        run = replace(run, state=RunState.APPLYING)
        await self.books.keep(run)
        return run

    async def _at_hand(self, run: FeedRun, feed: pb.Feed, files: FeedFiles) -> FeedRun | None:
        """The run with its file at hand; None when the server says that it is the one that was imported last."""
        low_stock = low_stock_of(self.books.settings())
        home = (await self.rates()).home
        run = replace(run, low_stock=low_stock, version=feed.revision.version, home=home)
        if run.upload:
            files.upload(run.upload)
            return replace(run, told_at_us=self.clock.now_us())
        run = replace(run, state=RunState.FETCHING)
        await self.books.keep(run)
        before = self.books.last_good(run.feed)
        same = before is not None and self._says_the_same(before, run)
        etag, modified = (before.etag, before.last_modified) if before is not None and same else ("", "")

        def progress(size: int) -> None:
            self.books.show(replace(run, bytes_read=size))

        found = await fetch(feed.url, etag, modified, self.limits(), files.fetched, progress)
        run = replace(run, etag=found.etag, last_modified=found.last_modified, told_at_us=self.clock.now_us())
        if found.modified or before is None:
            return run
        run = replace(run, next_edge_us=before.next_edge_us)
        await self.books.keep(run.ended(RunState.NOT_MODIFIED, self.clock.now_us()))
        return None

    def _says_the_same(self, before: FeedRun, now: FeedRun) -> bool:
        """Whether the same file would tell today what it told then: by the same rules, no sale begun or ended, and no
        price that depends on a rate."""
        edge_passed = 0 < before.next_edge_us <= self.clock.now_us()
        same_rules = (before.low_stock, before.version, before.home) == (now.low_stock, now.version, now.home)
        return same_rules and not before.upload and not edge_passed and not before.foreign

    async def _stage(self, run: FeedRun, feed: pb.Feed, files: FeedFiles) -> FeedRun:
        run = replace(run, state=RunState.READING)
        await self.books.keep(run)

        def progress(found: StageProgress) -> None:
            self.books.show(run.reached(found))

        rates = await self.rates()
        async with self.reading:
            done = await stage_aside(self._job(run, feed, files, rates), progress)
        return run.reached(done)

    def _job(self, run: FeedRun, feed: pb.Feed, files: FeedFiles, rates: Rates) -> StageJob:
        before = self.books.last_good(run.feed)
        file = files.upload(run.upload) if run.upload else files.fetched
        return StageJob(
            file=str(file),
            store=str(files.store),
            run=run.number,
            format=feed.format,
            encoding=feed.encoding,
            delimiter=feed.delimiter,
            columns=dict(feed.columns),
            limit_bytes=self.limits().limit_bytes,
            maximum_items=feed.maximum_items or MAXIMUM_ITEMS,
            now_us=run.told_at_us,
            currency=feed.currency or run.home,
            low_stock=run.low_stock,
            zone=self.workspace.zone,
            told_before=before is not None,
            same_currency=before is None or before.home in ("", run.home),
            partial=feed.partial,
            home=run.home,
            rates=[(one.currency, one.from_us, one.scaled) for one in rates.in_force(run.told_at_us)],
        )

    async def _stage_removal(self, run: FeedRun, files: FeedFiles) -> FeedRun:
        """Stage the removal of everything that the feed told."""
        told_at_us = self.clock.now_us()

        def stage() -> Tally:
            with closing(FeedStore(files.store)) as store:
                rules = OfferRules(told_at_us, self.workspace.currency, 0, ZoneInfo(self.workspace.zone))
                store.begin()
                tally = Staging(store, rules, 0, compare=True, partial=False).stage((), lambda _: None)
                store.staged_whole(run.number)
            return tally

        run = replace(run, told_at_us=told_at_us).reached(StageProgress(await asyncio.to_thread(stage), 0, 0))
        return replace(run, removed=run.missing)

    async def _apply(self, run: FeedRun, files: FeedFiles) -> None:
        with closing(await asyncio.to_thread(FeedStore, files.store)) as store:
            if store.staged_run == run.number:
                if store.shared_run != run.number:
                    run = await self._hold_removals(run, files, store)
                run = await self._append(run, store)
                failpoint("feed.applied")
                handed_over = (await asyncio.to_thread(store.staged_counts)).get(HANDED_OVER, 0)
                if handed_over:
                    run = replace(run, removed=run.missing - handed_over)
                    await self.books.keep(run)
                await asyncio.to_thread(store.settle, run.number, run.told_at_us)
                failpoint("feed.settled")
            elif store.applied_run != run.number:
                said = "what was read is gone, with the folder that it lay in: import the feed again"
                await self.books.keep(run.ended(RunState.FAILED, self.clock.now_us(), STAGED_LOST, said))
                return
        run = replace(run, applied=run.changed + run.removed)
        await self.books.keep(run.ended(RunState.DONE, self.clock.now_us()))
        _LOG.info("feed imported", workspace=self.workspace.id, feed=run.feed, run=run.number, read=run.read,
                  changed=run.changed, removed=run.removed, rejected=run.rejected)  # fmt: skip

    async def _hold_removals(self, run: FeedRun, files: FeedFiles, store: FeedStore) -> FeedRun:
        """See `hold_removals`. The run is told after all that is applied, so that the last one counts everywhere."""
        names = {one.name for one in self.books.feeds()}
        rest = [name for name in self.books.all_feeds_with_runs() if name != run.feed]
        last = max((good.told_at_us for name in rest if (good := self.books.last_good(name)) is not None), default=0)
        if run.told_at_us <= last:
            run = replace(run, told_at_us=last + 1)
            await self.books.keep(run)
        folder = files.folder.parent
        others = [FeedFiles(folder / name).store for name in rest if name in names]
        ended = [FeedFiles(folder / name).store for name in rest if name not in names and not self._is_under_way(name)]
        low_stock = low_stock_of(self.books.settings())
        await asyncio.to_thread(hold_removals, store, run.number, others, ended, low_stock)
        return run

    def _is_under_way(self, feed: str) -> bool:
        newest = self.books.newest_run(feed)
        return newest is not None and newest.state in UNDER_WAY

    async def _append(self, run: FeedRun, store: FeedStore) -> FeedRun:
        reached, kept_seq = run, run.applied_seq

        async def applied(rows: int, seq: int) -> None:
            nonlocal reached, kept_seq
            reached = replace(reached, applied=reached.applied + rows, applied_seq=seq)
            self.books.show(reached)
            if seq - kept_seq >= _KEEP_EVERY:
                kept_seq = seq
                await self.books.keep(reached)

        prefix = f"feed:{run.feed}:{run.number}:"
        await apply_staged(store, self.batcher, prefix, run.told_at_us, run.applied_seq, applied)
        return reached
