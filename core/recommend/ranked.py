"""Candidates, and the best of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.kernels.ranges import first_of_groups, sorted_unique

Numbers = NDArray[np.int64]
_LOW = np.int64(2**32 - 1)


@dataclass(frozen=True, slots=True)
class Ranked:
    """Products for rows: row r may have product `numbers[i]` where `rows[i]` is r. A lower tier comes first, within one
    the higher score, then the smaller number. A product may stand several times; the first one counts."""

    rows: Numbers
    numbers: Numbers
    tiers: Numbers
    scores: Numbers

    @staticmethod
    def tier(tier: int, rows: Numbers, numbers: Numbers, scores: Numbers) -> Ranked:
        """Candidates of one tier."""
        return Ranked(rows, numbers, np.full(len(rows), tier, np.int64), scores)

    @staticmethod
    def summed(tier: int, rows: Numbers, numbers: Numbers, scores: Numbers) -> Ranked:
        """The same, where the scores of a product that stands several times add up."""
        keys = keys_of(rows, numbers)
        order = np.argsort(keys, kind="stable")
        heads = first_of_groups(keys[order])
        sums = np.add.reduceat(scores[order], heads) if len(heads) else scores[:0]
        distinct = keys[order][heads]
        return Ranked.tier(tier, distinct >> 32, distinct & _LOW, sums)

    def only(self, kept: NDArray[np.bool_]) -> Ranked:
        """Those where `kept` is true."""
        return Ranked(self.rows[kept], self.numbers[kept], self.tiers[kept], self.scores[kept])

    def without(self, keys: Numbers) -> Ranked:
        """Without these pairs of row and product; see `keys_of`."""
        return self.only(~np.isin(keys_of(self.rows, self.numbers), keys))

    def best(self, most: int) -> tuple[Numbers, Numbers]:
        """At most `most` products of each row: rows ascending, and the products, the best first."""
        order = np.lexsort((self.numbers, -self.scores, self.tiers, self.rows))
        rows, numbers = self.rows[order], self.numbers[order]
        keys = keys_of(rows, numbers)
        by_key = np.argsort(keys, kind="stable")
        first = np.zeros(len(keys), np.bool_)
        first[by_key[first_of_groups(keys[by_key])]] = True
        rows, numbers = rows[first], numbers[first]
        starts = first_of_groups(rows)
        within = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
        return rows[within < most], numbers[within < most]


def joined(parts: list[Ranked]) -> Ranked:
    """All candidates; at least one part."""
    return Ranked(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.tiers for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )


def keys_of(rows: Numbers, numbers: Numbers) -> Numbers:
    """A number for each pair of row and product (below 2**32)."""
    return (rows << 32) | numbers


def distinct(*keys: Numbers) -> Numbers:
    """All of some keys, ascending, each once."""
    return sorted_unique(np.concatenate(keys))
