"""Sequences in which later steps ask for a value of an earlier step: `as v ... (product_id = v.product_id)`.

Whatever value that is, it is one for the whole assignment. So events are grouped by contact and value, as if all steps
shared it: the step that lends the value has its event in the group of its value; a step that asks for an equal one has
its events in the groups of their values; any other event is in every group of its contact. Within a group the value is
known, so that a filter which asks for no other one is decided there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.kernels.ranges import expand_ranges, sorted_unique
from core.query.ast import Branch, Compare, Comparison, ElementMatch, FilterTree, Op, Sequence, StepOperand
from core.query.execute_context import Context, Valid
from core.query.leaves.sequence_domain import SteppedDomain
from core.query.leaves.sequence_events import Entries, Numbering, StepEvents, all_entries, arranged, picked_steps
from core.query.leaves.sequence_filters import split
from core.query.leaves.sequence_values import Codes, Held, of_events, of_lines
from core.query.rows.domain import ITEMS
from core.query.rows.filters import matching
from core.query.rows.picked import Picked
from core.query.walk import parts_of
from core.schema import Kind

_HIGH = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
#: The number of no value.
_MISSING = np.uint64(0xFFFFFFFF)

_Part = tuple[Entries, NDArray[np.uint64]]


def bound_steps(condition: Sequence, operand: StepOperand, context: Context) -> list[StepEvents]:
    """The candidates of all steps, grouped by contact and by the value of `operand`; filters that speak of no other
    operand hold. The steps share no other value."""
    picks = picked_steps(condition, context, bare=False)
    lender = next(number for number, step in enumerate(condition.steps) if step.name == operand.step)
    lent = [held for one in picks[lender] for held in of_events(operand.path, one) if held.kind is not Kind.TEXT_LIST]
    crossing = [split(step.events.filter)[1] for step in condition.steps]
    paths = [_path(tree, operand) for tree in crossing]
    asked = [[held for one in some for held in _equal(path, one)] for path, some in zip(paths, picks, strict=True)]
    codes = Codes([*lent, *(held for some in asked for held in some)], context)
    of_lender = _lender(picks[lender], lent, codes)
    keys = [np.zeros(0, np.uint64), *((entries.contacts().astype(np.uint64) << _HIGH) | c for entries, c in of_lender)]
    groups = sorted_unique(np.concatenate(keys))
    lent_codes, lent_values = codes.represented(lent)

    def value_of(numbers: NDArray[np.uint64]) -> Valid:
        if len(lent_codes) == 0:
            return Valid(np.zeros(len(numbers), np.uint8), np.zeros(len(numbers), np.int64))
        places = np.minimum(np.searchsorted(lent_codes, numbers), len(lent_codes) - 1)
        return Valid(np.where(numbers == _MISSING, 0, lent_values.kinds[places]), lent_values.values[places])

    numbering = Numbering()
    steps: list[StepEvents] = []
    for number, step in enumerate(condition.steps):
        parts = of_lender
        if number != lender and paths[number] is not None:
            parts = [_inside(entries, own, groups) for entries, own in codes.entries(asked[number])]
        elif number != lender:
            parts = [_in_every_group(entries, groups) for entries in all_entries(picks[number])]
        if set(parts_of(crossing[number], StepOperand)) == {operand}:
            parts = [_kept(entries, own, crossing[number], value_of, context) for entries, own in parts]
        steps.append(arranged(step, [entries for entries, _ in parts], [own for _, own in parts], numbering))
    return steps


def operand_to_bind(condition: Sequence) -> tuple[StepOperand | None, bool]:
    """The value of an earlier step to group by, the one that most steps ask an equal one for, and whether it is the
    only one; None where there is none, or the steps share another value."""
    operands = list(dict.fromkeys(parts_of(condition.steps, StepOperand)))
    if not operands or condition.same is not None:
        return None, False
    crossing = [split(step.events.filter)[1] for step in condition.steps]
    best = max(operands, key=lambda operand: sum(_path(tree, operand) is not None for tree in crossing))
    return best, len(operands) == 1


def _path(tree: FilterTree, operand: StepOperand) -> tuple[bool, str] | None:
    """What must equal the operand for the filter to hold: (whether it is a field of some line, its name), or None."""
    if not tree:
        return None
    root = tree[-1]
    children = root.children if isinstance(root, Branch) and root.op is Op.AND else (len(tree) - 1,)
    for child in children:
        node = tree[child]
        if isinstance(node, Comparison) and _is_equal(node, operand):
            return False, node.name
        if isinstance(node, ElementMatch) and node.name == ITEMS and not node.every:
            inner = _path(node.filter, operand)
            if inner is not None and not inner[0]:
                return True, inner[1]
    return None


def _is_equal(test: Comparison, operand: StepOperand) -> bool:
    return test.compare is Compare.EQ and not test.ignoring_case and test.operands == (operand,)


def _equal(path: tuple[bool, str] | None, picked: Picked) -> list[Held]:
    """The values of the events that could be equal to the earlier step's."""
    if path is None:
        return []
    on_line, name = path
    return of_lines(name, picked) if on_line else of_events(name, picked)


def _lender(picks: list[Picked], lent: list[Held], codes: Codes) -> list[_Part]:
    """The events of the step that lends its value; those without one in the group of no value."""
    parts: list[_Part] = []
    for one in picks:
        numbers = np.full(len(one), _MISSING, np.uint64)
        for held in lent:
            if held.picked is one:
                numbers[held.events] = codes.of(held)
        parts.append((Entries(one, np.arange(len(one), dtype=np.int64)), numbers))
    return parts


def _inside(entries: Entries, numbers: NDArray[np.uint64], groups: NDArray[np.uint64]) -> _Part:
    """Those of a group that there is, with all their lines: the filter finds the one that it means."""
    keys = (entries.contacts().astype(np.uint64) << _HIGH) | numbers
    if len(groups) == 0:
        return Entries(entries.picked, entries.events[:0]), numbers[:0]
    held = groups[np.minimum(np.searchsorted(groups, keys), len(groups) - 1)] == keys
    return Entries(entries.picked, entries.events[held]), numbers[held]


def _in_every_group(entries: Entries, groups: NDArray[np.uint64]) -> _Part:
    first = entries.contacts().astype(np.uint64) << _HIGH
    places, owners = expand_ranges(
        np.searchsorted(groups, first, "left"), np.searchsorted(groups, first | _LOW, "right")
    )
    return entries.take(owners), groups[places] & _LOW


def _kept(
    entries: Entries,
    numbers: NDArray[np.uint64],
    tree: FilterTree,
    value_of: Callable[[NDArray[np.uint64]], Valid],
    context: Context,
) -> _Part:
    """The entries whose filter holds with the value of their group."""
    if not tree or len(entries) == 0:
        return entries, numbers
    domain = SteppedDomain(entries.domain(), lambda _, rows: value_of(numbers[rows]))
    kept = np.flatnonzero(matching(tree, domain, context))
    return entries.take(kept), numbers[kept]
