"""Attributes as they were: at the instants of events, and write by write."""

from __future__ import annotations

import numpy as np

from core.index.step_run import StepRun, no_writes
from core.index.steps import StepView
from core.kernels.ranges import sorted_unique
from core.query.execute_context import Context, Valid
from core.query.rows.domain import Domain, Operand


def attribute_at(name: str, operand: Operand, domain: Domain, context: Context) -> Valid:
    """The attribute at the event of each value of `operand`: of the contact that the event belongs to now."""
    contacts = domain.contacts(operand.rows)
    instants = domain.instants(operand.rows)
    view = context.root.attributes.get(name)
    if view is None or contacts is None:
        return Valid(np.zeros(len(instants), np.uint8), np.zeros(len(instants), np.int64))
    return Valid(*view.valid_at(contacts, instants))


def states_after(view: StepView, after_us: int, context: Context) -> StepRun:
    """What began to be valid in `(after_us, as_of]`, for the contacts that take part, by (contact, instant): of writes
    at one instant the last one, as the others were valid at no time."""
    return settled(_writes_after(view, after_us, context))


def settled(writes: StepRun) -> StepRun:
    """Of the writes of each contact at one instant the last one; `writes` by (contact, occurred_at, log order)."""
    if len(writes) == 0:
        return writes
    same = (writes.contacts[1:] == writes.contacts[:-1]) & (writes.at_us[1:] == writes.at_us[:-1])
    return writes.take(np.flatnonzero(np.append(~same, True)))


def _writes_after(view: StepView, after_us: int, context: Context) -> StepRun:
    candidates = context.candidates
    if candidates is None or len(candidates) * 4 > context.root.contact_count:
        written, _ = view.writes_between(after_us, context.as_of_us)
        contacts = sorted_unique(written)
        contacts = contacts[context.takes_part(contacts)]
    else:
        contacts = candidates
    if len(contacts) == 0:
        return no_writes()
    writes = view.writes_of(contacts, context.as_of_us)
    return writes.take(np.flatnonzero(writes.at_us > after_us))
