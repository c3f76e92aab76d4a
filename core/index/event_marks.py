"""Marks that came after their events: which rows of a run they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.index.contacts import Moves
from core.index.event_run import EventRun


@dataclass(frozen=True, slots=True)
class Mark:
    """The event of `contact` with this id (UTF-8) and instant, if it stands before log order `before`. A contact of -1
    is in no answer any more."""

    event_id: bytes
    occurred_at_us: int
    contact: int
    before: int

    def moved(self, moves: Moves) -> Mark:
        """The mark of whom its contact belongs to after `moves`."""
        owners, kept = moves.resolve(np.array([self.contact], np.uint32))
        return replace(self, contact=int(owners[0]) if kept[0] else -1)


def marked_rows(marks: Sequence[Mark], run: EventRun, first: int | None = None) -> NDArray[np.int64]:
    """The rows of `run` that `marks` mean, ascending. `first`: its rows stand in log order, of which the first has this
    number; None: they are sorted, and all were accepted before the marks."""
    found: set[int] = set()
    by_time: NDArray[np.int64] | None = None
    if first is not None:
        by_time = np.argsort(run.occurred_at_us, kind="stable").astype(np.int64, copy=False)
    for mark in marks:
        for row in _rows_at(run, mark.occurred_at_us, by_time):
            if first is not None and first + row >= mark.before:
                continue
            if int(run.contacts[row]) == mark.contact and run.ids.at(row) == mark.event_id:
                found.add(row)
    return np.array(sorted(found), np.int64)


def _rows_at(run: EventRun, at_us: int, by_time: NDArray[np.int64] | None) -> list[int]:
    if by_time is None:
        rows = run.between(at_us, at_us + 1)
        return list(range(rows.start, rows.stop))
    first, after = np.searchsorted(run.occurred_at_us, (at_us, at_us + 1), sorter=by_time).tolist()
    return [int(row) for row in by_time[first:after]]
