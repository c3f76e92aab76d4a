"""An immutable, sorted run of events of one type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.events.columns import MACHINE
from core.index.contact_order import ContactOrder
from core.index.table import Table, concatenate
from core.kernels.ranges import expand_ranges


@dataclass(slots=True)
class _Lazy:
    """What is computed at the first use; a lost race between readers only repeats work."""

    contact_order: ContactOrder | None = None


@dataclass(frozen=True, slots=True)
class EventRun:
    """Events sorted by (occurred_at, id as UTF-8 bytes, log order).

    `occurred_at_us` int64, `contacts` uint32, `flags` uint8, `log_order` int64: one value an event. The id of event i
    is `id_bytes[id_offsets[i]:id_offsets[i + 1]]`. Items of event i are the rows `item_offsets[i]` to
    `item_offsets[i + 1]` of `items`; offsets are int64 and have one entry more than there are events.
    """

    serial: int
    occurred_at_us: NDArray[np.int64]
    contacts: NDArray[np.uint32]
    flags: NDArray[np.uint8]
    log_order: NDArray[np.int64]
    id_offsets: NDArray[np.int64]
    id_bytes: NDArray[np.uint8]
    params: Table
    item_offsets: NDArray[np.int64]
    items: Table
    has_machine: bool
    _lazy: _Lazy = field(default_factory=_Lazy, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.occurred_at_us)

    def between(self, start_us: int, until_us: int) -> slice:
        """The rows with `start <= occurred_at < until`."""
        first, last = np.searchsorted(self.occurred_at_us, (start_us, until_us), "left")
        return slice(int(first), max(int(first), int(last)))

    def event_id(self, row: int) -> str:
        """The id of the event at `row`."""
        return self._id(row).decode()

    def item_ranges(self, rows: NDArray[np.int64] | slice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The item rows of the events at `rows`, and for each its place in `rows`."""
        if isinstance(rows, slice):
            counts = np.diff(self.item_offsets[rows.start : rows.stop + 1])
            parents = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
            return np.arange(self.item_offsets[rows.start], self.item_offsets[rows.stop]), parents
        return expand_ranges(self.item_offsets[rows], self.item_offsets[rows + 1])

    def of_contacts(self, contacts: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the rows of each of `contacts` start and stop in `contact_rows()`."""
        return self._by_contact().ranges(contacts)

    def contact_rows(self) -> NDArray[np.int64]:
        """All rows ordered by (contact, time)."""
        return self._by_contact().rows

    def rows_among(self, contacts: NDArray[np.uint32]) -> NDArray[np.int64]:
        """The rows of `contacts`, in no order, without making the order by contact for that alone."""
        if self._lazy.contact_order is None:
            return np.flatnonzero(np.isin(self.contacts, contacts))
        places, _ = expand_ranges(*self._lazy.contact_order.ranges(contacts))
        return self._lazy.contact_order.rows[places]

    def take(self, rows: NDArray[np.int64], serial: int) -> EventRun:
        """The events at `rows`, in their order, which must be that of a run."""
        places, _ = expand_ranges(self.id_offsets[rows], self.id_offsets[rows + 1])
        item_rows, _ = self.item_ranges(rows)
        flags = self.flags[rows]
        return EventRun(
            serial=serial,
            occurred_at_us=self.occurred_at_us[rows],
            contacts=self.contacts[rows],
            flags=flags,
            log_order=self.log_order[rows],
            id_offsets=_offsets(self.id_offsets[rows + 1] - self.id_offsets[rows]),
            id_bytes=self.id_bytes[places],
            params=self.params.take(rows),
            item_offsets=_offsets(self.item_offsets[rows + 1] - self.item_offsets[rows]),
            items=self.items.take(item_rows),
            has_machine=bool((flags & MACHINE).any()),
        )

    def moved(self, losers: NDArray[np.uint32], contacts: NDArray[np.uint32], serial: int) -> EventRun:
        """The same events after those of `losers` (few) got other contacts; `contacts` are those of all events now."""
        changed = self.with_contacts(contacts, serial)
        if self._lazy.contact_order is not None:
            changed._lazy.contact_order = self._lazy.contact_order.moved(losers, contacts)
        return changed

    def with_contacts(self, contacts: NDArray[np.uint32], serial: int) -> EventRun:
        """The same events under other contact numbers."""
        return EventRun(
            serial,
            self.occurred_at_us,
            contacts,
            self.flags,
            self.log_order,
            self.id_offsets,
            self.id_bytes,
            self.params,
            self.item_offsets,
            self.items,
            self.has_machine,
        )

    def order(self) -> NDArray[np.int64] | None:
        """The rows in the order of a run; None where they already are."""
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
        ids = [self._id(row) for row in rows.tolist()]
        lengths = np.array([len(text) for text in ids])
        # Fixed-width bytes ignore trailing NULs; the length tells such ids apart, in the order of bytes.
        best = np.lexsort((self.log_order[rows], lengths, np.array(ids, "S"), times[rows]))
        if perm[0] == 0 and np.array_equal(best, np.arange(len(best))) and (np.diff(perm) > 0).all():
            return None
        perm[places] = rows[best]
        return perm

    def _id(self, row: int) -> bytes:
        return self.id_bytes[self.id_offsets[row] : self.id_offsets[row + 1]].tobytes()

    def _by_contact(self) -> ContactOrder:
        found = self._lazy.contact_order
        if found is None:
            found = self._lazy.contact_order = ContactOrder.of(self.contacts)
        return found


def _offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    result = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=result[1:])
    return result


def join(runs: Sequence[EventRun], serial: int, *, sort: bool = True) -> EventRun:
    """All events of `runs` as one run; with `sort` false merely one after the other."""
    joined = EventRun(
        serial=serial,
        occurred_at_us=np.concatenate([run.occurred_at_us for run in runs]),
        contacts=np.concatenate([run.contacts for run in runs]),
        flags=np.concatenate([run.flags for run in runs]),
        log_order=np.concatenate([run.log_order for run in runs]),
        id_offsets=_offsets(np.concatenate([np.diff(run.id_offsets) for run in runs])),
        id_bytes=np.concatenate([run.id_bytes for run in runs]),
        params=concatenate([run.params for run in runs]),
        item_offsets=_offsets(np.concatenate([np.diff(run.item_offsets) for run in runs])),
        items=concatenate([run.items for run in runs]),
        has_machine=any(run.has_machine for run in runs),
    )
    return in_order(joined) if sort else joined


def in_order(run: EventRun) -> EventRun:
    """The same events sorted as a run must be."""
    order = run.order()
    return run if order is None else run.take(order, run.serial)
