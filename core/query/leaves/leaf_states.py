"""How long an attribute has been so, and how it changed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.index.contact_set import ContactSet
from core.index.step_run import StepRun
from core.index.steps import StepView
from core.kernels.ranges import first_of_groups
from core.query.ast import Changed, HasBeen
from core.query.execute_context import Context, Valid
from core.query.leaves.leaf_result import LeafResult
from core.query.leaves.states import states_among, states_that
from core.query.leaves.windowed import window_ends
from core.query.rows.comparisons import positive_form
from core.query.rows.numbers_compare import in_units
from core.query.rows.values_at import states_after
from core.query.windows import LEAST
from core.schema import Kind


def has_been_leaf(condition: HasBeen, context: Context) -> LeafResult:
    """The test held in every state of `[as_of - duration, as_of]`.

    A positive test has to hold in the first state and in all that followed; a negative one holds for all but those with
    some state in which its positive form does, so it holds for who never had the attribute.
    """
    test = condition.test
    _, complement = positive_form(test.compare)
    view = context.root.attributes.get(test.name)
    if view is None:
        return LeafResult(ContactSet.empty(), complement)
    start_us = context.as_of_us - condition.duration_us
    everyone = context.contact_numbers()
    first = Valid(*view.valid(start_us, context.candidates, context.rows))
    mask = states_that(test, context, everyone, first)
    later = states_after(view, start_us, context)
    held = states_that(test, context, later.contacts, Valid(later.kinds, later.values))
    if complement:
        mask[context.row_of(later.contacts[held])] = True
    else:
        mask[context.row_of(later.contacts[~held])] = False
    return LeafResult(context.to_set(mask), complement)


def changed_leaf(condition: Changed, context: Context) -> LeafResult:
    """Some change in the window, of the states asked for."""
    view = context.root.attributes.get(condition.name)
    if view is None:
        return LeafResult(ContactSet.empty())
    earliest = _earliest_start(condition, context)
    after_us = earliest - 1 if earliest > LEAST else LEAST
    states = states_after(view, after_us, context)
    if len(states) == 0:
        return LeafResult(ContactSet.empty())
    before = _before(view, states, after_us)
    contacts, after = states.contacts, Valid(states.kinds, states.values)
    mask = ~_same(before, after)
    starts, untils = window_ends(condition.window, contacts, context)
    mask &= (states.at_us >= starts) & (states.at_us < untils)
    mask &= states_among(condition.name, condition.before, context, contacts, before)
    mask &= states_among(condition.name, condition.after, context, contacts, after)
    return LeafResult(ContactSet.from_numbers(contacts[mask]))


def _earliest_start(condition: Changed, context: Context) -> int:
    return LEAST if condition.window is None else context.interval(condition.window).start


def _before(view: StepView, states: StepRun, after_us: int) -> Valid:
    """What was valid just before each state: the one before it, or what was valid at `after_us`."""
    kinds, values = np.roll(states.kinds, 1), np.roll(states.values, 1)
    firsts = first_of_groups(states.contacts)
    owners = states.contacts[firsts]
    kinds[firsts], values[firsts] = view.valid_at(owners, np.full(len(owners), after_us, np.int64))
    return Valid(kinds, values)


def _same(one: Valid, other: Valid) -> NDArray[np.bool_]:
    """Where both are the same value, or both missing. Numbers are the same by value, whole or decimal; lists and
    places that are equal have equal numbers."""
    same = (one.kinds == other.kinds) & ((one.values == other.values) | (one.kinds == 0))
    for left, right in ((one, other), (other, one)):
        mixed = np.flatnonzero((left.kinds == Kind.INTEGER) & (right.kinds == Kind.DECIMAL))
        if len(mixed):
            same[mixed] = in_units(left.values[mixed], Kind.INTEGER) == right.values[mixed]
    return np.asarray(same, np.bool_)
