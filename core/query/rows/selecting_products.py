"""Conditions on the product of an event, as the catalogue had it at the event or has it now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code
from core.index.product_contacts import PRODUCT_ID
from core.index.product_view import PRICE, Known, ProductStates, ProductView
from core.kernels.ranges import sorted_unique
from core.query.ast import ProductCondition, Stock
from core.query.execute_context import Context
from core.query.rows.domain import ITEMS, Domain, TableDomain
from core.query.rows.numbers_compare import in_units
from core.query.rows.picked import Picked
from core.schema import DECIMAL_SCALE, Kind

#: A fall of p units of a percent: 100 * 10,000 * (before - now) >= p * before.
_WHOLE = 100 * DECIMAL_SCALE
_INT64_LIMIT = 2**63
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL)


@dataclass(frozen=True, slots=True)
class _Subjects:
    """Products met at events: `codes` uint32 (dictionary), `times` of the events, `price` paid or shown there in units,
    and the event of each (`owners`, places)."""

    codes: NDArray[np.uint32]
    times: NDArray[np.int64]
    prices: Known
    owners: NDArray[np.int64]


def product_mask(picked: Picked, conditions: tuple[ProductCondition, ...], context: Context) -> NDArray[np.bool_]:
    """Which events have a product that satisfies all `conditions`: some one line with a `product_id`, or, where no line
    has one, the event itself. Without a product, or for one that the catalogue does not know at the instant that a
    condition means, it is false."""
    lines, parents = picked.domain().elements(ITEMS)
    return _mask(picked, lines, parents, conditions, context)


def bound_product_mask(
    picked: Picked,
    line_rows: NDArray[np.int64],
    owners: NDArray[np.int64],
    conditions: tuple[ProductCondition, ...],
    context: Context,
) -> NDArray[np.bool_]:
    """The same where each event is seen with some of its lines only: the rows `line_rows` of the run, `owners` being
    the place of the event of each."""
    lines = TableDomain(picked.run.items, line_rows, picked.contacts[owners], (picked.domain(), owners))
    return _mask(picked, lines, owners, conditions, context)


def _mask(
    picked: Picked,
    lines: Domain,
    parents: NDArray[np.int64],
    conditions: tuple[ProductCondition, ...],
    context: Context,
) -> NDArray[np.bool_]:
    times = picked.run.occurred_at_us[picked.rows]
    result = np.zeros(len(picked), np.bool_)
    on_lines = _subjects(lines, parents, times)
    alone = np.ones(len(picked), np.bool_)
    alone[on_lines.owners] = False
    subjects = [on_lines]
    if alone.any():
        of_events = _subjects(picked.domain(), np.arange(len(picked), dtype=np.int64), times)
        subjects.append(of_events if alone.all() else _only(of_events, alone[of_events.owners]))
    for some in subjects:
        if len(some.codes):
            result[some.owners[_satisfied(some, conditions, context)]] = True
    return result


def _subjects(domain: Domain, parents: NDArray[np.int64], times: NDArray[np.int64]) -> _Subjects:
    """The rows of `domain` that have a product; `parents`: the event of each row."""
    rows, codes = [np.zeros(0, np.int64)], [np.zeros(0, np.uint32)]
    for operand in domain.operands(PRODUCT_ID):
        if operand.kind is Kind.TEXT:
            rows.append(np.arange(domain.n) if operand.rows is None else operand.rows.astype(np.int64))
            codes.append(operand.values)
    held = np.concatenate(rows)
    owners = parents[held]
    return _Subjects(np.concatenate(codes), times[owners], _prices(domain).take(held), owners)


def _only(subjects: _Subjects, mask: NDArray[np.bool_]) -> _Subjects:
    rows = np.flatnonzero(mask)
    return _Subjects(subjects.codes[rows], subjects.times[rows], subjects.prices.take(rows), subjects.owners[rows])


def _prices(domain: Domain) -> Known:
    prices = Known(np.zeros(domain.n, np.int64), np.zeros(domain.n, np.bool_))
    for operand in domain.operands(PRICE):
        if operand.kind not in _NUMBERS:
            continue
        units = in_units(operand.values, operand.kind)
        rows = np.arange(domain.n) if operand.rows is None else operand.rows
        if units.dtype == object:  # a whole number that no decimal can hold is no price
            fits = np.array([abs(unit) < _INT64_LIMIT for unit in units], np.bool_)
            rows, units = rows[fits], units[fits].astype(np.int64)
        prices.values[rows], prices.present[rows] = units, True
    return prices


def _satisfied(subjects: _Subjects, conditions: tuple[ProductCondition, ...], context: Context) -> NDArray[np.bool_]:
    products = context.root.products
    mask = np.ones(len(subjects.codes), np.bool_)
    now: tuple[ProductStates, NDArray[np.integer]] | None = None
    for condition in conditions:
        if condition.state is not None and condition.at_event:
            then = products.states(subjects.codes, subjects.times)
            mask &= _is_in(then, condition.state, context.setting.low_stock)
            continue
        if now is None:
            now = _now(subjects.codes, products, context)
        states, places = now
        if condition.state is not None:
            mask &= _is_in(states, condition.state, context.setting.low_stock)[places]
        elif condition.price_drop is not None:
            prices = _effective(states).take(places)
            mask &= _fell(subjects.prices, prices, condition.price_drop.units)
        else:
            raise CdpError(Code.INTERNAL, "PRODUCT_CONDITION_EMPTY", "a product condition asks for nothing")
    return mask


def _now(
    codes: NDArray[np.uint32], products: ProductView, context: Context
) -> tuple[ProductStates, NDArray[np.integer]]:
    """The states as of as_of of the distinct products, and the place of each of `codes` among them."""
    size = int(codes.max()) + 1
    if len(codes) * 8 > size:
        # Marking beats sorting where most products occur.
        seen = np.zeros(size, np.bool_)
        seen[codes] = True
        distinct = np.flatnonzero(seen).astype(np.uint32)
        place = np.zeros(size, np.int32)
        place[distinct] = np.arange(len(distinct), dtype=np.int32)
        places: NDArray[np.integer] = place[codes]
    else:
        distinct = sorted_unique(codes)
        places = np.searchsorted(distinct, codes)
    return products.states(distinct, np.full(len(distinct), context.as_of_us)), places


def _is_in(states: ProductStates, state: Stock, low_stock: int) -> NDArray[np.bool_]:
    stock = states.stock.values
    match state:
        case Stock.IN_STOCK:
            held = stock > 0
        case Stock.OUT_OF_STOCK:
            held = stock <= 0
        case Stock.LOW:
            limits = np.where(states.low_stock.present, states.low_stock.values, low_stock)
            held = (stock > 0) & (stock <= limits)
        case Stock.LAST_ITEM:
            held = stock == 1
        case Stock.ON_PROMOTION:
            sale, price = states.sale_price, states.price
            held = sale.present & price.present & (sale.values < price.values)
    return states.stock.present & held


def _effective(states: ProductStates) -> Known:
    """What the product costs: the sale price where it is one (above 0 and below the price), otherwise the price."""
    sale, price = states.sale_price, states.price
    on_sale = sale.present & (sale.values > 0) & (sale.values < price.values)
    return Known(np.where(on_sale, sale.values, price.values), price.present & states.stock.present)


def _fell(before: Known, now: Known, percent_units: int) -> NDArray[np.bool_]:
    """Which prices are lower now by at least so many units of a percent, exactly."""
    both = np.flatnonzero(before.present & now.present)
    old, new = before.values[both], now.values[both]
    largest = int(max(np.abs(old).max(initial=0), np.abs(new).max(initial=0)))
    if largest * max(2 * _WHOLE, percent_units) >= _INT64_LIMIT:
        old, new = old.astype(object), new.astype(object)
    result = np.zeros(len(before.present), np.bool_)
    result[both] = (_WHOLE * (old - new) >= percent_units * old).astype(np.bool_)
    return result
