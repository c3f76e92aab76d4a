"""Timelines on disk: references to events in unification's own log, and the events behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby, islice

import numpy as np
from numpy.typing import NDArray

from cdp.facts.v1 import facts_pb2
from core.errors import not_found
from core.eventlog.protocol import Commit, EventLog, Fence, Partition, TableWrite
from core.events.columns import Event
from core.profile.timeline import (
    Head,
    Refs,
    Tail,
    chunk_key,
    head_key,
    newest_first,
    pack_head,
    unpack_chunk,
    unpack_head,
)
from services.runtime.facts import columns_from_proto

#: Contact (uint32) -> open chunk; contact and number (uint32) -> closed chunk.
TIMELINE = "timeline"
#: One row: the position through which the log is in the chunks.
TIMELINE_POSITION = "timeline_position"

_ROW = b"through"
_FLUSH_EVENTS = 32_768
_SLICE_CONTACTS = 1_000
_READ_ENTRIES = 64
_READ_BYTES = 16 << 20


class TimelineStore:
    """References by contact. Entries of the log that are not in the chunks yet are the tail, read again at `load`."""

    def __init__(self, log: EventLog, partition: Partition) -> None:
        self._log = log
        self._partition = partition
        self._tail = Tail()
        self._last = 0

    async def load(self) -> None:
        """Rebuild the tail from the log."""
        [through] = await self._log.get(self._partition, TIMELINE_POSITION, (_ROW,))
        self._last = int.from_bytes(through or b"", "big")
        while entries := await self._log.read(self._partition, self._last, _READ_ENTRIES, _READ_BYTES):
            for entry in entries:
                events = facts_pb2.FactBatch.FromString(entry.payload).events
                self.add(
                    entry.position,
                    np.frombuffer(events.contacts, np.uint32),
                    np.frombuffer(events.occurred_at_us, np.int64),
                )

    def add(self, position: int, contacts: NDArray[np.uint32], occurred_at_us: NDArray[np.int64]) -> None:
        """The entry at `position` is durable."""
        self._last = position
        self._tail.add(position, contacts, occurred_at_us)

    async def flush_if_long(self, fence: Fence, now_us: int) -> None:
        """Move the tail into the chunks once it is long. Broken off and done again, it leaves the same timelines."""
        if len(self._tail) < _FLUSH_EVENTS:
            return
        groups = self._tail.by_contact()
        while part := list(islice(groups, _SLICE_CONTACTS)):
            await self._write([TableWrite(TIMELINE, await self._chunks(part))], fence, now_us)
        through = TableWrite(TIMELINE_POSITION, {_ROW: self._last.to_bytes(8, "big")})
        await self._write([through], fence, now_us)
        self._tail.clear()

    async def heads(self, contacts: Sequence[int]) -> list[Head]:
        """The open chunks of `contacts`, the tail included in what they say of the earliest instant only."""
        rows = await self._log.get(self._partition, TIMELINE, [head_key(contact) for contact in contacts])
        return [unpack_head(row) for row in rows]

    async def earliest_us(self, contacts: Sequence[int]) -> list[int | None]:
        """The instant of the earliest event of each contact; None: it has none."""
        found = [head.earliest_us for head in await self.heads(contacts)]
        recent = self._tail.earliest_us(contacts)
        return [min((one for one in pair if one is not None), default=None) for pair in zip(found, recent, strict=True)]

    async def newest_first(self, contacts: Sequence[int]) -> Refs:
        """All references of one person, who is these contact numbers."""
        heads = await self.heads(contacts)
        keys = [
            chunk_key(contact, number)
            for contact, head in zip(contacts, heads, strict=True)
            for number in range(head.closed)
        ]
        closed = await self._log.get(self._partition, TIMELINE, keys) if keys else []
        chunks = [unpack_chunk(row) for row in closed if row is not None]
        return newest_first([*(head.refs for head in heads), *chunks, self._tail.of(contacts)])

    async def events(self, refs: Refs) -> list[Event]:
        """The events behind `refs`, in their order. Raises NOT_FOUND / LOG_TRIMMED for one that is no longer kept."""
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
        return [found[int(ref["position"]), int(ref["row"])] for ref in refs]

    async def _rows(self, position: int, rows: Sequence[int]) -> list[Event]:
        entries = await self._log.read(self._partition, position - 1, 1, _READ_BYTES)
        if not entries or entries[0].position != position:
            raise not_found("LOG_TRIMMED", f"the events at position {position} are no longer kept")
        events = columns_from_proto(facts_pb2.FactBatch.FromString(entries[0].payload).events)
        return list(events.take(np.array(rows, np.intp)).rows())

    async def _chunks(self, groups: list[tuple[int, Refs]]) -> dict[bytes, bytes]:
        put: dict[bytes, bytes] = {}
        heads = await self.heads([contact for contact, _ in groups])
        for (contact, refs), head in zip(groups, heads, strict=True):
            extended, full = head.extended(refs)
            put[head_key(contact)] = pack_head(extended)
            put.update({chunk_key(contact, number): chunk.tobytes() for number, chunk in full})
        return put

    async def _write(self, writes: list[TableWrite], fence: Fence, now_us: int) -> None:
        await self._log.commit(self._partition, fence, Commit(None, None, (), writes, now_us))
