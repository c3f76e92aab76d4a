"""A question for products, made ready: entries, who they are about, and the products in question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.kernels.ranges import expand_ranges
from core.query.execute_context import Context
from core.query.leaves.interests import scores, text_ranks
from core.recommend.counts import Counts
from core.recommend.own import Listing, Own, own_products
from core.recommend.ranked import Numbers

#: Products in question of one entry; and the number of those viewed last that stand for them where none are named.
MOST_QUESTIONS, LAST_VIEWED = 20, 3
#: The interest model whose texts are categories of the catalogue.
INTEREST = "category"


@dataclass(frozen=True, slots=True)
class Entry:
    """Whom products are for, and the ids of the products that it is about (at most MOST_QUESTIONS)."""

    contact: int
    products: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """`rows`: of each entry its contact's row in the context. The products in question are pairs of an entry's number
    and a product's: `question_entries` ascending, `questions` numbers of the counts."""

    context: Context
    counts: Counts
    own: Own
    rows: Numbers
    question_entries: Numbers
    questions: Numbers

    def own_numbers(self, listing: Listing) -> tuple[Numbers, Numbers, Numbers]:
        """The counted products of a list as numbers: entries, products, and the instants."""
        places, entries = listing.of(self.rows)
        numbers = self.counts.numbers(listing.codes[places])
        held = numbers >= 0
        return entries[held], numbers[held], listing.at_us[places][held]

    def favourites(self, most: int) -> tuple[Numbers, Numbers]:
        """Pairs of an entry and a category that it likes, as a place among the counts' categories: at most `most` of
        the highest scores of an entry, equal ones by the category's text."""
        model = self.context.setting.interests.get(INTEREST)
        if model is None or len(self.rows) == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        found = scores(model, self.context)
        liked = np.flatnonzero(found.units() > 0)
        codes, contacts = found.codes[liked], found.contacts[liked]
        order = np.lexsort((text_ranks(codes, self.context), -found.sums[liked], contacts))
        codes, rows = codes[order], self.context.row_of(contacts[order]).astype(np.int64)
        offsets = np.append(0, np.cumsum(np.bincount(rows, minlength=self.context.rows)))
        starts = offsets[self.rows]
        places, entries = expand_ranges(starts, np.minimum(offsets[self.rows + 1], starts + most))
        return self._known_categories(entries, codes[places])

    def _known_categories(self, entries: Numbers, codes: NDArray[np.uint32]) -> tuple[Numbers, Numbers]:
        known = self.counts.category_codes
        if len(known) == 0:
            return entries[:0], entries[:0]
        place = np.minimum(np.searchsorted(known, codes), len(known) - 1)
        held = known[place] == codes
        return entries[held], place[held].astype(np.int64)


def asked_of(entries: Sequence[Entry], context: Context, counts: Counts) -> Asked:
    """`context` has the contacts of the entries as its candidates."""
    own = own_products(context)
    rows = context.row_of(np.array([entry.contact for entry in entries], np.uint32)).astype(np.int64)
    named = [(number, product) for number, entry in enumerate(entries) for product in entry.products]
    codes = [context.root.dictionary.code(product) for _, product in named]
    known = [(number, code) for (number, _), code in zip(named, codes, strict=True) if code is not None]
    places, unnamed = own.viewed.of(rows)
    kept = np.array([not entries[number].products for number in unnamed.tolist()], np.bool_)
    kept &= places - own.viewed.offsets[rows[unnamed]] < LAST_VIEWED
    of_entries = np.concatenate((np.array([number for number, _ in known], np.int64), unnamed[kept]))
    all_codes = np.concatenate((np.array([code for _, code in known], np.uint32), own.viewed.codes[places[kept]]))
    numbers = counts.numbers(all_codes)
    held = numbers >= 0
    order = np.argsort(of_entries[held], kind="stable")
    return Asked(context, counts, own, rows, of_entries[held][order], numbers[held][order])
