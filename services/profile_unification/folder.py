"""Folds entries of ingest's log into what one commit needs. Looks up state; writes nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cdp.ingest.v1 import ingest_pb2
from core.clock import HOUR_US, SECOND_US
from core.errors import CdpError, Code
from core.eventlog.protocol import EventLog, Partition, TableWrite
from core.events.columns import EventColumnsBuilder
from core.identity.dedupe import DEFAULT_BUDGET_IDS, SeenIds
from core.identity.rules import IdentityRules
from core.identity.settings import IdentitySettings
from core.profile.fold import DeadLetter, Fold, Folded
from core.profile.timeline import FactRun, fact_runs
from core.profile.working_set import Wanted, WorkingSet
from services.profile_unification.convert import accepted_from_proto
from services.profile_unification.history import read_histories
from services.profile_unification.seen_store import SeenStore
from services.profile_unification.tables import (
    DEAD_LETTERS,
    dead_letter_rows,
    kinds_of,
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
    ) -> None:
        self._log = log
        self._partition = partition
        self._state = state
        self._store = store
        self._timeline = timeline
        self._fold = Fold(partition.workspace, state, store.seen, rules, search_pattern)

    @classmethod
    async def load(
        cls,
        log: EventLog,
        partition: Partition,
        rules: IdentityRules,
        budget_ids: int = DEFAULT_BUDGET_IDS,
        timeline: TimelineStore | None = None,
    ) -> Folder:
        """A folder that continues from the durable state. `timeline` is where histories of parts are read back."""
        state = await load_working_set(log, partition)
        store = await SeenStore.load(log, partition, SeenIds(budget_ids))
        return cls(log, partition, state, store, rules, timeline)

    @property
    def settings(self) -> IdentitySettings | None:
        """The rules about identifiers that the log has set so far."""
        return self._state.settings

    async def add(self, entry: ingest_pb2.SubscribeResponse, prepared: Prepared) -> None:
        """Fold one entry into `prepared`. An entry that cannot be folded becomes a dead letter after 3 tries, and
        an output without facts. Raises CdpError only when state cannot be read."""
        for tried in range(1, _TRIES + 1):
            try:
                folded, dead = await self._try(entry)
            except _Unreadable as failure:
                raise failure.error from failure
            except Exception as failure:  # noqa: BLE001 - whatever a poison record raises, its neighbours go on
                self._state.roll_back()
                if tried == _TRIES:
                    self._set_aside(entry, failure, prepared)
            else:
                self._keep(entry, folded, dead, prepared)
                return

    def writes(self, prepared: Prepared) -> list[TableWrite]:
        """The state that goes with `prepared`. Call once, then commit."""
        writes = state_writes(self._state.changes(), kinds_of(self._state.settings)) + self._store.writes()
        if prepared.dead_letters:
            writes.append(TableWrite(DEAD_LETTERS, prepared.dead_letters))
        return writes

    def committed(self) -> None:
        """The commit is durable."""
        self._state.settle(_LIMIT_LINKS, _LIMIT_PROFILES)

    async def _try(self, entry: ingest_pb2.SubscribeResponse) -> tuple[Folded, tuple[DeadLetter, ...]]:
        batch, dead = accepted_from_proto(entry.batch, entry.position)
        steps = self._fold.fold(batch)
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

    def _keep(
        self, entry: ingest_pb2.SubscribeResponse, folded: Folded, dead: tuple[DeadLetter, ...], prepared: Prepared
    ) -> None:
        events = folded.events
        output = fact_batch_to_proto(events, folded.facts, entry.position, folded.parts).SerializeToString()
        self._state.keep()
        self._store.remember(folded.seen, folded.hour, entry.position)
        prepared.outputs.append(output)
        assert events.contacts is not None
        parts = events.contacts if folded.parts is None else folded.parts
        prepared.events.append(Resolved(parts, events.occurred_at_us, fact_runs(folded.facts)))
        prepared.dead_letters.update(dead_letter_rows(entry.position, dead, 1, b""))
        workspace = self._partition.workspace
        RESOLVED_EVENTS.labels(workspace).inc(len(folded.events))
        DUPLICATES.labels(workspace).inc(folded.duplicates)
        DEAD_LETTER_COUNT.labels(self._partition.service).inc(len(dead))
        hours = self._store.seen.horizon_hours(folded.hour)
        DEDUPE_HORIZON.labels(workspace).set(hours * HOUR_US / SECOND_US)

    def _set_aside(self, entry: ingest_pb2.SubscribeResponse, failure: Exception, prepared: Prepared) -> None:
        reason = failure.reason if isinstance(failure, CdpError) else type(failure).__name__
        letter = DeadLetter("", reason, str(failure))
        original = entry.batch.SerializeToString()
        prepared.outputs.append(fact_batch_to_proto(_NO_EVENTS, (), entry.position).SerializeToString())
        prepared.events.append(Resolved(np.zeros(0, np.uint32), np.zeros(0, np.int64)))
        prepared.dead_letters.update(dead_letter_rows(entry.position, (letter,), _TRIES, original))
        DEAD_LETTER_COUNT.labels(self._partition.service).inc()
        _LOG.error("entry set aside, it cannot be folded", workspace=self._partition.workspace,
                   position=entry.position, reason=reason, error=str(failure))  # fmt: skip


class _Unreadable(Exception):
    """State could not be read: nothing is wrong with the entry."""

    def __init__(self, error: CdpError) -> None:
        super().__init__(error.message)
        self.error = error
