"""Counting cohorts: the beginnings of all contacts, and the periods in which they came again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from core.errors import invalid
from core.events.raw import scalar_of
from core.index.contact_order import BLOCK
from core.kernels.ranges import sorted_unique
from core.kernels.returns import cohorts_of, fold_first, mark_returns, period_table
from core.kernels.returns_by_bits import MOST_PERIODS, RowPeriods, begin_members, mark_bits, new_bit_counts, row_periods
from core.kernels.returns_in_order import NOT_BEGUN, PeriodPieces, mark_in_order, new_counts, period_pieces
from core.kernels.threads import in_parallel
from core.query.ast import AttributeMeasure, EventSelection, Population
from core.query.execute_context import Context
from core.query.leaves.first_events import first_instants
from core.query.leaves.measures import measure_values
from core.query.leaves.population import members_of
from core.query.leaves.rfm_fold import block_ranges
from core.query.local_time import clamp, start_of
from core.query.rows.event_pass import RunPass, passes
from core.query.rows.selecting import pick
from core.query.windows import GREATEST
from core.schema import Kind

#: What begins a contact: the first of some events, the value of an attribute, or (None) its earliest fact.
CohortSource = EventSelection | AttributeMeasure | None
#: Blocks of contacts counted at once: 65,536 contacts.
_BLOCKS = 256
_EVERYONE = np.zeros(0, np.bool_)

Counts = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Question:
    """What is counted: `columns` periods for each of `cohort_count` cohorts. Period p is `[bounds[p], bounds[p + 1])`
    (int64, ascending), cohorts are the first ones. `clock`: whose days the dates of an attribute begin in."""

    cohort: CohortSource
    returns: EventSelection
    bounds: NDArray[np.int64]
    cohort_count: int
    columns: int
    population: Population
    clock: ZoneInfo


def count_cohorts(question: Question, context: Context) -> Counts:
    """Sizes and counts as in CohortMatrix; `context` has no candidates."""
    again = passes(question.returns, context)
    begun = _beginnings(question, context)
    if again is None or begun is None:
        return general_counts(question, context)
    contact_count = context.root.contact_count
    members = members_of(question.population, context).words(_padded(contact_count) // 64)
    ranges = block_ranges(again, contact_count, _BLOCKS)
    one_by_one = question.cohort == question.returns and _following(again)
    if one_by_one and len(question.bounds) <= MOST_PERIODS - 1 and _no_instant_twice(again):
        by_bits = [_ByBits.of(one, question.bounds) for one in again]
        calls = [partial(_bits_counted, question, by_bits, members, *blocks) for blocks in ranges]
        return _of_bits(question, in_parallel(calls))
    for one in again:
        # Made here: two threads that miss it would make it twice.
        one.run.times_by_contact()
    if one_by_one:
        ordered = [_Ordered.of(one, question.bounds) for one in again]
        parts = in_parallel([partial(_in_order, question, ordered, members, *blocks) for blocks in ranges])
    else:
        if isinstance(begun, list):
            for one in begun:
                one.run.times_by_contact()
        marks = [_Marking.of(one, question.bounds) for one in again]
        parts = in_parallel([partial(_marked, question, begun, marks, members, *blocks) for blocks in ranges])
    sizes, counts = _nothing(question)
    for more_sizes, more_counts in parts:
        sizes += more_sizes
        counts += more_counts
    return sizes, counts


def _padded(contact_count: int) -> int:
    """So many contacts rounded up to whole steps."""
    return -(-contact_count // (BLOCK * _BLOCKS)) * BLOCK * _BLOCKS


def _following(found: list[RunPass]) -> bool:
    """Whether the passes follow each other in time."""
    ends = [one.run.occurred_at_us[[one.rows.start, one.rows.stop - 1]].tolist() for one in found]
    return all(before[1] <= after[0] for before, after in pairwise(ends))


def _no_instant_twice(found: list[RunPass]) -> bool:
    """Whether rows that repeat the instant of the one before them can be left out: no two passes share an instant, and
    where events are chosen by a mask, none repeats another."""
    ends = [one.run.occurred_at_us[[one.rows.start, one.rows.stop - 1]].tolist() for one in found]
    if any(before[1] == after[0] for before, after in pairwise(ends)):
        return False
    # Asked here for all: two threads that miss it would make it twice.
    repeats = [len(one.run.repeated_by_contact()) > 0 for one in found]
    return not any(some and one.whole_mask() is not None for some, one in zip(repeats, found, strict=True))


def _marked(
    question: Question,
    begun: list[RunPass] | NDArray[np.int64],
    marks: list[_Marking],
    members: NDArray[np.uint64],
    first_block: int,
    after_block: int,
) -> Counts:
    """The sizes and counts of the contacts of these blocks."""
    sizes, counts = _nothing(question)
    size = BLOCK * _BLOCKS
    width = (question.columns + 63) >> 6
    words, scratch, cohorts = np.empty(size * width, np.uint64), np.empty(size, np.int64), np.empty(size, np.int32)
    for block in range(first_block, after_block, _BLOCKS):
        first = _first(begun, block, scratch)
        mine, bits = cohorts[: len(first)], words[: len(first) * width]
        cohorts_of(first, block * BLOCK, members, question.bounds, question.cohort_count, mine, sizes)
        bits.fill(0)
        for one in marks:
            one.mark(block, first, mine, width, bits, counts)
    return sizes, counts


def _in_order(
    question: Question, marks: list[_Ordered], members: NDArray[np.uint64], first_block: int, after_block: int
) -> Counts:
    """The same where the events that begin a contact are those by which it comes again, each run later than the one
    before."""
    size = BLOCK * _BLOCKS
    first, cohorts, seen = np.empty(size, np.int64), np.empty(size, np.int32), np.empty(size, np.int32)
    sizes = new_counts(question.cohort_count, 1)
    counts = new_counts(question.cohort_count, question.columns)
    for block in range(first_block, after_block, _BLOCKS):
        cohorts.fill(NOT_BEGUN)
        for one in marks:
            order, run_pass, pieces = one.run_pass.run.contact_order(), one.run_pass, one.pieces
            mark_in_order(
                order.starts,
                order.low,
                order.rows,
                block,
                block + _BLOCKS,
                run_pass.rows.start,
                len(run_pass),
                one.mask,
                run_pass.run.times_by_contact(),
                pieces.shift,
                pieces.before,
                pieces.changes,
                pieces.after,
                len(question.bounds) - 2,
                members,
                question.columns,
                first,
                cohorts,
                seen,
                sizes,
                counts,
            )
    whole = question.cohort_count * question.columns
    return sizes[: question.cohort_count], counts[:whole].reshape(question.cohort_count, question.columns)


def _bits_counted(
    question: Question, marks: list[_ByBits], members: NDArray[np.uint64], first_block: int, after_block: int
) -> NDArray[np.int64]:
    """How many contacts of these blocks have each bit of mark_bits, by cohort; one more of both than there are
    bounds."""
    own = len(question.bounds) + 1
    counts = new_bit_counts(own)
    held = np.empty(BLOCK * _BLOCKS, np.uint64)
    for block in range(first_block, after_block, _BLOCKS):
        begin_members(members, block * BLOCK, held)
        for one in marks:
            order, run_pass, periods = one.run_pass.run.contact_order(), one.run_pass, one.periods
            mark_bits(
                order.starts,
                order.low,
                order.rows,
                block,
                block + _BLOCKS,
                run_pass.rows.start,
                len(run_pass),
                one.mask,
                run_pass.run.repeated_by_contact(),
                periods.shift,
                periods.pieces,
                own,
                held,
                counts,
            )
    return np.asarray(counts.sum(axis=0), np.int64).reshape(own, own + 1)


def _of_bits(question: Question, parts: list[NDArray[np.int64]]) -> Counts:
    """Sizes and counts out of those of all bits."""
    found = sum(parts, np.zeros(1, np.int64))
    sizes, counts = _nothing(question)
    # Period 0 of the bits is what lies before the first, and behind the last one stands who came again in its own.
    last, own = len(question.bounds) - 2, len(question.bounds) + 1
    for cohort in range(question.cohort_count):
        sizes[cohort] = found[cohort + 1, cohort + 1]
        later = found[cohort + 1, cohort + 2 : last + 2][: question.columns - 1]
        counts[cohort, 0] = found[cohort + 1, own]
        counts[cohort, 1 : len(later) + 1] = later
    return sizes, counts


def general_counts(question: Question, context: Context) -> Counts:
    """count_cohorts by sorting what selections pick."""
    first = np.full(context.root.contact_count, GREATEST)
    contacts, instants = _begun(question, context)
    first[contacts] = instants
    cohorts = np.searchsorted(question.bounds, first, "right") - 1
    outside = (cohorts < 0) | (cohorts >= question.cohort_count)
    cohorts[outside | ~members_of(question.population, context).mask(len(first))] = -1
    sizes, counts = _nothing(question)
    np.add.at(sizes, cohorts[cohorts >= 0], 1)
    pairs = [np.zeros(0, np.int64)]
    for picked in pick(question.returns, context):
        times = picked.run.occurred_at_us[picked.rows]
        owners = cohorts[picked.contacts]
        offsets = np.searchsorted(question.bounds, times, "right") - 1 - owners
        later = (owners >= 0) & (offsets >= 0) & (offsets < question.columns) & (times > first[picked.contacts])
        pairs.append(picked.contacts[later].astype(np.int64) * question.columns + offsets[later])
    distinct = sorted_unique(np.concatenate(pairs))
    np.add.at(counts, (cohorts[distinct // question.columns], distinct % question.columns), 1)
    return sizes, counts


def _nothing(question: Question) -> Counts:
    shape = (question.cohort_count, question.columns)
    return np.zeros(question.cohort_count, np.int64), np.zeros(shape, np.int64)


def _beginnings(question: Question, context: Context) -> list[RunPass] | NDArray[np.int64] | None:
    """The events that begin contacts, or the beginning of every contact (GREATEST: none); None for events that have to
    be picked one by one."""
    if isinstance(question.cohort, EventSelection):
        return passes(question.cohort, context)
    first = np.full(context.root.contact_count, GREATEST)
    contacts, instants = _begun(question, context)
    first[contacts] = instants
    return first


def _begun(question: Question, context: Context) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Contacts that have begun by as_of, and when."""
    match question.cohort:
        case None:
            contacts = context.root.exists(context.as_of_us).numbers()
            return contacts, context.root.contacts.earliest_of(contacts)
        case EventSelection():
            return first_instants(question.cohort, context)
        case AttributeMeasure(name):
            return _of_attribute(name, question.clock, context)


