"""What the catalogue says of some products at an instant."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.events.raw import scalar_of
from core.index.dictionary import TextDictionary
from core.index.product_view import ProductRun, ProductStates, ProductView
from core.index.table import Table
from core.kernels.ranges import sorted_unique
from core.schema import Kind, Scalar

#: No text, and no amount.
NO_CODE, NO_PRICE = np.uint32(2**32 - 1), -1
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shelf:
    """Products by their dictionary codes (uint32, in the order asked). `told`: the catalogue has heard of it by then;
    `listed`: and it was not deleted since. `states`: of which stock and price are known."""

    codes: NDArray[np.uint32]
    told: Mask
    listed: Mask
    states: ProductStates
    _runs: tuple[ProductRun, ...]
    _run_of: Numbers
    _row_of: Numbers

    @property
    def in_stock(self) -> Mask:
        """Known to be in stock."""
        return self.listed & self.states.stock.present & (self.states.stock.values > 0)

    @property
    def gone(self) -> Mask:
        """Known to be deleted or out of stock."""
        return (self.told & ~self.listed) | (self.states.stock.present & (self.states.stock.values <= 0))

    def to_pay(self) -> Numbers:
        """What a customer pays, in units of 1e-4; NO_PRICE where that is not known."""
        price, sale = self.states.price, self.states.sale_price
        full = np.where(price.present, price.values, NO_PRICE)
        return np.where(price.present & sale.present & (sale.values < price.values), sale.values, full)

    def texts(self, name: str) -> NDArray[np.uint32]:
        """The code of the text of a field of each product; NO_CODE where it has none."""
        found = np.full(len(self.codes), NO_CODE, np.uint32)
        for run, places, rows in self._held():
            for column in run.fields.columns.get(name, ()):
                if column.kind is Kind.TEXT:
                    selected = column.select(rows)
                    held = slice(None) if selected.rows is None else selected.rows
                    found[places[held]] = selected.values
        return found

    def fields(self, names: Collection[str], dictionary: TextDictionary) -> list[dict[str, Scalar]]:
        """The fields named, of each product; nothing of one that is not listed."""
        found: list[dict[str, Scalar]] = [{} for _ in range(len(self.codes))]
        for run, places, rows in self._held():
            for place, fields in zip(places.tolist(), fields_of(run.fields, rows, names, dictionary), strict=True):
                found[place] = fields
        return found

    def _held(self) -> Iterator[tuple[ProductRun, Numbers, Numbers]]:
        """Each run with the places of the products that it tells of, and their rows in it."""
        for number, run in enumerate(self._runs):
            places = np.flatnonzero(self.listed & (self._run_of == number))
            if len(places):
                yield run, places, self._row_of[places]


def shelf(view: ProductView, codes: NDArray[np.uint32], at_us: int) -> Shelf:
    """Of products in any order, repeated ones too."""
    n = len(codes)
    instants = np.full(n, at_us, np.int64)
    run_of, row_of = np.full(n, -1, np.int64), np.zeros(n, np.int64)
    best_at, best_log = np.full(n, -(2**63)), np.full(n, -1, np.int64)
    listed = np.zeros(n, np.bool_)
    for number, run in enumerate(view.runs):
        rows = run.rows_at(codes, instants)
        held = np.flatnonzero(rows >= 0)
        at, log = run.at_us[rows[held]], run.log_order[rows[held]]
        newer = held[(at > best_at[held]) | ((at == best_at[held]) & (log > best_log[held]))]
        chosen = rows[newer]
        best_at[newer], best_log[newer] = run.at_us[chosen], run.log_order[chosen]
        run_of[newer], row_of[newer], listed[newer] = number, chosen, ~run.deleted[chosen]
    return Shelf(codes, run_of >= 0, listed, view.states(codes, instants), view.runs, run_of, row_of)


def listed_codes(view: ProductView) -> NDArray[np.uint32]:
    """The codes of all products that the catalogue ever told of, ascending."""
    return sorted_unique(np.concatenate([np.zeros(0, np.uint32), *(run.distinct for run in view.runs)]))


def fields_of(
    table: Table, rows: Numbers, names: Collection[str], dictionary: TextDictionary
) -> Sequence[dict[str, Scalar]]:
    """The scalar fields named, of each of `rows`."""
    found: list[dict[str, Scalar]] = [{} for _ in range(len(rows))]
    for name in names:
        for column in table.columns.get(name, ()):
            if column.kind in (Kind.TEXT_LIST, Kind.OBJECT_LIST, Kind.LOCATION):
                continue
            selected = column.select(rows)
            places = range(len(selected)) if selected.rows is None else selected.rows.tolist()
            for place, raw in zip(places, selected.values.tolist(), strict=True):
                found[place][name] = dictionary.text(raw) if column.kind is Kind.TEXT else scalar_of(column.kind, raw)
    return found
