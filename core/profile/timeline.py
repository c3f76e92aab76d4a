"""Where the history of a contact lies in unification's log: references, kept in chunks of fixed length.

Timelines belong to parts: the contacts that there would be had nobody ever been merged. A reference is (instant, log
position, row). A row with the bit FACT_ROW is the index of a contact fact, the first of those that one item told of
the part; without it, it is the row of an event. What an unmerge tells anew is not referred to. The newest references
are a tail of whole batches in memory, which the log itself rebuilds; once the tail is long, it is sorted by contact
and appended to each contact's open chunk.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from core.events.facts import AttributeWrite, ConsentWrite, ContactFact, ListChange, ProductState, Unmerge

#: Stands in rows that are indices of contact facts.
FACT_ROW = 1 << 31

REF = np.dtype([("occurred_at_us", "<i8"), ("position", "<u8"), ("row", "<u4")])
#: References of one closed chunk.
CHUNK_REFS = 128

Refs = NDArray[np.void]

_HEAD = struct.Struct("<Iq")
_NEVER_US = np.iinfo(np.int64).max
_NO_REFS = np.zeros(0, REF)


@dataclass(frozen=True, slots=True)
class Head:
    """A contact's open chunk: `closed` chunks came before it, `earliest_us` is the earliest instant of all
    (None: no events). `refs` are in log order, fewer than CHUNK_REFS."""

    closed: int = 0
    earliest_us: int | None = None
    refs: Refs = field(default_factory=lambda: _NO_REFS)

    def extended(self, refs: Refs) -> tuple[Head, list[tuple[int, Refs]]]:
        """This head after `refs` (in log order; those that it holds already are left out), and the chunks that are
        full now, as (number, references)."""
        if len(self.refs):
            refs = refs[_after(refs, self.refs[-1])]
        if not len(refs):
            return self, []
        everything = np.concatenate((self.refs, refs))
        full = [
            (self.closed + i, everything[i * CHUNK_REFS : (i + 1) * CHUNK_REFS])
            for i in range(len(everything) // CHUNK_REFS)
        ]
        earliest_us = int(refs["occurred_at_us"].min())
        if self.earliest_us is not None:
            earliest_us = min(earliest_us, self.earliest_us)
        return Head(self.closed + len(full), earliest_us, everything[len(full) * CHUNK_REFS :]), full


def pack_head(head: Head) -> bytes:
    """Bytes of an open chunk; `earliest_us` is set, as a head is stored with its first event."""
    assert head.earliest_us is not None
    return _HEAD.pack(head.closed, head.earliest_us) + head.refs.tobytes()


def unpack_head(raw: bytes | None) -> Head:
    """The inverse; None is the head of a contact without events."""
    if raw is None:
        return Head()
    closed, earliest_us = _HEAD.unpack_from(raw)
    return Head(closed, earliest_us, np.frombuffer(raw, REF, offset=_HEAD.size))


def unpack_chunk(raw: bytes) -> Refs:
    """A closed chunk, which is stored as its references' bytes."""
    return np.frombuffer(raw, REF)


def head_key(contact: int) -> bytes:
    """The table key of a contact's open chunk."""
    return struct.pack(">I", contact)


def chunk_key(contact: int, number: int) -> bytes:
    """The table key of a contact's closed chunk."""
    return struct.pack(">II", contact, number)


Told = AttributeWrite | ListChange | ConsentWrite


@dataclass(frozen=True, slots=True)
class FactRun:
    """Facts `index` to `end` (exclusive) of an entry: what one item told of `part` at first."""

    index: int
    end: int
    part: int
    occurred_at_us: int


def fact_runs(facts: Sequence[ContactFact]) -> list[FactRun]:
    """What the facts of an entry told for the first time, in their order."""
    runs: list[FactRun] = []
    anew: tuple[int, int] | None = None
    open_item: tuple[int, int] | None = None
    for index, fact in enumerate(facts):
        if isinstance(fact, ProductState):
            open_item = None
            continue
        item = fact.before_event, fact.item
        if isinstance(fact, Unmerge):
            anew = item
        if item == anew or not isinstance(fact, Told):
            open_item = None
            continue
        part = fact.part or fact.contact
        if runs and item == open_item and runs[-1].part == part:
            runs[-1] = replace(runs[-1], end=index + 1)
        else:
            runs.append(FactRun(index, index + 1, part, fact.occurred_at_us))
        open_item = item
    return runs


