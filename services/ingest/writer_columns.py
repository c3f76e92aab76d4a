"""Columns in the making: the rows and raw values of every (name, kind) of one log entry."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.events.columns import ParamColumn
from core.schema import DecimalUnits, Instant, Kind, Scalar

Columns = dict[tuple[str, Kind], "Column"]


class Column:
    """Rows and raw values of one (name, kind)."""

    __slots__ = ("kind", "name", "rows", "values")

    def __init__(self, name: str, kind: Kind) -> None:
        self.name = name
        self.kind = kind
        self.rows: list[int] = []
        self.values: list[int] = []


def encoded(value: Scalar, code: Callable[[str], int]) -> tuple[Kind, int]:
    """The kind and the column integer of a scalar; `code` gives the index of a text."""
    if isinstance(value, str):
        return Kind.TEXT, code(value)
    if isinstance(value, bool):
        return Kind.BOOLEAN, int(value)
    if isinstance(value, int):
        return Kind.INTEGER, value
    if isinstance(value, DecimalUnits):
        return Kind.DECIMAL, value.units
    if isinstance(value, Instant):
        return Kind.INSTANT, value.us
    return Kind.DATE, value.toordinal() - _EPOCH_ORDINAL


_EPOCH_ORDINAL = 719_163  # date(1970, 1, 1).toordinal()


def column_of(into: dict[tuple[str, Kind], Column], name: str, kind: Kind) -> Column:
    column = into.get((name, kind))
    if column is None:
        column = into[(name, kind)] = Column(name, kind)
    return column


def cut(columns: dict[tuple[str, Kind], Column], row: int) -> None:
    """Take back the values of `row` and later ones."""
    for column in columns.values():
        while column.rows and column.rows[-1] >= row:
            column.rows.pop()
            column.values.pop()


def finished(columns: dict[tuple[str, Kind], Column]) -> tuple[ParamColumn, ...]:
    return tuple(
        ParamColumn(c.name, c.kind, np.array(c.rows, np.uint32), np.array(c.values, np.int64))
        for c in columns.values()
        if c.rows
    )
