"""Columns over all contacts that readers pin: large base arrays, and a small patch of rows written since.

A whole-column pass reads the base as one array; a version costs no more than the rows that changed. Rows that no
reader has pinned are written into the base in place, so that loading history copies nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Columns = tuple[NDArray[Any], ...]

#: A patch of more than one row in this many is folded into a new base when its turn comes.
_FOLD_AT = 128
#: A patch of more than one row in this many is folded at once: writes of many rows are a load.
_FOLD_NOW = 16
#: How many rows `fold_some` copies: a few milliseconds.
_FOLD_ROWS = 1 << 19
#: Below this many rows copying the base costs as little as a patch.
_SMALL = 1024


class FrozenTable:
    """`n` rows that never change. `base`: one array per column, `n` long; rows never written hold 0. `rows` (uint32,
    ascending): those where `patch`, one array per column as long as `rows`, stands instead of the base. `notes`: room
    for what readers derive from the base; it lasts as long as rows once pinned stay as they are."""

    __slots__ = ("__weakref__", "base", "n", "notes", "patch", "rows")

    def __init__(self, n: int, base: Columns, rows: NDArray[np.uint32], patch: Columns, notes: dict[str, Any]) -> None:
        self.n = n
        self.base = base
        self.rows = rows
        self.patch = patch
        self.notes = notes

    def take(self, rows: NDArray[np.integer], columns: Sequence[int]) -> Columns:
        """The values of `columns` at `rows`, any rows in any order: 0 beyond the table. New arrays."""
        return _take(self.base, self.n, self.rows, self.patch, rows, columns)

    def whole(self, column: int) -> NDArray[Any]:
        """Every row of a column: the base itself where nothing is patched, else a copy; do not write."""
        base: NDArray[Any] = self.base[column]
        if len(self.rows) == 0:
            return base
        base = base.copy()
        base[self.rows] = self.patch[column]
        return base

    def unpatched(self, rows: NDArray[np.integer]) -> NDArray[np.bool_]:
        """For which of `rows` (below n) the base stands."""
        if len(self.rows) == 0:
            return np.ones(len(rows), np.bool_)
        return ~_find(self.rows, rows)[1]

    @property
    def nbytes(self) -> int:
        """Bytes of base and patch."""
        return sum(column.nbytes for column in (*self.base, *self.patch, self.rows))


@dataclass(slots=True)
class _Fold:
    """A new base in the making: `done` of the `pinned` rows are copied to `fresh`."""

    pinned: int
    done: int
    fresh: list[NDArray[Any]]


class PatchedTable:
    """The writer's side: columns of one length, 0 in rows that were never set."""

    def __init__(self, *dtypes: DTypeLike) -> None:
        self.n = 0
        self._base: list[NDArray[Any]] = [np.zeros(0, dtype) for dtype in dtypes]
        self._rows = np.zeros(0, np.uint32)
        self._patch: list[NDArray[Any]] = [np.zeros(0, dtype) for dtype in dtypes]
        # Rows below this are seen by readers, and are never written in place. The patch lies below it.
        self._pinned = 0
        self._notes: dict[str, Any] = {}
        self._frozen: FrozenTable | None = None
        self._fold: _Fold | None = None

    def dtype(self, column: int) -> np.dtype[Any]:
        """What a column holds now."""
        return self._base[column].dtype

    def grow(self, n: int) -> None:
        """Make rows `0..n` exist; never shrinks."""
        if n <= self.n:
            return
        capacity = len(self._base[0])
        if n > capacity:
            wanted = max(n, capacity + capacity // 2)
            # Zero pages cost no memory until they are written.
            for place, old in enumerate(self._base):
                grown = np.zeros(wanted, old.dtype)
                grown[: self.n] = old[: self.n]
                self._base[place] = grown
            self._fold = None
            self._pinned = min(self._pinned, len(self._rows) and int(self._rows[-1]) + 1)
            self._notes = {}
        self.n = n
        self._frozen = None

    def get(self, rows: NDArray[np.integer], columns: Sequence[int]) -> Columns:
        """The values of `columns` at `rows`, any rows: 0 beyond the table. New arrays."""
        return _take(self._base, self.n, self._rows, self._patch, rows, columns)

    def set(self, rows: NDArray[np.integer], values: Sequence[NDArray[Any]]) -> None:
        """Write `rows` (ascending, unique, below n), one array of values per column."""
        if len(rows) == 0:
            return
        self._frozen = None
        pinned = int(np.searchsorted(rows, self._pinned))
        if pinned and (self.n <= _SMALL or (len(self._rows) + pinned) * _FOLD_NOW > self.n):
            self.fold()
            pinned = 0
        if pinned < len(rows):
            for base, column in zip(self._base, values, strict=True):
                base[rows[pinned:]] = column[pinned:]
        if pinned:
            self._merge(rows[:pinned].astype(np.uint32), [column[:pinned] for column in values])

    def recast(self, column: int, convert: Callable[[NDArray[Any]], Columns]) -> None:
        """Put the columns that `convert` makes of one in its place; 0 must become 0."""
        self._base[column : column + 1] = convert(self._base[column])
        self._patch[column : column + 1] = convert(self._patch[column])
        self._notes = {}
        self._fold = None
        self._frozen = None

    @property
    def overdue(self) -> float:
        """Above 1 where the patch should be folded."""
        return len(self._rows) * _FOLD_AT / self.n if self.n > _SMALL else 0.0

    @property
    def folding(self) -> bool:
        """Whether `fold_some` has begun and is not done."""
        return self._fold is not None

    def fold_some(self) -> None:
        """A part of the work of `fold`; called again and again, it folds without anybody waiting long."""
        if self._fold is None:
            self._fold = _Fold(self._pinned, 0, [np.zeros(len(column), column.dtype) for column in self._base])
        fold = self._fold
        # Rows that were pinned when this began never change; the few others are copied last.
        last = min(fold.done + _FOLD_ROWS, fold.pinned)
        for fresh, column in zip(fold.fresh, self._base, strict=True):
            fresh[fold.done : last] = column[fold.done : last]
        fold.done = last
        if last < fold.pinned:
            return
        for fresh, column in zip(fold.fresh, self._base, strict=True):
            fresh[last : self.n] = column[last : self.n]
        self._base = fold.fresh
        self._pinned = 0
        self.fold()

    @property
    def unpinned(self) -> bool:
        """Whether no reader holds the base."""
        return self._pinned == 0

    def fold(self) -> None:
        """Make a new base that holds the patch and that no reader has pinned."""
        for place, column in enumerate(self._base):
            if self._pinned:
                fresh = np.zeros(len(column), column.dtype)
                fresh[: self.n] = column[: self.n]
                self._base[place] = column = fresh
            column[self._rows] = self._patch[place]
            self._patch[place] = np.zeros(0, column.dtype)
        self._rows = np.zeros(0, np.uint32)
        self._pinned = 0
        self._notes = {}
        self._frozen = None
        self._fold = None

    def freeze(self) -> FrozenTable:
        """Pin the present rows for readers; the same object until something is written."""
        if self._frozen is None:
            self._pinned = self.n
            base = tuple(column[: self.n] for column in self._base)
            self._frozen = FrozenTable(self.n, base, self._rows, tuple(self._patch), self._notes)
        return self._frozen

    def load(self, columns: Columns) -> None:
        """Put back all columns of a snapshot; the table must be empty. They are copied when rows change."""
        self._base = list(columns)
        self._patch = [np.zeros(0, column.dtype) for column in columns]
        self.n = self._pinned = len(columns[0])
        self._fold = None
        self._notes = {}
        self._frozen = None

    def _merge(self, rows: NDArray[np.uint32], values: list[NDArray[Any]]) -> None:
        """Readers keep the patch that they have."""
        places, known = _find(self._rows, rows)
        fresh = ~known
        at, known_at = np.searchsorted(self._rows, rows[fresh]), places[known]
        self._rows = np.insert(self._rows, at, rows[fresh])
        for place, column in enumerate(values):
            patch = self._patch[place].copy()
            patch[known_at] = column[known]
            self._patch[place] = np.insert(patch, at, column[fresh])


def _take(
    base: Sequence[NDArray[Any]],
    n: int,
    patched: NDArray[np.uint32],
    patch: Sequence[NDArray[Any]],
    rows: NDArray[np.integer],
    columns: Sequence[int],
) -> Columns:
    if len(rows) == 0:
        return tuple(base[column][:0].copy() for column in columns)
    beyond = None
    if int(rows.max()) >= n:
        beyond = rows >= n
        if n == 0:
            return tuple(np.zeros(len(rows), base[column].dtype) for column in columns)
        rows = np.where(beyond, 0, rows)
    taken = tuple(base[column][rows] for column in columns)
    if len(patched):
        places, known = _find(patched, rows)
        if known.any():
            at = places[known]
            for values, column in zip(taken, columns, strict=True):
                values[known] = patch[column][at]
    if beyond is not None:
        for values in taken:
            values[beyond] = 0
    return taken


def contained(rows: NDArray[np.integer], within: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which of `rows` stand in ascending `within`. (np.isin hashes, and takes milliseconds for nothing.)"""
    return _find(within, rows)[1]


def _find(within: NDArray[np.uint32], rows: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The place of each of `rows` in ascending `within`, and whether it is there."""
    if len(within) == 0:
        return np.zeros(len(rows), np.intp), np.zeros(len(rows), np.bool_)
    # Equal types: searchsorted would copy the whole of `within` to a wider one.
    places = np.searchsorted(within, rows.astype(within.dtype, copy=False))
    np.minimum(places, len(within) - 1, out=places)
    return places, within[places] == rows
