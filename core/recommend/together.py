"""What goes together: products that stand in one basket more often than by chance.

Of n baskets c(i) hold product i, and c(i, j) hold i and j. The weight of j for somebody who has i is

    lift(i, j) * c(i, j) / (c(i, j) + DAMPING), where lift(i, j) = n * c(i, j) / (c(i) * c(j)),

for pairs with c(i, j) >= LEAST and a lift above 1, in units of 1 / WEIGHT_UNITS, rounded down. Lift alone puts the
rarest pairs first: two products that two people ever bought, both together, have the highest lift there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.kernels.ranges import expand_ranges, first_of_groups, sorted_unique

LEAST, DAMPING, WEIGHT_UNITS = 2, 4.0, 100
#: A basket of more products says nothing of any two of them: a reseller's, a machine's.
MOST_IN_BASKET = 50
#: The strongest of each product that are kept.
MOST_KEPT = 30
#: Of more pairs than this the oldest baskets are left out.
MOST_PAIRS = 20_000_000
#: So many pairs are in memory at a time.
_AT_ONCE = 2_000_000

_LOW = np.int64(2**32 - 1)
_LARGEST = 2**32 - 1
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Together:
    """The products that go with product i are `others[offsets[i]:offsets[i + 1]]` (uint32), the strongest first, equal
    ones by number; `units` (uint32) are their weights. `offsets` is int64, one longer than there are products."""

    offsets: Numbers
    others: NDArray[np.uint32]
    units: NDArray[np.uint32]

    @property
    def nbytes(self) -> int:
        """What it occupies."""
        return self.offsets.nbytes + self.others.nbytes + self.units.nbytes


def together(baskets: Numbers, products: Numbers, count: int) -> Together:
    """Of rows "basket b holds product p", in any order and repeated ones too: baskets are below 2**31, newer ones have
    the larger numbers; products are below `count`."""
    rows = _kept(sorted_unique((baskets << 32) | products))
    held = rows & _LOW
    starts = first_of_groups(rows >> 32)
    ends = np.append(starts, len(rows))[1:].astype(np.int64)
    # The rows of a basket ascend by product, so each row's partners of larger number are those that follow in it.
    stops = np.repeat(ends, ends - starts)
    holding = np.bincount(held, minlength=count)
    parts = _counted(held, stops, count)
    firsts, seconds, both = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _weighed(
        np.concatenate((firsts, seconds)),
        np.concatenate((seconds, firsts)),
        np.concatenate((both, both)),
        holding,
        len(starts),
    )


def _kept(rows: Numbers) -> Numbers:
    """Without baskets that are too large, and without the oldest beyond MOST_PAIRS."""
    starts = first_of_groups(rows >> 32)
    sizes = np.diff(np.append(starts, len(rows)))
    pairs = np.where(sizes <= MOST_IN_BASKET, sizes * (sizes - 1) // 2, 0)
    newer = np.cumsum(pairs[::-1])[::-1]
    return rows[np.repeat((sizes <= MOST_IN_BASKET) & (newer <= MOST_PAIRS), sizes)]


def _counted(held: Numbers, stops: Numbers, count: int) -> list[tuple[Numbers, Numbers, Numbers]]:
    """Pairs of products (the smaller number first) that LEAST baskets hold, and how many do; by ranges of first
    products, so that each pair is counted once and for all."""
    found = [(np.zeros(0, np.int64),) * 3]
    order = np.argsort(held, kind="stable")
    firsts = np.append(0, np.cumsum(np.bincount(held, minlength=count)))
    # Numbers of pairs below 2**53, which floats hold exactly.
    pairs = np.bincount(held, stops - np.arange(1, len(held) + 1), count)
    cumulated = np.append(0, np.cumsum(pairs))
    begin = 0
    while begin < count:
        end = max(begin + 1, int(np.searchsorted(cumulated, cumulated[begin] + _AT_ONCE, "right")) - 1)
        rows = order[firsts[begin] : firsts[end]]
        numbers, parents = expand_ranges(rows + 1, stops[rows])
        keys = np.sort((held[rows][parents] << 32) | held[numbers])
        heads = first_of_groups(keys)
        both = np.diff(np.append(heads, len(keys)))
        often = both >= LEAST
        kept = keys[heads[often]]
        found.append((kept >> 32, kept & _LOW, both[often].astype(np.int64)))
        begin = end
    return found


def _weighed(ones: Numbers, others: Numbers, both: Numbers, holding: Numbers, baskets: int) -> Together:
    lifted = baskets * both > holding[ones] * holding[others]
    ones, others, both = ones[lifted], others[lifted], both[lifted]
    weights = (baskets / holding[ones]) * (both / holding[others]) * (both / (both + DAMPING))
    units = np.minimum(np.floor(weights * WEIGHT_UNITS), _LARGEST).astype(np.int64)
    order = np.lexsort((others, -units, ones))
    ones, others, units = ones[order], others[order], units[order]
    starts = first_of_groups(ones)
    sizes = np.diff(np.append(starts, len(ones)))
    kept = (np.arange(len(ones)) - np.repeat(starts, sizes) < MOST_KEPT) & (units > 0)
    offsets = np.append(0, np.cumsum(np.bincount(ones[kept], minlength=len(holding)))).astype(np.int64)
    return Together(offsets, others[kept].astype(np.uint32), units[kept].astype(np.uint32))
