"""Timelines on disk: references to events in unification's own log, and the events behind them.

The newest references are a tail in memory. Once it is long, it moves into the chunks of its contacts: a few of them
after each entry that is folded, because some thirty thousand at once would hold the loop for most of a second. Until
the last one is there, readers take the moving tail as well, and leave out what they find twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice
from math import inf

import numpy as np
from numpy.typing import NDArray

from cdp.facts.v1 import facts_pb2
from core.errors import not_found
from core.eventlog.protocol import Commit, EventLog, Fence, Partition, TableWrite
from core.events.columns import Event
from core.profile.timeline import (
    FACT_ROW,
    FactRun,
    Head,
    Refs,
    Tail,
    chunk_key,
    fact_runs,
    head_key,
    newest_first,
    pack_head,
    unpack_chunk,
    unpack_head,
)
from services.profile_unification.forgetting import event_rows, fact_rows
from services.profile_unification.marks import with_marks
from services.runtime.facts import columns_from_proto, contact_fact_from_proto
from services.runtime.failpoints import failpoint
from services.runtime.patience import commit_patiently

#: Contact (uint32) -> open chunk; contact and number (uint32) -> closed chunk.
TIMELINE = "timeline"
#: One row: the position through which the log is in the chunks.
TIMELINE_POSITION = "timeline_position"

_ROW = b"through"
_FLUSH_EVENTS = 32_768
#: Contacts of one commit: their chunks take about half a millisecond to make, and as long to send.
_SLICE_CONTACTS = 64
_READ_ENTRIES = 64
_READ_BYTES = 16 << 20


@dataclass(slots=True)
class _Moving:
    """A tail on its way into the chunks, `done` of its events are there, `groups` by contact are not. It holds the log
    through `through`."""

    tail: Tail
    through: int
    groups: Iterator[tuple[int, Refs]]
    done: int = 0


class TimelineStore:
    """References by contact. Entries of the log that are not in the chunks yet are the tail, read again at `load`."""

    def __init__(self, log: EventLog, partition: Partition) -> None:
        self._log = log
        self._partition = partition
        self._tail = Tail()
        self._moving: _Moving | None = None
        self._last = 0
        self._writing = asyncio.Lock()

    async def load(self) -> None:
        """Rebuild the tail from the log."""
        [through] = await self._log.get(self._partition, TIMELINE_POSITION, (_ROW,))
        self._last = int.from_bytes(through or b"", "big")
        while entries := await self._log.read(self._partition, self._last, _READ_ENTRIES, _READ_BYTES):
            for entry in entries:
                batch = facts_pb2.FactBatch.FromString(entry.payload)
                facts = [contact_fact_from_proto(fact) for fact in batch.facts]
                numbers = fact_rows(batch)
                told = [replace(run, index=int(numbers[run.index])) for run in fact_runs(facts)]
                self.add(
                    entry.position,
                    np.frombuffer(batch.parts or batch.events.contacts, np.uint32),
                    np.frombuffer(batch.events.occurred_at_us, np.int64),
                    told,
                    event_rows(batch),
                )

    def add(
        self,
        position: int,
        parts: NDArray[np.uint32],
        occurred_at_us: NDArray[np.int64],
        facts: Sequence[FactRun] = (),
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        """The entry at `position` is durable: its events' parts and instants, and what its facts told. `rows` as in
        `Tail.add`."""
        self._last = position
        self._tail.add(position, parts, occurred_at_us, facts, rows)

    async def flush_if_long(self, fence: Fence, now_us: int) -> None:
        """Call it after every commit: once the tail is long, it begins to move into the chunks, and each call takes a
        part, so that it is there before the next tail is half as long. Broken off and done again, it leaves the same
        timelines."""
        async with self._writing:
            await self._flush(fence, now_us)

    async def forget(self, parts: Sequence[int], fence: Fence, now_us: int) -> int:
        """There are no timelines of `parts` any more, nor will there be. Returns how many references are gone."""
        async with self._writing:
            while self._moving is not None:  # what is on its way would come after
                await self._flush(fence, now_us, whole=True)
            count = len(await self.refs(parts))
            heads = await self.heads(parts)
            keys = [head_key(part) for part in parts]
            for part, head in zip(parts, heads, strict=True):
                keys += [chunk_key(part, number) for number in range(head.closed)]
            self._tail.forget(parts)
            await self._write([TableWrite(TIMELINE, delete=keys)], fence, now_us)
            return count

    async def _flush(self, fence: Fence, now_us: int, *, whole: bool = False) -> None:
        if self._moving is None:
            if len(self._tail) < _FLUSH_EVENTS:
                return
            self._moving = await asyncio.to_thread(_moving, self._tail, self._last)
            self._tail = Tail()
        moving, share = self._moving, (1 + len(self._tail)) / (_FLUSH_EVENTS // 2)
        due = len(moving.tail) * share if share < 1 and not whole else inf
        while moving.done < due:
            part = list(islice(moving.groups, _SLICE_CONTACTS))
            if part:
                await self._write([TableWrite(TIMELINE, await self._chunks(part))], fence, now_us)
                failpoint("profile_unification.timeline_moving")
            moving.done += sum(len(refs) for _, refs in part)
            if len(part) < _SLICE_CONTACTS:
                through = TableWrite(TIMELINE_POSITION, {_ROW: moving.through.to_bytes(8, "big")})
                await self._write([through], fence, now_us)
                failpoint("profile_unification.timeline_moved")
                self._moving = None
                return

    async def heads(self, contacts: Sequence[int]) -> list[Head]:
        """The open chunks of `contacts`, without the tail."""
        rows = await self._log.get(self._partition, TIMELINE, [head_key(contact) for contact in contacts])
        return [unpack_head(row) for row in rows]

    async def earliest_us(self, contacts: Sequence[int]) -> list[int | None]:
        """The instant of the earliest event of each contact; None: it has none."""
        recent = [tail.earliest_us(contacts) for tail in self._tails()]  # first: it may be in the chunks a moment later
        found = [head.earliest_us for head in await self.heads(contacts)]
        every = zip(found, *recent, strict=True)
        return [min((one for one in of_contact if one is not None), default=None) for of_contact in every]

    async def newest_first(self, contacts: Sequence[int]) -> Refs:
        """All references to events of one person, who is these parts."""
        everything = await self.refs(contacts)
        return everything[everything["row"] < FACT_ROW]

    async def refs(self, contacts: Sequence[int]) -> Refs:
        """All references of these parts, to events and to facts, the newest first."""
        recent = [tail.of(contacts) for tail in self._tails()]  # first: it may be in the chunks a moment later
        heads = await self.heads(contacts)
        keys = [
            chunk_key(contact, number)
            for contact, head in zip(contacts, heads, strict=True)
            for number in range(head.closed)
        ]
        closed = await self._log.get(self._partition, TIMELINE, keys) if keys else []
        chunks = [unpack_chunk(row) for row in closed if row is not None]
        return newest_first([*(head.refs for head in heads), *chunks, *recent])

    async def events(self, refs: Refs) -> list[Event]:
        """The events behind `refs`, in their order, machines marked. Raises NOT_FOUND / LOG_TRIMMED for one that
        is no longer kept."""
        ordered = sorted((int(ref["position"]), int(ref["row"])) for ref in refs)
        wanted = {
            position: sorted({row for _, row in pairs}) for position, pairs in groupby(ordered, key=lambda one: one[0])
        }
        rows = await asyncio.gather(*(self._rows(position, wanted[position]) for position in wanted))
        found = {
            (position, row): event
            for (position, numbers), events in zip(wanted.items(), rows, strict=True)
            for row, event in zip(numbers, events, strict=True)
        }
        return await with_marks(
            self._log, self._partition, [found[int(ref["position"]), int(ref["row"])] for ref in refs]
        )

    def _tails(self) -> list[Tail]:
        return [self._tail] if self._moving is None else [self._moving.tail, self._tail]

    async def _rows(self, position: int, rows: Sequence[int]) -> list[Event]:
        entries = await self._log.read(self._partition, position - 1, 1, _READ_BYTES)
        if not entries or entries[0].position != position:
            raise not_found("LOG_TRIMMED", f"the events at position {position} are no longer kept")
        batch = facts_pb2.FactBatch.FromString(entries[0].payload)
        numbers = event_rows(batch)
        places = np.searchsorted(numbers, rows)
        if len(places) and (places[-1] == len(numbers) or not np.array_equal(numbers[places], rows)):
            raise not_found("FORGOTTEN", f"events at position {position} belong to somebody who was forgotten")
        return list(columns_from_proto(batch.events).take(places.astype(np.intp)).rows())

    async def _chunks(self, groups: list[tuple[int, Refs]]) -> dict[bytes, bytes]:
        put: dict[bytes, bytes] = {}
        heads = await self.heads([contact for contact, _ in groups])
        for (contact, refs), head in zip(groups, heads, strict=True):
            extended, full = head.extended(refs)
            put[head_key(contact)] = pack_head(extended)
            put.update({chunk_key(contact, number): chunk.tobytes() for number, chunk in full})
        return put

    async def _write(self, writes: list[TableWrite], fence: Fence, now_us: int) -> None:
        await commit_patiently(self._log, self._partition, fence, Commit(None, None, (), writes, now_us))


def _moving(tail: Tail, through: int) -> _Moving:
    groups = tail.by_contact()
    first = next(groups)  # sorts all of them
    return _Moving(tail, through, chain((first,), groups))
