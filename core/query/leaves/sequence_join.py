"""Sequences whose steps speak of earlier ones, by joining assignments with the events of the next step.

An assignment of the first positive steps is a row; only what later steps ask of it tells two rows apart: the last
event, the events that later steps name, and the first event where something measures from it. So rows are at most as
many as such combinations exist, whatever the number of assignments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.kernels.ranges import expand_ranges
from core.kernels.searching import search_pieces
from core.kernels.sequences import NO_LIMIT
from core.query.ast import StepOperand
from core.query.execute_context import Context, Valid
from core.query.leaves.sequence_domain import SteppedDomain
from core.query.leaves.sequence_events import Entries, StepEvents
from core.query.leaves.sequence_filters import split
from core.query.rows.filters import matching
from core.query.walk import parts_of
from core.schema import Kind

_SCALARS = (Kind.BOOLEAN, Kind.INTEGER, Kind.DECIMAL, Kind.TEXT, Kind.INSTANT, Kind.DATE)
#: So many pairs of an assignment and an event are looked at together; it bounds the memory.
_PAIRS_AT_ONCE = 1 << 21
_NEVER = 2**63 - 1

Places = NDArray[np.int64]
#: The place of each positive step's event so far, one array a step, one entry an assignment.
Chosen = list[Places]


def assignments(steps: list[StepEvents], context: Context) -> Chosen:
    """Assignments that satisfy everything: for each positive step the places of its events in its StepEvents. At least
    one of every key for which the sequence holds, in the order of keys."""
    return _Join(steps, context).run()


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Places of a step's events (`places`) beside the assignments (`owners`) that they are tried with."""

    places: Places
    owners: Places


