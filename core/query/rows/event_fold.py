"""Sums, means and extremes of a parameter over many events, folded in the order of contacts.

A column takes part where every event of its run has exactly one number, and only while no sum can leave int64; all
else goes the general way (values_by_path), which is exact whatever the size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.index.contact_order import BLOCK
from core.index.contact_set import ContactSet
from core.index.packing import Packed
from core.kernels.bits import mean_words_between, present_words_between, words_between, words_for
from core.kernels.folding import fold_counts, fold_extremes, fold_sums, fold_totals
from core.kernels.sums_between import AT_ONCE, MOST_RUNS, sums_between
from core.kernels.threads import in_parallel, parts_for
from core.query.ast import EventAggregate, Function
from core.query.execute_context import Context
from core.query.rows.event_pass import RunPass, passes
from core.query.rows.literal_ranges import Range
from core.schema import DECIMAL_SCALE, Kind

#: Blocks of contacts folded at once: 131,072 contacts, whose totals stay in the cache.
_BLOCKS = 512
#: A window with fewer than one row for so many rows of its runs is cheaper to collect than to fold.
_SPARSE = 32
#: A second thread pays from so many contacts and rows a part on.
_LEAST_PART = 500_000
_SAFE = 2**62
_NO_MASK = np.zeros(0, np.bool_)
_ORDERED = (Kind.INTEGER, Kind.DECIMAL, Kind.INSTANT, Kind.DATE)


@dataclass(frozen=True, slots=True)
class _Part:
    """One run's share: its values in the order of contacts, and which rows of the window take part (empty: all)."""

    run_pass: RunPass
    packed: Packed
    mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Fold:
    """`largest`: no value is further from 0; `rows`: no contact has more values."""

    function: Function
    kind: Kind
    parts: tuple[_Part, ...]
    largest: int
    rows: int
    contact_count: int

    def members(self, values: Range, *, default: bool) -> tuple[ContactSet, bool]:
        """The contacts whose aggregate is one of `values`, and whether everyone else is meant instead. `default`: those
        without a value have 0, else they are in no range."""
        first, last = values
        words = words_for(self.contact_count)
        if first > last:
            return ContactSet(words, None), False
        if default and self._at_once():
            self._sums_between(first, last, words)
        else:
            in_parallel([partial(self._select, some, first, last, words, default) for some in self._shares()])
        inverted = default and first <= 0 <= last
        if inverted:
            np.invert(words, out=words)
            _cut(words, self.contact_count)
        return ContactSet(words, None), inverted

    def values(self) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
        """Contacts that have a value, ascending; their sum (smallest, largest) and the number of their values."""
        contacts, found, numbers = [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for place, totals, counts in self._chunks(range(0, self.contact_count, BLOCK * _BLOCKS), counted=True):
            held = np.flatnonzero(counts)
            contacts.append((held + place).astype(np.uint32))
            found.append(totals[held])
            numbers.append(counts[held].astype(np.int64))
        return np.concatenate(contacts), np.concatenate(found), np.concatenate(numbers)

    def _at_once(self) -> bool:
        """Whether all runs go through one kernel: few enough, without a mask, codes of one dtype."""
        return (
            self.function is Function.SUM
            and len(self.parts) <= MOST_RUNS
            and not any(len(part.mask) for part in self.parts)
            and len({part.packed.codes.dtype for part in self.parts}) == 1
            and all(part.packed.codes.flags.carray for part in self.parts)
        )

    def _sums_between(self, first: int, last: int, words: NDArray[np.uint64]) -> None:
        """Whose sum, 0 without any value, lies between both."""
        orders = [part.run_pass.run.contact_order() for part in self.parts]
        missing = MOST_RUNS - len(orders)
        starts = (*(order.starts for order in orders), *[np.zeros(1, np.uint32)] * missing)
        low = (*(order.low for order in orders), *[np.zeros(0, np.uint8)] * missing)
        rows = (*(order.rows for order in orders), *[np.zeros(0, np.uint32)] * missing)
        none = np.zeros(0, self.parts[0].packed.codes.dtype)
        codes = (*(part.packed.codes for part in self.parts), *[none] * missing)
        runs = (starts, low, rows, codes)
        windows = np.zeros((MOST_RUNS, 4), np.int64)
        for window, part in zip(windows, self.parts, strict=False):
            inside, packed = part.run_pass.rows, part.packed
            window[:] = inside.start, inside.stop - inside.start, packed.base, packed.factor
        ends = np.linspace(0, -(-self.contact_count // BLOCK), self._threads() + 1).astype(np.int64).tolist()
        in_parallel(
            [
                partial(sums_between, *runs, windows, *share, first, last, np.empty(AT_ONCE, np.int64), words)
                for share in pairwise(ends)
            ]
        )

    def _threads(self) -> int:
        return parts_for(self.contact_count + sum(len(part.run_pass.run) for part in self.parts), _LEAST_PART)

    def _shares(self) -> list[range]:
        """Where the chunks begin, by the thread that takes them."""
        starts = range(0, self.contact_count, BLOCK * _BLOCKS)
        share = -(-len(starts) // self._threads())
        return [starts[first : first + share] for first in range(0, len(starts), share)]

    def _select(self, starts: range, first: int, last: int, words: NDArray[np.uint64], default: bool) -> None:
        # Of a sum whose default is 0 only the total is asked for: counting takes as long as adding.
        masked = any(len(part.mask) for part in self.parts)
        for place, totals, counts in self._chunks(starts, counted=masked or not default):
            here = words[place >> 6 : (place + len(totals)) >> 6]
            self._compare(totals, counts, first, last, here, default=default)

    def _compare(
        self,
        totals: NDArray[np.int64],
        counts: NDArray[np.uint32],
        first: int,
        last: int,
        words: NDArray[np.uint64],
        *,
        default: bool,
    ) -> None:
        if self.function is Function.AVG:
            scale = DECIMAL_SCALE if self.kind is Kind.INTEGER else 1
            beyond = self.largest * scale + 1
            low, high = min(max(first, -beyond), beyond), min(max(last, -beyond), beyond)
            mean_words_between(totals, counts, scale, low, high, words)
        elif default:
            words_between(totals, first, last, words)
        else:
            present_words_between(totals, counts, first, last, words)

    def _chunks(self, starts: range, *, counted: bool) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.uint32]]]:
        """For the contacts from each of `starts` on: the first of them, their totals and (`counted`, else none) counts,
        valid until the next step."""
        whole = 64 * ((self.contact_count + 63) >> 6)
        totals = np.empty(BLOCK * _BLOCKS, np.int64)
        counts = np.empty(BLOCK * _BLOCKS if counted else 0, np.uint32)
        for place in starts:
            totals.fill(0)
            counts.fill(0)
            first = place // BLOCK
            for part in self.parts:
                self._add(part, first, first + _BLOCKS, totals, counts)
            length = min(whole - place, BLOCK * _BLOCKS)
            yield place, totals[:length], counts[:length]

    def _add(self, part: _Part, first: int, after: int, totals: NDArray[np.int64], counts: NDArray[np.uint32]) -> None:
        order, rows, packed = part.run_pass.run.contact_order(), part.run_pass.rows, part.packed
        where = (order.starts, order.low, order.rows, first, after, rows.start, rows.stop - rows.start)
        values = (packed.codes, packed.base, packed.factor)
        if self.function in (Function.MIN, Function.MAX):
            sign = 1 if self.function is Function.MAX else -1
            fold_extremes(*where, part.mask, *values, sign, totals, counts)
        elif len(part.mask):
            fold_sums(*where, part.mask, *values, totals, counts)
        else:
            fold_totals(*where, *values, totals)
            if len(counts):
                fold_counts(*where, counts)


def fold_of(condition: EventAggregate, context: Context) -> Fold | None:
    """The way to fold an aggregate, or None where the general way has to be gone or is cheaper."""
    if condition.function not in (Function.SUM, Function.AVG, Function.MIN, Function.MAX):
        return None
    found = passes(condition.events, context)
    if not found or sum(map(len, found)) * _SPARSE < sum(len(one.run) for one in found):
        return None
    kinds, parts = set[Kind](), []
    for one in found:
        columns = one.run.params.columns.get(condition.path, ())
        if not columns:
            continue
        if len(columns) > 1 or columns[0].rows is not None:
            return None
        kinds.add(columns[0].kind)
        packed = one.run.values_by_contact(condition.path, columns[0])
        mask = one.whole_mask()
        parts.append(_Part(one, packed, _NO_MASK if mask is None else mask))
    if len(kinds) != 1:
        return None
    kind, rows = kinds.pop(), sum(map(len, found))
    for bounds in (Packed.limits, Packed.bounds):
        # Looking at every value is worth it only where the width of the codes does not tell enough.
        largest = max(abs(end) for part in parts for end in bounds(part.packed))
        if _allowed(condition.function, kind, largest, rows):
            return Fold(condition.function, kind, tuple(parts), largest, rows, context.root.contact_count)
    return None


def _allowed(function: Function, kind: Kind, largest: int, rows: int) -> bool:
    """Whether such values are defined for the function, and fit."""
    if function in (Function.MIN, Function.MAX):
        return kind in _ORDERED
    if kind not in (Kind.INTEGER, Kind.DECIMAL):
        return False
    scale = DECIMAL_SCALE if kind is Kind.INTEGER else 1
    return (2 * largest * scale + 3) * rows < _SAFE


def _cut(words: NDArray[np.uint64], contact_count: int) -> None:
    """Clear the bits from `contact_count` on."""
    used = contact_count & 63
    if used:
        words[-1] &= np.uint64((1 << used) - 1)
