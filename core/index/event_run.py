"""An immutable, sorted run of events of one type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.events.columns import MACHINE
from core.index.contact_order import ContactOrder
from core.index.contact_totals import ContactTotals
from core.index.event_blocks import BlockWords
from core.index.event_ids import EventIds, join_ids
from core.index.packing import Packed, offsets_of
from core.index.table import Column, Selection, Table, concatenate
from core.kernels.contact_order import rows_of_contacts
from core.kernels.ranges import expand_ranges
from core.schema import Kind

#: Under which the instants of events are kept among the parameters; no parameter has this name.
_TIMES = ("\0occurred_at", Kind.INSTANT)
#: Under which is kept whose event before stands at the same instant.
_REPEATED = ("\0repeated", Kind.BOOLEAN)


@dataclass(slots=True)
class _Lazy:
    """What is computed at the first use; a lost race between readers only repeats work."""

    contact_order: ContactOrder | None = None
    blocks: BlockWords | None = None
    span: tuple[int, int] | None = None
    by_contact: dict[tuple[str, Kind], Packed] = field(default_factory=dict)
    totals: dict[tuple[str, Kind] | None, ContactTotals] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventRun:
    """Events sorted by (occurred_at, id as UTF-8 bytes, log order).

    `occurred_at_us` int64 and `contacts` uint32: one value an event. `flags` uint8, None where all are 0. Items of
    event i are the rows `item_offsets[i]` to `item_offsets[i + 1]` of `items` (None: no event has items).
    """

    serial: int
    occurred_at_us: NDArray[np.int64]
    contacts: NDArray[np.uint32]
    flags: NDArray[np.uint8] | None
    ids: EventIds
    params: Table
    item_offsets: NDArray[Any] | None
    items: Table
    has_machine: bool
    _lazy: _Lazy = field(default_factory=_Lazy, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.occurred_at_us)

    @property
    def nbytes(self) -> int:
        """What the events occupy, their order by contact (where it is made) included."""
        order = self._lazy.contact_order
        parts = (self.occurred_at_us, self.contacts, self.flags, self.item_offsets, order, self.ids, self.params)
        return sum(part.nbytes for part in parts if part is not None) + self.items.nbytes

    @property
    def cache_nbytes(self) -> int:
        """What is kept only to answer sooner."""
        blocks = self._lazy.blocks
        ordered = sum(packed.codes.nbytes for packed in list(self._lazy.by_contact.values()))
        ordered += sum(totals.nbytes for totals in list(self._lazy.totals.values()))
        return ordered + (0 if blocks is None else blocks.nbytes)

    def forget(self) -> None:
        """Drop what is kept only to answer sooner; it is made again where a question needs it."""
        self._lazy.blocks = None
        self._lazy.by_contact, self._lazy.totals = {}, {}

    def between(self, start_us: int, until_us: int) -> slice:
        """The rows with `start <= occurred_at < until`."""
        span = self._span()
        if span is None or until_us <= span[0] or start_us > span[1]:
            return slice(0, 0)
        if start_us <= span[0] and until_us > span[1]:
            return slice(0, len(self))
        first, last = self.occurred_at_us.searchsorted((start_us, until_us)).tolist()
        return slice(first, max(first, last))

    def _span(self) -> tuple[int, int] | None:
        """The first and the last instant; None where there are no events. Most runs lie inside or outside of a window
        altogether, and that is told without a search."""
        if self._lazy.span is None and len(self):
            self._lazy.span = int(self.occurred_at_us[0]), int(self.occurred_at_us[-1])
        return self._lazy.span

    def event_id(self, row: int) -> str:
        """The id of the event at `row`."""
        return self.ids.at(row).decode()

    def by_machine(self, rows: Selection) -> NDArray[np.bool_]:
        """Which of `rows` a machine made."""
        if self.flags is None:
            return np.zeros(rows.stop - rows.start if isinstance(rows, slice) else len(rows), np.bool_)
        return np.asarray((self.flags[rows] & MACHINE) != 0, np.bool_)

    def item_ranges(self, rows: NDArray[np.int64] | slice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The item rows of the events at `rows`, and for each its place in `rows`."""
        offsets = self.item_offsets
        if offsets is None:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        if isinstance(rows, slice):
            inside = offsets[rows.start : rows.stop + 1].astype(np.int64)
            counts = np.diff(inside)
            parents = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
            return np.arange(inside[0], inside[-1]), parents
        return expand_ranges(offsets[rows].astype(np.int64), offsets[rows + 1].astype(np.int64))

    def contact_rows(self) -> NDArray[np.uint32]:
        """All rows ordered by (contact, time), uint32; not to be written."""
        return self.contact_order().rows

    def contact_order(self) -> ContactOrder:
        """The order by (contact, time), made when it is first asked for."""
        found = self._lazy.contact_order
        if found is None:
            found = self._lazy.contact_order = ContactOrder.of(self.contacts)
        return found

    def has_contact_order(self) -> bool:
        """Whether that order is there already."""
        return self._lazy.contact_order is not None

    def human_blocks(self) -> BlockWords:
        """Who has events by humans in each block of rows."""
        found = self._lazy.blocks
        if found is None:
            found = self._lazy.blocks = BlockWords(self.contacts, self.flags if self.has_machine else None)
        return found

    def rows_of_contacts(self, contacts: NDArray[np.uint32], inside: slice) -> NDArray[np.int64] | None:
        """The rows of `contacts` (unique) among those of `inside`, ascending; None where it costs less to look at each
        row of `inside`."""
        order = self.contact_order()
        first, after = inside.start, inside.stop
        rows, few = rows_of_contacts(order.starts, order.low, order.rows, contacts, first, after, after - first)
        if not few:
            return None
        if len(contacts) > 1:
            rows.sort()
        return rows

    def values_by_contact(self, name: str, column: Column) -> Packed:
        """The values of a parameter that every event has once (`column`, one of its columns), in the order of
        `contact_rows()`; kept, so that a fold over all contacts reads nothing out of order."""
        found = self._lazy.by_contact.get((name, column.kind))
        if found is None:
            found = self._lazy.by_contact[(name, column.kind)] = column.packed.take(self.contact_rows())
        return found

    def contact_totals(self, name: str | None, column: Column | None) -> ContactTotals:
        """The last row, the number of events and the sum of the codes of `values_by_contact` (none where no parameter
        is named) of each contact; kept, so that windows that hold all of the run read no single event."""
        key = None if name is None or column is None else (name, column.kind)
        found = self._lazy.totals.get(key)
        if found is None:
            codes = np.zeros(0, np.uint8)
            if name is not None and column is not None:
                codes = self.values_by_contact(name, column).codes
            found = self._lazy.totals[key] = ContactTotals.of(self.contact_order(), codes)
        return found

    def times_by_contact(self) -> NDArray[np.int64]:
        """`occurred_at_us` in the order of `contact_rows()`; kept for the same reason."""
        found = self._lazy.by_contact.get(_TIMES)
        if found is None:
            found = self._lazy.by_contact[_TIMES] = Packed(self.occurred_at_us[self.contact_rows()])
        return found.codes

    def repeated_by_contact(self) -> NDArray[np.bool_]:
        """Whether the event at each place of `contact_rows()` has the contact and the instant of that before it; empty
        where none has. Kept, so that whoever only has to tell later events from equal ones reads no instants."""
        found = self._lazy.by_contact.get(_REPEATED)
        if found is None:
            order = self.contact_order()
            times = self.occurred_at_us[order.rows]
            repeated = np.zeros(len(self), np.bool_)
            repeated[1:] = (times[1:] == times[:-1]) & (order.low[1:] == order.low[:-1])
            # The first place of a block has another contact than the one before it, whatever its last eight bits.
            repeated[order.starts[:-1][order.starts[:-1] < len(self)]] = False
            found = Packed((repeated if repeated.any() else repeated[:0]).view(np.uint8))
            self._lazy.by_contact[_REPEATED] = found
        return found.codes.view(np.bool_)

    def rows_among(self, contacts: NDArray[np.uint32]) -> NDArray[np.int64]:
        """The rows of `contacts`, in no order, without making the order by contact for that alone."""
        if self._lazy.contact_order is None:
            return np.flatnonzero(np.isin(self.contacts, contacts))
        places, _ = expand_ranges(*self._lazy.contact_order.ranges(contacts))
        return self._lazy.contact_order.rows[places].astype(np.int64)

    def take(self, rows: NDArray[np.int64], serial: int) -> EventRun:
        """The events at `rows`, in their order, which must be that of a run."""
        item_offsets, items = None, self.items
        if self.item_offsets is not None:
            item_rows, _ = self.item_ranges(rows)
            counts = self.item_offsets[rows + 1] - self.item_offsets[rows]
            item_offsets, items = (offsets_of(counts), items.take(item_rows)) if len(item_rows) else (None, Table(0))
        flags = _flags(self.flags, rows)
        return EventRun(
            serial=serial,
            occurred_at_us=self.occurred_at_us[rows],
            contacts=self.contacts[rows],
            flags=flags,
            ids=self.ids.take(rows),
            params=self.params.take(rows),
            item_offsets=item_offsets,
            items=items,
            has_machine=flags is not None and bool((flags & MACHINE).any()),
        )

    def part(self, first: int, after: int) -> EventRun:
        """The events of the rows `first` to `after`, which share memory with these as far as they can."""
        rows = slice(first, after)
        item_offsets, items = self.item_offsets, self.items
        if item_offsets is not None:
            begin, end = int(item_offsets[first]), int(item_offsets[after])
            item_offsets = item_offsets[first : after + 1] - item_offsets[first]
            items = items.take(slice(begin, end))
        flags = _flags(self.flags, rows)
        return EventRun(
            serial=self.serial,
            occurred_at_us=self.occurred_at_us[rows],
            contacts=self.contacts[rows],
            flags=flags,
            ids=self.ids.between(first, after),
            params=self.params.take(rows),
            item_offsets=item_offsets,
            items=items,
            has_machine=flags is not None and bool((flags & MACHINE).any()),
        )

    def packed(self) -> EventRun:
        """The same events in as few bytes as they need."""
        return replace(
            self, ids=self.ids.packed(), params=self.params.narrowed(), items=self.items.narrowed(), _lazy=self._lazy
        )

    def moved(self, losers: NDArray[np.uint32], contacts: NDArray[np.uint32], serial: int) -> EventRun:
        """The same events after those of `losers` (few) got other contacts; `contacts` are those of all events now."""
        changed = self.with_contacts(contacts, serial)
        if self._lazy.contact_order is not None:
            changed._lazy.contact_order = self._lazy.contact_order.moved(losers, contacts)
        if self._lazy.blocks is not None:
            changed._lazy.blocks = self._lazy.blocks.moved(self.contacts, contacts)
        return changed

    def marked(self, rows: NDArray[np.int64], serial: int) -> EventRun:
        """The same events, those at `rows` made by machines."""
        if len(rows) == 0:
            return self
        flags = np.zeros(len(self), np.uint8) if self.flags is None else self.flags.copy()
        flags[rows] |= MACHINE
        lazy = _Lazy(contact_order=self._lazy.contact_order)
        return replace(self, serial=serial, flags=flags, has_machine=True, _lazy=lazy)

    def with_contacts(self, contacts: NDArray[np.uint32], serial: int) -> EventRun:
        """The same events under other contact numbers."""
        return replace(self, serial=serial, contacts=contacts, _lazy=_Lazy())

    def with_contact_order(self, order: ContactOrder) -> EventRun:
        """The same run, whose order by contact is known."""
        return replace(self, _lazy=_Lazy(contact_order=order))

    def order(self) -> NDArray[np.int64] | None:
        """The rows, which stand in log order, in the order of a run; None where they already are."""
        times = self.occurred_at_us
        steps = np.diff(times)
        perm: NDArray[np.int64] | None = None
        if (steps < 0).any():
            perm = np.argsort(times, kind="stable").astype(np.int64, copy=False)
            steps = np.diff(times[perm])
        tied = steps == 0
        if not tied.any():
            return perm
        if perm is None:
            perm = np.arange(len(times), dtype=np.int64)
        places = np.flatnonzero(np.append(tied, False) | np.append(False, tied))
        rows = perm[places]
        # Both sorts are stable: of equal instants and ids the earlier accepted stays first.
        best = np.lexsort((*self.ids.order_keys(rows), times[rows]))
        if perm[0] == 0 and np.array_equal(best, np.arange(len(best))) and (np.diff(perm) > 0).all():
            return None
        perm[places] = rows[best]
        return perm


