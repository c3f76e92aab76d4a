"""The scenarios of one workspace at work: facts and memberships in, runs started and driven, definitions saved."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine

from cdp.profile.v1 import profile_pb2
from cdp.scenario.v1 import scenario_pb2
from cdp.segment.v1 import segment_pb2
from core.errors import CdpError, unavailable
from core.eventlog.protocol import Fence, Partition, TableWrite
from core.events.facts import FactBatch
from core.scenario.validate import plan_of
from services.runtime.caller import Workspace
from services.runtime.context import Runtime
from services.runtime.definitions import DefinitionChange, Definitions, Stored
from services.runtime.facts import fact_batch_from_proto
from services.runtime.subscriber import Subscription, subscribe_profile
from services.runtime.telemetry import DEAD_LETTERS, get_logger
from services.scenario.catalogue import Catalogue
from services.scenario.convert import definition_from_proto, membership_from_proto
from services.scenario.driver import Driver, Seen
from services.scenario.fold import Fold
from services.scenario.journal import Journal
from services.scenario.memberships import watch
from services.scenario.peers import Peers
from services.scenario.runs import Runs

_LOG = get_logger(__name__)

KIND = "scenario"
CONSUMER = "scenario"
_PROFILE, _WATCH = "profile_unification", "segment_watch"
_CURSORS, _DEAD_LETTERS = "cursors", "dead_letters"
#: How often the clock is looked at, in seconds of the machine.
_POLL_S = 0.05
#: Entries that concern no run are made durable together: a replay of them changes nothing.
_ENTRIES_A_COMMIT = 32


class ScenarioShard:
    """Runs of one workspace, held under the lease of its bucket. `open` it, `run` it, `close` it."""

    def __init__(
        self, runtime: Runtime, workspace: Workspace, journal: Journal, catalogue: Catalogue, runs: Runs, seen: Seen
    ) -> None:
        self.catalogue = catalogue
        self.runs = runs
        self.partition = journal.partition
        self._runtime = runtime
        self._workspace = workspace
        self._journal = journal
        self._seen = seen
        self._peers = Peers(runtime, workspace.id)
        self._driver = Driver(journal, catalogue, runs, self._peers, seen)
        self._fold = Fold(runs, catalogue, workspace.zone, self._driver.keep, self._driver.forget)
        self._uncommitted = 0
        self._wake = asyncio.Event()
        self._segments_wanted = asyncio.Event()
        self._running = False
        self._caught_up = False
        self._defining: set[asyncio.Task[Stored]] = set()
        self._undecided: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._feed = subscribe_profile(runtime, workspace.id, CONSUMER, seen.profile_position)

    @staticmethod
    async def open(runtime: Runtime, workspace: Workspace, partition: Partition, fence: Fence) -> ScenarioShard:
        """Read definitions, runs (their timers with them) and positions back."""
        log = runtime.log
        catalogue = Catalogue(await Definitions.load(log, partition, KIND))
        runs = await Runs.load(log, partition)
        journal = Journal(log, partition, fence, runtime.clock, runs)
        seen = Seen(await log.source_position(partition, _PROFILE))
        return ScenarioShard(runtime, workspace, journal, catalogue, runs, seen)

    async def run(self) -> None:
        """Follow the profile log and the memberships, and let timers fire. Ends by an exception or cancellation."""
        self._running = True
        await _until_first_failure(
            self._follow_profiles(), self._follow_memberships(), self._follow_clock(), self._follow_definitions()
        )

    async def close(self) -> None:
        """Let the definitions that are being saved become durable. Nothing else is held open beyond `run`."""
        self._running = False
        await asyncio.gather(*self._defining, return_exceptions=True)

    def ready(self) -> bool:
        """What unification had told when this shard began is folded; timers fire from then on."""
        return self._running and self._caught_up

    @property
    def position(self) -> int:
        """The position of the profile log folded so far."""
        return self._seen.profile_position

    async def tick(self) -> int:
        """See `Driver.tick`; `run` calls it all the time."""
        return await self._driver.tick()

    # --- definitions ----------------------------------------------------------------------------------------------

    async def save(self, name: str, message: scenario_pb2.Scenario, etag: str, actor: str, request_id: str) -> Stored:
        """Check and save the next version. A request id that was seen for this name answers what it answered then."""
        answered = self.catalogue.definitions.answered(name, request_id)
        if answered is not None:
            return answered
        definition = definition_from_proto(message)
        plan_of(name, 0, definition)
        await self._peers.check_texts(definition)
        kept = scenario_pb2.Scenario()
        kept.CopyFrom(message)
        kept.ClearField("revision")
        payload = kept.SerializeToString(deterministic=True)
        definitions = self.catalogue.definitions
        return await self._define(
            lambda: (
                definitions.answered(name, request_id)
                or definitions.save(name, payload, etag, actor, self._journal.now_us(), request_id)
            )
        )

    async def delete(self, name: str, etag: str, actor: str) -> Stored:
        """Delete a scenario: its runs end before their next step."""
        definitions, journal = self.catalogue.definitions, self._journal
        return await self._define(lambda: definitions.delete(name, etag, actor, journal.now_us()))

    async def _define(self, decide: Callable[[], DefinitionChange | Stored]) -> Stored:
        """Decide, make durable and take over as one: a caller who hangs up stops none of it."""
        task = asyncio.create_task(self._commit_definition(decide))
        self._defining.add(task)
        task.add_done_callback(self._defining.discard)
        return await asyncio.shield(task)

    async def _commit_definition(self, decide: Callable[[], DefinitionChange | Stored]) -> Stored:
        async with self._journal.changing:
            if self._undecided.done():
                raise unavailable("NOT_READY", "the scenarios of this workspace are being opened again")
            change = decide()
            if isinstance(change, Stored):
                return change  # the same request was answered meanwhile
            try:
                await self._journal.commit(change.writes)
            except Exception as error:
                # It may be durable all the same: nothing may be decided on what memory has now.
                if not self._undecided.done():
                    self._undecided.set_exception(error)
                raise
            self.catalogue.applied(change)
            self._driver.release(change.stored.revision.name)
            if self.catalogue.watches_segments:
                self._segments_wanted.set()
            self._wake.set()
            return change.stored

    async def _follow_definitions(self) -> None:
        """Raise when a commit of a definition failed: the shard ends, and is opened again on what is stored."""
        await self._undecided

    # --- facts in -------------------------------------------------------------------------------------------------

    async def _follow_profiles(self) -> None:
        async for response in self._feed:
            await self._fold_profiles(response, self._feed)

    async def _fold_profiles(
        self, response: profile_pb2.SubscribeResponse, feed: Subscription[profile_pb2.SubscribeResponse]
    ) -> None:
        async with self._journal.changing:
            decoded = _decode(response)
            concerned = True
            letters: tuple[TableWrite, ...] = ()
            if isinstance(decoded, TableWrite):
                letters = (decoded,)
            else:
                concerned = self._fold.batch(decoded, response.batch.upstream_position, self._journal.now_us())
            self._seen.profile_position = max(self._seen.profile_position, response.position)
            self._seen.upstream_position = max(self._seen.upstream_position, response.batch.upstream_position)
            self._uncommitted += 1
            caught_up = response.position >= response.last_position
            if concerned or caught_up or self._uncommitted >= _ENTRIES_A_COMMIT:
                await self._journal.commit_position(_PROFILE, response.position, letters)
                self._uncommitted = 0
                feed.acknowledge(response.position)
        if concerned:
            self._wake.set()

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
                self._wake.set()

    def _fold_memberships(self, response: segment_pb2.WatchResponse) -> bool:
        changes = [
            membership_from_proto(record, response.position, index)
            for index, record in enumerate(response.memberships)
        ]  # fmt: skip
        self._seen.engine_position = max(self._seen.engine_position, response.profile_position)
        return self._fold.memberships(changes, response.profile_position, self._journal.now_us())

    async def _follow_clock(self) -> None:
        while True:
            self._wake.clear()
            # A timer that fell due while we were away must not act before a purchase of that time is folded.
            self._caught_up = self._caught_up or self._feed.caught_up(self.position)
            if self._caught_up:
                await self.tick()
            try:
                await asyncio.wait_for(self._wake.wait(), _POLL_S)
            except TimeoutError:
                continue  # nobody woke us, but the clock went on


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
