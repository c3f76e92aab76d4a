"""Conditions on attributes of contacts."""

from __future__ import annotations

from dataclasses import replace

from core.query.ast import AttributeCondition, Comparison
from core.query.comparisons import positive_form
from core.query.domain import ContactDomain
from core.query.execute_context import Context
from core.query.filters import matching_leaf
from core.query.leaf_result import LeafResult


def attribute_leaf(condition: AttributeCondition, context: Context) -> LeafResult:
    """A comparison or element match; a negative comparison is the complement of its positive form."""
    test = condition.test
    complement = False
    if isinstance(test, Comparison):
        form, complement = positive_form(test.compare)
        test = replace(test, compare=form)
    return LeafResult(context.to_set(matching_leaf(test, ContactDomain(context), context)), complement)
