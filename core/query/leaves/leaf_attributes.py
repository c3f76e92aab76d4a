"""Conditions on attributes of contacts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.index.contact_set import ContactSet
from core.query.ast import AttributeCondition, Comparison, ElementMatch
from core.query.execute_context import Context
from core.query.leaves.leaf_result import LeafResult
from core.query.rows.comparisons import compare, positive_form
from core.query.rows.distinct_domain import DistinctDomain, decided_by_value
from core.query.rows.distinct_truth import plain_truth
from core.query.rows.domain import ContactDomain
from core.query.rows.filters import matching_leaf


def attribute_leaf(condition: AttributeCondition, context: Context) -> LeafResult:
    """A comparison or element match; a negative comparison is the complement of its positive form."""
    test = condition.test
    if isinstance(test, ElementMatch):
        return LeafResult(context.to_set(matching_leaf(test, ContactDomain(context), context)))
    form, complement = positive_form(test.compare)
    test = replace(test, compare=form)
    found = _by_value(test, context)
    if found is None:
        found = context.to_set(compare(test, ContactDomain(context), context))
    return LeafResult(found, complement)


def _by_value(test: Comparison, context: Context) -> ContactSet | None:
    """The contacts for which a positive form holds, decided once for each distinct value; None where that does not pay
    or does not do."""
    if not decided_by_value(test):
        return None
    if context.candidates is not None:
        valid = context.attribute(test.name)
        return context.to_set(compare(test, DistinctDomain(test.name, valid.kinds, valid.values, context), context))
    view = context.root.attributes.get(test.name)
    if view is None:
        return ContactSet.empty()
    column = view.whole(context.as_of_us)
    if column is None:
        return None
    truth = _truth(test, column.kinds, column.values, context)
    return column.select(truth, _truth(test, column.row_kinds, column.row_values, context))


def _truth(
    test: Comparison, kinds: NDArray[np.uint8], values: NDArray[np.int64] | NDArray[np.uint32], context: Context
) -> NDArray[np.bool_]:
    """A new array, one answer for each value."""
    if len(kinds) == 0:
        return np.zeros(0, np.bool_)
    truth = plain_truth(test, kinds, values, context)
    return compare(test, DistinctDomain(test.name, kinds, values, context), context) if truth is None else truth
