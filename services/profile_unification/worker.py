"""The work for one workspace: ingest's log in, one atomic commit of state, facts and position out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress

from cdp.ingest.v1 import ingest_pb2
from core.errors import CdpError, Code, conflict
from core.eventlog.protocol import Commit, Committed, Fence, Partition
from core.identity.rules import IdentityRules
from core.identity.settings import IdentitySettings, rules_of
from core.profile.erasures import keyed_blind
from services.profile_unification.archived_log import ARCHIVE_FOLDER, ArchivedLog
from services.profile_unification.eraser import Eraser, Store
from services.profile_unification.expiry import Expirer
from services.profile_unification.folder import Folder, Prepared
from services.profile_unification.log_archive import LogArchive
from services.profile_unification.restored import order_again, unknown_to_state
from services.profile_unification.tables import load_settings
from services.profile_unification.timeline_store import TimelineStore
from services.runtime.caller import Workspace
from services.runtime.context import Runtime
from services.runtime.failpoints import failpoint
from services.runtime.identity_rules import search_pattern
from services.runtime.subscriber import Subscription, subscribe_ingest
from services.runtime.waiter import LoopWaiter

CONSUMER = "profile_unification"
SOURCE = "ingest"

_QUEUE_ENTRIES = 32
_COMMIT_EVENTS = 4_000
_COMMIT_ENTRIES = 16

_DEFAULT_SETTINGS = IdentitySettings()

#: Orders that read what was committed before them.
_READ_BACK = ("separation", "dead_letter_replay", "erasure")

Entry = ingest_pb2.SubscribeResponse


class UnificationShard:
    """Owns one workspace's identities while its lease lasts. Made by `open`."""

    def __init__(
        self, runtime: Runtime, workspace: Workspace, partition: Partition, fence: Fence, rules: IdentityRules
    ) -> None:
        self._runtime = runtime
        self._workspace = workspace
        self.partition = partition
        self._fence = fence
        self._rules = rules
        self._moved = LoopWaiter()
        self._folded = 0
        self._settings: IdentitySettings | None = None
        self._compiled: tuple[IdentitySettings, IdentityRules] | None = None
        self._subscription: Subscription[Entry] | None = None
        self._caught_up = False
        self.log = ArchivedLog(runtime.log, runtime.settings.data_dir / ARCHIVE_FOLDER)
        self.timeline = TimelineStore(self.log, partition)
        self.archive = LogArchive(
            runtime.log,
            runtime.clock,
            partition,
            fence,
            self.log.folder_of(partition),
            runtime.settings.resolved_log_entries,
        )
        store = Store(self.log, partition, fence, self.archive, self.timeline)
        self._blind = keyed_blind(runtime.settings.tracking_key, workspace.id)
        self.eraser = Eraser(runtime, workspace.id, store, self.current_rules, self._blind)
        self.expirer = Expirer(runtime, workspace.id, store, self.current_rules)
        self._forgotten = runtime.settings.data_dir / "forgotten" / f"{workspace.id}.jsonl"

    @classmethod
    async def open(
        cls, runtime: Runtime, workspace: Workspace, partition: Partition, fence: Fence, rules: IdentityRules
    ) -> UnificationShard:
        """A shard that knows its timelines and its position; `run` reads the rest."""
        shard = cls(runtime, workspace, partition, fence, rules)
        await shard.archive.open()
        await shard.timeline.load()
        shard._folded = await runtime.log.source_position(partition, SOURCE)
        shard._settings = await load_settings(runtime.log, partition)
        return shard

    @property
    def folded(self) -> int:
        """The position of ingest's log through which everything is durable here."""
        return self._folded

    @property
    def settings(self) -> IdentitySettings:
        """The rules about identifiers that are in force."""
        return _DEFAULT_SETTINGS if self._settings is None else self._settings

    def current_rules(self) -> IdentityRules:
        """The rules in force, as folds use them."""
        if self._compiled is None or self._compiled[0] is not self.settings:
            self._compiled = self.settings, rules_of(self.settings, self._rules, search_pattern)
        return self._compiled[1]

    async def wait_changed(self, etag: str, timeout_s: float) -> None:
        """Return when the rules about identifiers have another etag than `etag`, or after `timeout_s`."""
        await self._moved.wait_for(lambda: self.settings.etag != etag, timeout_s)

    async def wait_folded(self, position: int, timeout_s: float) -> bool:
        """True as soon as ingest's `position` is folded, False after `timeout_s`."""
        return await self._moved.wait_for(lambda: self._folded >= position, timeout_s)

    def ready(self) -> bool:
        """Caught up at least once."""
        if self._subscription is not None and not self._caught_up:
            self._caught_up = self._subscription.caught_up(self._folded)
        return self._caught_up

    async def run(self) -> None:
        """Fold ingest's log, archive what comes of it, and forget whom it orders forgotten, until cancelled."""
        now_us = self._runtime.clock.now_us()
        missing = await unknown_to_state(self._runtime.log, self.partition, self._fence, self._forgotten, now_us)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._fold_all())
            tasks.create_task(self.archive.run())
            tasks.create_task(self.eraser.run())
            tasks.create_task(self.expirer.run())
            if missing:
                tasks.create_task(order_again(self._runtime.log, self.partition, self._runtime.stubs, missing))

    async def _fold_all(self) -> None:
        folder = await Folder.load(self.log, self.partition, self._rules, timeline=self.timeline, blind=self._blind)
        subscription = subscribe_ingest(self._runtime, self._workspace.id, CONSUMER, self._folded)
        self._subscription = subscription
        queue: asyncio.Queue[Entry] = asyncio.Queue(_QUEUE_ENTRIES)
        reader = asyncio.create_task(_read(subscription, queue))
        try:
            while True:
                entries = await self._next(queue, reader)
                await self.fold(folder, entries)
                failpoint("profile_unification.before_acknowledge")
                subscription.acknowledge(self._folded)
                await self.timeline.flush_if_long(self._fence, self._runtime.clock.now_us())
        finally:
            reader.cancel()
            with suppress(asyncio.CancelledError, CdpError):  # what it raised, `_next` has raised
                await reader

    async def fold(self, folder: Folder, entries: list[Entry]) -> None:
        """Fold `entries` (in order, beyond `folded`) and commit them in one step; one that takes people apart, or
        folds a dead letter again, begins another step, as it reads back what was committed."""
        for some in _steps(entries):
            await self._fold_step(folder, some)

    async def _fold_step(self, folder: Folder, entries: list[Entry]) -> None:
        prepared = Prepared()
        for entry in entries:
            await folder.add(entry, prepared)
            await asyncio.sleep(0)  # an entry may take some milliseconds: calls are answered in between
        position = entries[-1].position
        commit = Commit(SOURCE, position, prepared.outputs, folder.writes(prepared), self._runtime.clock.now_us())
        failpoint("profile_unification.before_commit")
        done = await self._commit(commit)
        failpoint("profile_unification.after_commit")
        folder.committed()
        first = done.last - len(prepared.outputs) + 1
        for own_position, one in enumerate(prepared.events, start=first):
            self.timeline.add(own_position, one.parts, one.occurred_at_us, one.told)
        self._settings = folder.settings
        self._folded = position
        self._moved.wake()
        if any(fact.WhichOneof("fact") == "erasure" for entry in entries for fact in entry.batch.facts):
            self.eraser.wake()

    async def close(self) -> None:
        """Let waiting readers go."""
        self._moved.wake()

    async def _next(self, queue: asyncio.Queue[Entry], reader: asyncio.Task[None]) -> list[Entry]:
        """At least one entry, and more if they lie there already. Raises what the reader raised."""
        getter = asyncio.ensure_future(queue.get())
        try:
            done, _ = await asyncio.wait({getter, reader}, return_when=asyncio.FIRST_COMPLETED)
            if getter not in done:
                await reader
                raise conflict("FEED_ENDED", "ingest's log ended")
            entries = [getter.result()]
        finally:
            getter.cancel()
        events = len(entries[0].batch.events.ids)
        while events < _COMMIT_EVENTS and len(entries) < _COMMIT_ENTRIES and not queue.empty():
            entries.append(queue.get_nowait())
            events += len(entries[-1].batch.events.ids)
        return entries

    async def _commit(self, commit: Commit) -> Committed:
        """Commit, asking again while the log is away: the position makes a repetition harmless."""
        unsure = False
        while True:
            try:
                done = await self._runtime.log.commit(self.partition, self._fence, commit)
            except CdpError as error:
                if error.code not in (Code.UNAVAILABLE, Code.EXHAUSTED):
                    raise
                unsure = True
                await asyncio.sleep(error.retry_after_s or 0.2)
                continue
            if not done.applied and not unsure:
                raise conflict("REPLAYED", f"ingest's position {commit.source_position} was folded by another owner")
            return done


def _steps(entries: list[Entry]) -> Iterator[list[Entry]]:
    """Entries that are committed together."""
    step: list[Entry] = []
    for entry in entries:
        # What is erased must not be asked for again before that is durable, so nothing shares the step.
        if step and (_reads_back(entry) or _reads_back(step[-1])):
            yield step
            step = []
        step.append(entry)
    if step:
        yield step


def _reads_back(entry: Entry) -> bool:
    return any(fact.WhichOneof("fact") in _READ_BACK for fact in entry.batch.facts)


async def _read(subscription: Subscription[Entry], queue: asyncio.Queue[Entry]) -> None:
    async for entry in subscription:
        await queue.put(entry)
