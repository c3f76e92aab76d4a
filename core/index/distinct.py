"""The distinct values of an attribute, numbered: a column then needs one or two bytes a contact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.index.bit_planes import BitPlanes
from core.index.contact_set import ContactSet
from core.index.step_run import MISSING
from core.kernels.bits import set_bits, words_for
from core.kernels.ranges import sorted_unique

#: The most distinct values that are numbered, "missing" included.
MOST_ENTRIES = 65_536
#: From here on a look at some rows says first whether numbering is worth it.
_SAMPLED = 262_144
#: Up to so many stretches of neighbouring codes are compared one by one; a pass over 5 M codes takes about 0.3 ms, a
#: look-up in a table 5 ms.
_MOST_STRETCHES = 12


@dataclass(frozen=True, slots=True)
class Entries:
    """`kinds` uint8 and `values` int64 of every code; code 0 is MISSING."""

    kinds: NDArray[np.uint8]
    values: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.kinds)


@dataclass(frozen=True, slots=True)
class WholeColumn:
    """An attribute of all contacts as of an instant, for a condition that looks at nothing but the value.

    Contact i holds `kinds[c]` and `values[c]`, where c is `codes[i]`, or i itself where `codes` is None; those in
    `rows` (unique) hold `row_kinds` and `row_values` instead; contacts beyond hold nothing. `values` int64, or uint32
    of texts. `planes`, where there are any, are those of `codes`."""

    kinds: NDArray[np.uint8]
    values: NDArray[np.int64] | NDArray[np.uint32]
    codes: NDArray[np.unsignedinteger] | None
    planes: BitPlanes | None
    rows: NDArray[np.uint32]
    row_kinds: NDArray[np.uint8]
    row_values: NDArray[np.int64]

    def select(self, truth: NDArray[np.bool_], row_truth: NDArray[np.bool_]) -> ContactSet:
        """The contacts that are true. `truth`: one answer for each of `kinds`, false for MISSING; a new array, which
        belongs to this call. `row_truth`: one for each of `rows`."""
        if self.codes is None:
            truth[self.rows] = row_truth
            return ContactSet.from_mask(truth)
        words = None if self.planes is None else self.planes.select(truth)
        if words is None or self.planes is None:
            mask = look_up(self.codes, truth)
            mask[self.rows] = row_truth
            return ContactSet.from_mask(mask)
        if len(self.rows) == 0 and len(self.codes) == self.planes.n:
            return ContactSet(words, None)
        rest = ContactSet.from_mask(look_up(self.codes[self.planes.n :], truth)).words()
        words = np.concatenate((words, rest))
        replaced = words_for(len(words) << 6)
        set_bits(self.rows, replaced)
        words &= ~replaced
        set_bits(self.rows[row_truth], words)
        return ContactSet(words, None)


class EntryTable:
    """The writer's numbering of pairs (kind, value)."""

    def __init__(self) -> None:
        self._codes: dict[tuple[int, int], int] = {(MISSING, 0): 0}
        self._entries: Entries | None = None
        self._ordered = True

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def ordered(self) -> bool:
        """Whether codes ascend as (kind, value), so that ranges of values are ranges of codes."""
        return self._ordered

    def encode(self, kinds: NDArray[np.uint8], values: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """The code of each pair; None where there would be too many, and then nothing is learned."""
        codes = np.zeros(len(kinds), np.int64)
        fresh: list[tuple[NDArray[np.bool_] | None, int, NDArray[np.int64], NDArray[np.intp]]] = []
        total = len(self)
        for kind in np.flatnonzero(np.bincount(kinds)).tolist():
            if kind == MISSING:
                continue
            mine = None if bool((kinds == kind).all()) else kinds == kind
            held = values if mine is None else values[mine]
            if len(held) > _SAMPLED and len(sorted_unique(held[:: len(held) // _SAMPLED + 1])) >= MOST_ENTRIES:
                return None
            distinct, places = _distinct(held)
            if len(distinct) > MOST_ENTRIES:
                return None
            total += sum((kind, value) not in self._codes for value in distinct.tolist())
            if total > MOST_ENTRIES:
                return None
            fresh.append((mine, kind, distinct, places))
        for mine, kind, distinct, places in fresh:
            numbers = np.array([self._number(kind, value) for value in distinct.tolist()], np.int64)
            if mine is None:
                codes = numbers[places]
            else:
                codes[mine] = numbers[places]
        return codes

    def view(self) -> Entries:
        """All entries so far."""
        if self._entries is None:
            kinds, values = zip(*self._codes, strict=True)
            self._entries = Entries(np.array(kinds, np.uint8), np.array(values, np.int64))
        return self._entries

    def reorder(self) -> NDArray[np.int64]:
        """Number anew in the order of (kind, value); the new code of each old one."""
        old = self.view()
        order = np.lexsort((old.values, old.kinds))
        kinds, values = old.kinds[order].tolist(), old.values[order].tolist()
        self._codes = {pair: code for code, pair in enumerate(zip(kinds, values, strict=True))}
        self._entries = None
        self._ordered = True
        renamed = np.empty(len(order), np.int64)
        renamed[order] = np.arange(len(order))
        return renamed

    def load(self, entries: Entries) -> None:
        """Put back what a snapshot kept. Entries that no contact holds any more were left out of it: their kind is
        MISSING, and their codes stay free."""
        pairs = zip(entries.kinds.tolist(), entries.values.tolist(), strict=True)
        self._codes = {((kind, value) if kind else (MISSING, code)): code for code, (kind, value) in enumerate(pairs)}
        self._entries = None
        self._ordered = False

    def _number(self, kind: int, value: int) -> int:
        code = self._codes.get((kind, value))
        if code is None:
            code = self._codes[kind, value] = len(self._codes)
            self._entries = None
            self._ordered = False
        return code


def _distinct(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """The distinct values, ascending, and the place of each value among them."""
    low, high = int(values.min()), int(values.max())
    if high - low >= min(len(values), 1 << 22):
        distinct, places = np.unique(values, return_inverse=True)
        return distinct, places
    offsets = values - low
    seen = np.zeros(high - low + 1, np.bool_)
    seen[offsets] = True
    return np.flatnonzero(seen) + low, (np.cumsum(seen) - 1)[offsets]


def look_up(codes: NDArray[np.unsignedinteger], truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`truth` of each code; a new array."""
    edges = np.flatnonzero(np.diff(truth.astype(np.int8), prepend=np.int8(0), append=np.int8(0)))
    starts, stops = edges[::2].tolist(), edges[1::2].tolist()
    if len(starts) > _MOST_STRETCHES:
        return np.asarray(truth[codes], np.bool_)
    mask: NDArray[np.bool_] | None = None
    # Codes beyond what the type of the column holds stand in no base row.
    largest = np.iinfo(codes.dtype).max
    for start, stop in zip(starts, stops, strict=True):
        if start > largest:
            break
        hits = _stretch(codes, start, min(stop - 1, largest), len(truth) - 1)
        mask = hits if mask is None else np.logical_or(mask, hits, out=mask)
    return np.zeros(len(codes), np.bool_) if mask is None else mask


def _stretch(codes: NDArray[np.unsignedinteger], first: int, last: int, largest: int) -> NDArray[np.bool_]:
    kind = codes.dtype.type
    if first == last:
        return np.asarray(codes == kind(first), np.bool_)
    if last == largest:
        return np.asarray(codes >= kind(first), np.bool_)
    if first == 0:
        return np.asarray(codes <= kind(last), np.bool_)
    # Codes below `first` wrap around to large numbers.
    return np.asarray((codes - kind(first)) <= kind(last - first), np.bool_)