class _Join:
    def __init__(self, steps: list[StepEvents], context: Context) -> None:
        self._steps = steps
        self._context = context
        self._positive = [number for number, one in enumerate(steps) if not one.step.negative]
        self._crossing = [split(one.step.events.filter)[1] for one in steps]
        self._names = {steps[number].step.name: at for at, number in enumerate(self._positive)}
        self._values: dict[StepOperand, Valid] = {}
        # The first step's groups: where the events of each stand in every step.
        first = steps[0].keys
        heads = np.flatnonzero(np.append(True, first[1:] != first[:-1])) if len(first) else np.zeros(0, np.int64)
        keys = first[heads]
        self._group = np.repeat(np.arange(len(keys)), np.diff(np.append(heads, len(first))))
        self._starts = [np.searchsorted(one.keys, keys, "left") for one in steps]
        self._stops = [np.searchsorted(one.keys, keys, "right") for one in steps]

    def run(self) -> Chosen:
        chosen: Chosen = [np.arange(len(self._steps[0]), dtype=np.int64)]
        for here, following in zip(self._positive, [*self._positive[1:], len(self._steps)], strict=True):
            if following == len(self._steps):
                free = self._free_to_the_end(here, chosen)
                return [places[free] for places in chosen]
            latest = self._latest(here, following, chosen)
            chosen = self._distinct(self._extended(following, chosen, latest), following)
        return chosen

    def _times(self, at: int, chosen: Chosen) -> Places:
        """The instants of the events of the `at`-th positive step."""
        return self._steps[self._positive[at]].times[chosen[at]]

    def _end(self, number: int, chosen: Chosen) -> Places:
        """Where the limit of step `number` ends, which must have one."""
        step = self._steps[number].step
        since = self._times(0 if step.from_first else len(chosen) - 1, chosen)
        return since + (NO_LIMIT if step.within_us is None else step.within_us)

    def _latest(self, here: int, following: int, chosen: Chosen) -> Places:
        """The last instant at which the next positive event may lie, by its limit and the negative steps before it."""
        latest = self._end(following, chosen)
        for number in range(here + 1, following):
            end = self._end(number, chosen)
            # A forbidden event at or after `latest` forbids nothing that the limit allows.
            forbidden = self._first_forbidden(number, chosen, np.minimum(end, latest) - 1)
            latest = np.where(forbidden < end, np.minimum(latest, forbidden), latest)
        return latest

    def _free_to_the_end(self, here: int, chosen: Chosen) -> NDArray[np.bool_]:
        free = np.ones(len(chosen[0]), np.bool_)
        for number in range(here + 1, len(self._steps)):
            last = np.full(len(free), self._context.as_of_us)
            if self._steps[number].step.within_us is not None:
                last = self._end(number, chosen)
            free &= last <= self._context.as_of_us
            free &= self._first_forbidden(number, chosen, last) > last
        return free

    def _first_forbidden(self, number: int, chosen: Chosen, last: Places) -> Places:
        """The instant of the earliest event of a negative step from the last positive event to `last`, that event
        itself excepted; _NEVER where there is none."""
        step = self._steps[number]
        result = np.full(len(last), _NEVER, np.int64)
        since = self._times(len(chosen) - 1, chosen)
        own = self._steps[self._positive[len(chosen) - 1]].ids[chosen[-1]]
        for pairs in self._pairs(number, chosen, since - 1, last):
            apart = step.ids[pairs.places] != own[pairs.owners]
            kept = self._matching(number, _Pairs(pairs.places[apart], pairs.owners[apart]), chosen)
            np.minimum.at(result, kept.owners, step.times[kept.places])
        return result

    def _extended(self, number: int, chosen: Chosen, latest: Places) -> Chosen:
        """Every assignment with every event of the step after its last one, up to `latest`, that the filter lets."""
        parts: list[Chosen] = []
        for pairs in self._pairs(number, chosen, self._times(len(chosen) - 1, chosen), latest):
            kept = self._matching(number, pairs, chosen)
            parts.append([*(places[kept.owners] for places in chosen), kept.places])
        if not parts:
            return [np.zeros(0, np.int64) for _ in range(len(chosen) + 1)]
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def _pairs(self, number: int, chosen: Chosen, after: Places, last: Places) -> list[_Pairs]:
        """The step's events with after < instant <= last of each assignment's group, some at a time."""
        step = self._steps[number]
        group = self._group[chosen[0]]
        starts, stops = self._starts[number][group], self._stops[number][group]
        begin = search_pieces(step.times, starts, stops, after, True)
        end = np.maximum(search_pieces(step.times, begin, stops, last, True), begin)
        total = np.cumsum(end - begin)
        found: list[_Pairs] = []
        at = 0
        while at < len(total):
            before = int(total[at - 1]) if at else 0
            until = max(int(np.searchsorted(total, before + _PAIRS_AT_ONCE, "right")), at + 1)
            places, owners = expand_ranges(begin[at:until], end[at:until])
            if len(places):
                found.append(_Pairs(places, owners + at))
            at = until
        return found

    def _matching(self, number: int, pairs: _Pairs, chosen: Chosen) -> _Pairs:
        """The pairs that satisfy what the step asks of the steps before it."""
        tree = self._crossing[number]
        if not tree or len(pairs.places) == 0:
            return pairs
        step = self._steps[number]
        entries = step.order[pairs.places]
        mask = np.zeros(len(entries), np.bool_)
        base = 0
        for part in step.parts:
            here = np.flatnonzero((entries >= base) & (entries < base + len(part)))
            if len(here):
                owners = pairs.owners[here]
                domain = SteppedDomain(
                    part.take(entries[here] - base).domain(),
                    lambda operand, rows, owners=owners: self._value(operand, owners[rows], chosen),  # type: ignore[misc]
                )
                mask[here] = matching(tree, domain, self._context)
            base += len(part)
        return _Pairs(pairs.places[mask], pairs.owners[mask])

    def _value(self, operand: StepOperand, owners: Places, chosen: Chosen) -> Valid:
        at = self._names[operand.step]
        if operand not in self._values:
            self._values[operand] = _parameter(self._steps[self._positive[at]].parts, operand.path)
        entries = self._steps[self._positive[at]].order[chosen[at][owners]]
        valid = self._values[operand]
        return Valid(valid.kinds[entries], valid.values[entries])

    def _distinct(self, chosen: Chosen, number: int) -> Chosen:
        """One of all assignments that later steps cannot tell apart; `number` is the last step that has an event."""
        rest = self._steps[number + 1 :]
        named = {operand.step for tree in self._crossing[number + 1 :] for operand in parts_of(tree, StepOperand)}
        needed = {len(chosen) - 1} | {self._names[name] for name in named if self._names[name] < len(chosen)}
        if any(one.step.from_first for one in rest):
            needed.add(0)
        order = np.lexsort([chosen[at] for at in sorted(needed)])
        first = np.zeros(len(order), np.bool_)
        first[:1] = True
        for at in needed:
            column = chosen[at][order]
            first[1:] |= column[1:] != column[:-1]
        kept = np.sort(order[first])
        kept = kept[np.argsort(self._group[chosen[0][kept]], kind="stable")]
        return [places[kept] for places in chosen]


def _parameter(parts: tuple[Entries, ...], path: str) -> Valid:
    """The parameter in the event of each entry; a list of texts is no value that a step can lend."""
    total = sum(len(part) for part in parts)
    kinds, values = np.zeros(total, np.uint8), np.zeros(total, np.int64)
    base = 0
    for part in parts:
        for operand in part.domain().operands(path):
            if operand.kind in _SCALARS:
                rows = slice(base, base + len(part)) if operand.rows is None else operand.rows + base
                kinds[rows], values[rows] = operand.kind, operand.values
        base += len(part)
    return Valid(kinds, values)