class Tail:
    """References of the newest log entries, by entry; contacts are parts."""

    def __init__(self) -> None:
        self._contacts: list[NDArray[np.uint32]] = []
        self._refs: list[Refs] = []
        self._events = 0

    def __len__(self) -> int:
        return self._events

    def add(
        self,
        position: int,
        contacts: NDArray[np.uint32],
        occurred_at_us: NDArray[np.int64],
        facts: Sequence[FactRun] = (),
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        """Take in the events and facts of the entry at `position`, which is beyond all before. `rows` are the numbers
        of the events within the entry as it was logged; None: 0, 1, 2 ..."""
        if len(facts):
            contacts = np.concatenate((contacts, np.array([one.part for one in facts], np.uint32)))
            instants = np.array([one.occurred_at_us for one in facts], np.int64)
            occurred_at_us = np.concatenate((occurred_at_us, instants))
        if len(contacts):
            refs = np.empty(len(contacts), REF)
            refs["occurred_at_us"] = occurred_at_us
            refs["position"] = position
            events = len(contacts) - len(facts)
            refs["row"][:events] = np.arange(events) if rows is None else rows
            refs["row"][events:] = [FACT_ROW | one.index for one in facts]
            self._contacts.append(contacts)
            self._refs.append(refs)
            self._events += len(contacts)

    def of(self, contacts: Iterable[int]) -> Refs:
        """References of the events of `contacts`, in log order."""
        if not self._contacts:
            return _NO_REFS
        wanted = np.fromiter(contacts, np.uint32)
        found = [refs[np.isin(held, wanted)] for held, refs in zip(self._contacts, self._refs, strict=True)]
        return np.concatenate(found)

    def earliest_us(self, contacts: Sequence[int]) -> list[int | None]:
        """The earliest instant of each contact's events here; None: it has none."""
        if not self._contacts:
            return [None] * len(contacts)
        held, at_us = np.concatenate(self._contacts), np.concatenate([refs["occurred_at_us"] for refs in self._refs])
        if len(contacts) == 1:
            mine = at_us[held == contacts[0]]
            return [int(mine.min()) if len(mine) else None]
        wanted, place = np.unique(np.asarray(contacts, np.uint32), return_inverse=True)
        inside = np.isin(held, wanted)
        earliest = np.full(len(wanted), _NEVER_US)
        np.minimum.at(earliest, np.searchsorted(wanted, held[inside]), at_us[inside])
        return [None if at == _NEVER_US else at for at in earliest[place].tolist()]

    def by_contact(self) -> Iterator[tuple[int, Refs]]:
        """All references, contact by contact, each contact's in log order."""
        if not self._contacts:
            return
        contacts = np.concatenate(self._contacts)
        order = np.argsort(contacts, kind="stable")
        refs = np.concatenate(self._refs)[order]
        distinct, first = np.unique(contacts[order], return_index=True)
        ends = [*first[1:].tolist(), len(refs)]
        for contact, start, end in zip(distinct.tolist(), first.tolist(), ends, strict=True):
            yield contact, refs[start:end]

    def forget(self, contacts: Iterable[int]) -> None:
        """Leave out all references of `contacts`."""
        gone = np.fromiter(contacts, np.uint32)
        kept = [~np.isin(held, gone) for held in self._contacts]
        self._refs = [refs[left] for refs, left in zip(self._refs, kept, strict=True)]
        self._contacts = [held[left] for held, left in zip(self._contacts, kept, strict=True)]
        self._events = sum(len(held) for held in self._contacts)

    def clear(self) -> None:
        """Forget everything: it is in the chunks now."""
        self._contacts.clear()
        self._refs.clear()
        self._events = 0


def newest_first(parts: Iterable[Refs]) -> Refs:
    """All references, the latest instant first; of one instant the later in the log first. Each once."""
    everything = np.unique(np.concatenate([_NO_REFS, *parts]))
    return everything[np.lexsort((everything["row"], everything["position"], everything["occurred_at_us"]))[::-1]]


def _after(refs: Refs, last: np.void) -> NDArray[np.bool_]:
    position, row = refs["position"], refs["row"]
    later: NDArray[np.bool_] = (position > last["position"]) | ((position == last["position"]) & (row > last["row"]))
    return later