def join(runs: Sequence[EventRun], serial: int) -> EventRun:
    """All events of `runs`, one run after the other, whether or not that is the order of a run."""
    if len(runs) == 1:
        return replace(runs[0], serial=serial, _lazy=runs[0]._lazy)
    item_offsets = None
    if any(run.item_offsets is not None for run in runs):
        counts = [np.zeros(len(run)) if run.item_offsets is None else np.diff(run.item_offsets) for run in runs]
        item_offsets = offsets_of(np.concatenate([count.astype(np.int64) for count in counts]))
    flags = None
    if any(run.flags is not None for run in runs):
        flags = np.concatenate([np.zeros(len(run), np.uint8) if run.flags is None else run.flags for run in runs])
    return EventRun(
        serial=serial,
        occurred_at_us=np.concatenate([run.occurred_at_us for run in runs]),
        contacts=np.concatenate([run.contacts for run in runs]),
        flags=flags,
        ids=join_ids([run.ids for run in runs]),
        params=concatenate([run.params for run in runs]),
        item_offsets=item_offsets,
        items=concatenate([run.items for run in runs]),
        has_machine=any(run.has_machine for run in runs),
    )


def in_order(run: EventRun) -> EventRun:
    """The same events, which stand in log order, sorted as a run must be."""
    order = run.order()
    return run if order is None else run.take(order, run.serial)


def _flags(flags: NDArray[np.uint8] | None, rows: Selection) -> NDArray[np.uint8] | None:
    if flags is None:
        return None
    taken = flags[rows]
    return taken if taken.any() else None
