"""One workspace's engine: the index and the standing segments, folded from unification's log, and their own log.

There is one writer. Whatever it decides (an entry of the log, a tick of time, a saved segment) goes through the same
three steps under one lock: change memory, commit the records, publish an immutable version that readers answer from.
A commit that fails ends the shard; it is opened again from the last snapshot and the logs, which agree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from cdp.profile.v1 import profile_pb2
from core.clock import Clock
from core.errors import CdpError, unavailable
from core.eventlog.protocol import Commit, EventLog, Fence, Partition, TableWrite
from core.index.index import Index
from core.index.snapshot import forget_texts
from core.query.rfm_model import RfmModel
from core.segments.changes import NO_CHANGES, Changes
from core.segments.saved import Saved
from core.segments.standing import Published, Standing
from services.runtime.caller import Workspace
from services.runtime.context import Runtime
from services.runtime.definitions import DefinitionChange
from services.runtime.facts import fact_batch_from_proto
from services.runtime.failpoints import failpoint
from services.runtime.patience import commit_patiently
from services.runtime.roles import Role
from services.runtime.subscriber import subscribe_profile
from services.runtime.telemetry import get_logger
from services.segment_engine.convert import changes_to_entries
from services.segment_engine.leaf_store import LeafStore
from services.segment_engine.remembered import Remembered, numbers_to_write
from services.segment_engine.saved import SavedSegments
from services.segment_engine.schema_names import SchemaNames
from services.segment_engine.snapshots import SnapshotStore

_LOG = get_logger(__name__)
#: Entries of more facts are folded in a thread, so that the loop goes on answering.
_INLINE_FACTS = 16
#: While a backlog is folded, a version is published this often at the most.
_PUBLISH_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Committed:
    """How far the engine's own log says everything, and with which zone: written in one step with its records."""

    position: int
    clock_us: int
    zone: str

    def write(self) -> TableWrite:
        """As state of the partition."""
        fields = {"position": self.position, "clock_us": self.clock_us, "zone": self.zone}
        return TableWrite("engine", {key.encode(): str(value).encode() for key, value in fields.items()})

    @staticmethod
    async def load(log: EventLog, partition: Partition) -> Committed:
        """As last committed; zeros and no zone before the first time."""
        position, clock_us, zone = await log.get(partition, "engine", [b"position", b"clock_us", b"zone"])
        return Committed(int(position or 0), int(clock_us or 0), (zone or b"").decode())


