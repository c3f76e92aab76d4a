"""Conditions that compare a number which every event changes by an amount of its own: counts, sums and means.

Such a number is known after each of many events without asking again: what it was, and the amounts so far. An event
takes part from `occurred_at + enters` on and, where the window lets it go, until `occurred_at + leaves`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.placing import Places
from core.query.ast import (
    Absolute,
    BetweenAgo,
    Branch,
    Compare,
    Comparison,
    Condition,
    EventAggregate,
    EventCount,
    EventSelection,
    Function,
    InLast,
    Literal,
    MessageCount,
    MessageVerb,
    MoreThanAgo,
    Op,
    Operand,
    Zone,
)
from core.query.execute_context import Context
from core.query.leaves.leaf_aggregates import rounded_mean
from core.query.leaves.leaf_messages import EVENTS_OF
from core.query.rows.compare_values import compare_each
from core.query.rows.comparisons import positive_form
from core.query.rows.domain import ITEMS
from core.query.rows.numbers_compare import in_units
from core.query.rows.picked import Picked
from core.query.rows.selecting import pick
from core.query.rows.values_by_path import ITEM_PREFIX
from core.query.walk import comparisons
from core.schema import Instant, Kind

#: Sums that stay below this do not leave int64, whatever is added to them once.
_SAFE = 2**62
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL)
#: Comparisons whose truth moves with time, or reads more than the value.
_MOVING = frozenset((Compare.WITHIN, Compare.ANNIVERSARY, Compare.AGE, Compare.AT))
_ANY_OR_NONE = frozenset(((Compare.GE, (Literal(1),)), (Compare.GT, (Literal(0),)), (Compare.EQ, (Literal(0),))))
_FLIPPED = {Compare.GE: 1, Compare.GT: 1, Compare.LE: -1, Compare.LT: -1}


@dataclass(frozen=True, slots=True)
class Amounts:
    """What events add to a number: `contacts` uint32, `places` int64 (instants, or whatever the caller counts by),
    `values` (events; units of 1e-4 where a parameter is summed, int64 or Python integers) and `present` int64, how
    many values those are."""

    contacts: NDArray[np.uint32]
    places: NDArray[np.int64]
    values: NDArray[Any]
    present: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.contacts)

    def negated(self, places: NDArray[np.int64]) -> Amounts:
        """The same taken away, elsewhere."""
        return Amounts(self.contacts, places, -self.values, -self.present)

    def only(self, rows: NDArray[Any]) -> Amounts:
        """Some of them: a mask, or places."""
        return Amounts(self.contacts[rows], self.places[rows], self.values[rows], self.present[rows])

    @staticmethod
    def joined(parts: list[Amounts]) -> Amounts:
        """All of them, one after the other."""
        return Amounts(
            np.concatenate([np.zeros(0, np.uint32), *(part.contacts for part in parts)]),
            np.concatenate([np.zeros(0, np.int64), *(part.places for part in parts)]),
            np.concatenate([np.zeros(0, np.int64), *(part.values for part in parts)]),
            np.concatenate([np.zeros(0, np.int64), *(part.present for part in parts)]),
        )


#: Names, filter, moments, with machines, path: tallies that differ in their windows alone have equal sources.
Source = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """A condition: the events, counted (`path` None) or with a parameter summed, or its mean (`mean`), against
    literals; `complement`: the negative form of `compare`. `direction`: 1 where a number that grows can only make the
    condition true, -1 only false, 0: either. `empty_if`: the truth at which the number is 0 for certain, if any."""

    events: EventSelection
    path: str | None
    mean: bool
    compare: Compare
    operands: tuple[Operand, ...]
    complement: bool
    direction: int
    empty_if: bool | None
    enters_us: int
    leaves_us: int | None

    @property
    def source(self) -> Source:
        """What tells the events and their amounts, whenever they occurred."""
        events = self.events
        return events.names, events.filter, events.moments, events.with_machines, self.path

    def ever(self, context: Context, places: Callable[[Picked], Any]) -> Amounts:
        """What the events of the source add, whenever they occurred (not after as_of)."""
        return self.amounts(replace(self.events, window=None), context, places)

    def takes(self, times: NDArray[np.int64], context: Context) -> NDArray[np.bool_]:
        """Which events of the source, by their instants, take part as of as_of."""
        interval = context.interval(self.events.window)
        return (times >= interval.start) & (times < interval.until)

    def amounts(self, events: EventSelection, context: Context, places: Callable[[Picked], Any]) -> Amounts:
        """What the events of a selection (this tally's, in some window) add, each at its place."""
        parts = []
        for picked in pick(events, context):
            values, present = self._values(picked)
            parts.append(Amounts(picked.contacts, places(picked), values, present))
        return Amounts.joined(parts)

    def edges(self, context: Context, after_us: int, until_us: int, any_between: Callable[[int, int], bool]) -> Amounts:
        """What enters and leaves in (after, until], at its instants; `context` is that of the end. `any_between`: may
        there be such an event in `[start, until)`?"""
        own = context.interval(self.events.window) if isinstance(self.events.window, Absolute) else None
        found = []
        for offset_us, leaves in ((self.enters_us, False), (self.leaves_us, True)):
            if offset_us is None:
                continue
            first, after = after_us + 1 - offset_us, until_us + 1 - offset_us
            if own is not None:
                first, after = max(first, own.start), min(after, own.until)
            if first >= after or not any_between(first, after):
                continue
            window = Absolute(Literal(Instant(first)), Literal(Instant(after)))
            moved = self.amounts(replace(self.events, window=window), context, _instants)
            at_us = moved.places + offset_us
            found.append(moved.negated(at_us) if leaves else replace(moved, places=at_us))
        return Amounts.joined(found)

    def totals(self, contacts: NDArray[np.uint32], context: Context) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """The number of each of `contacts` (those of the context, or more behind them, ascending), and how many values
        it is made of."""
        found = self.amounts(self.events, context, _nowhere)
        wide = found.values.dtype == object or _largest(found.values) * max(1, len(found)) >= _SAFE
        totals: NDArray[Any] = np.zeros(len(contacts), object if wide else np.int64)
        present = np.zeros(len(contacts), np.int64)
        rows = Places(contacts).of(found.contacts)
        np.add.at(totals, rows, found.values.astype(object) if wide else found.values)
        np.add.at(present, rows, found.present)
        return totals, present

    def holds(self, numbers: NDArray[Any], present: NDArray[np.int64], context: Context) -> NDArray[np.bool_]:
        """The condition of each of the numbers."""
        if self.mean:
            some = present > 0
            means = rounded_mean(numbers[some], present[some])
            held = np.zeros(len(numbers), np.bool_)
            held[some] = compare_each(means, Kind.DECIMAL, self.compare, self.operands, None, context)
        else:
            kind = Kind.INTEGER if self.path is None else Kind.DECIMAL
            held = compare_each(numbers, kind, self.compare, self.operands, None, context)
        return ~held if self.complement else held

    def _values(self, picked: Picked) -> tuple[NDArray[Any], NDArray[np.int64]]:
        n = len(picked)
        if self.path is None:
            ones = np.ones(n, np.int64)
            return ones, ones
        domain, parents = picked.domain(), None
        operands = domain.operands(self.path)
        if self.path.startswith(ITEM_PREFIX):
            lines, parents = domain.elements(ITEMS)
            operands = lines.operands(self.path.removeprefix(ITEM_PREFIX))
        values: NDArray[Any] = np.zeros(n, np.int64)
        present = np.zeros(n, np.int64)
        for operand in operands:
            if operand.kind not in _NUMBERS:
                continue
            units = in_units(operand.values, operand.kind)
            rows: NDArray[Any] = np.arange(len(units)) if operand.rows is None else operand.rows
            events = rows if parents is None else parents[rows]
            if units.dtype == object or _largest(units) * max(1, len(units)) >= _SAFE:
                values, units = values.astype(object), units.astype(object)
            np.add.at(values, events, units)
            np.add.at(present, events, 1)
        return values, present


def running(
    amounts: NDArray[Any], first: NDArray[np.intp], lengths: NDArray[np.intp], before: NDArray[Any]
) -> NDArray[Any]:
    """The numbers after each of `amounts`, in groups that begin at `first` with `before`; exact."""
    if object in (amounts.dtype, before.dtype) or _largest(amounts) * len(amounts) + _largest(before) >= _SAFE:
        amounts, before = amounts.astype(object), before.astype(object)
    sums: NDArray[Any] = np.cumsum(amounts, dtype=amounts.dtype)
    sums -= np.repeat(sums[first] - amounts[first] - before, lengths)
    return sums


def tally_of(condition: Condition) -> Tally | None:
    """The condition as a tally; None for any other."""
    match condition:
        case EventCount(events, compare, operands, None):
            return _tally(events, None, compare, operands, mean=False)
        case MessageCount(verb, tree, window, compare, operands, None):
            # There is a message where there is an event; how many messages there are, events do not add up to.
            if verb is MessageVerb.RECEIVED or (compare, operands) not in _ANY_OR_NONE:
                return None
            selection = EventSelection(EVENTS_OF[verb], tree, window, with_machines=condition.with_machines)
            return _tally(selection, None, compare, operands, mean=False)
        case EventAggregate(Function.SUM | Function.AVG, path, events, compare, operands):
            if compare in (Compare.MISSING, Compare.PRESENT):
                return None
            return _tally(events, path, compare, operands, mean=condition.function is Function.AVG)
        case EventAggregate(Function.MAX | Function.MIN as function, path, events, compare, operands):
            reaching = (Compare.GT, Compare.GE) if function is Function.MAX else (Compare.LT, Compare.LE)
            if compare not in reaching or path.startswith(ITEM_PREFIX):
                return None
            # The largest is above x where any is.
            tree = (*events.filter, Comparison(path, compare, operands))
            if events.filter:
                tree = (*tree, Branch(Op.AND, (len(tree) - 2, len(tree) - 1)))
            return _tally(replace(events, filter=tree), None, Compare.GE, (Literal(1),), mean=False)
        case _:
            return None


def _tally(
    events: EventSelection, path: str | None, compare: Compare, operands: tuple[Operand, ...], *, mean: bool
) -> Tally | None:
    offsets = _offsets(events)
    if offsets is None or not all(isinstance(one, Literal) for one in operands):
        return None
    form, complement = positive_form(compare)
    direction, empty_if = 0, None
    if path is None:
        if (form, operands) == (Compare.EQ, (Literal(0),)):
            form = Compare.LE
        direction = _FLIPPED.get(form, 0) * (-1 if complement else 1)
        if (form, operands) == (Compare.GE, (Literal(1),)):
            empty_if = complement
        elif (form, operands) == (Compare.LE, (Literal(0),)):
            empty_if = not complement
    elif not mean:
        direction = _FLIPPED.get(form, 0) * (-1 if complement else 1)
    return Tally(events, path, mean, form, operands, complement, direction, empty_if, *offsets)


def _offsets(events: EventSelection) -> tuple[int, int | None] | None:
    """When after its instant an event enters and leaves; None where more than that and the event itself decides."""
    parts = (events.filter, events.moments)
    plain = all(isinstance(one, Literal) for test in comparisons(parts) for one in test.operands)
    moving = any(test.compare in _MOVING or test.zone is Zone.CONTACT for test in comparisons(parts))
    own_day = events.moments is not None and events.moments.zone is Zone.CONTACT
    if not plain or moving or own_day or events.products:
        return None
    match events.window:
        case None:
            return 0, None
        case InLast(duration_us):
            return 0, duration_us
        case MoreThanAgo(duration_us):
            return duration_us, None
        case BetweenAgo(near_us, far_us):
            return near_us, far_us
        case Absolute(zone=Zone.WORKSPACE | Zone.UTC):
            return (0, None) if all(isinstance(one, Literal) for one in _ends(events.window)) else None
        case _:
            return None


def _ends(window: Absolute) -> list[Operand]:
    return [one for one in (window.start, window.until) if one is not None]


def _largest(values: NDArray[Any]) -> int:
    return max(int(values.max()), -int(values.min())) if len(values) else 0


def _instants(picked: Picked) -> NDArray[np.int64]:
    return picked.run.occurred_at_us[picked.rows]


def _nowhere(picked: Picked) -> NDArray[np.int64]:
    return np.zeros(len(picked), np.int64)
