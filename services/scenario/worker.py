"""The scenarios of one workspace at work: facts and memberships in, runs started and driven, definitions saved."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine
from contextlib import suppress

import numpy as np
from pyroaring import BitMap

from cdp.profile.v1 import profile_pb2
from cdp.scenario.v1 import scenario_pb2
from cdp.segment.v1 import segment_pb2
from core.errors import CdpError
from core.eventlog.protocol import Fence, Partition, TableWrite
from core.events.facts import FactBatch, ProductState
from core.scenario.commands import StartRun
from core.scenario.definition import RfmTrigger
from core.scenario.inputs import Done
from core.scenario.trigger import Occurrence
from core.scenario.trigger_cells import cell_of
from services.runtime.caller import Workspace
from services.runtime.context import Runtime
from services.runtime.definitions import Definitions, Stored
from services.runtime.facts import fact_batch_from_proto
from services.runtime.subscriber import subscribe_profile
from services.runtime.telemetry import DEAD_LETTERS, get_logger
from services.scenario.calls import Calls
from services.scenario.catalogue import SCENARIO_STOPPED, Catalogue
from services.scenario.contacts import Contacts
from services.scenario.control import Control
from services.scenario.convert import membership_from_proto
from services.scenario.decisions import Decisions
from services.scenario.driver import Driver, Seen
from services.scenario.field_checks import FieldChecks
from services.scenario.field_watch import FieldWatch
from services.scenario.fold import Fold
from services.scenario.journal import Journal
from services.scenario.launcher import Launcher
from services.scenario.launches import Launches
from services.scenario.memberships import watch
from services.scenario.paces import Paces
from services.scenario.peers import Peers
from services.scenario.runs import Runs
from services.scenario.saves import Saves
from services.scenario.sources import Sources
from services.scenario.starts import Refusal, Starts
from services.scenario.states import States
from services.scenario.template_names import TemplateNames, UnknownName
from services.scenario.waiting import Waiting

_LOG = get_logger(__name__)

KIND = "scenario"
CONSUMER = "scenario"
_PROFILE, _WATCH = "profile_unification", "segment_watch"
_CURSORS, _DEAD_LETTERS = "cursors", "dead_letters"
#: How often the clock is looked at, in seconds of the machine.
_POLL_S = 0.05
#: How long a call that starts depend on, and that failed, is not made again.
_PAUSE_S = 2.0
#: How often it is seen to that all cells are watched: a new version of a model may have one that nobody is in yet, of
#: which no record tells.
_MODELS_S = 30.0
#: Entries that concern no run are made durable together: a replay of them changes nothing.
_ENTRIES_A_COMMIT = 32


class ScenarioShard:
    """Runs of one workspace, held under the lease of its bucket. `open` it, `run` it, `close` it."""

    def __init__(
        self,
        runtime: Runtime,
        workspace: Workspace,
        journal: Journal,
        catalogue: Catalogue,
        runs: Runs,
        launches: Launches,
        checks: FieldChecks,
        paces: Paces,
        seen: Seen,
    ) -> None:
        self.catalogue = catalogue
        self.runs = runs
        self.launches = launches
        self.field_checks = checks
        self.partition = journal.partition
        self._runtime = runtime
        self._workspace = workspace
        self._journal = journal
        self._seen = seen
        self._peers = Peers(runtime, workspace.id)
        self._sources = Sources(runtime, workspace.id)
        self._driver = Driver(journal, catalogue, runs, self._peers, Contacts(runtime, workspace), paces, seen)
        self._starts = Starts(runs, catalogue, self._driver.keep)
        self._driver.start_other = self._start_other
        self._waiting = Waiting(catalogue, checks, launches)
        self._fold = Fold(
            runs, catalogue, self._starts, self._waiting, workspace.zone, self._driver.keep, self._driver.forget
        )  # fmt: skip
        self._launcher = Launcher(
            journal, launches, self._starts, catalogue, self._sources, workspace.zone, lambda: self.position,
            self._driver.backlog,
        )  # fmt: skip
        self._field_watch = FieldWatch(journal, checks, self._starts, catalogue, self._sources)
        self._decisions = Decisions(journal)
        self._wake, self._wake_starts = asyncio.Event(), asyncio.Event()
        self._saves = Saves(
            journal, self._decisions, catalogue, self._driver, self._peers, self._sources, self._awaken
        )  # fmt: skip
        self.calls = Calls(
            journal, self._decisions, catalogue, runs, self._starts, self._driver, self._sources,
            lambda: self.position, self._awaken,
        )  # fmt: skip
        self.control = Control(
            journal, self._decisions, catalogue, self.calls, launches, self._driver, self._sources,
            lambda: self.position, self._awaken,
        )  # fmt: skip
        self._uncommitted = 0
        self._segments_wanted = asyncio.Event()
        self._running = False
        self._caught_up = False
        self._cells_kept, self._keep_cells_from_s, self._doubt_cells_from_s = False, 0.0, 0.0
        self._feed = subscribe_profile(runtime, workspace.id, CONSUMER, seen.profile_position)

    @staticmethod
    async def open(runtime: Runtime, workspace: Workspace, partition: Partition, fence: Fence) -> ScenarioShard:
        """Read definitions, runs (their timers with them), what is to start, and positions back."""
        log = runtime.log
        states = await States.load(log, partition)
        catalogue = Catalogue(await Definitions.load(log, partition, KIND), states)
        runs = await Runs.load(log, partition)
        launches = await Launches.load(log, partition)
        checks = await FieldChecks.load(log, partition)
        paces = await Paces.load(log, partition)
        journal = Journal(log, partition, fence, runtime.clock, runs, states, launches, checks, paces)
        seen = Seen(await log.source_position(partition, _PROFILE))
        return ScenarioShard(runtime, workspace, journal, catalogue, runs, launches, checks, paces, seen)

    async def run(self) -> None:
        """Follow the profile log and the memberships, and let timers fire. Ends by an exception or cancellation."""
        self._running = True
        await _until_first_failure(
            self._follow_profiles(),
            self._follow_memberships(),
            self._follow_clock(),
            self._follow_starts(),
            self._decisions.failed(),
        )

    async def close(self) -> None:
        """Let what callers decided become durable. Nothing else is held open beyond `run`."""
        self._running = False
        await self._decisions.close()

    def ready(self) -> bool:
        """What unification had told when this shard began is folded; timers fire from then on."""
        return self._running and self._caught_up

    @property
    def position(self) -> int:
        """The position of the profile log folded so far."""
        return self._seen.profile_position

    def _start_other(self, command: StartRun, now_us: int) -> Done:
        """A run starts another scenario's. Its facts are folded as far as this run's are."""
        occurrence = Occurrence(command.trigger_id, now_us, command.contact, command.values, command.items)
        start = self._starts.call(command.scenario, occurrence, self.position, now_us)
        if start.refusal is Refusal.KNOWN:
            return Done(command.message_id)  # it was started before, and only the answer was lost
        return Done(command.message_id, "" if start.refusal is None else start.refusal.value, start.run_id)

    async def unknown_names(self, name: str, version: int) -> list[UnknownName]:
        """What is likely wrong with the messages of a scenario. Raises NOT_FOUND, and what the channel says."""
        stored = self.catalogue.definitions.get(name, version)
        plan = self.catalogue.plan(name, stored.revision.version)
        return await TemplateNames(self._runtime, self._workspace.id).unknown(plan.definition)

    async def tick(self) -> int:
        """See `Driver.tick`; `run` calls it all the time."""
        return await self._driver.tick()

    # --- definitions ----------------------------------------------------------------------------------------------

    async def save(self, name: str, message: scenario_pb2.Scenario, etag: str, actor: str, request_id: str) -> Stored:
        """See `Saves.save`."""
        return await self._saves.save(name, message, etag, actor, request_id)

    async def delete(self, name: str, etag: str, actor: str) -> Stored:
        """See `Saves.delete`."""
        return await self._saves.delete(name, etag, actor)

    def _awaken(self) -> None:
        """Something can be done that could not be done before."""
        if self.catalogue.watches_segments:
            self._segments_wanted.set()
        self._wake.set()
        self._wake_starts.set()

    # --- facts in -------------------------------------------------------------------------------------------------

    async def _follow_profiles(self) -> None:
        """Entries are read ahead while a commit is under way; those that came meanwhile are folded together."""
        read: asyncio.Queue[profile_pb2.SubscribeResponse] = asyncio.Queue(_ENTRIES_A_COMMIT)
        await _until_first_failure(self._read_profiles(read), self._fold_profiles(read))

    async def _read_profiles(self, read: asyncio.Queue[profile_pb2.SubscribeResponse]) -> None:
        async for response in self._feed:
            await read.put(response)

    async def _fold_profiles(self, read: asyncio.Queue[profile_pb2.SubscribeResponse]) -> None:
        while True:
            entries = [await read.get()]
            async with self._journal.changing:
                while not read.empty():
                    entries.append(read.get_nowait())
                concerned, letters = False, dict[bytes, bytes]()
                for response in entries:
                    concerned |= self._fold_entry(response, letters)
                last = entries[-1]
                self._uncommitted += len(entries)
                caught_up = last.position >= last.last_position
                if concerned or caught_up or self._uncommitted >= _ENTRIES_A_COMMIT:
                    writes = (TableWrite(_DEAD_LETTERS, letters),) if letters else ()
                    await self._journal.commit_position(_PROFILE, last.position, writes)
                    self._uncommitted = 0
                    self._feed.acknowledge(last.position)
            if concerned:
                self._awaken()

    def _fold_entry(self, response: profile_pb2.SubscribeResponse, letters: dict[bytes, bytes]) -> bool:
        """Fold one entry, or put it among the dead letters. True if it has to be made durable at once."""
        decoded = _decode(response)
        if isinstance(decoded, TableWrite):
            letters.update(decoded.put)
            concerned = True
        else:
            concerned = self._fold.batch(decoded, response.batch.upstream_position, self._journal.now_us())
            if any(isinstance(fact, ProductState) for fact in decoded.facts):
                self._driver.catalogue_changed(response.position)
        self._seen.profile_position = max(self._seen.profile_position, response.position)
        self._seen.upstream_position = max(self._seen.upstream_position, response.batch.upstream_position)
        return concerned

    async def _follow_memberships(self) -> None:
        if not self.catalogue.watches_segments:
            await self._segments_wanted.wait()
        (stored,) = await self._journal.log.get(self.partition, _CURSORS, [_WATCH.encode()])
        epoch, after = ("", 0) if stored is None else json.loads(stored)
        uncommitted = 0
        async for response in watch(self._runtime, self._workspace.id, after, epoch):
            uncommitted += 1
            async with self._journal.changing:
                started = self._fold_memberships(response)
                if started or uncommitted >= _ENTRIES_A_COMMIT:
                    cursor = json.dumps([response.epoch, response.position]).encode()
                    # Positions of another epoch begin again, so each epoch is a source of its own.
                    source = f"{_WATCH}:{response.epoch}"
                    writes = (TableWrite(_CURSORS, {_WATCH.encode(): cursor}),)
                    await self._journal.commit_position(source, response.position, writes)
                    uncommitted = 0
            if started:
                self._awaken()

    def _fold_memberships(self, response: segment_pb2.WatchResponse) -> bool:
        changes = [
            membership_from_proto(record, response.position, index)
            for index, record in enumerate(response.memberships)
        ]  # fmt: skip
        self._seen.engine_position = max(self._seen.engine_position, response.profile_position)
        started = self._fold.memberships(changes, response.profile_position, self._journal.now_us())
        for index, bulk in enumerate(response.bulk):
            if bulk.cause == segment_pb2.CAUSE_EDIT:
                # Another version of a model may have cells that nobody watches yet.
                self._cells_kept &= cell_of(bulk.segment, self.catalogue.models) is None
                entered, left = BitMap.deserialize(bulk.entered_roaring), BitMap.deserialize(bulk.left_roaring)
                started |= self._waiting.edited(
                    bulk.segment,
                    np.array(entered, np.uint32),
                    np.array(left, np.uint32),
                    f"{response.position}.{index}",
                    bulk.recorded_at_us,
                    response.profile_position,
                )
        return started

    async def _follow_clock(self) -> None:
        while True:
            self._wake.clear()
            # A timer that fell due while we were away must not act before a purchase of that time is folded.
            self._caught_up = self._caught_up or self._feed.caught_up(self.position)
            if self._caught_up:
                await self.tick()
            await _woken(self._wake)

    async def _follow_starts(self) -> None:
        """Go on with what starts runs, beside the runs themselves: peers are asked for whole segments meanwhile."""
        for name in self.catalogue.stopped():
            await self.calls.stop_runs(name, (), SCENARIO_STOPPED)
        while True:
            self._wake_starts.clear()
            worked = False
            if self._doubt_cells_from_s <= time.monotonic():
                self._cells_kept, self._doubt_cells_from_s = False, time.monotonic() + _MODELS_S
            if not self._cells_kept and self._keep_cells_from_s <= time.monotonic():
                await self._keep_cells()
            if self._caught_up:
                worked = await self._launcher.step()
                worked |= await self._field_watch.step()
            if worked:
                self._wake.set()
                await asyncio.sleep(0)
            else:
                await _woken(self._wake_starts)

    async def _keep_cells(self) -> None:
        """See to it that every cell is watched whose moves start a scenario."""
        self._cells_kept = True
        for model in list(self.catalogue.models):
            for plan in self.catalogue.started_by_model(model):
                trigger = plan.definition.trigger
                try:
                    if isinstance(trigger, RfmTrigger):
                        await self._sources.keep_cells(trigger)
                except CdpError as error:
                    _LOG.info("cells of a model are not all watched, trying again", model=model, reason=error.reason)
                    self._cells_kept, self._keep_cells_from_s = False, time.monotonic() + _PAUSE_S


async def _woken(wake: asyncio.Event) -> None:
    """Return once somebody woke us, or the clock may have gone on."""
    # Not `wait_for`: one that is cancelled as it is woken goes on as if nobody had cancelled it.
    with suppress(TimeoutError):
        async with asyncio.timeout(_POLL_S):
            await wake.wait()


def _decode(response: profile_pb2.SubscribeResponse) -> FactBatch | TableWrite:
    """The entry, or the dead letter of one that can never be read: set aside with its cause, its neighbours go on."""
    try:
        return fact_batch_from_proto(response.batch, response.position, response.recorded_at_us)
    except (CdpError, ValueError) as error:
        _LOG.error("entry of the profile log set aside", position=response.position, error=str(error))
        DEAD_LETTERS.labels(KIND).inc()
        letter = json.dumps({"cause": str(error), "bytes": response.batch.SerializeToString().hex()}).encode()
        return TableWrite(_DEAD_LETTERS, {f"{_PROFILE}/{response.position}".encode(): letter})


async def _until_first_failure(*work: Coroutine[None, None, None]) -> None:
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
