"""Dividing an entry: contacts of whom it has events alone, and contacts of whom it says more.

Contacts are independent of each other, so the events of the former may be taken all at once, whatever stands between
them. Only the catalogue speaks to everyone: an entry with products is not divided.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.events.columns import IMPORTED, EventColumns
from core.events.facts import FactBatch, ProductState
from core.segments.changes import Cause
from core.segments.pieces import Steps
from core.segments.waves import EventWave, Wave, waves


@dataclass(frozen=True, slots=True)
class Split:
    """`plain`: ascending rows of the events of contacts without other facts; `mixed`: those of the others. `ahead`:
    how many events stand before each fact, never less than before the fact before it."""

    plain: NDArray[np.intp]
    mixed: NDArray[np.intp]
    ahead: NDArray[np.int64]

    @property
    def facts(self) -> int:
        """How many facts the entry has beside its events."""
        return len(self.ahead)

    def waves(self, batch: FactBatch) -> Iterator[Wave | EventWave]:
        """The facts, and the events of their contacts, in waves."""
        return waves(batch.events, batch.facts, self.mixed) if batch.facts else iter(())

    def numbered(self, steps: Steps) -> Steps:
        """Steps whose order is the row of a plain event, at their place among all facts and events of the entry."""
        return replace(steps, order=self._order(steps.order))

    def steps(self, contacts: NDArray[np.uint32], rows: NDArray[np.int64], columns: EventColumns) -> Steps:
        """The steps behind changes of contacts at rows of plain events."""
        imported = (columns.flags[rows] & IMPORTED) != 0
        causes = np.where(imported, int(Cause.IMPORT), int(Cause.EVENT)).astype(np.uint8)
        return Steps(contacts, self._order(rows), causes, columns.occurred_at_us[rows], rows)

    def _order(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return rows + np.searchsorted(self.ahead, rows, "right") if len(self.ahead) else rows


def split(batch: FactBatch) -> Split:
    """Divide an entry."""
    rows = np.arange(len(batch.events))
    none = rows[:0]
    if not batch.facts:
        return Split(rows, none, np.zeros(0, np.int64))
    before = np.array([fact.before_event for fact in batch.facts], np.int64)
    ahead = np.minimum(np.maximum.accumulate(before), len(rows))
    if any(isinstance(fact, ProductState) for fact in batch.facts) or batch.events.contacts is None:
        return Split(none, rows, ahead)
    named = [
        getattr(fact, field)
        for fact in batch.facts
        for field in ("contact", "survivor", "loser", "restored")
        if hasattr(fact, field)
    ]
    mixed = np.isin(batch.events.contacts, np.array(named, np.uint32))
    return Split(rows[~mixed], rows[mixed], ahead)
