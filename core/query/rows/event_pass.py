"""Events of a selection in one pass over the columns of their runs, where the whole workspace is asked.

Nothing is copied out of a run: a filter of plain comparisons becomes ranges of codes (core.index.packing), any other
one a mask over the rows of the window. Questions about few contacts go by the general way (selecting.pick).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.index.contact_set import ContactSet
from core.index.event_run import EventRun
from core.kernels.bits import set_bits, set_bits_between, set_bits_where, words_between, words_for
from core.kernels.counting import count_up, count_up_where
from core.kernels.ranges import last_of_groups
from core.kernels.semijoin import keep_members
from core.kernels.threads import in_parallel, parts_for
from core.query.ast import Branch, Comparison, EventSelection, FilterTree, Literal, Op, Zone
from core.query.execute_context import Context
from core.query.rows.comparisons import equal_text
from core.query.rows.domain import EventDomain
from core.query.rows.filters import matching
from core.query.rows.literal_ranges import NOWHERE, Range, range_of
from core.query.rows.selecting import runs_between
from core.query.rows.selecting_more import needs_refining
from core.query.windows import zone_of
from core.schema import Kind

#: Below one row for so many contacts a set is made of numbers, not of words.
_SPARSE = 256
#: A second thread pays from so many filtered rows a part on.
_LEAST_PART = 300_000
#: Where less than one contact of so many is asked about, counting sorts their events.
_FEW_ASKED = 8
#: Rows of which those of some contacts are kept at once.
_PIECE = 65_536
#: The largest count of one byte, and of four: more than the events of any contact.
_FULL, _MANY = 255, 2**32 - 1


@dataclass(frozen=True, slots=True)
class CodeRange:
    """Rows whose code (one per row of the window) lies between both bounds, which are of its dtype."""

    codes: NDArray[Any]
    first: Any
    last: Any

    def mask(self) -> NDArray[np.bool_]:
        """One truth per row."""
        if self.first == self.last:
            return np.asarray(self.codes == self.first, np.bool_)
        return np.asarray((self.codes >= self.first) & (self.codes <= self.last), np.bool_)


@dataclass(frozen=True, slots=True)
class RunPass:
    """The events of one run at `rows` of the window: those in all `ranges` and where `mask` (None: everywhere) is
    true. Unless `all_human`, those of machines have to be
    left out still."""

    run: EventRun
    rows: slice
    ranges: tuple[CodeRange, ...]
    mask: NDArray[np.bool_] | None
    all_human: bool

    def __len__(self) -> int:
        """Rows of the window."""
        return int(self.rows.stop - self.rows.start)

    def contacts(self) -> NDArray[np.uint32]:
        """The contact of each row of the window."""
        return self.run.contacts[self.rows]

    def whole_mask(self) -> NDArray[np.bool_] | None:
        """Which rows take part; None: all."""
        mask = self.mask
        for one in self.ranges:
            mask = one.mask() if mask is None else mask & one.mask()
        if not self.all_human:
            human = ~self.run.by_machine(self.rows)
            mask = human if mask is None else mask & human
        return mask

    def part(self, first: int, after: int) -> RunPass:
        """The rows of the window from `first` to `after` alone."""
        here = slice(first, after)
        ranges = tuple(CodeRange(one.codes[here], one.first, one.last) for one in self.ranges)
        rows = slice(self.rows.start + first, self.rows.start + after)
        return RunPass(self.run, rows, ranges, None if self.mask is None else self.mask[here], self.all_human)

    def add_to(self, words: NDArray[np.uint64]) -> None:
        """Add the contacts of all events to `words`."""
        if self.mask is None and not self.ranges:
            self.run.human_blocks().add_rows(self.rows.start, self.rows.stop, words)
            return
        if self.mask is None and len(self.ranges) == 1 and self.all_human:
            only = self.ranges[0]
            if only.first == only.last and only.codes.itemsize <= 2:
                # Narrow codes are compared many at once, and one value is rare.
                set_bits(self.contacts()[np.flatnonzero(only.mask())], words)
                return
            set_bits_between(only.codes, only.first, only.last, self.contacts(), words)
            return
        mask = self.whole_mask()
        if mask is None:
            set_bits(self.contacts(), words)
        else:
            set_bits_where(mask, self.contacts(), words)


def passes(events: EventSelection, context: Context) -> list[RunPass] | None:
    """One pass per run that has rows in the window; None where the general way has to be gone: for candidates, windows
    by the contacts' own zones, and what else a selection may ask for."""
    if context.candidates is not None or needs_refining(events) or events.with_machines:
        return None
    if zone_of(events.window) is Zone.CONTACT or context.rows == 0:
        return None
    interval = context.interval(events.window)
    until = min(interval.until, context.as_of_us + 1)
    if interval.start >= until:
        return []
    found = []
    for _, run, rows in runs_between(events.names, interval.start, until, context):
        found += _pass(run, rows, events.filter, context)
    return found


def contacts_of(found: list[RunPass], contact_count: int) -> ContactSet:
    """Everyone with at least one of the events."""
    if sum(map(len, found)) * _SPARSE < contact_count:
        return ContactSet.from_numbers(np.concatenate([np.zeros(0, np.uint32), *_chosen(found)]))
    words, *others = in_parallel([partial(_words_of, some, contact_count) for some in _shares(found)])
    for other in others:
        words |= other
    return ContactSet(words, None)


def _words_of(found: list[RunPass], contact_count: int) -> NDArray[np.uint64]:
    words = words_for(contact_count)
    for one in found:
        one.add_to(words)
    return words


def _shares(found: list[RunPass]) -> list[list[RunPass]]:
    """The passes by the thread that takes them. Those without a filter are not parted: blocks answer them."""
    filtered = [one for one in found if one.mask is not None or one.ranges]
    first, *others = _halves(filtered)
    return [[*(one for one in found if one.mask is None and not one.ranges), *first], *others]


