"""Columns that hold no more than their events: `EventColumns.take` shares its texts with what was left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.events.columns import EventColumns, ParamColumn
from core.schema import Kind

_TEXTS = (Kind.TEXT, Kind.TEXT_LIST)


def compacted(columns: EventColumns) -> EventColumns:
    """`columns` with the texts that its events use, in their former order."""
    used = np.zeros(len(columns.strings), np.bool_)
    used[columns.types] = True
    for column in (*columns.params, *columns.item_params):
        if column.kind in _TEXTS:
            used[column.values] = True
    place = np.cumsum(used) - 1
    return replace(
        columns,
        types=place[columns.types].astype(np.uint32),
        params=_moved(columns.params, place),
        item_params=_moved(columns.item_params, place),
        strings=tuple(text for text, wanted in zip(columns.strings, used.tolist(), strict=True) if wanted),
    )


def _moved(columns: tuple[ParamColumn, ...], place: NDArray[np.int64]) -> tuple[ParamColumn, ...]:
    return tuple(
        replace(column, values=place[column.values].astype(np.int64)) if column.kind in _TEXTS else column
        for column in columns
    )
