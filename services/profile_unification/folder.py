"""Folds entries of ingest's log into what one commit needs. Looks up state; writes nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from core.clock import HOUR_US, SECOND_US
from core.errors import CdpError, Code
from core.eventlog.protocol import EventLog, Partition, TableWrite
from core.events.columns import EventColumnsBuilder
from core.identity.dedupe import DEFAULT_BUDGET_IDS, SeenIds
from core.identity.rules import IdentityRules
from core.identity.settings import IdentitySettings
from core.profile.erasures import Blind, plain_blind
from core.profile.fold import DeadLetter, Fold, Folded
from core.profile.merge_log import Outcome
from core.profile.timeline import FactRun, fact_runs
from core.profile.working_set import Wanted, WorkingSet
from services.profile_unification.convert import accepted_from_proto
from services.profile_unification.dead_letters import (
    NOTHING_TO_REPLAY,
    letter_of,
    parts_of_batch,
    received_at,
    replay_in,
)
from services.profile_unification.history import read_histories
from services.profile_unification.marks import MARKS, mark_rows
from services.profile_unification.seen_store import SeenStore
from services.profile_unification.tables import (
    DEAD_LETTERS,
    dead_letter_key,
    dead_letter_row,
    dead_letter_rows,
    kinds_of,
    load_outcome,
    load_wanted,
    load_working_set,
    state_writes,
)
from services.profile_unification.timeline_store import TimelineStore
from services.runtime.facts import fact_batch_to_proto
from services.runtime.identity_rules import search_pattern
from services.runtime.telemetry import DEAD_LETTERS as DEAD_LETTER_COUNT
from services.runtime.telemetry import DEDUPE_HORIZON, DUPLICATES, RESOLVED_EVENTS, get_logger

_LOG = get_logger(__name__)
_TRIES = 3
_LIMIT_LINKS = 1_000_000
_LIMIT_PROFILES = 100_000
_NO_EVENTS = EventColumnsBuilder().build()


@dataclass(frozen=True, slots=True)
class Resolved:
    """What the timelines need of an output: the parts and instants of its events, and what its facts told."""

    parts: NDArray[np.uint32]
    occurred_at_us: NDArray[np.int64]
    told: Sequence[FactRun] = ()


@dataclass(slots=True)
class Prepared:
    """What one commit writes: an output for every upstream entry, in order, with what timelines need of it."""

    outputs: list[bytes] = field(default_factory=list)
    events: list[Resolved] = field(default_factory=list)
    dead_letters: dict[bytes, bytes] = field(default_factory=dict)
    #: Keys of dead letters that were folded after all.
    replayed: list[bytes] = field(default_factory=list)
    marks: dict[bytes, bytes] = field(default_factory=dict)


class Folder:
    """The fold of one workspace with its state. After a commit that failed for good, throw it away."""

    def __init__(
        self,
        log: EventLog,
        partition: Partition,
        state: WorkingSet,
        store: SeenStore,
        rules: IdentityRules,
        timeline: TimelineStore | None,
        blind: Blind = plain_blind,
    ) -> None:
        self._log = log
        self._partition = partition
        self._state = state
        self._store = store
        self._timeline = timeline
        self._fold = Fold(partition.workspace, state, store.seen, rules, search_pattern, blind)

    @classmethod
    async def load(
        cls,
        log: EventLog,
        partition: Partition,
        rules: IdentityRules,
        budget_ids: int = DEFAULT_BUDGET_IDS,
        timeline: TimelineStore | None = None,
        blind: Blind = plain_blind,
    ) -> Folder:
        """A folder that continues from the durable state. `timeline` is where histories of parts are read back, `blind`
        makes what is kept of identifiers of people who were forgotten."""
        state = await load_working_set(log, partition)
        store = await SeenStore.load(log, partition, SeenIds(budget_ids))
        return cls(log, partition, state, store, rules, timeline, blind)

    @property
    def settings(self) -> IdentitySettings | None:
        """The rules about identifiers that the log has set so far."""
        return self._state.settings

    async def add(self, entry: ingest_pb2.SubscribeResponse, prepared: Prepared) -> None:
        """Fold one entry into `prepared`. An entry that cannot be folded becomes a dead letter after 3 tries, and
        an output without facts. Raises CdpError only when state cannot be read."""
        order = replay_in(entry.batch)
        if order is not None:
            await self._replay(entry, order, prepared)
            return
        for tried in range(1, _TRIES + 1):
            try:
                if entry.unreadable:
                    facts_pb2.AcceptedBatch.FromString(entry.unreadable)  # raises what is wrong with it
                folded, dead = await self._try(entry.batch, entry.position)
                output = _output(folded, entry.position)
            except _Unreadable as failure:
                raise failure.error from failure
            except Exception as failure:  # noqa: BLE001 - whatever a poison record raises, its neighbours go on
                self._state.roll_back()
                if tried == _TRIES:
                    self._set_aside(entry, failure, prepared)
            else:
                self._keep(entry.position, folded, output, prepared)
                self._set_parts_aside(entry.batch, entry.position, dead, prepared)
                return

    def writes(self, prepared: Prepared) -> list[TableWrite]:
        """The state that goes with `prepared`. Call once, then commit."""
        writes = state_writes(self._state.changes(), kinds_of(self._state.settings)) + self._store.writes()
        if prepared.dead_letters or prepared.replayed:
            writes.append(TableWrite(DEAD_LETTERS, prepared.dead_letters, prepared.replayed))
        if prepared.marks:
            writes.append(TableWrite(MARKS, prepared.marks))
        return writes

    def committed(self) -> None:
        """The commit is durable."""
        self._state.settle(_LIMIT_LINKS, _LIMIT_PROFILES)

    async def _try(
        self, message: facts_pb2.AcceptedBatch, position: int, *, again: bool = False
    ) -> tuple[Folded, tuple[DeadLetter, ...]]:
        batch, dead = accepted_from_proto(message, position)
        steps = self._fold.fold(batch, again=again)
        while True:
            try:
                wanted = next(steps)
            except StopIteration as end:
                folded: Folded = end.value
                return folded, dead + folded.dead
            try:
                await load_wanted(self._log, self._partition, self._state, wanted)
                if wanted.histories:
                    await self._load_histories(wanted)
                if wanted.last_told:
                    await self._load_last_told(wanted.last_told)
            except CdpError as error:
                if error.code is Code.NOT_FOUND:
                    raise  # what it needs is no longer kept: that is for good
                self._state.roll_back()
                raise _Unreadable(error) from error

    async def _load_histories(self, wanted: Wanted) -> None:
        if self._timeline is None:
            raise RuntimeError("this folder has no timelines to read histories from")
        parts, restored = wanted.histories, frozenset(wanted.restored)
        found = await read_histories(self._log, self._partition, self._timeline, parts, restored)
        self._state.histories.update(found)

    async def _load_last_told(self, parts: tuple[int, ...]) -> None:
        if self._timeline is None:
            raise RuntimeError("this folder has no timelines to look into")
        for part in parts:
            refs = await self._timeline.refs([part])
            if len(refs):
                self._state.last_told[part] = int(refs["occurred_at_us"].max())

    async def _replay(
        self, entry: ingest_pb2.SubscribeResponse, order: facts_pb2.AcceptedFact, prepared: Prepared
    ) -> None:
        """Fold what was set aside as if it came now. What fails again stays where it is, with one more try."""
        asked = order.dead_letter_replay
        key = dead_letter_key(asked.position, asked.number)
        [row] = await self._log.get(self._partition, DEAD_LETTERS, (key,))
        if row is None:
            known = await load_outcome(self._log, self._partition, order.id)
            self._answer(entry.position, order.id, known or NOTHING_TO_REPLAY, prepared)
            return
        letter, tries, original = letter_of(row)
        try:
            batch = received_at(original, order.received_at_us)
            # The ids of a part were met when it was set aside; those of a whole entry were not.
            folded, dead = await self._try(batch, entry.position, again=bool(letter.message_id))
            if letter.message_id and dead:
                self._state.roll_back()
                raise CdpError(Code.INVALID, dead[0].reason, dead[0].detail)
            output = _output(folded, entry.position)
        except _Unreadable as failure:
            raise failure.error from failure
        except Exception as failure:  # noqa: BLE001 - whatever is still wrong with it, its neighbours go on
            self._state.roll_back()
            outcome = Outcome(_reason(failure), str(failure))
            still = DeadLetter(letter.message_id, outcome.reason, outcome.detail)
            prepared.dead_letters[key] = dead_letter_row(asked.position, still, tries + 1, original)
            self._answer(entry.position, order.id, outcome, prepared)
            return
        self._state.put_outcome(order.id, Outcome())
        prepared.replayed.append(key)
        self._keep(entry.position, folded, output, prepared)
        self._set_parts_aside(batch, entry.position, dead, prepared)

    def _answer(self, position: int, order_id: str, outcome: Outcome, prepared: Prepared) -> None:
        """An entry that says no more than what became of an order."""
        self._state.put_outcome(order_id, outcome)
        self._state.keep()
        self._say_nothing(position, prepared)

    def _keep(self, position: int, folded: Folded, output: bytes, prepared: Prepared) -> None:
        events = folded.events
        self._state.keep()
        self._store.remember(folded.seen, folded.hour, position)
        prepared.outputs.append(output)
        assert events.contacts is not None
        parts = events.contacts if folded.parts is None else folded.parts
        prepared.events.append(Resolved(parts, events.occurred_at_us, fact_runs(folded.facts)))
        prepared.marks.update(mark_rows(folded.facts))
        workspace = self._partition.workspace
        RESOLVED_EVENTS.labels(workspace).inc(len(folded.events))
        DUPLICATES.labels(workspace).inc(folded.duplicates)
        hours = self._store.seen.horizon_hours(folded.hour)
        DEDUPE_HORIZON.labels(workspace).set(hours * HOUR_US / SECOND_US)

    def _set_parts_aside(
        self, batch: facts_pb2.AcceptedBatch, position: int, dead: tuple[DeadLetter, ...], prepared: Prepared
    ) -> None:
        if not dead:
            return
        parts = parts_of_batch(batch, {letter.message_id for letter in dead})
        letters = [(letter, parts.get(letter.message_id, b"")) for letter in dead]
        prepared.dead_letters.update(dead_letter_rows(position, letters, 1))
        DEAD_LETTER_COUNT.labels(self._partition.service).inc(len(dead))

    def _say_nothing(self, position: int, prepared: Prepared) -> None:
        prepared.outputs.append(fact_batch_to_proto(_NO_EVENTS, (), position).SerializeToString())
        prepared.events.append(Resolved(np.zeros(0, np.uint32), np.zeros(0, np.int64)))

    def _set_aside(self, entry: ingest_pb2.SubscribeResponse, failure: Exception, prepared: Prepared) -> None:
        reason = _reason(failure)
        original = entry.unreadable or entry.batch.SerializeToString()
        self._say_nothing(entry.position, prepared)
        letters = [(DeadLetter("", reason, str(failure)), original)]
        prepared.dead_letters.update(dead_letter_rows(entry.position, letters, _TRIES))
        DEAD_LETTER_COUNT.labels(self._partition.service).inc()
        _LOG.error("entry set aside, it cannot be folded", workspace=self._partition.workspace,
                   position=entry.position, reason=reason)  # fmt: skip


def _output(folded: Folded, position: int) -> bytes:
    return fact_batch_to_proto(folded.events, folded.facts, position, folded.parts).SerializeToString()


def _reason(failure: Exception) -> str:
    return failure.reason if isinstance(failure, CdpError) else type(failure).__name__


class _Unreadable(Exception):
    """State could not be read: nothing is wrong with the entry."""

    def __init__(self, error: CdpError) -> None:
        super().__init__(error.message)
        self.error = error
