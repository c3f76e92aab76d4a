"""The lists that are derived: what a contact might like, of what is in stock and was not bought by them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.kernels.ranges import expand_ranges, first_of_groups, sorted_unique
from core.recommend.asked import Asked
from core.recommend.ranked import Numbers, Ranked, distinct, joined, keys_of
from core.recommend.shelf import NO_CODE, NO_PRICE, shelf
from core.recommend.together import Together

#: What a contact did last with so many products says what goes with them.
MOST_SEEDS = 20
FAVOURITES = 3
#: So many of the most liked, of a category or of all, are looked at; of analogues more, as most have another price.
MOST_LIKED, MOST_ANALOGUES = 100, 300
#: A price is near another one from seven to thirteen tenths of it.
_NEAR = (7, 13, 10)

Pairs = tuple[Numbers, Numbers]


def recommended(asked: Asked, most: int) -> Pairs:
    """Entries ascending and products, the best first; so do the others."""
    seeds = _seeds(asked)
    both = [_going_with(*seeds, asked.counts.viewed)[:3], _going_with(*seeds, asked.counts.bought)[:3]]
    rows, numbers, units = (np.concatenate(column) for column in zip(*both, strict=True))
    parts = [
        Ranked.summed(0, rows, numbers, units),
        _liked(1, *asked.favourites(FAVOURITES), MOST_LIKED, asked),
        _liked_by_all(2, asked),
    ]
    return _best(joined(parts), (keys_of(*seeds),), asked, most)


def analogues(asked: Asked, most: int) -> Pairs:
    """Of the category and near the price of a product in question."""
    counts, questions = asked.counts, asked.questions
    rows, numbers, units, seeds = _going_with(asked.question_entries, questions, counts.viewed)
    alike = _alike(numbers, seeds, asked)
    parts = [Ranked.summed(0, rows[alike], numbers[alike], units[alike])]
    categories = counts.categories[questions]
    place = np.searchsorted(counts.category_codes, categories)
    sold = np.isin(categories, counts.category_codes) & (categories != NO_CODE)
    starts = counts.category_offsets[place[sold]]
    stops = np.minimum(counts.category_offsets[place[sold] + 1], starts + MOST_ANALOGUES)
    places, parents = expand_ranges(starts, stops)
    numbers = counts.best_of[places]
    alike = _alike(numbers, questions[sold][parents], asked)
    rows, numbers = asked.question_entries[sold][parents][alike], numbers[alike]
    parts.append(Ranked.tier(1, rows, numbers, counts.points[numbers]))
    return _best(joined(parts), (), asked, most)


def accessories(asked: Asked, most: int) -> Pairs:
    """Bought with a product in question, and of another category."""
    rows, numbers, units, seeds = _going_with(asked.question_entries, asked.questions, asked.counts.bought)
    other = asked.counts.categories[numbers] != asked.counts.categories[seeds]
    return _best(Ranked.summed(0, rows[other], numbers[other], units[other]), (), asked, most)


def favourite(asked: Asked, most: int) -> Pairs:
    """What is liked most of the favourite category."""
    return _best(_liked(0, *asked.favourites(1), MOST_LIKED, asked), (), asked, most)


def _best(candidates: Ranked, more: tuple[Numbers, ...], asked: Asked, most: int) -> Pairs:
    """The best that are in stock now, without what was bought, lies in the cart, is in question, and `more`."""
    bought = keys_of(*asked.own_numbers(asked.own.bought)[:2])
    cart = keys_of(*asked.own_numbers(asked.own.cart)[:2])
    left = candidates.without(distinct(bought, cart, keys_of(asked.question_entries, asked.questions), *more))
    numbers = sorted_unique(left.numbers)
    goods = shelf(asked.context.root.products, asked.counts.codes[numbers], asked.context.as_of_us)
    return left.only(goods.in_stock[np.searchsorted(numbers, left.numbers)]).best(most)


def _seeds(asked: Asked) -> Pairs:
    """The products in question, and those that the entry's contact had to do with last; each once an entry."""
    own = (asked.own.viewed, asked.own.cart, asked.own.wishlist, asked.own.bought)
    entries, numbers, at_us = (
        np.concatenate(column) for column in zip(*(asked.own_numbers(one) for one in own), strict=True)
    )
    newest = np.lexsort((-at_us, numbers, entries))
    newest = newest[first_of_groups(keys_of(entries, numbers)[newest])]
    order = newest[np.lexsort((numbers[newest], -at_us[newest], entries[newest]))]
    starts = first_of_groups(entries[order])
    within = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    order = order[within < MOST_SEEDS]
    keys = distinct(keys_of(asked.question_entries, asked.questions), keys_of(entries[order], numbers[order]))
    return keys >> 32, keys & np.int64(2**32 - 1)


def _going_with(entries: Numbers, seeds: Numbers, kept: Together) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """For each product that goes with a seed: the entry, its number, its weight, and the seed."""
    places, parents = expand_ranges(kept.offsets[seeds], kept.offsets[seeds + 1])
    return entries[parents], kept.others[places].astype(np.int64), kept.units[places].astype(np.int64), seeds[parents]


def _liked(tier: int, entries: Numbers, categories: Numbers, most: int, asked: Asked) -> Ranked:
    """The most liked of categories, each for an entry."""
    counts = asked.counts
    starts = counts.category_offsets[categories]
    places, parents = expand_ranges(starts, np.minimum(counts.category_offsets[categories + 1], starts + most))
    numbers = counts.best_of[places]
    return Ranked.tier(tier, entries[parents], numbers, counts.points[numbers])


def _liked_by_all(tier: int, asked: Asked) -> Ranked:
    """The most liked of all, for every entry."""
    numbers = asked.counts.best[:MOST_LIKED]
    entries = np.repeat(np.arange(len(asked.rows), dtype=np.int64), len(numbers))
    every = np.tile(numbers, len(asked.rows))
    return Ranked.tier(tier, entries, every, asked.counts.points[every])


def _alike(numbers: Numbers, seeds: Numbers, asked: Asked) -> NDArray[np.bool_]:
    """Of the same known category, and near in price where that of the seed is known."""
    counts, (least, largest, whole) = asked.counts, _NEAR
    mine, theirs = counts.prices[seeds], counts.prices[numbers]
    near = (theirs != NO_PRICE) & (least * mine <= whole * theirs) & (whole * theirs <= largest * mine)
    category = counts.categories[seeds]
    alike: NDArray[np.bool_] = (category == counts.categories[numbers]) & (category != NO_CODE)
    alike &= near | (mine == NO_PRICE)
    return alike