def _halves(found: list[RunPass]) -> list[list[RunPass]]:
    """The passes in parts of about as many rows, one for each thread that pays."""
    rows = sum(map(len, found))
    threads = parts_for(rows, _LEAST_PART)
    if threads == 1:
        return [found]
    shares: list[list[RunPass]] = [[]]
    taken = 0
    for one in found:
        first = 0
        while first < len(one):
            after = min(len(one), first + -(-rows // threads) * len(shares) - taken)
            shares[-1].append(one.part(first, after))
            taken, first = taken + after - first, after
            if taken < rows and taken == -(-rows // threads) * len(shares):
                shares.append([])
    return shares


def counted(
    found: list[RunPass], least: int, most: int | None, contact_count: int, among: ContactSet | None = None
) -> ContactSet:
    """Everyone with at least `least` (1 or more) and at most `most` (None: any number) of the events. Who is not in
    `among`, where that is given, may be missing."""
    if most is None and least == 1:
        return contacts_of(found, contact_count)
    if among is not None and len(among) * _FEW_ASKED < contact_count:
        return _counted_among(found, least, most, among.words(-(-contact_count // 64)))
    words = words_for(contact_count)
    dtype: type[np.uint8 | np.uint32] = np.uint32
    if max(least, most or 0) < _FULL:
        dtype = np.uint8  # a count of 255 means that many or more
    limit = dtype(_FULL if dtype is np.uint8 else _MANY)
    counts = np.zeros(64 * len(words), dtype)
    for one in found:
        mask = one.whole_mask()
        if mask is None:
            count_up(one.contacts(), counts, limit)
        else:
            count_up_where(mask, one.contacts(), counts, limit)
    words_between(counts, dtype(least), limit if most is None else dtype(most), words)
    return ContactSet(words, None)


def _counted_among(found: list[RunPass], least: int, most: int | None, among: NDArray[np.uint64]) -> ContactSet:
    """The events of few contacts, sorted: less to touch than a number for everyone."""
    parts = in_parallel([partial(_kept, share, among) for share in _halves(found)])
    contacts = np.sort(np.concatenate(parts))
    ends = last_of_groups(contacts)
    counts = np.diff(ends, prepend=-1)
    chosen = counts >= least
    if most is not None:
        chosen &= counts <= most
    return ContactSet.from_numbers(contacts[ends[chosen]])


def _kept(found: list[RunPass], among: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """The contacts of the events, those in `among` alone."""
    # Into one small array again and again: fresh memory for all rows costs as much as the look at them.
    some = np.empty(_PIECE + 1, np.uint32)
    pieces = (contacts[at : at + _PIECE] for contacts in _chosen(found) for at in range(0, len(contacts), _PIECE))
    kept = [some[: keep_members(piece, among, some)].copy() for piece in pieces]
    return np.concatenate([np.zeros(0, np.uint32), *kept])


def _chosen(found: list[RunPass]) -> Iterator[NDArray[np.uint32]]:
    for one in found:
        mask = one.whole_mask()
        yield one.contacts() if mask is None else one.contacts()[mask]


def _pass(run: EventRun, rows: slice, tree: FilterTree, context: Context) -> list[RunPass]:
    """One pass, or none where the filter holds for no event."""
    all_human = not run.has_machine
    if not tree:
        return [RunPass(run, rows, (), None, all_human)]
    comparisons = _conjunction(tree)
    ranges = None if comparisons is None else _ranges(comparisons, run, rows, context)
    if ranges is None:
        mask = matching(tree, EventDomain(run, rows, run.contacts[rows]), context)
        return [RunPass(run, rows, (), mask, all_human)]
    return [] if NOWHERE in ranges else [RunPass(run, rows, _coded(ranges), None, all_human)]


def _coded(ranges: list[CodeRange | Range]) -> tuple[CodeRange, ...]:
    return tuple(one for one in ranges if isinstance(one, CodeRange))


def _conjunction(tree: FilterTree) -> list[Comparison] | None:
    """The comparisons that must all hold, where a filter is nothing more."""
    *leaves, last = tree
    comparisons = [node for node in tree if isinstance(node, Comparison)]
    if len(tree) == 1:
        return comparisons or None
    joined = isinstance(last, Branch) and last.op is Op.AND and last.children == tuple(range(len(leaves)))
    return comparisons if joined and len(comparisons) == len(leaves) else None


def _ranges(
    comparisons: list[Comparison], run: EventRun, rows: slice, context: Context
) -> list[CodeRange | Range] | None:
    """A range of codes for each comparison, NOWHERE for one that holds nowhere; None where one is no range."""
    found: list[CodeRange | Range] = []
    for comparison in comparisons:
        one = _range(comparison, run, rows, context)
        if one is None:
            return None
        found.append(one)
    return found


def _range(comparison: Comparison, run: EventRun, rows: slice, context: Context) -> CodeRange | Range | None:
    columns = run.params.columns.get(comparison.name, ())
    if len(columns) != 1 or columns[0].rows is not None or comparison.ignoring_case:
        return None
    column = columns[0]
    if column.kind is Kind.TEXT:
        literals = [one.value for one in comparison.operands if isinstance(one, Literal)]
        values = equal_text(comparison.compare, literals, context) if len(literals) == 1 else None
    else:
        values = range_of(column.kind, comparison.compare, comparison.operands)
    if values is None or values == NOWHERE:
        return values
    codes = column.packed.code_range(*values)
    if codes is None:
        return NOWHERE
    dtype = column.packed.codes.dtype.type
    return CodeRange(column.packed.codes[rows], dtype(codes[0]), dtype(codes[1]))
