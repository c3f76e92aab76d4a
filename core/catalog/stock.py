"""What feeds say about availability, as a stock that can be counted or at least told from none."""

from __future__ import annotations

from collections.abc import Mapping

from core.events.checks import Bad

BAD_AVAILABILITY = "BAD_AVAILABILITY"
BAD_STOCK = "BAD_STOCK"

#: In stock, nobody says how many: more than any limit of low stock.
MANY = 2**62

#: Words of Google Merchant, YML ("true": at once, "false": to order) and of the files that shops export.
AVAILABILITY: Mapping[str, bool] = {
    "in stock": True,
    "in_stock": True,
    "instock": True,
    "available": True,
    "available for order": True,
    "limited availability": True,
    "limited_availability": True,
    "true": True,
    "yes": True,
    "1": True,
    "+": True,
    "да": True,
    "так": True,
    "в наличии": True,
    "в наявності": True,
    "є в наявності": True,
    "out of stock": False,
    "out_of_stock": False,
    "outofstock": False,
    "sold out": False,
    "sold_out": False,
    "discontinued": False,
    "unavailable": False,
    "preorder": False,
    "pre-order": False,
    "pre order": False,
    "backorder": False,
    "back-order": False,
    "to order": False,
    "false": False,
    "no": False,
    "0": False,
    "-": False,
    "нет": False,
    "ні": False,
    "нет в наличии": False,
    "немає в наявності": False,
    "под заказ": False,
    "під замовлення": False,
}


def available_from_text(text: str) -> bool | Bad:
    """Whether it can be had now. Schema.org addresses ("https://schema.org/InStock") count by their last word."""
    word = text.strip().lower().removeprefix("http://schema.org/").removeprefix("https://schema.org/")
    known = AVAILABILITY.get(word)
    return Bad(BAD_AVAILABILITY, "is no word for availability such as in_stock") if known is None else known


def stock_from_text(text: str) -> int | Bad:
    """A count: "5", also "5.0"; digits of ASCII only."""
    whole, _, rest = text.strip().partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= 9 and not rest.strip("0")):
        return Bad(BAD_STOCK, "is no whole number of pieces, 0 or more")
    return int(whole)


def known_stock(available: bool | None, counted: int | None) -> int | None:
    """The stock as far as it is known: a count; 0 for what is said not to be available, whatever was counted; MANY for
    what is available without a count; None: nothing is known."""
    if available is False:
        return 0
    if counted is not None:
        return counted
    return MANY if available else None
