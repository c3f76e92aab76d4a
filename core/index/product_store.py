"""The writer of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.events.raw import raw_scalar
from core.index.dictionary import TextDictionary
from core.index.product_view import ProductRun, ProductView, product_run
from core.index.table import Column, Table, dense_if_full
from core.schema import Kind, Scalar, kind_of


class ProductStore:
    """States wait unsorted until `seal`; runs then merge geometrically, as those of attributes do. Late states insert;
    of two states of a product at one instant the one accepted later counts."""

    def __init__(self, dictionary: TextDictionary) -> None:
        self._dictionary = dictionary
        self._pending: list[tuple[int, int, Mapping[str, Scalar]]] = []
        self._runs: list[ProductRun] = []
        self._next_log_order = 0
        self._view: ProductView | None = ProductView()

    def write(self, product_id: str, fields: Mapping[str, Scalar], at_us: int) -> None:
        """From `at_us` on, the product has these fields and no others; none at all delete it."""
        self._pending.append((self._dictionary.add(product_id), at_us, fields))

    def seal(self) -> None:
        """Sort what waits into a run."""
        if not self._pending:
            return
        codes, instants, fields = zip(*self._pending, strict=True)
        self._pending = []
        self._append(
            ProductRun.of(
                np.array(codes, np.uint32),
                np.array(instants, np.int64),
                np.arange(self._next_log_order, self._next_log_order + len(codes), dtype=np.int64),
                np.array([not some for some in fields], np.bool_),
                _table(fields, self._dictionary),
            )
        )

    def view(self) -> ProductView:
        """The sealed states, as of now."""
        if self._view is None:
            self._view = ProductView(tuple(self._runs))
        return self._view

    def load(self, run: ProductRun) -> None:
        """Put back a run of a snapshot."""
        if len(run):
            self._append(run)

    def _append(self, fresh: ProductRun) -> None:
        self._view = None
        self._next_log_order = max(self._next_log_order, int(fresh.log_order.max()) + 1)
        self._runs.append(fresh)
        while len(self._runs) > 1 and 2 * len(self._runs[-1]) >= len(self._runs[-2]):
            last = self._runs.pop()
            self._runs[-1] = product_run((self._runs[-1], last))


def _table(states: tuple[Mapping[str, Scalar], ...], dictionary: TextDictionary) -> Table:
    collected: dict[tuple[str, Kind], tuple[list[int], list[int]]] = {}
    for row, fields in enumerate(states):
        for name, value in fields.items():
            rows, values = collected.setdefault((name, kind_of(value)), ([], []))
            rows.append(row)
            values.append(dictionary.add(value) if isinstance(value, str) else raw_scalar(value))
    columns: dict[str, tuple[Column, ...]] = {}
    for (name, kind), (rows, values) in collected.items():
        raw: NDArray[Any] = np.array(values, np.uint32 if kind is Kind.TEXT else np.int64)
        column = dense_if_full(Column.of(kind, np.array(rows, np.uint32), raw), len(states))
        columns[name] = (*columns.get(name, ()), column)
    return Table(len(states), columns).narrowed()
