"""The catalogue as it was at any instant: products as step functions of their fields over feed time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.index.table import Table, concatenate
from core.kernels.ranges import expand_ranges
from core.kernels.searching import search_pieces
from core.schema import DECIMAL_SCALE, Kind

STOCK, PRICE, SALE_PRICE = "stock", "price", "sale_price"
#: A product in stock of which nobody says how many there are; and the limit that its feed told it with.
AVAILABLE, LOW_STOCK = "available", "low_stock"
#: Pieces of what is available without a number: more than any limit of low stock.
MANY = 2**62
#: Whole prices beyond this are no decimals.
_LARGEST_WHOLE = 9 * 10**14

Codes = NDArray[np.uint32]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Known:
    """Values (int64) of some rows, and which rows have one."""

    values: Numbers
    present: Mask

    def take(self, rows: NDArray[np.integer]) -> Known:
        """The values of `rows`, in their order."""
        return Known(self.values[rows], self.present[rows])


@dataclass(frozen=True, slots=True)
class ProductStates:
    """What is known of some products: `stock` in pieces (MANY where only `available` was told), `price` and
    `sale_price` in units of 1e-4, `low_stock` the limit that its feed told with it. Nothing is known of a product that
    was never heard of by then, or deleted."""

    stock: Known
    price: Known
    sale_price: Known
    low_stock: Known


@dataclass(slots=True)
class _Lazy:
    states: ProductStates | None = None
    by_time: NDArray[np.intp] | None = None


@dataclass(frozen=True, slots=True)
class ProductRun:
    """States sorted by (product, occurred_at, log order); row i is valid from `at_us[i]` until the product's next row.

    `products` uint32 are dictionary codes of product ids, `fields` has a row for each state; one without fields deletes
    the product (`deleted`). `distinct` are the products that occur, those of `distinct[k]` being the rows `offsets[k]`
    to `offsets[k + 1]` (int64).
    """

    products: Codes
    at_us: Numbers
    log_order: Numbers
    deleted: Mask
    fields: Table
    distinct: Codes
    offsets: Numbers
    _lazy: _Lazy = field(default_factory=_Lazy, repr=False, compare=False)

    @classmethod
    def of(cls, products: Codes, at_us: Numbers, log_order: Numbers, deleted: Mask, fields: Table) -> ProductRun:
        """The run of states in any order."""
        order = np.lexsort((log_order, at_us, products))
        if (order[1:] < order[:-1]).any():
            products, at_us, log_order, deleted = products[order], at_us[order], log_order[order], deleted[order]
            fields = fields.take(order)
        heads = np.flatnonzero(np.append(True, products[1:] != products[:-1])) if len(products) else order
        offsets = np.append(heads, len(products)).astype(np.int64)
        return cls(products, at_us, log_order, deleted, fields, products[heads], offsets)

    def __len__(self) -> int:
        return len(self.products)

    def rows_at(self, codes: Codes, at_us: Numbers) -> Numbers:
        """The row that is valid for each product at its instant, -1 where there is none."""
        if len(self) == 0:
            return np.full(len(codes), -1, np.int64)
        place = np.minimum(np.searchsorted(self.distinct, codes), len(self.distinct) - 1)
        starts = self.offsets[place]
        rows = search_pieces(self.at_us, starts, self.offsets[place + 1], at_us, True) - 1
        return np.where((self.distinct[place] == codes) & (rows >= starts), rows, -1)

    def states(self) -> ProductStates:
        """What each row says."""
        if self._lazy.states is None:
            self._lazy.states = ProductStates(
                self._stock(), self._amount(PRICE), self._amount(SALE_PRICE), self._whole(LOW_STOCK)
            )
        return self._lazy.states

    def by_time(self) -> NDArray[np.intp]:
        """The rows ordered by occurred_at."""
        if self._lazy.by_time is None:
            self._lazy.by_time = np.argsort(self.at_us, kind="stable")
        return self._lazy.by_time

    def rows_of(self, codes: Codes) -> Numbers:
        """All rows of some products (ascending, unique)."""
        starts, stops = np.searchsorted(self.products, codes, "left"), np.searchsorted(self.products, codes, "right")
        return expand_ranges(starts, stops)[0]

    def _stock(self) -> Known:
        known = self._whole(STOCK)
        for column in self.fields.columns.get(AVAILABLE, ()):
            if column.kind is Kind.BOOLEAN:
                rows = np.arange(len(self)) if column.rows is None else column.rows
                uncounted = ~known.present[rows]
                known.values[rows[uncounted]] = np.where(column.values[uncounted] != 0, MANY, 0)
                known.present[rows[uncounted]] = True
        return known

    def _whole(self, name: str) -> Known:
        known = Known(np.zeros(len(self), np.int64), np.zeros(len(self), np.bool_))
        for column in self.fields.columns.get(name, ()):
            if column.kind is Kind.INTEGER:
                rows = slice(None) if column.rows is None else column.rows
                known.values[rows], known.present[rows] = column.values, True
        return known

    def _amount(self, name: str) -> Known:
        known = self._whole(name)
        known.present[np.abs(known.values) > _LARGEST_WHOLE] = False
        known.values[known.present] *= DECIMAL_SCALE
        for column in self.fields.columns.get(name, ()):
            if column.kind is Kind.DECIMAL:
                rows = slice(None) if column.rows is None else column.rows
                known.values[rows], known.present[rows] = column.values, True
        return known


def product_run(runs: Sequence[ProductRun]) -> ProductRun:
    """All states of `runs`, at least one."""
    if len(runs) == 1:
        return runs[0]
    return ProductRun.of(
        np.concatenate([run.products for run in runs]),
        np.concatenate([run.at_us for run in runs]),
        np.concatenate([run.log_order for run in runs]),
        np.concatenate([run.deleted for run in runs]),
        concatenate([run.fields for run in runs]),
    )


@dataclass(frozen=True, slots=True)
class ProductView:
    """The catalogue of one root; `runs` overlap in time, an instant's last accepted state counts."""

    runs: tuple[ProductRun, ...] = ()

    def states(self, codes: Codes, at_us: Numbers) -> ProductStates:
        """What is known of each product (dictionary codes, any order, repeats allowed) at its instant."""
        n = len(codes)
        best_at, best_log = np.full(n, -(2**63)), np.full(n, -1, np.int64)
        found = ProductStates(*(Known(np.zeros(n, np.int64), np.zeros(n, np.bool_)) for _ in range(4)))
        for run in self.runs:
            rows = run.rows_at(codes, at_us)
            held = np.flatnonzero(rows >= 0)
            at, log = run.at_us[rows[held]], run.log_order[rows[held]]
            newer = held[(at > best_at[held]) | ((at == best_at[held]) & (log > best_log[held]))]
            rows = rows[newer]
            best_at[newer], best_log[newer] = run.at_us[rows], run.log_order[rows]
            states = run.states()
            for mine, theirs in (
                (found.stock, states.stock),
                (found.price, states.price),
                (found.sale_price, states.sale_price),
                (found.low_stock, states.low_stock),
            ):
                mine.values[newer], mine.present[newer] = theirs.values[rows], theirs.present[rows]
        return found

    def edges(self, after_us: int, until_us: int) -> tuple[Codes, Numbers]:
        """Products and instants of the states that begin in (after, until], in time order."""
        codes, instants = [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)]
        for run in self.runs:
            order = run.by_time()
            first, last = np.searchsorted(run.at_us, (after_us, until_us), "right", sorter=order)
            codes.append(run.products[order[first:last]])
            instants.append(run.at_us[order[first:last]])
        all_codes, all_instants = np.concatenate(codes), np.concatenate(instants)
        by_time = np.argsort(all_instants, kind="stable")
        return all_codes[by_time], all_instants[by_time]
