"""Named, sparse, immutable columns over the rows of events, items or elements, and ways to select from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.ranges import expand_ranges
from core.schema import Kind

#: Which rows of a table: `[start, stop)`, or row numbers in any order.
Selection = slice | NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Column:
    """Values of one kind. `rows` None: every row has exactly one value; otherwise `rows` (uint32 ascending) say which
    row each value belongs to, and a row that stands twice holds a list. TEXT and TEXT_LIST values are dictionary
    codes (uint32), all others int64 as in core.events.columns."""

    kind: Kind
    rows: NDArray[np.uint32] | None
    values: NDArray[Any]

    def select(self, selection: Selection) -> Column:
        """The values of the selected rows, rows numbered anew from 0 in the order of the selection."""
        if isinstance(selection, slice):
            if self.rows is None:
                return Column(self.kind, None, self.values[selection])
            first, last = np.searchsorted(self.rows, (selection.start, selection.stop))
            return Column(self.kind, self.rows[first:last] - np.uint32(selection.start), self.values[first:last])
        if self.rows is None:
            return Column(self.kind, None, self.values[selection])
        starts = np.searchsorted(self.rows, selection, "left")
        stops = np.searchsorted(self.rows, selection, "right")
        places, parents = expand_ranges(starts, stops)
        return Column(self.kind, parents.astype(np.uint32), self.values[places])


@dataclass(frozen=True, slots=True)
class Table:
    """`n` rows; one name may have several columns of different kinds."""

    n: int
    columns: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)

    def take(self, rows: NDArray[np.int64]) -> Table:
        """The table of `rows` in their order; columns left without values vanish."""
        taken = {}
        for name, columns in self.columns.items():
            kept = []
            for column in columns:
                selected = column.select(rows)
                if len(selected.values):
                    kept.append(dense_if_full(selected, len(rows)))
            if kept:
                taken[name] = tuple(kept)
        return Table(len(rows), taken)


def dense_if_full(column: Column, n: int) -> Column:
    """The same column without row numbers where every row has one scalar."""
    if column.kind is Kind.TEXT_LIST or column.rows is None or len(column.rows) != n:
        return column
    return Column(column.kind, None, column.values)


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
        values = np.concatenate([piece.values for _, _, piece in pieces])
        if kind is not Kind.TEXT_LIST and len(values) == total:
            column = Column(kind, None, values)
        else:
            column = Column(kind, np.concatenate([_rows(*piece) for piece in pieces]), values)
        joined[name] = (*joined.get(name, ()), column)
    return Table(total, joined)


def _rows(base: int, n: int, column: Column) -> NDArray[np.uint32]:
    if column.rows is None:
        return np.arange(base, base + n, dtype=np.uint32)
    return column.rows + np.uint32(base)
