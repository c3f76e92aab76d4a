"""The second order of a run: its rows by contact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.index.packing import offsets_of
from core.kernels.contact_order import merge_orders, order_by_contact, places_of_contacts, plain_contacts_of
from core.kernels.ranges import expand_ranges, sorted_unique

#: Contacts of a block, as core.kernels.contact_order cuts them.
BLOCK = 256


@dataclass(frozen=True, slots=True)
class ContactOrder:
    """`rows` (uint32) by (contact, row). `starts` (uint32): where each block of 256 contacts begins in `rows`, and the
    end of the last one; `low` (uint8): the last eight bits of the contact at each place."""

    starts: NDArray[np.uint32]
    low: NDArray[np.uint8]
    rows: NDArray[np.uint32]

    @classmethod
    def of(cls, contacts: NDArray[np.uint32]) -> ContactOrder:
        """The order of rows with these contacts."""
        blocks = (int(contacts.max()) >> 8) + 1 if len(contacts) else 0
        order = cls._empty(blocks, len(contacts))
        order_by_contact(contacts, order.starts, order.low, order.rows)
        return order

    @classmethod
    def _empty(cls, blocks: int, rows: int) -> ContactOrder:
        return cls(np.zeros(blocks + 1, np.uint32), np.empty(rows, np.uint8), np.empty(rows, np.uint32))

    @property
    def blocks(self) -> int:
        """Blocks of contacts; all contacts are below `256 * blocks`."""
        return len(self.starts) - 1

    @property
    def nbytes(self) -> int:
        """What the order occupies."""
        return self.starts.nbytes + self.low.nbytes + self.rows.nbytes

    def ranges(self, contacts: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where each contact's rows start and stop in `rows`; the empty range at 0 for those beyond all blocks."""
        first, after = np.empty(len(contacts), np.int64), np.empty(len(contacts), np.int64)
        places_of_contacts(self.starts, self.low, contacts, first, after)
        return first, after

    def contacts(self) -> NDArray[np.uint32]:
        """The contact at each place of `rows`, ascending; a new array."""
        return plain_contacts_of(self.starts, self.low)

    def moved(self, losers: NDArray[np.uint32], contacts: NDArray[np.uint32]) -> ContactOrder:
        """The order after the rows of `losers` got other contacts; `contacts` are those of all rows now.

        Only the blocks that rows leave or enter are made anew, the rest is copied as it lies.
        """
        places, _ = expand_ranges(*self.ranges(losers))
        entered = contacts[self.rows[places]] >> np.uint32(8)
        blocks = max(self.blocks, int(entered.max(initial=0)) + 1)
        starts = np.append(self.starts, np.full(blocks - self.blocks, len(self.rows), np.uint32))
        left = losers[losers < np.uint32(BLOCK * self.blocks)] >> np.uint32(8)
        touched = sorted_unique(np.concatenate((left, entered))).astype(np.int64)
        held, _ = expand_ranges(starts[touched].astype(np.int64), starts[touched + 1].astype(np.int64))
        rows = np.sort(self.rows[held])
        anew = ContactOrder.of(contacts[rows])
        sizes = np.diff(starts.astype(np.int64))
        sizes[touched] = 0
        sizes[: anew.blocks] += np.diff(anew.starts.astype(np.int64))
        low, order, place = [], [], 0
        for block in touched.tolist():
            kept = slice(place, int(starts[block]))
            fresh = slice(*anew.starts[block : block + 2].tolist()) if block < anew.blocks else slice(0, 0)
            low += [self.low[kept], anew.low[fresh]]
            order += [self.rows[kept], rows[anew.rows[fresh]]]
            place = int(starts[block + 1])
        low.append(self.low[place:])
        order.append(self.rows[place:])
        return ContactOrder(offsets_of(sizes), np.concatenate(low), np.concatenate(order))

    def merged(self, other: ContactOrder) -> ContactOrder:
        """The order of the rows of both; no row may stand in both."""
        both = ContactOrder._empty(max(self.blocks, other.blocks), len(self.rows) + len(other.rows))
        merge_orders(
            self.starts, self.low, self.rows, other.starts, other.low, other.rows, both.starts, both.low, both.rows
        )
        return both