def _of_attribute(name: str, clock: ZoneInfo, context: Context) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """A date begins with the first instant of its local day."""
    found = measure_values(AttributeMeasure(name), context)
    if found.kind is Kind.INSTANT:
        instants = found.values
    elif found.kind is Kind.DATE:
        days, places = np.unique(found.values, return_inverse=True)
        instants = np.array([start_of(_date(day), clock) for day in days.tolist()], np.int64)[places]
    elif len(found):
        raise invalid("COHORT_ATTRIBUTE", f'"{name}" holds no instants and no dates')
    else:
        instants = found.values
    begun = instants <= context.as_of_us
    return found.contacts[begun], instants[begun]


def _date(day: int) -> date:
    found = scalar_of(Kind.DATE, day)
    assert isinstance(found, date)
    return clamp(found)


def _first(begun: list[RunPass] | NDArray[np.int64], block: int, scratch: NDArray[np.int64]) -> NDArray[np.int64]:
    """The beginnings of the contacts from `block` on."""
    if not isinstance(begun, list):
        return begun[block * BLOCK : (block + _BLOCKS) * BLOCK]
    scratch.fill(GREATEST)
    for one in begun:
        order, mask = one.run.contact_order(), one.whole_mask()
        fold_first(
            order.starts,
            order.low,
            order.rows,
            block,
            block + _BLOCKS,
            one.rows.start,
            len(one),
            _EVERYONE if mask is None else mask,
            one.run.times_by_contact(),
            scratch,
        )
    return scratch


