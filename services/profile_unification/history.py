"""What unification's log holds of single parts of people, read back through their timelines."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence

import numpy as np

from cdp.facts.v1 import facts_pb2
from core.errors import not_found
from core.eventlog.protocol import EventLog, Partition
from core.events.facts import AttributeWrite, ListChange
from core.profile.timeline import FACT_ROW, fact_runs
from core.profile.working_set import PartHistory
from services.profile_unification.forgetting import event_rows
from services.profile_unification.timeline_store import TimelineStore
from services.runtime.facts import contact_fact_from_proto

#: Entries that are read at once.
_ABREAST = 16
_READ_BYTES = 16 << 20
#: Facts of one entry at most, for numbers that put those of several entries in order.
_PLACES = 1 << 32


async def read_histories(
    log: EventLog, partition: Partition, timeline: TimelineStore, parts: Sequence[int], with_events: Collection[int]
) -> dict[int, PartHistory]:
    """The history of each of `parts`, with ids and instants of events for those in `with_events`. All of it is durable:
    what is not committed yet is not in it. Raises NOT_FOUND / LOG_TRIMMED if something of it is no longer kept."""
    refs = {part: [(int(ref["position"]), int(ref["row"])) for ref in await timeline.refs([part])] for part in parts}
    wanted: dict[int, set[int]] = defaultdict(set)
    for part, pairs in refs.items():
        for position, row in pairs:
            if row & FACT_ROW or part in with_events:
                wanted[position].add(part)
    found: dict[int, _Found] = {part: _Found(part in with_events) for part in parts}
    positions = sorted(wanted)
    for start in range(0, len(positions), _ABREAST):
        some = positions[start : start + _ABREAST]
        batches = await asyncio.gather(*(batch_at(log, partition, position) for position in some))
        for position, batch in zip(some, batches, strict=True):
            for part in wanted[position]:
                rows = [row for at, row in refs[part] if at == position]
                found[part].take(position, batch, part, rows)
    return {part: one.history() for part, one in found.items()}


class _Found:
    """The history of one part in the making."""

    def __init__(self, with_events: bool) -> None:
        self._with_events = with_events
        self._ids: list[str] = []
        self._instants: list[int] = []
        self._facts: list[tuple[int, AttributeWrite | ListChange]] = []

    def take(self, position: int, batch: facts_pb2.FactBatch, part: int, rows: Sequence[int]) -> None:
        """What `batch` at `position` holds of `part` at `rows`."""
        if self._with_events:
            numbered = {int(row): place for place, row in enumerate(event_rows(batch))}
            mine = [numbered[row] for row in sorted(rows) if not row & FACT_ROW]
            self._ids += [batch.events.ids[row] for row in mine]
            self._instants += np.frombuffer(batch.events.occurred_at_us, "<i8")[mine].tolist()
        if not any(row & FACT_ROW for row in rows):
            return
        facts = [contact_fact_from_proto(fact) for fact in batch.facts]
        for run in fact_runs(facts):
            if run.part == part:
                for index in range(run.index, run.end):
                    fact = facts[index]
                    if isinstance(fact, AttributeWrite | ListChange):
                        self._facts.append((position * _PLACES + index, fact))

    def history(self) -> PartHistory:
        """As a value."""
        return PartHistory(tuple(self._ids), tuple(self._facts), tuple(self._instants))


async def batch_at(log: EventLog, partition: Partition, position: int) -> facts_pb2.FactBatch:
    """The entry at `position`. Raises NOT_FOUND / LOG_TRIMMED if it is no longer kept."""
    entries = await log.read(partition, position - 1, 1, _READ_BYTES)
    if not entries or entries[0].position != position:
        raise not_found("LOG_TRIMMED", f"the facts at position {position} are no longer kept")
    return facts_pb2.FactBatch.FromString(entries[0].payload)
