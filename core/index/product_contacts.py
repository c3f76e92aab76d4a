"""Who has events with a product: whom a change of the catalogue can touch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from core.index.event_run import EventRun
from core.index.table import TEXT_KINDS, Column, Table
from core.kernels.ranges import sorted_unique

PRODUCT_ID = "product_id"
#: Up to so many products are looked for one after the other, more through a table.
_FEW = 8


def contacts_with(codes: NDArray[np.uint32], runs: Iterable[EventRun]) -> NDArray[np.uint32]:
    """The contacts, ascending, of events whose `product_id`, or that of a line, is one of `codes` (of texts)."""
    found = [np.zeros(0, np.uint32)]
    for run in runs:
        found.append(run.contacts[_rows(run.params, codes)])
        lines = _rows(run.items, codes)
        if len(lines) and run.item_offsets is not None:
            found.append(run.contacts[np.searchsorted(run.item_offsets, lines, "right") - 1])
    return sorted_unique(np.concatenate(found)).astype(np.uint32, copy=False)


def _rows(table: Table, codes: NDArray[np.uint32]) -> NDArray[np.integer]:
    found = [np.zeros(0, np.int64)]
    for column in table.columns.get(PRODUCT_ID, ()):
        if column.kind in TEXT_KINDS:
            places = np.flatnonzero(_held(column, codes))
            found.append(places if column.rows is None else column.rows[places].astype(np.int64))
    return np.concatenate(found)


def _held(column: Column, codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which values of a column are among `codes`; few are compared with the column as it lies."""
    packed = column.packed
    ranges = [packed.code_range(code, code) for code in codes.tolist()]
    wanted = [inside[0] for inside in ranges if inside is not None]
    if len(wanted) > _FEW:
        return np.isin(packed.codes, np.array(wanted, packed.codes.dtype))
    mask = np.zeros(len(packed), np.bool_)
    for code in wanted:
        mask |= packed.codes == packed.codes.dtype.type(code)
    return mask
