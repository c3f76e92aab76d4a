"""Lists of products for contacts: core/recommend/README.md says what each of them shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from core.kernels.ranges import sorted_unique
from core.query.execute_context import Context
from core.recommend.asked import Asked, Entry, asked_of
from core.recommend.counts import Counts
from core.recommend.goods import Good, goods_of
from core.recommend.own import Listing
from core.recommend.ranked import Numbers, Ranked
from core.recommend.shelf import shelf
from core.recommend.starred import Pairs, accessories, analogues, favourite, recommended


class Block(Enum):
    """The lists there are; values are their names in templates."""

    VIEWED = "viewed"
    RECOMMENDED = "recommended"
    ANALOGUES = "analogues"
    ACCESSORIES = "accessories"
    CART = "cart"
    WISHLIST = "wishlist"
    FAVOURITE = "favourite"


@dataclass(frozen=True, slots=True)
class Recommended:
    """`goods` are all products shown, by id. `blocks[e][b]` are the places among them of the products for entry e in
    block b, in the order asked."""

    goods: Sequence[Good]
    blocks: Sequence[Sequence[Sequence[int]]]


_STARRED: Mapping[Block, Callable[[Asked, int], Pairs]] = {
    Block.RECOMMENDED: recommended,
    Block.ANALOGUES: analogues,
    Block.ACCESSORIES: accessories,
    Block.FAVOURITE: favourite,
}


def recommend(
    entries: Sequence[Entry], blocks: Sequence[Block], most: int, everyone: Context, counts: Counts
) -> Recommended:
    """At most `most` products for each entry and block. Contacts of the entries exist; one may have several entries."""
    if not entries:
        return Recommended((), ())
    contacts = sorted_unique(np.array([entry.contact for entry in entries], np.uint32))
    setting, knowledge = everyone.setting, everyone.knowledge
    context = Context(everyone.root, everyone.as_of_us, everyone.zone_name, contacts, setting, knowledge)
    asked = asked_of(entries, context, counts)
    shown = [_shown(block, asked, most) for block in blocks]
    codes = sorted_unique(np.concatenate([np.zeros(0, np.uint32), *(held for _, held in shown)]))
    goods = goods_of(codes, [_listing(block, asked) for block in blocks if block not in _STARRED], context)
    order = sorted(range(len(goods)), key=lambda place: goods[place].product_id.encode())
    rank = np.empty(len(goods), np.int64)
    rank[order] = np.arange(len(goods))
    answer: list[list[list[int]]] = [[[] for _ in blocks] for _ in entries]
    for number, (rows, held) in enumerate(shown):
        for row, place in zip(rows.tolist(), rank[np.searchsorted(codes, held)].tolist(), strict=True):
            answer[row][number].append(place)
    return Recommended([goods[place] for place in order], answer)


def _shown(block: Block, asked: Asked, most: int) -> tuple[Numbers, NDArray[np.uint32]]:
    """Entries ascending, and the codes of their products in order."""
    make = _STARRED.get(block)
    if make is not None:
        rows, numbers = make(asked, most)
        return rows, asked.counts.codes[numbers]
    return _own(block, asked, most)


def _listing(block: Block, asked: Asked) -> Listing:
    if block is Block.VIEWED:
        return asked.own.viewed
    return asked.own.cart if block is Block.CART else asked.own.wishlist


def _own(block: Block, asked: Asked, most: int) -> tuple[Numbers, NDArray[np.uint32]]:
    """What the contacts did themselves, without what is known to be gone."""
    listing = _listing(block, asked)
    places, entries = listing.of(asked.rows)
    codes = listing.codes[places]
    distinct = sorted_unique(codes)
    goods = shelf(asked.context.root.products, distinct, asked.context.as_of_us)
    kept = ~goods.gone[np.searchsorted(distinct, codes)]
    if block is Block.VIEWED:
        bought, of_bought = asked.own.bought.of(asked.rows)
        keys = (of_bought << 32) | asked.own.bought.codes[bought]
        kept &= ~np.isin((entries << 32) | codes, keys)
    # Places ascend by entry and by turn, so that a place is a score that is its own tie-breaker.
    chosen = Ranked.tier(0, entries[kept], places[kept], -places[kept]).best(most)
    return chosen[0], listing.codes[chosen[1]]
