"""Events of one run that a condition speaks of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.index.event_run import EventRun
from core.index.table import Selection
from core.query.rows.domain import EventDomain


@dataclass(frozen=True, slots=True)
class Picked:
    """Events of one run: `rows` (a slice where all of it were picked) and the contact of each. `type_name` is the
    run's type."""

    type_name: str
    run: EventRun
    rows: Selection
    contacts: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.contacts)

    def domain(self) -> EventDomain:
        """The picked events as rows of a filter."""
        return EventDomain(self.run, self.rows, self.contacts)

    def only(self, mask: NDArray[np.bool_]) -> Picked:
        """The events where `mask` is true."""
        if mask.all():
            return self
        rows = np.flatnonzero(mask)
        kept = rows + self.rows.start if isinstance(self.rows, slice) else self.rows[rows]
        return Picked(self.type_name, self.run, kept, self.contacts[rows])

    def row_numbers(self) -> NDArray[np.int64]:
        """`rows` as numbers."""
        if isinstance(self.rows, slice):
            return np.arange(self.rows.start, self.rows.stop, dtype=np.int64)
        return self.rows
