"""What the log's state keeps of a workspace's feeds: definitions, settings, runs. Each change is one fenced commit."""

from __future__ import annotations

from collections.abc import Sequence

from cdp.catalog.v1 import catalog_pb2 as pb
from core.clock import Clock
from core.errors import CdpError, Code, not_found
from core.eventlog.protocol import Commit, EventLog, Fence, Partition, TableWrite
from services.ingest.feeds.definition import is_feed_name, stored_feed
from services.ingest.feeds.run import ENDED, FeedRun, RunState
from services.runtime.definitions import DefinitionChange, Definitions
from services.runtime.pages import bad_page_token, number_of, page_entries

#: Table of runs: "<feed>/<number>" -> FeedRun.
RUNS = "feed_runs"
#: Runs of a feed that are remembered.
_KEPT_RUNS = 200
_MOST_FEEDS = 200
_SETTINGS = "settings"


class FeedBooks:
    """The owner's memory of it. Changes are made by one caller at a time."""

    def __init__(
        self, log: EventLog, clock: Clock, partition: Partition, fence: Fence, feeds: Definitions, settings: Definitions
    ) -> None:
        self._log = log
        self._clock = clock
        self._partition = partition
        self._fence = fence
        self._feeds = feeds
        self._settings = settings
        self._runs: dict[str, dict[int, FeedRun]] = {}

    @staticmethod
    async def load(log: EventLog, clock: Clock, partition: Partition, fence: Fence) -> FeedBooks:
        """Read what is kept."""
        feeds = await Definitions.load(log, partition, "feed")
        settings = await Definitions.load(log, partition, "catalog_settings")
        self = FeedBooks(log, clock, partition, fence, feeds, settings)
        async for _, value in log.scan(partition, RUNS):
            run = FeedRun.decode(value)
            self._runs.setdefault(run.feed, {})[run.number] = run
        for feed, runs in self._runs.items():
            self._runs[feed] = dict(sorted(runs.items()))
        return self

    # --- feeds ------------------------------------------------------------------------------------------------

    def feed(self, name: str) -> pb.Feed:
        """A feed with its revision, or NOT_FOUND / NO_SUCH_FEED."""
        return stored_feed(self._feeds.get(name))

    def feeds(self) -> list[pb.Feed]:
        """All feeds, by name."""
        return [stored_feed(stored) for stored in self._feeds.newest()]

    def page(self, page_size: int, page_token: str) -> tuple[list[pb.Feed], str]:
        """A page of feeds, and the token of the next. Raises INVALID / BAD_PAGE_TOKEN."""
        if page_token and not is_feed_name(page_token):
            raise bad_page_token()
        page, token = self._feeds.page(page_size, page_token)
        return [stored_feed(stored) for stored in page], token

    async def save_feed(self, feed: pb.Feed, etag: str, actor: str, request_id: str) -> pb.Feed:
        """The next version of a feed; a repeated request answers what it made. Raises CONFLICT / ETAG_MISMATCH,
        EXHAUSTED / TOO_MANY_FEEDS."""
        answered = self._feeds.answered(feed.name, request_id)
        if answered is not None:
            return stored_feed(answered)
        known = {one.revision.name for one in self._feeds.newest()}
        if feed.name not in known and len(known) >= _MOST_FEEDS:
            raise CdpError(Code.EXHAUSTED, "TOO_MANY_FEEDS", f"a workspace has at most {_MOST_FEEDS} feeds")
        payload = feed.SerializeToString(deterministic=True)
        change = self._feeds.save(feed.name, payload, etag, actor, self._clock.now_us(), request_id)
        await self._commit_definition(self._feeds, change)
        return stored_feed(change.stored)

    async def delete_feed(self, name: str, etag: str, actor: str) -> None:
        """End a feed. Raises NOT_FOUND, CONFLICT / ETAG_MISMATCH."""
        change = self._feeds.delete(name, etag, actor, self._clock.now_us())
        await self._commit_definition(self._feeds, change)

    # --- settings ---------------------------------------------------------------------------------------------

    def settings(self) -> pb.CatalogSettings:
        """The settings with their revision; without one until they were saved."""
        for stored in self._settings.newest():
            settings = pb.CatalogSettings.FromString(stored.payload)
            settings.revision.CopyFrom(stored.revision.to_proto())
            return settings
        return pb.CatalogSettings()

    async def save_settings(self, settings: pb.CatalogSettings, etag: str, actor: str) -> pb.CatalogSettings:
        """Replace the settings. Raises CONFLICT / ETAG_MISMATCH."""
        payload = settings.SerializeToString(deterministic=True)
        change = self._settings.save(_SETTINGS, payload, etag, actor, self._clock.now_us())
        await self._commit_definition(self._settings, change)
        return self.settings()

    # --- runs -------------------------------------------------------------------------------------------------

    def runs(self, feed: str) -> list[FeedRun]:
        """The runs of a feed that are remembered, oldest first."""
        return list(self._runs.get(feed, {}).values())

    def all_feeds_with_runs(self) -> list[str]:
        """Names, those of deleted feeds included."""
        return sorted(self._runs)

    def run(self, feed: str, number: int) -> FeedRun:
        """A run (0: the newest). Raises NOT_FOUND / NO_SUCH_FEED_RUN."""
        runs = self._runs.get(feed, {})
        found = runs.get(number) if number else next(reversed(runs.values()), None)
        if found is None:
            raise not_found("NO_SUCH_FEED_RUN", f"feed {feed!r} has no run {number or 'yet'}")
        return found

    def newest_run(self, feed: str) -> FeedRun | None:
        """The newest run."""
        return next(reversed(self._runs.get(feed, {}).values()), None)

    def last_good(self, feed: str) -> FeedRun | None:
        """The newest run that knows the feed as it is."""
        good = (RunState.DONE, RunState.NOT_MODIFIED)
        return next((run for run in reversed(self._runs.get(feed, {}).values()) if run.state in good), None)

    def requested(self, feed: str, request_id: str) -> FeedRun | None:
        """The run that a request began before."""
        if not request_id:
            return None
        return next((run for run in self._runs.get(feed, {}).values() if run.request_id == request_id), None)

    def runs_page(self, feed: str, page_size: int, page_token: str) -> tuple[list[FeedRun], str]:
        """A page of runs, newest first, and the token of the next. Raises INVALID / BAD_PAGE_TOKEN."""
        before = number_of(page_token) if page_token else 2**63
        rest = [run for run in reversed(self.runs(feed)) if run.number < before]
        page = rest[: page_entries(page_size)]
        return page, str(page[-1].number) if len(page) < len(rest) else ""

    def show(self, run: FeedRun) -> None:
        """Take over how far a run is, without keeping it."""
        self._runs.setdefault(run.feed, {})[run.number] = run

    async def keep(self, run: FeedRun) -> None:
        """Keep a run as it is now; the oldest beyond the limit is forgotten."""
        runs = self._runs.setdefault(run.feed, {})
        runs[run.number] = run
        ended = [one for one in runs.values() if one.state in ENDED]
        forgotten = ended[: max(0, len(runs) - _KEPT_RUNS)]
        for one in forgotten:
            del runs[one.number]
        await self._commit([TableWrite(RUNS, {run.key: run.encode()}, [one.key for one in forgotten])])

    async def _commit_definition(self, definitions: Definitions, change: DefinitionChange) -> None:
        await self._commit(change.writes)
        definitions.applied(change)

    async def _commit(self, writes: Sequence[TableWrite]) -> None:
        commit = Commit(None, None, [], writes, self._clock.now_us())
        await self._log.commit(self._partition, self._fence, commit)
