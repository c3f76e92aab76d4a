"""Sequences whose steps all hold one value: `for the same product_id`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.query.ast import FilterTree, ProductCondition, Sequence, Step
from core.query.execute_context import Context
from core.query.leaves.sequence_events import Entries, Numbering, StepEvents, arranged, picked_steps
from core.query.leaves.sequence_filters import split
from core.query.leaves.sequence_values import PREFIX, Codes, Held, of_events, of_lines
from core.query.rows.filters import matching
from core.query.rows.picked import Picked
from core.query.rows.selecting_products import bound_product_mask, product_mask


def shared_steps(condition: Sequence, path: str, context: Context) -> list[StepEvents]:
    """The candidates of all steps, one for each event and value of `path` that it holds.

    An event without a parameter `path` has the values of its lines' field of that name; `items.p` always means the
    lines. Conditions on lines then see of an event only the lines that hold the value. Numbers of both kinds are equal
    if their values are.
    """
    numbering = Numbering()
    held = [
        [value for one in picks for value in _held(path, one)] for picks in picked_steps(condition, context, bare=True)
    ]
    codes = Codes([value for values in held for value in values], context)
    steps: list[StepEvents] = []
    for step, values in zip(condition.steps, held, strict=True):
        parts: list[Entries] = []
        part_codes: list[NDArray[np.uint64]] = []
        for entries, numbers in codes.entries(values):
            kept = _kept(entries, step, context)
            parts.append(entries.take(kept))
            part_codes.append(numbers[kept])
        steps.append(arranged(step, parts, part_codes, numbering))
    return steps


def _held(path: str, picked: Picked) -> list[Held]:
    if path.startswith(PREFIX):
        return of_lines(path.removeprefix(PREFIX), picked)
    found = of_events(path, picked)
    without = np.ones(len(picked), np.bool_)
    for one in found:
        without[one.events] = False
    return [*found, *of_lines(path, picked, without)] if without.any() else found


def _kept(entries: Entries, step: Step, context: Context) -> NDArray[np.int64]:
    """The entries that satisfy what the step's event alone decides."""
    plain: FilterTree = split(step.events.filter)[0]
    mask = matching(plain, entries.domain(), context)
    if step.events.products:
        mask &= _product_mask(entries, step.events.products, context)
    return np.flatnonzero(mask)


def _product_mask(entries: Entries, conditions: tuple[ProductCondition, ...], context: Context) -> NDArray[np.bool_]:
    run = entries.picked.run
    alone = Picked(entries.picked.type_name, run, entries.rows(), entries.contacts())
    if entries.line_rows is None or entries.line_offsets is None:
        return product_mask(alone, conditions, context)
    owners = np.repeat(np.arange(len(entries), dtype=np.int64), np.diff(entries.line_offsets))
    return bound_product_mask(alone, entries.line_rows, owners, conditions, context)
