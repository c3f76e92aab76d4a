"""The rows of a pinned column whose value lies beyond a bound, found again and again for bounds that move on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.index.patched import FrozenTable

#: How much earlier than asked the kept rows begin, so that a bound that moves back a little finds them still: 7 days
#: in microseconds.
_MARGIN = 7 * 86_400_000_000
#: So many rows may join the table before the kept rows are found anew.
_FRESH = 65_536
_SMALLEST = -(2**63)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Base rows below `n` with a value above `above`, by value."""

    above: int
    n: int
    rows: NDArray[np.uint32]
    values: NDArray[np.int64]


def rows_above(table: FrozenTable, column: int, above: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The rows of an int64 `column` with a value > `above`, in no order, and their values.

    The first call passes over the column; later ones with a bound near or beyond find the rows at once. Rows that were
    never set are among them where 0 is above.
    """
    key = f"above/{column}"
    kept: _Kept | None = table.notes.get(key)
    if kept is None or above < kept.above or table.n - kept.n > _FRESH:
        kept = _find(table, column, max(above - _MARGIN, _SMALLEST))
        # A lost race between readers only repeats work.
        table.notes[key] = kept
    first = int(np.searchsorted(kept.values, above, "right"))
    parts = [(kept.rows[first:], kept.values[first:])]
    if table.n > kept.n:
        added = table.base[column][kept.n :]
        fresh = np.flatnonzero(added > above)
        parts.append(((fresh + kept.n).astype(np.uint32), added[fresh]))
    rows = np.concatenate([part[0] for part in parts])
    values = np.concatenate([part[1] for part in parts])
    standing = table.unpatched(rows)
    if table.n < kept.n:
        standing &= rows < table.n
    patched = table.patch[column] > above
    return (
        np.concatenate((rows[standing], table.rows[patched])),
        np.concatenate((values[standing], table.patch[column][patched])),
    )


def _find(table: FrozenTable, column: int, above: int) -> _Kept:
    values = table.base[column]
    rows = np.flatnonzero(values > above)
    held = values[rows]
    order = np.argsort(held, kind="stable")
    return _Kept(above, table.n, rows[order].astype(np.uint32), held[order])