@dataclass(frozen=True, slots=True)
class _ByBits:
    """One run's events: which take part, and the periods of its rows as mark_bits counts them."""

    run_pass: RunPass
    mask: NDArray[np.bool_]
    periods: RowPeriods

    @classmethod
    def of(cls, one: RunPass, bounds: NDArray[np.int64]) -> _ByBits:
        """Those of a pass."""
        mask = one.whole_mask()
        rows = np.searchsorted(one.run.occurred_at_us[one.rows], bounds, "left").astype(np.int64)
        return cls(one, _EVERYONE if mask is None else mask, row_periods(rows, len(one)))


@dataclass(frozen=True, slots=True)
class _Ordered:
    """One run's events: which take part, and the periods of its rows."""

    run_pass: RunPass
    mask: NDArray[np.bool_]
    pieces: PeriodPieces

    @classmethod
    def of(cls, one: RunPass, bounds: NDArray[np.int64]) -> _Ordered:
        """Those of a pass."""
        mask = one.whole_mask()
        rows = np.searchsorted(one.run.occurred_at_us[one.rows], bounds, "left").astype(np.int64)
        return cls(one, _EVERYONE if mask is None else mask, period_pieces(rows, len(one)))


@dataclass(frozen=True, slots=True)
class _Marking:
    """One run's returns: which take part, and the rows at which periods begin."""

    run_pass: RunPass
    mask: NDArray[np.bool_]
    period_rows: NDArray[np.int64]
    table: NDArray[np.int64]

    @classmethod
    def of(cls, one: RunPass, bounds: NDArray[np.int64]) -> _Marking:
        """Those of a pass."""
        mask = one.whole_mask()
        rows = np.searchsorted(one.run.occurred_at_us[one.rows], bounds, "left").astype(np.int64)
        return cls(one, _EVERYONE if mask is None else mask, rows, period_table(rows, len(one)))

    def mark(
        self,
        block: int,
        first: NDArray[np.int64],
        cohorts: NDArray[np.int32],
        width: int,
        words: NDArray[np.uint64],
        counts: NDArray[np.int64],
    ) -> None:
        """Set and count the bits of the contacts from `block` on, as many as `first` has."""
        order, rows = self.run_pass.run.contact_order(), self.run_pass.rows
        mark_returns(
            order.starts,
            order.low,
            order.rows,
            block,
            block + _BLOCKS,
            rows.start,
            len(self.run_pass),
            self.mask,
            self.run_pass.run.times_by_contact(),
            self.period_rows,
            self.table,
            first,
            cohorts,
            width,
            words,
            counts,
        )
