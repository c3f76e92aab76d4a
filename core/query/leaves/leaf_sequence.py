"""Sequences of events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.index.contact_set import ContactSet
from core.index.event_run import EventRun
from core.kernels.sequences import NO_LIMIT, groups_with_sequence
from core.query.ast import Sequence
from core.query.execute_context import Context
from core.query.leaves.leaf_result import LeafResult
from core.query.leaves.sequence_bound import bound_steps, operand_to_bind
from core.query.leaves.sequence_chain import chain_members, is_chain
from core.query.leaves.sequence_events import (
    Numbering,
    StepEvents,
    all_entries,
    are_few,
    arranged,
    narrowed_steps,
    picked_steps,
    possible_events,
)
from core.query.leaves.sequence_filters import speaks_of_steps
from core.query.leaves.sequence_join import assignments
from core.query.leaves.sequence_shared import shared_steps
from core.query.rows.picked import Picked

_HIGH = np.uint64(32)


@dataclass(frozen=True, slots=True)
class Matched:
    """The event of a positive step: row `row` of a run of `type_name`."""

    type_name: str
    run: EventRun
    row: int


def sequence_leaf(condition: Sequence, context: Context) -> LeafResult:
    """Contacts for whom some assignment of events to the positive steps satisfies everything."""
    crossing = any(speaks_of_steps(step.events.filter) for step in condition.steps)
    operand, alone = operand_to_bind(condition)
    if not crossing and condition.same is None:
        return _plain_leaf(condition, context)
    steps = step_events(condition, context) if operand is None else bound_steps(condition, operand, context)
    if any(len(one) == 0 for one in steps if not one.step.negative):
        return LeafResult(ContactSet.empty())
    if crossing and not alone:
        keys = steps[0].keys[assignments(steps, context)[0]]
    else:
        keys = _groups(steps, context)
    return LeafResult(ContactSet.from_numbers((keys >> _HIGH).astype(np.uint32)))


def _plain_leaf(condition: Sequence, context: Context) -> LeafResult:
    """The same where steps neither speak of one another nor share a value."""
    picks = possible_events(condition, context, bare=False)
    if any(not some for some, step in zip(picks, condition.steps, strict=True) if not step.negative):
        return LeafResult(ContactSet.empty())
    if not are_few(picks) and is_chain(condition, picks):
        return LeafResult(chain_members(condition, picks, context.as_of_us, context.root.contact_count))
    steps = _arranged(condition, narrowed_steps(picks, condition, context))
    if any(len(one) == 0 for one in steps if not one.step.negative):
        return LeafResult(ContactSet.empty())
    keys = _groups(steps, context)
    return LeafResult(ContactSet.from_numbers((keys >> _HIGH).astype(np.uint32)))


def sequence_witness(condition: Sequence, context: Context, contact: int) -> tuple[Matched, ...]:
    """The events of one assignment for `contact`, in the order of the positive steps; empty where the sequence does not
    hold. The same assignment every time."""
    alone = Context(
        context.root,
        context.as_of_us,
        context.zone_name,
        np.array([contact], np.uint32),
        context.setting,
        context.knowledge,
    )
    steps = step_events(condition, alone)
    positive = [one for one in steps if not one.step.negative]
    if any(len(one) == 0 for one in positive):
        return ()
    chosen = assignments(steps, alone)
    if len(chosen[0]) == 0:
        return ()
    return tuple(_matched(one, int(places[0])) for one, places in zip(positive, chosen, strict=True))


def step_events(condition: Sequence, context: Context) -> list[StepEvents]:
    """The candidates of all steps."""
    if condition.same is not None:
        return shared_steps(condition, condition.same, context)
    return _arranged(condition, picked_steps(condition, context, bare=False))


def _arranged(condition: Sequence, picks: list[list[Picked]]) -> list[StepEvents]:
    numbering = Numbering()
    return [
        arranged(step, all_entries(some), None, numbering) for step, some in zip(condition.steps, picks, strict=True)
    ]


def _groups(steps: list[StepEvents], context: Context) -> NDArray[np.uint64]:
    """The keys for which the sequence holds, where no step speaks of another."""
    offsets = np.zeros(len(steps) + 1, np.int64)
    np.cumsum([len(one) for one in steps], out=offsets[1:])
    found = np.empty(len(steps[0]), np.uint64)
    limits = [NO_LIMIT if one.step.within_us is None else one.step.within_us for one in steps]
    count = groups_with_sequence(
        offsets,
        np.concatenate([one.keys for one in steps]),
        np.concatenate([one.times for one in steps]),
        np.concatenate([one.ids for one in steps]),
        np.array([one.step.negative for one in steps], np.uint8),
        np.array(limits, np.int64),
        np.array([one.step.from_first for one in steps], np.uint8),
        context.as_of_us,
        found,
    )
    return found[:count]


def _matched(events: StepEvents, place: int) -> Matched:
    entry = int(events.order[place])
    for part in events.parts:
        if entry < len(part):
            return Matched(part.picked.type_name, part.picked.run, int(part.rows()[entry]))
        entry -= len(part)
    raise IndexError(place)
