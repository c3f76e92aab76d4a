"""What contacts have to do with products themselves: viewed, in the cart, wished for, bought.

Of an adding and a taking away at one instant the adding counts. A cart is what was added to it, or stood in it when it
was last told whole, and was neither taken out nor ordered since:

- `cart_updated` tells the whole cart, without lines an empty one; `cart_viewed` and `checkout_started` tell it where
  they have lines;
- an order takes its products out of the cart and off the wish list.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.kernels.ranges import expand_ranges, last_of_groups
from core.query.execute_context import Context
from core.query.leaves.interests import text_ranks
from core.recommend.mentions import Mentions, mentions

ORDERS = ("order_created", "order_completed")
_NEVER = np.int64(-(2**63))
_CODE = np.uint64(2**32 - 1)
Numbers = NDArray[np.int64]
Keys = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Listing:
    """Products of some contacts, which are rows 0 to n - 1: those of row r are `codes[offsets[r]:offsets[r + 1]]`
    (uint32), the latest (`at_us`) first, equal ones by id; each once. `keys` are row << 32 | code, in no order; the
    mention of each stands at `places` of `told`."""

    offsets: Numbers
    codes: NDArray[np.uint32]
    at_us: Numbers
    told: Mentions
    places: Numbers

    def of(self, rows: Numbers) -> tuple[Numbers, Numbers]:
        """Places of the products of `rows`, and for each its place in `rows`."""
        return expand_ranges(self.offsets[rows], self.offsets[rows + 1])


@dataclass(frozen=True, slots=True)
class Own:
    """What the contacts did. `viewed` holds what they bought as well; `bought` are orders of whatever state."""

    viewed: Listing
    cart: Listing
    wishlist: Listing
    bought: Listing


def own_products(context: Context) -> Own:
    """Of the candidates of the context, which has some, in their order."""
    viewed = _Latest.of(mentions(("product_viewed",), context), context)
    bought = _Latest.of(mentions(ORDERS, context), context)
    wished = _Latest.of(mentions(("wishlist_added",), context), context)
    unwished = _Latest.of(mentions(("wishlist_removed",), context), context)
    kept = (wished.at_us >= unwished.at(wished.keys)) & (wished.at_us > bought.at(wished.keys))
    return Own(
        viewed.listing(context),
        _cart(bought, context),
        wished.only(kept).listing(context),
        bought.listing(context),
    )


def _cart(bought: _Latest, context: Context) -> Listing:
    updated = mentions(("cart_updated",), context)
    shown = mentions(("cart_viewed", "checkout_started"), context)
    single = mentions(("product_added_to_cart",), context)
    added = _joined([_Latest.of(one, context) for one in (updated, shown, single)])
    removed = _Latest.of(mentions(("product_removed_from_cart",), context), context)
    whole = np.full(context.rows, _NEVER)
    for contacts, at_us in (updated.whole, (shown.contacts, shown.at_us)):
        np.maximum.at(whole, context.row_of(contacts), at_us)
    rows = (added.keys >> np.uint64(32)).astype(np.int64)
    kept = (added.at_us >= whole[rows]) & (added.at_us >= removed.at(added.keys))
    return added.only(kept & (added.at_us > bought.at(added.keys))).listing(context)


@dataclass(frozen=True, slots=True)
class _Latest:
    """The latest mention of each product by each contact: `keys` (row << 32 | code) ascending."""

    keys: Keys
    at_us: Numbers
    told: Mentions
    places: Numbers

    @staticmethod
    def of(told: Mentions, context: Context) -> _Latest:
        rows = context.row_of(told.contacts).astype(np.uint64)
        keys = (rows << np.uint64(32)) | told.codes.astype(np.uint64)
        order = np.lexsort((told.events, told.at_us, keys))
        last = order[last_of_groups(keys[order])]
        return _Latest(keys[last], told.at_us[last], told, last)

    def at(self, keys: Keys) -> Numbers:
        """The instant of each key; before all time where there is none."""
        if len(self.keys) == 0:
            return np.full(len(keys), _NEVER)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, self.at_us[place], _NEVER)

    def only(self, kept: NDArray[np.bool_]) -> _Latest:
        return _Latest(self.keys[kept], self.at_us[kept], self.told, self.places[kept])

    def listing(self, context: Context) -> Listing:
        rows = (self.keys >> np.uint64(32)).astype(np.int64)
        codes = (self.keys & _CODE).astype(np.uint32)
        order = np.lexsort((text_ranks(codes, context), -self.at_us, rows))
        offsets = np.append(0, np.cumsum(np.bincount(rows, minlength=context.rows))).astype(np.int64)
        return Listing(offsets, codes[order], self.at_us[order], self.told, self.places[order])


def _joined(parts: list[_Latest]) -> _Latest:
    """The latest of all; of one instant the mention of the first part that has it."""
    keys = np.concatenate([part.keys for part in parts])
    at_us = np.concatenate([part.at_us for part in parts])
    bases = np.cumsum([0, *(len(part.told) for part in parts)])
    places = np.concatenate([part.places + base for part, base in zip(parts, bases.tolist(), strict=False)])
    turn = np.concatenate([np.full(len(part.keys), -number) for number, part in enumerate(parts)])
    order = np.lexsort((turn, at_us, keys))
    last = order[last_of_groups(keys[order])]
    return _Latest(keys[last], at_us[last], _all_told([part.told for part in parts]), places[last])


def _all_told(parts: list[Mentions]) -> Mentions:
    tables = [0, *np.cumsum([len(part.tables) for part in parts]).tolist()]
    return Mentions(
        np.concatenate([part.contacts for part in parts]),
        np.concatenate([part.codes for part in parts]),
        np.concatenate([part.at_us for part in parts]),
        np.concatenate([part.events for part in parts]),
        np.concatenate([part.places + base for part, base in zip(parts, tables, strict=False)]),
        np.concatenate([part.rows for part in parts]),
        tuple(table for part in parts for table in part.tables),
        parts[0].whole,
    )
