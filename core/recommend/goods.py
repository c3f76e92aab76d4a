"""Products as they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.kernels.ranges import last_of_groups
from core.query.execute_context import Context
from core.recommend.own import Listing
from core.recommend.shelf import Shelf, fields_of, shelf
from core.schema import DecimalUnits, Scalar

#: What is shown of a product that the catalogue lists.
SHOWN = (
    *("name", "url", "image_url", "category", "brand", "price", "sale_price", "sale_ends", "currency", "stock"),
    *("color", "size", "section", "department", "group_id"),
)
#: Of one that it does not know, from an event; an event's `url` is that of its page.
SHOWN_OF_EVENTS = ("name", "url", "image_url", "category", "brand", "price", "currency")


@dataclass(frozen=True, slots=True)
class Good:
    """A product and its fields; what is not known is left out. `sale_price` is below `price` where it is there."""

    product_id: str
    fields: Mapping[str, Scalar]


def goods_of(codes: NDArray[np.uint32], told: list[Listing], context: Context) -> list[Good]:
    """The products of these codes (ascending), each as the catalogue lists it now, or, where it never knew it, as the
    latest mention in `told` says."""
    dictionary = context.root.dictionary
    goods = shelf(context.root.products, codes, context.as_of_us)
    fields = goods.fields(SHOWN, dictionary)
    _fill(fields, goods, told, context)
    return [Good(dictionary.text(code), _checked(known)) for code, known in zip(codes.tolist(), fields, strict=True)]


def _fill(fields: list[dict[str, Scalar]], goods: Shelf, told: list[Listing], context: Context) -> None:
    """What events say of the products that the catalogue never knew."""
    newest = np.full(len(goods.codes), -(2**63))
    for listing in told:
        places = np.flatnonzero(np.isin(listing.codes, goods.codes[~goods.told]))
        places = places[np.lexsort((listing.at_us[places], listing.codes[places]))]
        places = places[last_of_groups(listing.codes[places])]
        shown = np.searchsorted(goods.codes, listing.codes[places])
        for place, good in zip(places.tolist(), shown.tolist(), strict=True):
            if listing.at_us[place] > newest[good]:
                newest[good] = listing.at_us[place]
                mention = int(listing.places[place])
                table = listing.told.tables[int(listing.told.places[mention])]
                row = listing.told.rows[mention : mention + 1].astype(np.int64)
                (fields[good],) = fields_of(table, row, SHOWN_OF_EVENTS, context.root.dictionary)


def _checked(fields: dict[str, Scalar]) -> dict[str, Scalar]:
    price, sale = _units(fields.get("price")), _units(fields.get("sale_price"))
    if sale is not None and (price is None or sale >= price):
        return {name: value for name, value in fields.items() if name not in ("sale_price", "sale_ends")}
    return fields


def _units(value: Scalar | None) -> int | None:
    if isinstance(value, DecimalUnits):
        return value.units
    return value * 10_000 if isinstance(value, int) and not isinstance(value, bool) else None
