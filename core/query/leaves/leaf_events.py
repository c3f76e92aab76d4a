"""Conditions that count events."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.index.contact_set import ContactSet
from core.kernels.grouping import count_by_contact
from core.query.ast import AttributeOperand, Compare, EventCount, Literal, Operand
from core.query.execute_context import Context
from core.query.leaves.leaf_result import LeafResult
from core.query.rows.compare_values import compare_by_contact, compare_each
from core.query.rows.event_pass import RunPass, counted, passes
from core.query.rows.literal_ranges import Range, range_of
from core.query.rows.selecting import pick
from core.query.rows.values_by_path import same_counts
from core.schema import Kind

#: More than the events of any contact: counts fit uint32.
_MANY = 2**32 - 1


def event_count_leaf(condition: EventCount, context: Context) -> LeafResult:
    """Contacts whose number of selected events compares as asked; those without any have 0."""
    if condition.same is not None:
        return _same_leaf(condition, condition.same, context)
    found = passes(condition.events, context)
    numbers = range_of(Kind.INTEGER, *_plain(condition))
    if found is not None and numbers is not None:
        return _in_one_pass(found, numbers, condition.compare is Compare.NE, context)
    contacts = [one.contacts for one in pick(condition.events, context)]
    if _is_did(condition.compare, condition.counts):
        return _anyone(contacts, context)
    joined = np.concatenate(contacts) if contacts else np.zeros(0, np.uint32)
    owners, counts = count_by_contact(joined, context.root.contact_count)
    return compare_by_contact(owners, counts, Kind.INTEGER, 0, condition.compare, condition.counts, context)


def _plain(condition: EventCount) -> tuple[Compare, tuple[Operand, ...]]:
    """The comparison whose complement NE is; others as they are."""
    return (Compare.EQ if condition.compare is Compare.NE else condition.compare), condition.counts


def _in_one_pass(found: list[RunPass], numbers: Range, complement: bool, context: Context) -> LeafResult:
    """Contacts whose number of events is one of `numbers`; where 0 is one of them, by those with other numbers."""
    first, last = numbers
    n = context.root.contact_count
    if first > last or last < 0 or first > _MANY:
        return LeafResult(ContactSet.empty(), complement)
    if first <= 0:
        others = ContactSet.empty() if last >= _MANY else counted(found, last + 1, None, n, context.among)
        return LeafResult(others, not complement)
    return LeafResult(counted(found, first, None if last >= _MANY else last, n, context.among), complement)


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
