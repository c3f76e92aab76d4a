"""When contacts were in a group: intervals made of the steps by which they came and went."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.index.contacts import ERASED
from core.index.step_run import StepRun
from core.kernels.ranges import expand_ranges, first_of_groups
from core.query.ast import Compare, Comparison, EventSelection, Group, Literal
from core.query.execute_context import Context
from core.query.rows.selecting import pick
from core.query.rows.values_at import settled
from core.query.windows import GREATEST

#: The events by which a scenario's runs begin and end, and the parameter that names the scenario.
ENTERED, LEFT, SCENARIO = "scenario_entered", "scenario_left", "scenario"
_ON = 1


@dataclass(frozen=True, slots=True)
class Intervals:
    """`contacts[i]` (uint32, ascending, repeats allowed) was in the group in `[starts[i], untils[i])`, int64
    microseconds; the intervals of one contact neither overlap nor touch. GREATEST is the end of those that last."""

    contacts: NDArray[np.uint32]
    starts: NDArray[np.int64]
    untils: NDArray[np.int64]

    def overlapping(self, starts: NDArray[np.int64], untils: NDArray[np.int64]) -> NDArray[np.uint32]:
        """The contacts that were in the group at some instant of `[start, until)`, one window for each interval."""
        held = np.maximum(self.starts, starts) < np.minimum(self.untils, untils)
        return self.contacts[held]

    def covering(self, first_us: int, last_us: int) -> NDArray[np.uint32]:
        """The contacts that were in the group on all of `[first, last]`."""
        return self.contacts[(self.starts <= first_us) & (self.untils > last_us)]


def intervals_of(group: Group, name: str, context: Context) -> Intervals:
    """The memberships of the contacts that take part, by what is known at as_of."""
    match group:
        case Group.SEGMENT:
            return _of_segment(name, context)
        case Group.LIST:
            return _of_list(name, context)
        case Group.SCENARIO:
            return _of_scenario(name, context)


def _of_segment(name: str, context: Context) -> Intervals:
    """By the recorded history; what the losers of merges had recorded stays theirs."""
    history = context.knowledge.histories.get(name)
    if history is None:
        return _none()
    # A history may be ahead of the root: contacts that the root does not know are not asked about.
    known = int(np.searchsorted(history.contacts, context.root.contact_count))
    rows: NDArray[np.int64] | slice = slice(0, known)
    if context.candidates is not None:
        starts = np.searchsorted(history.contacts, context.candidates, "left")
        rows, _ = expand_ranges(starts, np.searchsorted(history.contacts, context.candidates, "right"))
    contacts, at_us = history.contacts[rows], history.at_us[rows]
    past = at_us <= context.as_of_us
    steps = np.where(history.entered[rows], 1, -1)
    return _intervals(contacts[past], at_us[past], steps[past])


def _of_list(name: str, context: Context) -> Intervals:
    """A merged contact is on a list while any of its parts is."""
    view = context.root.lists.get(name)
    if view is None:
        return _none()
    if context.candidates is None:
        writes = view.all_writes()
        writes = writes.take(np.flatnonzero(writes.at_us <= context.as_of_us))
    else:
        parts = np.unique(context.root.contacts.parts(context.candidates))
        writes = view.writes_of(parts, context.as_of_us)
    return _of_parts(settled(writes), context)


def _of_parts(states: StepRun, context: Context) -> Intervals:
    on = states.values == _ON
    before = np.append(False, on[:-1])
    before[first_of_groups(states.contacts)] = False
    steps = on.astype(np.int64) - before
    moved = np.flatnonzero(steps)
    parts = states.contacts[moved]
    forward = context.root.contacts.forward_of(parts)
    whole = np.where(forward >= 0, forward, parts).astype(np.uint32)
    kept = forward != ERASED
    return _intervals(whole[kept], states.at_us[moved][kept], steps[moved][kept])


def _of_scenario(name: str, context: Context) -> Intervals:
    """A contact is in a scenario while it has more runs entered than left."""
    contacts, at_us, steps = [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    of_this = (Comparison(SCENARIO, Compare.EQ, (Literal(name),)),)
    for event, step in ((ENTERED, 1), (LEFT, -1)):
        for picked in pick(EventSelection((event,), of_this), context):
            contacts.append(picked.contacts)
            at_us.append(picked.run.occurred_at_us[picked.rows])
            steps.append(np.full(len(picked), step, np.int64))
    return _intervals(np.concatenate(contacts), np.concatenate(at_us), np.concatenate(steps))


def _none() -> Intervals:
    return Intervals(np.zeros(0, np.uint32), np.zeros(0, np.int64), np.zeros(0, np.int64))


def _intervals(contacts: NDArray[np.uint32], at_us: NDArray[np.int64], steps: NDArray[np.int64]) -> Intervals:
    """Intervals in which the steps (+1, -1) of a contact, in any order, add up to more than nothing. All at one instant
    count at once; leaving what was never entered counts for nothing."""
    if len(contacts) == 0:
        return _none()
    order = np.lexsort((at_us, contacts))
    contacts, at_us, steps = contacts[order], at_us[order], steps[order]
    new_instant = np.append(True, (contacts[1:] != contacts[:-1]) | (at_us[1:] != at_us[:-1]))
    places = np.flatnonzero(new_instant)
    steps = np.add.reduceat(steps, places)
    contacts, at_us = contacts[places], at_us[places]
    firsts = first_of_groups(contacts)
    sizes = np.diff(np.append(firsts, len(contacts)))
    group = np.repeat(np.arange(len(firsts)), sizes)
    total = np.cumsum(steps)
    total -= np.repeat(total[firsts] - steps[firsts], sizes)
    # The lowest level so far, nothing included; groups are moved apart so that one pass serves all of them.
    apart = 2 * int(np.abs(total).max()) + 2
    lowest = np.minimum.accumulate(np.minimum(total, 0) - group * apart) + group * apart
    inside = total > lowest
    before = np.append(False, inside[:-1])
    before[firsts] = False
    entered = np.flatnonzero(inside & ~before)
    # Every second change of a contact is an exit; the first one after an entry, if it is the same contact's.
    changes = np.flatnonzero(inside != before)
    following = np.searchsorted(changes, entered, "right")
    has_exit = following < len(changes)
    exits = changes[np.where(has_exit, following, 0)]
    has_exit &= contacts[exits] == contacts[entered]
    return Intervals(contacts[entered], at_us[entered], np.where(has_exit, at_us[exits], GREATEST))
