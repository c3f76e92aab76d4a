"""Conditions that count events."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.index.contact_set import ContactSet
from core.kernels.grouping import count_by_contact
from core.query.ast import AttributeOperand, Compare, EventCount, Literal, Operand
from core.query.compare_values import compare_by_contact, compare_each
from core.query.execute_context import Context
from core.query.leaf_result import LeafResult
from core.query.selecting import pick
from core.query.values_by_path import same_counts
from core.schema import Kind


def event_count_leaf(condition: EventCount, context: Context) -> LeafResult:
    """Contacts whose number of selected events compares as asked; those without any have 0."""
    if condition.same is not None:
        return _same_leaf(condition, condition.same, context)
    contacts = [one.contacts for one in pick(condition.events, context)]
    if _is_did(condition.compare, condition.counts):
        return _anyone(contacts, context)
    joined = np.concatenate(contacts) if contacts else np.zeros(0, np.uint32)
    found, counts = count_by_contact(joined, context.root.contact_count)
    return compare_by_contact(found, counts, Kind.INTEGER, 0, condition.compare, condition.counts, context)


def _is_did(compare: Compare, counts: tuple[Operand, ...]) -> bool:
    return compare is Compare.GE and counts == (Literal(1),)


def _anyone(contacts: list[NDArray[np.uint32]], context: Context) -> LeafResult:
    """At least one event: no counting."""
    if sum(len(part) for part in contacts) * 16 < context.root.contact_count:
        return LeafResult(ContactSet.from_numbers(np.concatenate([np.zeros(0, np.uint32), *contacts])))
    mask = np.zeros(context.root.contact_count, np.bool_)
    for part in contacts:
        mask[part] = True
    return LeafResult(ContactSet.from_mask(mask))


def _same_leaf(condition: EventCount, path: str, context: Context) -> LeafResult:
    """`for the same p`: some value that an event of these types ever held satisfies the whole condition."""
    compare, operands = condition.compare, condition.counts
    none = np.zeros(1, np.int64)
    unmatched = any(isinstance(operand, AttributeOperand) for operand in operands) or bool(
        compare_each(none, Kind.INTEGER, compare, operands, None, context)[0]
    )
    owners, counts = same_counts(path, condition.events, context, unmatched=unmatched)
    held = compare_each(counts, Kind.INTEGER, compare, operands, owners, context)
    return LeafResult(ContactSet.from_numbers(owners[held]))
