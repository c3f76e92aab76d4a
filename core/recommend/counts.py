"""What is counted of the events of all: which products go together, and which are liked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.clock import DAY_US
from core.index.dictionary import TextDictionary
from core.index.event_run import EventRun
from core.index.product_view import ProductView
from core.index.root import Root
from core.kernels.ranges import first_of_groups, sorted_unique
from core.query.execute_context import Context
from core.recommend.mentions import Mentions, mentions
from core.recommend.shelf import NO_CODE, Shelf, listed_codes, shelf
from core.recommend.together import Together, together

VIEWS, SALES = "product_viewed", "order_completed"
#: How far back baskets are counted, from the newest event: views of one contact on one day of UTC, and orders.
VIEW_DAYS, SALE_DAYS = 90, 365
#: Liked is who was viewed and bought by many contacts lately.
LIKED_DAYS, VIEWER_POINTS, BUYER_POINTS = 30, 1, 5

#: Of more events than this the oldest days are left out: counting takes about a hundred bytes each.
MOST_EVENTS = 4_000_000

_BASKETS = 2**31
#: Ids wider than this together are sorted one by one.
_SORTED_BYTES = 64 * 2**20
_AT_ONCE = 4_096
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Counts:
    """Products are numbered by the order of their ids' UTF-8 bytes; `codes` (uint32) are those of the dictionary.

    `viewed` and `bought` say what goes together; `points` (int64) how much a product is liked. `categories` (codes) and
    `prices` (units of 1e-4) are those of the catalogue, NO_CODE and NO_PRICE where it has none. `best`: the numbers of
    what is in stock, the most liked first, equal ones by number; `best_of[category_offsets[k]:category_offsets[k + 1]]`
    the same of the category `category_codes[k]` (ascending).
    """

    codes: NDArray[np.uint32]
    viewed: Together
    bought: Together
    points: Numbers
    categories: NDArray[np.uint32]
    prices: Numbers
    best: Numbers
    category_codes: NDArray[np.uint32]
    category_offsets: Numbers
    best_of: Numbers
    as_of_us: int
    position: int
    _by_code: Numbers

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def nbytes(self) -> int:
        """What the counts occupy."""
        arrays = (self.codes, self.points, self.categories, self.prices, self.best, self.best_of, self._by_code)
        rest = self.category_codes.nbytes + self.category_offsets.nbytes
        return self.viewed.nbytes + self.bought.nbytes + rest + sum(one.nbytes for one in arrays)

    def numbers(self, codes: NDArray[np.uint32]) -> Numbers:
        """The number of each product; -1 of one that is not counted."""
        if len(self.codes) == 0:
            return np.full(len(codes), -1, np.int64)
        ordered = self.codes[self._by_code]
        place = np.minimum(np.searchsorted(ordered, codes), len(ordered) - 1)
        return np.where(ordered[place] == codes, self._by_code[place], -1)


def counted(everyone: Context, most_events: int = MOST_EVENTS) -> Counts:
    """The counts as of the context, which is one of all contacts; of either type at most `most_events`, unless one day
    has more."""
    root = everyone.root
    newest_us = _newest_us(root, everyone.as_of_us)
    since_us = {
        name: _since_us(root.events.get(name, ()), newest_us, days, most_events)
        for name, days in ((VIEWS, VIEW_DAYS), (SALES, SALE_DAYS))
    }
    views, sales = (mentions((name,), everyone, since_us[name]) for name in (VIEWS, SALES))
    unordered = sorted_unique(np.concatenate((views.codes, sales.codes, listed_codes(root.products))))
    codes = unordered[_by_text(unordered, root.dictionary)]
    by_code = np.argsort(codes, kind="stable")
    numbered_views, numbered_sales = (by_code[np.searchsorted(unordered, one.codes)] for one in (views, sales))
    points = np.zeros(len(codes), np.int64)
    for told, numbers, each in ((views, numbered_views, VIEWER_POINTS), (sales, numbered_sales, BUYER_POINTS)):
        lately = told.at_us > newest_us - LIKED_DAYS * DAY_US
        points += each * _contacts_of(numbers[lately], told.contacts[lately], len(codes))
    goods = shelf(root.products, codes, everyone.as_of_us)
    categories = goods.texts("category")
    return Counts(
        codes,
        together(_days(views, newest_us, root.contact_count), numbered_views, len(codes)),
        together(_orders(sales), numbered_sales, len(codes)),
        points,
        categories,
        goods.to_pay(),
        *_liked(goods, points, categories),
        everyone.as_of_us,
        root.position,
        by_code,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """What counts are made of."""

    events: tuple[tuple[str, int, int], ...]
    products: ProductView

    @staticmethod
    def of(root: Root) -> Sources:
        """Those of a root."""
        runs = ((name, run) for name in (VIEWS, SALES) for run in root.events.get(name, ()))
        return Sources(tuple((name, run.serial, len(run)) for name, run in runs), root.products)

    def same_as(self, other: Sources) -> bool:
        """Whether counts made of the other are equal, but for what time does: later facts become past."""
        return self.events == other.events and self.products is other.products


def _newest_us(root: Root, as_of_us: int) -> int:
    """The instant of the newest event at or before as_of; a shop whose history ended long ago is counted by its end."""
    newest = [0]
    for name in (VIEWS, SALES):
        for run in root.events.get(name, ()):
            after = int(np.searchsorted(run.occurred_at_us, as_of_us, "right"))
            newest += run.occurred_at_us[after - 1 : after].tolist()
    return max(newest)


def _since_us(runs: Sequence[EventRun], newest_us: int, most_days: int, most_events: int) -> int:
    """From when on events are counted."""
    for days in range(most_days, 1, -1):
        inside = [run.between(newest_us - days * DAY_US, newest_us + 1) for run in runs]
        if sum(rows.stop - rows.start for rows in inside) <= most_events:
            return newest_us - days * DAY_US
    return newest_us - DAY_US


def _days(views: Mentions, newest_us: int, contacts: int) -> Numbers:
    """A basket for each contact and day of UTC; the newest days of so many contacts that there are numbers for all."""
    day = views.at_us // DAY_US - (newest_us // DAY_US - VIEW_DAYS)
    if (VIEW_DAYS + 1) * contacts < _BASKETS:
        return day * contacts + views.contacts
    baskets = day << 32 | views.contacts
    return np.searchsorted(sorted_unique(baskets), baskets)


def _orders(sales: Mentions) -> Numbers:
    """A basket for each order, the newer the larger."""
    order = np.lexsort((sales.events, sales.at_us))
    heads = np.append(True, np.diff(sales.events[order]) != 0)[: len(order)]
    baskets = np.empty(len(order), np.int64)
    baskets[order] = np.cumsum(heads) - 1
    return baskets


def _contacts_of(numbers: Numbers, contacts: NDArray[np.uint32], count: int) -> Numbers:
    """How many contacts stand beside each number."""
    once = sorted_unique((numbers << 32) | contacts) >> 32
    return np.bincount(once, minlength=count)


def _liked(
    goods: Shelf, points: Numbers, categories: NDArray[np.uint32]
) -> tuple[Numbers, NDArray[np.uint32], Numbers, Numbers]:
    available = np.flatnonzero(goods.in_stock)
    best = available[np.lexsort((available, -points[available]))]
    sorted_in = best[categories[best] != NO_CODE]
    best_of = sorted_in[np.argsort(categories[sorted_in], kind="stable")]
    starts = first_of_groups(categories[best_of])
    return best, categories[best_of][starts], np.append(starts, len(best_of)).astype(np.int64), best_of


def _by_text(codes: NDArray[np.uint32], dictionary: TextDictionary) -> NDArray[np.intp]:
    """The order of the codes by their texts' bytes. In pieces, and by NumPy, so that no other thread waits for long."""
    texts: list[bytes] = [dictionary.text(code).encode() for code in codes.tolist()]
    width = max(map(len, texts), default=1)
    if width * len(texts) > _SORTED_BYTES:
        return np.array(sorted(range(len(texts)), key=texts.__getitem__), np.intp)
    return np.argsort(_packed(texts, max(width, 1)), kind="stable")


def _packed(texts: Sequence[bytes], width: int) -> NDArray[np.bytes_]:
    packed = np.zeros(len(texts), f"S{width}")
    for start in range(0, len(texts), _AT_ONCE):
        packed[start : start + _AT_ONCE] = texts[start : start + _AT_ONCE]
    return packed
