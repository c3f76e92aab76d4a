"""Writes of one step function per contact, sorted: what changed when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.ranges import expand_ranges, last_of_groups

#: Kind number of "no value": never written, or erased by a write.
MISSING = 0


@dataclass(slots=True)
class _Lazy:
    by_time: NDArray[np.intp] | None = None


@dataclass(frozen=True, slots=True)
class StepRun:
    """Writes sorted by (contact, occurred_at, log order). `kinds` uint8 are Kind numbers, MISSING where a write
    erases; `values` int64: as in columns of events, dictionary codes for TEXT, list numbers for lists and locations."""

    contacts: NDArray[np.uint32]
    at_us: NDArray[np.int64]
    log_order: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    values: NDArray[np.int64]
    _lazy: _Lazy = field(default_factory=_Lazy, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.contacts)

    def take(self, rows: NDArray[Any]) -> StepRun:
        """The writes at `rows` (positions or a mask), which keep the order."""
        return StepRun(self.contacts[rows], self.at_us[rows], self.log_order[rows], self.kinds[rows], self.values[rows])

    def columns(
        self,
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
        """contacts, at_us, log_order, kinds, values."""
        return self.contacts, self.at_us, self.log_order, self.kinds, self.values

    def rows_of(self, contacts: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows of each of `contacts`, and for each row the place of its contact there."""
        starts = np.searchsorted(self.contacts, contacts, "left")
        return expand_ranges(starts, np.searchsorted(self.contacts, contacts, "right"))

    def by_time(self) -> NDArray[np.intp]:
        """The rows ordered by occurred_at."""
        if self._lazy.by_time is None:
            self._lazy.by_time = np.argsort(self.at_us, kind="stable")
        return self._lazy.by_time

    @property
    def nbytes(self) -> int:
        """Bytes of the columns."""
        return sum(column.nbytes for column in self.columns())


def no_writes() -> StepRun:
    """The run without rows."""
    return StepRun(
        np.zeros(0, np.uint32),
        np.zeros(0, np.int64),
        np.zeros(0, np.int64),
        np.zeros(0, np.uint8),
        np.zeros(0, np.int64),
    )


def step_run(runs: Sequence[StepRun]) -> StepRun:
    """All writes of `runs`, whose rows may stand in any order, sorted."""
    full = [run for run in runs if len(run)]
    if not full:
        return no_writes()
    if len(full) == 1:
        joined = full[0]
    else:
        contacts, at_us, log_order, kinds, values = (
            np.concatenate(column) for column in zip(*(run.columns() for run in full), strict=True)
        )
        joined = StepRun(contacts, at_us, log_order, kinds, values)
    contacts = joined.contacts
    if bool((contacts[1:] > contacts[:-1]).all()):
        return joined
    # Runs ascend by contact, and later runs mostly hold later writes: merging by contact is then enough.
    merged = joined.take(np.argsort(contacts, kind="stable"))
    return merged if _ascends(merged) else merged.take(np.lexsort((merged.log_order, merged.at_us, merged.contacts)))


def _ascends(run: StepRun) -> bool:
    """Whether the writes of each contact, which stand together, are in their order."""
    together = run.contacts[1:] == run.contacts[:-1]
    late, early = run.at_us[1:], run.at_us[:-1]
    wrong = (late < early) | ((late == early) & (run.log_order[1:] < run.log_order[:-1]))
    return not bool((together & wrong).any())


def valid_in(
    runs: Sequence[StepRun], contacts: NDArray[np.uint32], instants_us: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Kind and value of the last write of each contact at or before its instant; MISSING, 0 where there is none.

    Pairs in any order, contacts may repeat. O(pairs · log + writes of these contacts).
    """
    n = len(contacts)
    kinds, values = np.zeros(n, np.uint8), np.zeros(n, np.int64)
    at_us, log_order = np.zeros(n, np.int64), np.full(n, -1, np.int64)
    for run in runs:
        rows, pairs = run.rows_of(contacts)
        inside = run.at_us[rows] <= instants_us[pairs]
        rows, pairs = rows[inside], pairs[inside]
        last = last_of_groups(pairs)
        rows, pairs = rows[last], pairs[last]
        later = (log_order[pairs] < 0) | (run.at_us[rows] > at_us[pairs])
        later |= (run.at_us[rows] == at_us[pairs]) & (run.log_order[rows] > log_order[pairs])
        rows, pairs = rows[later], pairs[later]
        at_us[pairs], log_order[pairs] = run.at_us[rows], run.log_order[rows]
        kinds[pairs], values[pairs] = run.kinds[rows], run.values[rows]
    return kinds, values


def in_time_order(
    contacts: Sequence[NDArray[np.uint32]], instants: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Several parts as one, ordered by instant."""
    if not contacts:
        return np.zeros(0, np.uint32), np.zeros(0, np.int64)
    all_contacts, all_instants = np.concatenate(contacts), np.concatenate(instants)
    order = np.argsort(all_instants, kind="stable")
    return all_contacts[order], all_instants[order]