class EngineShard:
    """Opened with everything folded that was ever committed here; `run` folds on."""

    def __init__(
        self,
        runtime: Runtime,
        workspace: Workspace,
        partition: Partition,
        fence: Fence,
        saved: SavedSegments,
        index: Index,
        snapshots: SnapshotStore,
        committed: Committed,
        remembered: Remembered,
    ) -> None:
        self.workspace = workspace
        self.partition = partition
        self.saved = saved
        self._runtime = runtime
        self._fence = fence
        self._index = index
        self._snapshots = snapshots
        self._committed = committed
        self._remembered = remembered
        self._numbers = remembered.numbers
        #: What the schema says about names in rules.
        self.schema = SchemaNames(runtime.stubs, workspace.id)
        #: What conditions answered, shared by all calls.
        self.leaves = self._no_leaves()
        self._standing = Standing(index, committed.zone or workspace.zone, committed.clock_us)
        self._published: Published | None = None
        self._published_s = 0.0
        #: How many had been erased when texts that only they had were forgotten; a snapshot has none of these.
        self._forgotten = index.contacts.erased_count
        self._lock = asyncio.Lock()
        #: Held by a call from deciding a definition's next version until it is committed.
        self.defining = asyncio.Lock()
        self._moved = asyncio.Event()
        self._caught_up = False
        self._steps: set[asyncio.Task[None]] = set()
        self._broken: asyncio.Future[CdpError] = asyncio.get_running_loop().create_future()
        self._subscription = subscribe_profile(
            runtime, workspace.id, Role.SEGMENT_ENGINE.value, index.position, snapshots.epoch
        )

    @property
    def clock(self) -> Clock:
        """The process's clock."""
        return self._runtime.clock

    @property
    def published(self) -> Published:
        """The newest version. UNAVAILABLE / NOT_READY until what was committed before is folded again."""
        if self._published is None:
            raise unavailable("NOT_READY", "the segment engine is still reading its log", 0.5)
        return self._published

    async def published_at(self, min_position: int, timeout_s: float) -> Published:
        """The newest version once it includes `min_position` of unification's log; UNAVAILABLE after the time."""
        if self._published is not None and self._published.position >= min_position:
            return self._published
        try:
            async with asyncio.timeout(timeout_s):
                while (published := self.published).position < min_position:
                    await self._moved.wait()
                return published
        except TimeoutError as error:
            raise unavailable(
                "POSITION_NOT_REACHED", f"position {min_position} is not folded yet, the engine is at "
                f"{self.published.position}", 0.5,
            ) from error  # fmt: skip

    def ready(self) -> bool:
        """Everything known at the start is folded."""
        return self._caught_up

    async def run(self) -> None:
        """Fold the log and let time pass, until cancelled or something fails."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_log())
            tasks.create_task(self._follow_time())
            tasks.create_task(self._follow_snapshots())
            tasks.create_task(self._follow_compactions())
            tasks.create_task(self._until_broken())

    async def close(self) -> None:
        """Answer and write no more; files are whole at any moment."""
        self._break(unavailable("NOT_READY", "the segment engine of this workspace is closing", 0.5))
        await asyncio.gather(*self._steps, return_exceptions=True)

    def _break(self, error: BaseException) -> None:
        """Memory may be ahead of the log: this shard must not answer or write any more; another is opened."""
        self._published = None
        if not self._broken.done():
            known = error if isinstance(error, CdpError) else None
            self._broken.set_result(known or unavailable("STEP_CUT_OFF", f"a step was cut off: {error!r}"))

    async def _until_broken(self) -> None:
        raise await self._broken

    async def _follow_log(self) -> None:
        if self._index.position >= self._committed.position:
            async with self._lock:
                await self._restore()
        try:
            async for response in self._subscription:
                await self._fold(response)
                self._subscription.acknowledge(response.position)
        except CdpError as error:
            if error.reason in ("EPOCH_CHANGED", "POSITION_AHEAD"):
                self._snapshots.discard()
            raise

    async def _follow_snapshots(self) -> None:
        while True:
            await asyncio.sleep(self._runtime.settings.snapshot_interval_s)
            if self._published is None or self._published.position <= self._snapshots.position:
                continue
            async with self._lock:
                # What is committed must never be behind a snapshot: a restart evaluates facts at the committed instant.
                root = self._index.root()
                await self._step(lambda: NO_CHANGES, (), aside=False)
                if self._index.contacts.erased_count > self._forgotten:
                    await asyncio.to_thread(forget_texts, self._index)
                    self._forgotten = self._index.contacts.erased_count
            await self._snapshots.keep(root, self._subscription.epoch)

    async def _follow_compactions(self) -> None:
        """Long runs of events are joined aside; what is kept only to answer sooner stays within its budget."""
        while True:
            await asyncio.sleep(self._runtime.settings.snapshot_interval_s)
            if self._published is None:
                continue
            for compaction in self._index.events.compactions():
                merged = await asyncio.to_thread(compaction.merged)
                async with self._lock:
                    self._index.compacted(compaction, merged)
            if self._index.events.cache_nbytes > self._runtime.settings.answer_cache_bytes // 2:
                self._index.events.forget()

    async def _restore(self) -> None:
        """What was committed is folded: the standing sets are what they were, exactly, and are kept from here on. A
        zone that changed meanwhile is an edit, which is recorded."""
        root = self._index.root()
        zone_before = self._committed.zone or self.workspace.zone
        saved = self.saved.in_zone(zone_before).standing(root)
        self._standing.restore(saved, self._remembered.numbers, self._remembered.changes)
        self._remembered = Remembered()
        if zone_before != self.workspace.zone:
            saved = self.saved.standing(root)
            move = partial(self._standing.move_to_zone, self.workspace.zone, saved, self.clock.now_us())
            await self._step(move, (), aside=True)
        self._publish()

    async def _restore_what_is_there(self) -> None:
        """The peer's log may have lost a tail that was recorded here: then its end is where we go on."""
        async with self._lock:
            if self._published is None and self._subscription.caught_up(self._index.position):
                _LOG.error("unification's log ends before what was recorded", end=self._index.position,
                           recorded=self._committed.position)  # fmt: skip
                await self._restore()

    async def _fold(self, response: profile_pb2.SubscribeResponse) -> None:
        batch = fact_batch_from_proto(response.batch, response.position, response.recorded_at_us)
        async with self._lock:
            if self._published is None:
                self._index.apply(batch.events, batch.facts, batch.position)
                if batch.position >= self._committed.position:
                    await self._restore()
                return
            aside = len(batch.events) + len(batch.facts) > _INLINE_FACTS
            await self._step(lambda: self._standing.apply(batch), None, aside=aside)
            loop_s = asyncio.get_running_loop().time()
            if response.position >= response.last_position or loop_s - self._published_s > _PUBLISH_PAUSE_S:
                self._publish()

    async def _follow_time(self) -> None:
        while True:
            await asyncio.sleep(self._runtime.settings.tick_interval_s)
            if self._published is None:
                await self._restore_what_is_there()
                continue
            await self.tick()
            self._caught_up = self._caught_up or self._subscription.caught_up(self._index.position)

    async def tick(self) -> None:
        """Let time pass to now: boundaries are recorded at their exact instants."""
        async with self._lock:
            await self._step(lambda: self._standing.advance(self.clock.now_us()), None, aside=True)
            self._publish()

    async def save(self, change: DefinitionChange, saved: Saved | None, dependents: Sequence[Saved]) -> None:
        """Commit a version of a segment and keep it current. `saved` None: it has parameters, or is deleted.

        The step runs to its end whatever becomes of the caller: half of it would leave memory ahead of the log.
        """
        step = asyncio.create_task(self._save(change, saved, dependents))
        self._steps.add(step)
        step.add_done_callback(self._steps.discard)
        await asyncio.shield(step)

    async def _save(self, change: DefinitionChange, saved: Saved | None, dependents: Sequence[Saved]) -> None:
        async with self._lock:
            now_us, revision = self.clock.now_us(), change.stored.revision

            def decide() -> Changes:
                if saved is not None:
                    return self._standing.save(saved, dependents, now_us)
                return self._standing.remove(revision.name, revision.version, dependents, now_us)

            await self._step(decide, change.writes, aside=True)
            self.saved.definitions.applied(change)
            self.saved.applied(change.stored)
            self._publish()

    async def save_model(self, change: DefinitionChange, model: RfmModel, users: Sequence[Saved]) -> None:
        """Commit a version of an RFM model; `users` are the segments that go by it, bound with it. Runs to its end like
        `save`."""
        step = asyncio.create_task(self._save_model(change, model, users))
        self._steps.add(step)
        step.add_done_callback(self._steps.discard)
        await asyncio.shield(step)

    async def _save_model(self, change: DefinitionChange, model: RfmModel, users: Sequence[Saved]) -> None:
        async with self._lock:
            edit = partial(self._standing.rebind, users, self.clock.now_us())
            await self._step(edit, change.writes, aside=True)
            self.saved.models.applied(change, model)
            # Answers are kept by the data that they read, and a model is none.
            self.leaves = self._no_leaves()
            self._publish()

    async def save_definition(
        self, change: DefinitionChange, users: Sequence[Saved], applied: Callable[[], None]
    ) -> None:
        """Commit a version of what rules are bound with (a computed attribute, an interest): `users` are the segments
        that mean something else by it, bound with it; `applied` takes it over. Runs to its end like `save`."""
        step = asyncio.create_task(self._save_definition(change, users, applied))
        self._steps.add(step)
        step.add_done_callback(self._steps.discard)
        await asyncio.shield(step)

    async def _save_definition(
        self, change: DefinitionChange, users: Sequence[Saved], applied: Callable[[], None]
    ) -> None:
        async with self._lock:
            edit = partial(self._standing.rebind, users, self.clock.now_us())
            await self._step(edit, change.writes, aside=True)
            applied()
            self._publish()

    def _no_leaves(self) -> LeafStore:
        return LeafStore(self._runtime.settings.answer_cache_bytes // 2)

    async def _step(self, decide: Callable[[], Changes], writes: Sequence[TableWrite] | None, *, aside: bool) -> None:
        """Change memory (`aside`: in a thread) and make its records durable with `writes`, or break the shard. `writes`
        None: there is nothing to commit unless something changed."""
        if self._broken.done():
            raise unavailable("NOT_READY", "the segment engine of this workspace is opened again", 0.5)
        try:
            changes = await asyncio.to_thread(decide) if aside else decide()
            if changes or writes is not None:
                await self._commit(changes, writes or ())
        except BaseException as error:
            self._break(error)
            raise

    def _reached(self) -> Committed:
        return Committed(self._index.position, self._standing.clock_us, self.workspace.zone)

    async def _commit(self, changes: Changes, writes: Sequence[TableWrite]) -> None:
        failpoint("segment_engine.before_commit")
        numbers = self._standing.numbers()
        if numbers != self._numbers:
            writes = (*writes, numbers_to_write(numbers))
        commit = Commit(
            source=None,
            source_position=None,
            outputs=list(changes_to_entries(changes, self._index.root(), self._index.position)),
            writes=(*writes, self._reached().write()),
            now_us=self.clock.now_us(),
        )
        await commit_patiently(self._runtime.log, self.partition, self._fence, commit)
        self._numbers = numbers
        failpoint("segment_engine.after_commit")

    def _publish(self) -> None:
        self._published = self._standing.publish()
        self._published_s = asyncio.get_running_loop().time()
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
