"""The writer of one step function per contact: late writes insert."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.index.bit_planes import BitPlanes, bit_planes
from core.index.contacts import Moves
from core.index.distinct import EntryTable
from core.index.patched import Columns, FrozenTable, PatchedTable
from core.index.step_run import StepRun, no_writes, step_run
from core.index.steps import AT, CODE, KIND, ORDER, PLANES, VALUE, StepView
from core.kernels.ranges import last_of_groups

_BEFORE_ALL = -(2**63)
_SMALL_ORDERS = 2**32 - 1
#: So many rows may be without bit planes.
_UNPLANED = 65_536


class StepWriter:
    """Writes wait until they are sealed; views pin what is sealed."""

    def __init__(self) -> None:
        self._pending: list[tuple[int, int, int, int, int]] = []
        self._pending_runs: list[StepRun] = []
        self._table = PatchedTable(np.int64, np.uint32, np.uint8)
        self._entries: EntryTable | None = EntryTable()
        self._history: list[StepRun] = []
        self._latest_us = _BEFORE_ALL
        self._view: StepView | None = None

    def write(self, contact: int, at_us: int, log_order: int, kind: int, value: int) -> None:
        """From `at_us` on, `contact` has this value."""
        self._pending.append((contact, at_us, log_order, kind, value))

    def write_all(self, run: StepRun) -> None:
        """Many writes at once, in any order."""
        if len(run):
            self._pending_runs.append(run)

    def seal(self, moves: Moves, *, keep_parts: bool) -> None:
        """Apply `moves` to all writes and sort what waits in.

        `keep_parts`: writes stay with the part of a merged contact that they came to; only erased ones leave.
        """
        added = [*self._pending_runs, self._fresh()]
        self._pending_runs = []
        if moves:
            added += self._take_out(moves.fresh)
        self._append(step_run([_moved(run, moves, keep_parts=keep_parts) for run in added if len(run)]))

    @property
    def overdue(self) -> float:
        """Above 1 where `fold` should be called soon; it copies the whole."""
        return self._table.overdue

    @property
    def folding(self) -> bool:
        """Whether `fold_some` has begun and is not done."""
        return self._table.folding

    def fold_some(self) -> None:
        """A part of making the next views cheap to read, to be called until `folding` ends."""
        self._table.fold_some()
        if not self._table.folding:
            self._view = None

    def view(self) -> StepView:
        """Pin the present version."""
        if self._view is None:
            entries = self._entries
            if entries is not None and not entries.ordered and self._table.unpinned:
                renamed = entries.reorder()
                self._table.recast(CODE, lambda codes: (renamed.astype(codes.dtype)[codes],))
            latest = self._table.freeze()
            if entries is not None:
                _add_planes(latest, len(entries))
            self._view = StepView(
                latest,
                None if entries is None else entries.view(),
                tuple(self._history),
                self._latest_us,
            )
        return self._view

    def load(self, view: StepView) -> None:
        """Put back what a snapshot kept; the writer must be empty, and nothing patched in the view."""
        self._table.load(view.latest.base)
        if view.entries is None:
            self._entries = None
        elif self._entries is not None:
            self._entries.load(view.entries)
        self._history = [run for run in view.history if len(run)]
        self._latest_us = view.latest_us
        self._view = None

    def _fresh(self) -> StepRun:
        if not self._pending:
            return no_writes()
        contacts, at_us, log_order, kinds, values = zip(*self._pending, strict=True)
        self._pending = []
        return StepRun(
            np.array(contacts, np.uint32),
            np.array(at_us, np.int64),
            np.array(log_order, np.int64),
            np.array(kinds, np.uint8),
            np.array(values, np.int64),
        )

    def void(self, contacts: NDArray[np.uint32]) -> StepRun:
        """Forget all writes of `contacts` (ascending), and return them; whatever waits must be sealed."""
        return step_run(self._take_out(contacts))

    def keep(self, contacts: NDArray[np.uint32], kept: Callable[[StepRun], NDArray[np.bool_]]) -> None:
        """Forget the writes of `contacts` (ascending) that are not `kept`; whatever waits must be sealed."""
        taken = step_run(self._take_out(contacts))
        self._append(taken.take(kept(taken)))

    def _take_out(self, contacts: NDArray[np.uint32]) -> list[StepRun]:
        """Remove the writes of `contacts`, and return them."""
        taken, remaining = [self._latest_of(contacts)], []
        gone = taken[0].contacts
        if len(gone):
            zero = np.zeros(len(gone), np.uint8)
            self._table.set(gone, [zero] * (3 if self._entries is not None else 4))
        for run in self._history:
            rows, _ = run.rows_of(contacts)
            if len(rows) == 0:
                remaining.append(run)
                continue
            taken.append(run.take(rows))
            remaining.append(run.take(np.delete(np.arange(len(run)), rows)))
        self._history = [run for run in remaining if len(run)]
        self._view = None
        return taken

    def _latest_of(self, contacts: NDArray[np.uint32]) -> StepRun:
        """The latest writes of `contacts`, where there are any."""
        columns = (CODE,) if self._entries is not None else (KIND, VALUE)
        at_us, order, *held = self._table.get(contacts, (AT, ORDER, *columns))
        if self._entries is None:
            kinds, values = held[0], held[1].astype(np.int64)
        else:
            entries = self._entries.view()
            kinds, values = entries.kinds[held[0]], entries.values[held[0]]
        return StepRun(contacts, at_us, order.astype(np.int64) - 1, kinds, values).take(order > 0)

    def _append(self, fresh: StepRun) -> None:
        """Sorted writes: the last of each contact may become its latest, all others are history."""
        if len(fresh) == 0:
            return
        self._view = None
        self._latest_us = max(self._latest_us, int(fresh.at_us.max()))
        self._table.grow(int(fresh.contacts[-1]) + 1)
        ends = last_of_groups(fresh.contacts)
        last = fresh if len(ends) == len(fresh) else fresh.take(ends)
        at_us, order = self._table.get(last.contacts, (AT, ORDER))
        before = order.astype(np.int64) - 1
        newer = (before < 0) | (last.at_us > at_us) | ((last.at_us == at_us) & (last.log_order > before))
        superseded = [self._latest_of(last.contacts[newer & (before >= 0)])]
        if len(last) < len(fresh):
            superseded.append(fresh.take(np.delete(np.arange(len(fresh)), ends)))
        if not newer.all():
            superseded.append(last.take(~newer))
            last = last.take(newer)
        self._set_latest(last)
        self._keep(step_run(superseded))

    def _set_latest(self, last: StepRun) -> None:
        if len(last) == 0:
            return
        if int(last.log_order.max()) >= _SMALL_ORDERS and self._table.dtype(ORDER) != np.uint64:
            self._table.recast(ORDER, lambda order: (order.astype(np.uint64),))
        self._table.set(last.contacts, (last.at_us, last.log_order + 1, *self._encode(last)))

    def _encode(self, last: StepRun) -> Columns:
        """The columns of values, made wide enough."""
        if self._entries is not None:
            codes = self._entries.encode(last.kinds, last.values)
            if codes is not None:
                needed = np.min_scalar_type(len(self._entries) - 1)
                if needed.itemsize > self._table.dtype(CODE).itemsize:
                    self._table.recast(CODE, lambda held: (held.astype(needed),))
                return (codes,)
            entries = self._entries.view()
            narrow = _fits_uint32(entries.values)
            self._table.recast(
                CODE,
                lambda held: (
                    entries.kinds[held],
                    (entries.values.astype(np.uint32) if narrow else entries.values)[held],
                ),
            )
            self._entries = None
        if self._table.dtype(VALUE) != np.int64 and not _fits_uint32(last.values):
            self._table.recast(VALUE, lambda held: (held.astype(np.int64),))
        return last.kinds, last.values

    def _keep(self, superseded: StepRun) -> None:
        if len(superseded) == 0:
            return
        self._history.append(superseded)
        while len(self._history) > 1 and 2 * len(self._history[-1]) >= len(self._history[-2]):
            newest = self._history.pop()
            self._history[-1] = step_run((self._history[-1], newest))


def _add_planes(latest: FrozenTable, entries: int) -> None:
    """Readers find the planes ready; rows that joined since are few enough to be looked up."""
    planes: BitPlanes | None = latest.notes.get(PLANES)
    without = latest.n - (0 if planes is None else planes.n)
    if without > max(_UNPLANED, latest.n // 32):
        latest.notes[PLANES] = bit_planes(latest.base[CODE], entries)


def _fits_uint32(values: NDArray[np.int64]) -> bool:
    return len(values) == 0 or (int(values.min()) >= 0 and int(values.max()) < 2**32)


def _moved(run: StepRun, moves: Moves, *, keep_parts: bool) -> StepRun:
    owners, kept = moves.resolve(run.contacts)
    if not keep_parts:
        run = StepRun(owners, run.at_us, run.log_order, run.kinds, run.values)
    return run if kept.all() else run.take(kept)
