"""What a run says of each of its contacts, kept because a run does not change and most windows hold all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.index.contact_order import ContactOrder
from core.kernels.contact_totals import total_by_contact


@dataclass(frozen=True, slots=True)
class ContactTotals:
    """One entry for each contact with events, ascending. `starts` (uint32): where each block of 256 contacts begins,
    and the end; `low` (uint8): the contact's last eight bits; `rows` (uint32): its last row; `counts` (uint32): its
    events; `sums` (int64, modulo 2**64): the sum of their codes, 0 where no values were asked for."""

    starts: NDArray[np.uint32]
    low: NDArray[np.uint8]
    rows: NDArray[np.uint32]
    counts: NDArray[np.uint32]
    sums: NDArray[np.int64]

    @classmethod
    def of(cls, order: ContactOrder, codes: NDArray[Any]) -> ContactTotals:
        """Those of the rows in this order; `codes` by the order as well, or none at all."""
        n = len(order.rows)
        starts, low, rows = np.empty(len(order.starts), np.uint32), np.empty(n, np.uint8), np.empty(n, np.uint32)
        counts, sums = np.empty(n, np.uint32), np.empty(n, np.int64)
        held = total_by_contact(order.starts, order.low, order.rows, codes, starts, low, rows, counts, sums)
        return cls(starts, low[:held].copy(), rows[:held].copy(), counts[:held].copy(), sums[:held].copy())

    @property
    def nbytes(self) -> int:
        """What they occupy."""
        return sum(part.nbytes for part in (self.starts, self.low, self.rows, self.counts, self.sums))
