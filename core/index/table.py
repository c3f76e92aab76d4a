"""Named, sparse, immutable columns over the rows of events, items or elements, and ways to select from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.index.packing import Packed, join_packed, pack_values
from core.kernels.ranges import expand_ranges
from core.schema import Kind

#: Which rows of a table: `[start, stop)`, or row numbers in any order.
Selection = slice | NDArray[np.int64]

TEXT_KINDS = (Kind.TEXT, Kind.TEXT_LIST)
_CODE, _NUMBER = np.dtype(np.uint32), np.dtype(np.int64)


@dataclass(frozen=True, slots=True)
class Column:
    """Values of one kind. `rows` None: every row has exactly one value; otherwise `rows` (uint32 ascending) say which
    row each value belongs to, and a row that stands twice holds a list. TEXT and TEXT_LIST values are dictionary
    codes (uint32), all others int64 as in core.events.columns; they are kept `packed`."""

    kind: Kind
    rows: NDArray[np.uint32] | None
    packed: Packed

    @classmethod
    def of(cls, kind: Kind, rows: NDArray[np.uint32] | None, values: NDArray[Any]) -> Column:
        """A column of values as they are, not packed: uint32 for texts, else int64."""
        return cls(kind, rows, Packed(values))

    @property
    def values(self) -> NDArray[Any]:
        """The values; not to be written."""
        return self.packed.values(_CODE if self.kind in TEXT_KINDS else _NUMBER)

    @property
    def nbytes(self) -> int:
        """What the column occupies."""
        return self.packed.codes.nbytes + (0 if self.rows is None else self.rows.nbytes)

    def __len__(self) -> int:
        return len(self.packed)

    def narrowed(self) -> Column:
        """The same column in as few bytes as its values need."""
        texts = self.kind in TEXT_KINDS
        return Column(self.kind, self.rows, pack_values(self.values, scaled=not texts))

    def select(self, selection: Selection) -> Column:
        """The values of the selected rows, rows numbered anew from 0 in the order of the selection."""
        if self.rows is None:
            return Column(self.kind, None, self.packed.take(selection))
        if isinstance(selection, slice):
            first, last = np.searchsorted(self.rows, (selection.start, selection.stop))
            rows = self.rows[first:last] - np.uint32(selection.start)
            return Column(self.kind, rows, self.packed.take(slice(int(first), int(last))))
        starts = np.searchsorted(self.rows, selection, "left")
        stops = np.searchsorted(self.rows, selection, "right")
        places, parents = expand_ranges(starts, stops)
        return Column(self.kind, parents.astype(np.uint32), self.packed.take(places))


@dataclass(frozen=True, slots=True)
class Table:
    """`n` rows; one name may have several columns of different kinds."""

    n: int
    columns: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """What the columns occupy."""
        return sum(column.nbytes for columns in self.columns.values() for column in columns)

    def take(self, rows: Selection) -> Table:
        """The table of `rows` in their order; columns left without values vanish."""
        count = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        taken = {}
        for name, columns in self.columns.items():
            kept = []
            for column in columns:
                selected = column.select(rows)
                if len(selected):
                    kept.append(dense_if_full(selected, count))
            if kept:
                taken[name] = tuple(kept)
        return Table(count, taken)

    def narrowed(self) -> Table:
        """The same table in as few bytes as its values need."""
        return Table(self.n, {name: tuple(one.narrowed() for one in some) for name, some in self.columns.items()})


def dense_if_full(column: Column, n: int) -> Column:
    """The same column without row numbers where every row has one scalar."""
    if column.kind is Kind.TEXT_LIST or column.rows is None or len(column.rows) != n:
        return column
    return Column(column.kind, None, column.packed)


def concatenate(tables: Sequence[Table]) -> Table:
    """All rows, table after table."""
    if len(tables) == 1:
        return tables[0]
    total = sum(table.n for table in tables)
    parts: dict[tuple[str, Kind], list[tuple[int, int, Column]]] = {}
    base = 0
    for table in tables:
        for name, columns in table.columns.items():
            for column in columns:
                parts.setdefault((name, column.kind), []).append((base, table.n, column))
        base += table.n
    joined: dict[str, tuple[Column, ...]] = {}
    for (name, kind), pieces in parts.items():
        packed = join_packed([piece.packed for _, _, piece in pieces])
        if kind is not Kind.TEXT_LIST and len(packed) == total:
            column = Column(kind, None, packed)
        else:
            column = Column(kind, np.concatenate([_rows(*piece) for piece in pieces]), packed)
        joined[name] = (*joined.get(name, ()), column)
    return Table(total, joined)


def _rows(base: int, n: int, column: Column) -> NDArray[np.uint32]:
    if column.rows is None:
        return np.arange(base, base + n, dtype=np.uint32)
    return column.rows + np.uint32(base)
