"""A value per contact that changes over time, as readers see it: a step function over occurred_at.

The latest write of each contact stands in columns over contacts, one or two bytes a value where an attribute has few
distinct ones; writes that a later one superseded stand in sorted runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.index.distinct import Entries, WholeColumn, look_up
from core.index.patched import FrozenTable, contained
from core.index.recent import rows_above
from core.index.step_run import MISSING, StepRun, in_time_order, step_run, valid_in
from core.kernels.ranges import sorted_unique

#: Columns of the table of latest writes: occurred_at, log order + 1 (0: never written), then either the code of an
#: entry, or kind and value.
AT, ORDER, CODE, KIND, VALUE = 0, 1, 2, 2, 3

#: The note of a table that holds the bit planes of its codes.
PLANES = "planes"
_SMALL = 1024

_Values = tuple[NDArray[np.uint8], NDArray[np.int64]]
_NO_VALUES: _Values = (np.zeros(0, np.uint8), np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True, weakref_slot=True)
class StepView:
    """One step function per contact, at one version. `latest`: the last write of each contact; its values are codes of
    `entries`, or, where that is None, kinds and values. `history`: the writes that a later one superseded.
    `latest_us` is at or after the largest occurred_at of all."""

    latest: FrozenTable
    entries: Entries | None
    history: tuple[StepRun, ...]
    latest_us: int

    def valid(self, as_of_us: int, contacts: NDArray[np.uint32] | None, n: int) -> _Values:
        """Kind and value of each of `contacts` (in their order; None: of contacts 0 to n - 1) as of an instant: the
        last write with occurred_at <= as_of, ties by log order. Do not write into the result."""
        if contacts is None:
            return self._valid_of_all(as_of_us, n)
        if as_of_us >= self.latest_us:
            return self._decode(self.latest.take(contacts, self._value_columns()))
        return self._valid_of_pairs(contacts, np.full(len(contacts), as_of_us, np.int64))

    def valid_at(self, contacts: NDArray[np.uint32], instants_us: NDArray[np.int64]) -> _Values:
        """Kind and value of each of `contacts` (any order, repeats allowed) at the instant beside it."""
        return self._valid_of_pairs(contacts, instants_us)

    def whole(self, as_of_us: int) -> WholeColumn | None:
        """The whole attribute as of an instant; None where that would cost as much as `valid`: too many contacts whose
        latest write is later."""
        table, columns = self.latest, self._value_columns()
        rows = table.rows
        row_kinds, row_values = _NO_VALUES
        if len(rows):
            row_kinds, row_values = self._decode(tuple(table.patch[column] for column in columns))
        if as_of_us < self.latest_us:
            late, _ = rows_above(table, AT, as_of_us)
            if len(late) * 16 > table.n > _SMALL:
                return None
            kinds, values = valid_in(self.history, late, np.full(len(late), as_of_us, np.int64))
            kept = ~contained(rows, np.sort(late))
            rows = np.concatenate((rows[kept], late))
            row_kinds, row_values = np.concatenate((row_kinds[kept], kinds)), np.concatenate((row_values[kept], values))
        if self.entries is None:
            kinds, held = table.base[KIND], table.base[VALUE]
            return WholeColumn(kinds, held, None, None, rows, row_kinds, row_values)
        planes = table.notes.get(PLANES)
        if planes is not None and planes.n > table.n:
            planes = None
        codes = table.base[CODE]
        return WholeColumn(self.entries.kinds, self.entries.values, codes, planes, rows, row_kinds, row_values)

    def writes_of(self, contacts: NDArray[np.uint32], until_us: int) -> StepRun:
        """Every write of `contacts` (unique) with occurred_at <= until, by (contact, occurred_at, log order)."""
        taken = self._run_of(contacts)
        found = [taken.take(taken.at_us <= until_us)]
        for run in self.history:
            rows, _ = run.rows_of(contacts)
            found.append(run.take(rows[run.at_us[rows] <= until_us]))
        return step_run(found)

    def all_writes(self) -> StepRun:
        """Every write, by (contact, occurred_at, log order); made anew."""
        return step_run([self._run_of(np.arange(self.latest.n, dtype=np.uint32)), *self.history])

    def writes_between(self, after_us: int, until_us: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Contacts and instants of the writes with after < occurred_at <= until, in time order."""
        if after_us >= self.latest_us:
            return in_time_order([], [])
        rows, at_us = rows_above(self.latest, AT, after_us)
        inside = at_us <= until_us
        if after_us < 0:
            inside &= self.latest.take(rows, (ORDER,))[0] > 0
        contacts, instants = [rows[inside]], [at_us[inside]]
        for run in self.history:
            order = run.by_time()
            first, last = np.searchsorted(run.at_us, (after_us, until_us), "right", sorter=order)
            contacts.append(run.contacts[order[first:last]])
            instants.append(run.at_us[order[first:last]])
        return in_time_order(contacts, instants)

    def values_between(self, kind: int, after: int, until: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Contacts and values of the writes of `kind` with after < value <= until, by value; superseded writes too."""
        rows = self._latest_between(kind, after, until)
        kinds, values = self._decode(self.latest.take(rows, self._value_columns()))
        inside = (kinds == kind) & (values > after) & (values <= until)
        contacts, found = [rows[inside]], [values[inside]]
        for run in self.history:
            inside = (run.kinds == kind) & (run.values > after) & (run.values <= until)
            contacts.append(run.contacts[inside])
            found.append(run.values[inside])
        return in_time_order(contacts, found)

    def values_of_kind(self, kind: int) -> NDArray[np.int64]:
        """The distinct values of `kind` in all writes, superseded ones too, ascending."""
        found = [run.values[run.kinds == kind] for run in self.history]
        if self.entries is None:
            found.append(self.latest.whole(VALUE)[self.latest.whole(KIND) == kind].astype(np.int64))
        else:
            used = self.entries_in_use()
            found.append(self.entries.values[used & (self.entries.kinds == kind)])
        return sorted_unique(np.concatenate(found))

    def entries_in_use(self) -> NDArray[np.bool_]:
        """Which entries a latest write holds, one answer each; there must be entries."""
        assert self.entries is not None
        used: NDArray[np.bool_] = np.bincount(self.latest.whole(CODE), minlength=len(self.entries)) > 0
        return used

    def tables(self) -> Iterator[int]:
        """Bytes of each part: of the latest writes, of the superseded ones."""
        yield self.latest.nbytes
        yield sum(run.nbytes for run in self.history)

    def _latest_between(self, kind: int, after: int, until: int) -> NDArray[np.uint32]:
        """Contacts of which the latest value may be of `kind` with after < value <= until."""
        if self.entries is not None:
            fits = (self.entries.kinds == kind) & (self.entries.values > after) & (self.entries.values <= until)
            if not fits.any():
                return np.zeros(0, np.uint32)
            return np.flatnonzero(look_up(self.latest.whole(CODE), fits)).astype(np.uint32)
        if self.latest.base[VALUE].dtype == np.int64:
            return rows_above(self.latest, VALUE, after)[0]
        return np.flatnonzero(self.latest.whole(KIND) == kind).astype(np.uint32)

    def _value_columns(self) -> tuple[int, ...]:
        return (KIND, VALUE) if self.entries is None else (CODE,)

    def _decode(self, columns: tuple[NDArray[np.generic], ...]) -> _Values:
        """Kinds and values of the columns `_value_columns`."""
        if self.entries is None:
            return np.asarray(columns[0], np.uint8), np.asarray(columns[1]).astype(np.int64, copy=False)
        codes = np.asarray(columns[0])
        return self.entries.kinds[codes], self.entries.values[codes]

    def _valid_of_all(self, as_of_us: int, n: int) -> _Values:
        kinds, values = self._decode(tuple(self.latest.whole(column) for column in self._value_columns()))
        if len(kinds) < n:
            kinds = np.concatenate((kinds, np.zeros(n - len(kinds), np.uint8)))
            values = np.concatenate((values, np.zeros(n - len(values), np.int64)))
        kinds, values = kinds[:n], values[:n]
        if as_of_us >= self.latest_us:
            return kinds, values
        late, _ = rows_above(self.latest, AT, as_of_us)
        late = late[late < n]
        if len(late) == 0:
            return kinds, values
        kinds, values = kinds.copy(), values.copy()
        kinds[late], values[late] = valid_in(self.history, late, np.full(len(late), as_of_us, np.int64))
        return kinds, values

    def _valid_of_pairs(self, contacts: NDArray[np.uint32], instants_us: NDArray[np.int64]) -> _Values:
        at_us, *columns = self.latest.take(contacts, (AT, *self._value_columns()))
        kinds, values = self._decode(tuple(columns))
        late = np.flatnonzero(at_us > instants_us)
        if len(late):
            kinds[late], values[late] = valid_in(self.history, contacts[late], instants_us[late])
        return kinds, values

    def _run_of(self, contacts: NDArray[np.uint32]) -> StepRun:
        """The latest writes of `contacts`, where there are any."""
        at_us, order, *columns = self.latest.take(contacts, (AT, ORDER, *self._value_columns()))
        kinds, values = self._decode(tuple(columns))
        run = StepRun(contacts, at_us, order.astype(np.int64) - 1, kinds, values)
        return run if bool(order.all()) else run.take(order > 0)


#: What others need beside the view.
__all__ = [
    "AT",
    "CODE",
    "KIND",
    "MISSING",
    "ORDER",
    "PLANES",
    "VALUE",
    "StepRun",
    "StepView",
    "in_time_order",
    "step_run",
]
