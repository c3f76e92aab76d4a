"""A value per contact that changes over time: a step function over occurred_at, late writes insert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.index.chunked import ChunkedColumn, FrozenColumn
from core.index.contacts import Moves
from core.kernels.ranges import expand_ranges, last_of_groups, sorted_unique

#: Kind number of "no value": never written, or erased by a write.
MISSING = 0
_BEFORE_ALL = -(2**63)


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

    def take(self, rows: NDArray[np.intp]) -> StepRun:
        """The writes at `rows`, which keep the order."""
        return StepRun(self.contacts[rows], self.at_us[rows], self.log_order[rows], self.kinds[rows], self.values[rows])

    def columns(
        self,
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
        """contacts, at_us, log_order, kinds, values."""
        return self.contacts, self.at_us, self.log_order, self.kinds, self.values

    def by_time(self) -> NDArray[np.intp]:
        """The rows ordered by occurred_at."""
        if self._lazy.by_time is None:
            self._lazy.by_time = np.argsort(self.at_us, kind="stable")
        return self._lazy.by_time


def step_run(runs: Sequence[StepRun]) -> StepRun:
    """All writes of `runs`, sorted."""
    contacts, at_us, log_order, kinds, values = (
        np.concatenate(column) for column in zip(*(run.columns() for run in runs), strict=True)
    )
    return StepRun(contacts, at_us, log_order, kinds, values).take(np.lexsort((log_order, at_us, contacts)))


@dataclass(frozen=True, slots=True)
class StepView:
    """One step function per contact, at one version. Beside all writes stand the latest ones as columns over contacts:
    `at` (occurred_at), `kinds`, `values`; `latest_us` is the largest occurred_at of all."""

    runs: tuple[StepRun, ...]
    at: FrozenColumn
    kinds: FrozenColumn
    values: FrozenColumn
    latest_us: int

    def valid(
        self, as_of_us: int, contacts: NDArray[np.uint32] | None, n: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Kind and value of each of `contacts` (in their order; None: of contacts 0 to n - 1) as of an instant: the
        last write with occurred_at <= as_of, ties by log order. Do not write into the result."""
        kinds, values = self._latest(self.kinds, contacts, n), self._latest(self.values, contacts, n)
        if as_of_us >= self.latest_us:
            return kinds, values
        late = np.flatnonzero(self._latest(self.at, contacts, n) > as_of_us)
        if len(late) == 0:
            return kinds, values
        kinds, values = kinds.copy(), values.copy()
        asked = late.astype(np.uint32) if contacts is None else contacts[late]
        kinds[late], values[late] = self._from_history(asked, as_of_us)
        return kinds, values

    def writes_between(self, after_us: int, until_us: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Contacts and instants of the writes with after < occurred_at <= until, in time order."""
        contacts, instants = [], []
        for run in self.runs:
            order = run.by_time()
            first, last = np.searchsorted(run.at_us, (after_us, until_us), "right", sorter=order)
            contacts.append(run.contacts[order[first:last]])
            instants.append(run.at_us[order[first:last]])
        return in_time_order(contacts, instants)

    def values_between(self, kind: int, after: int, until: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Contacts and values of the writes of `kind` with after < value <= until, by value; superseded writes too."""
        contacts, found = [], []
        for run in self.runs:
            inside = (run.kinds == kind) & (run.values > after) & (run.values <= until)
            contacts.append(run.contacts[inside])
            found.append(run.values[inside])
        return in_time_order(contacts, found)

    def _latest(self, column: FrozenColumn, contacts: NDArray[np.uint32] | None, n: int) -> NDArray[Any]:
        if contacts is None:
            whole = column.all()
            if len(whole) >= n:
                return whole[:n]
            return np.concatenate((whole, np.zeros(n - len(whole), whole.dtype)))
        if len(contacts) == 0 or int(contacts.max()) < column.n:
            return column.take(contacts)
        inside = contacts < column.n
        taken = column.take(contacts[inside])
        result = np.zeros(len(contacts), taken.dtype)
        result[inside] = taken
        return result

    def _from_history(self, contacts: NDArray[np.uint32], as_of_us: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        asked, places = np.unique(contacts, return_inverse=True)
        found = []
        for run in self.runs:
            starts = np.searchsorted(run.contacts, asked, "left")
            stops = np.searchsorted(run.contacts, asked, "right")
            rows, _ = expand_ranges(starts, stops)
            found.append(run.take(rows[run.at_us[rows] <= as_of_us]))
        history = step_run(found)
        last = history.take(last_of_groups(history.contacts))
        kinds, values = np.zeros(len(asked), np.uint8), np.zeros(len(asked), np.int64)
        at = np.searchsorted(asked, last.contacts)
        kinds[at], values[at] = last.kinds, last.values
        return kinds[places], values[places]


def in_time_order(
    contacts: Sequence[NDArray[np.uint32]], instants: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Several parts as one, ordered by instant."""
    if not contacts:
        return np.zeros(0, np.uint32), np.zeros(0, np.int64)
    all_contacts, all_instants = np.concatenate(contacts), np.concatenate(instants)
    order = np.argsort(all_instants, kind="stable")
    return all_contacts[order], all_instants[order]


class StepWriter:
    """The writer of one step function per contact."""

    def __init__(self) -> None:
        self._runs: list[StepRun] = []
        self._pending: list[tuple[int, int, int, int, int]] = []
        self._at = ChunkedColumn(np.int64, _BEFORE_ALL)
        self._log_order = ChunkedColumn(np.int64, -1)
        self._kinds = ChunkedColumn(np.uint8, MISSING)
        self._values = ChunkedColumn(np.int64, 0)
        self._latest_us = _BEFORE_ALL
        self._view: StepView | None = None

    def write(self, contact: int, at_us: int, log_order: int, kind: int, value: int) -> None:
        """From `at_us` on, `contact` has this value."""
        self._pending.append((contact, at_us, log_order, kind, value))

    def seal(self, moves: Moves, *, keep_parts: bool) -> None:
        """Apply `moves` to all writes and sort what waits in.

        `keep_parts`: writes stay with the part of a merged contact that they came to; only erased ones leave.
        """
        added = [self._fresh()]
        if moves:
            added.append(self._take_moved(moves))
        runs = [_moved(run, moves, keep_parts=keep_parts) for run in added if run is not None]
        if runs:
            self._append(step_run(runs))

    def view(self) -> StepView:
        """Pin the present version."""
        if self._view is None:
            self._view = StepView(
                tuple(self._runs), self._at.freeze(), self._kinds.freeze(), self._values.freeze(), self._latest_us
            )
        return self._view

    def load(self, run: StepRun) -> None:
        """Put back a run of a snapshot."""
        if len(run):
            self._append(run)

    def _fresh(self) -> StepRun | None:
        if not self._pending:
            return None
        contacts, at_us, log_order, kinds, values = zip(*self._pending, strict=True)
        self._pending = []
        return StepRun(
            np.array(contacts, np.uint32),
            np.array(at_us, np.int64),
            np.array(log_order, np.int64),
            np.array(kinds, np.uint8),
            np.array(values, np.int64),
        )

    def _take_moved(self, moves: Moves) -> StepRun | None:
        """Remove the writes of contacts that moved, from runs and latest values, and return them."""
        taken, remaining = [], []
        for run in self._runs:
            starts = np.searchsorted(run.contacts, moves.fresh, "left")
            rows, _ = expand_ranges(starts, np.searchsorted(run.contacts, moves.fresh, "right"))
            if len(rows) == 0:
                remaining.append(run)
                continue
            taken.append(run.take(rows))
            remaining.append(run.take(np.delete(np.arange(len(run)), rows)))
        if not taken:
            return None
        self._runs = [run for run in remaining if len(run)]
        self._view = None
        moved = step_run(taken)
        rows = sorted_unique(moved.contacts)
        self._at.set(rows, _BEFORE_ALL)
        self._log_order.set(rows, -1)
        self._kinds.set(rows, MISSING)
        return moved

    def _append(self, fresh: StepRun) -> None:
        if len(fresh) == 0:
            return
        self._view = None
        self._latest_us = max(self._latest_us, int(fresh.at_us.max()))
        last = fresh.take(last_of_groups(fresh.contacts))
        for column in (self._at, self._log_order, self._kinds, self._values):
            column.grow(int(last.contacts[-1]) + 1)
        at_us, log_order = self._at.get(last.contacts), self._log_order.get(last.contacts)
        newer = (last.at_us > at_us) | ((last.at_us == at_us) & (last.log_order > log_order))
        rows = last.contacts[newer]
        self._at.set(rows, last.at_us[newer])
        self._log_order.set(rows, last.log_order[newer])
        self._kinds.set(rows, last.kinds[newer])
        self._values.set(rows, last.values[newer])
        self._runs.append(fresh)
        while len(self._runs) > 1 and 2 * len(self._runs[-1]) >= len(self._runs[-2]):
            last_run = self._runs.pop()
            self._runs[-1] = step_run((self._runs[-1], last_run))


def _moved(run: StepRun, moves: Moves, *, keep_parts: bool) -> StepRun:
    owners, kept = moves.resolve(run.contacts)
    if not keep_parts:
        run = StepRun(owners, run.at_us, run.log_order, run.kinds, run.values)
    return run if kept.all() else run.take(np.flatnonzero(kept))
