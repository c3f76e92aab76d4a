"""Conditions on an aggregate of one parameter over events."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import invalid
from core.kernels.grouping import count_by_contact, dense_codes, extreme_by_contact, sum_by_contact, unique_pairs
from core.query.ast import EventAggregate, Function
from core.query.execute_context import Context
from core.query.leaves.leaf_picked_values import PICKING, picked_numbers, picked_value_leaf
from core.query.leaves.leaf_result import LeafResult
from core.query.rows.compare_values import compare_by_contact
from core.query.rows.comparisons import positive_form
from core.query.rows.event_fold import fold_of
from core.query.rows.literal_ranges import range_of
from core.query.rows.numbers_compare import in_units
from core.query.rows.values_by_path import Values, values_of
from core.schema import Kind

_NUMBERS = (Kind.INTEGER, Kind.DECIMAL)
_ORDERED = (*_NUMBERS, Kind.INSTANT, Kind.DATE)
#: Beyond this, doubling a rest could leave int64.
_MAX_HALVABLE = 2**62

NO_CONTACTS: NDArray[np.uint32] = np.zeros(0, np.uint32)


def aggregate_leaf(condition: EventAggregate, context: Context) -> LeafResult:
    """Contacts whose aggregate compares as asked. Over nothing, `sum` and `distinct` are 0, the others missing."""
    function = condition.function
    if function in PICKING:
        return picked_value_leaf(condition, context)
    folded = _folded(condition, context)
    if folded is not None:
        return folded
    contacts, values, kind = aggregate(condition, context)
    default = 0 if function in (Function.SUM, Function.DISTINCT) else None
    return compare_by_contact(contacts, values, kind, default, condition.compare, condition.operands, context)


def aggregate(condition: EventAggregate, context: Context) -> tuple[NDArray[np.uint32], NDArray[Any], Kind]:
    """The aggregate of every contact that has a value: contacts ascending, values, and their kind.

    Exact: sums beyond 64 bits are Python integers (dtype object); `avg` is rounded half to even to 1e-4. Raises
    CdpError where the parameter holds values that have no sum or order.
    """
    if condition.function is Function.DISTINCT:
        owners, _ = unique_pairs(*_distinct_keys(condition, context))
        found, counts = count_by_contact(owners, context.root.contact_count)
        return found, counts, Kind.INTEGER
    if condition.function in PICKING:
        return picked_numbers(condition, context)
    fold = fold_of(condition, context)
    if fold is not None:
        found, totals, counts = fold.values()
        if condition.function is Function.AVG:
            return found, rounded_mean(in_units(totals, fold.kind), counts), Kind.DECIMAL
        return found, totals, fold.kind
    n = context.root.contact_count
    values = _only(condition, values_of(condition.path, condition.events, context))
    if values is None:
        return NO_CONTACTS, np.zeros(0, np.int64), Kind.INTEGER
    match condition.function:
        case Function.SUM:
            return *sum_by_contact(values.contacts, values.values, n), values.kind
        case Function.MIN:
            return *extreme_by_contact(values.contacts, values.values, n, largest=False), values.kind
        case Function.MAX:
            return *extreme_by_contact(values.contacts, values.values, n, largest=True), values.kind
        case _:
            found, totals = sum_by_contact(values.contacts, values.values, n)
            _, counts = count_by_contact(values.contacts, n)
            return found, rounded_mean(in_units(totals, values.kind), counts), Kind.DECIMAL


def _folded(condition: EventAggregate, context: Context) -> LeafResult | None:
    """The answer where every contact's aggregate is compared with literals while it is made, without keeping them."""
    positive, complement = positive_form(condition.compare)
    fold = fold_of(condition, context)
    if fold is None:
        return None
    kind = Kind.DECIMAL if condition.function is Function.AVG else fold.kind
    values = range_of(kind, positive, condition.operands)
    if values is None:
        return None
    found, inverted = fold.members(values, default=condition.function is Function.SUM)
    return LeafResult(found, inverted != complement)


def _distinct_keys(condition: EventAggregate, context: Context) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]:
    """Contact and key of every value of the path; equal values have equal keys."""
    contacts, keys, first_key = [NO_CONTACTS], [np.zeros(0, np.uint64)], 0
    for one in values_of(condition.path, condition.events, context):
        codes, count = dense_codes(one.values)
        contacts.append(one.contacts)
        keys.append(codes + np.uint64(first_key))
        first_key += count
    return np.concatenate(contacts), np.concatenate(keys)


def rounded_mean(totals: NDArray[Any], counts: NDArray[np.int64]) -> NDArray[Any]:
    """`totals / counts` rounded half to even, exactly."""
    if len(totals) == 0:
        return totals
    if totals.dtype != object and max(int(totals.max()), -int(totals.min())) >= _MAX_HALVABLE:
        totals = totals.astype(object)
    quotients = totals // counts
    doubled = (totals - quotients * counts) * 2
    up = (doubled > counts) | ((doubled == counts) & (quotients % 2 == 1))
    return quotients + np.asarray(up, np.bool_)


def _only(condition: EventAggregate, found: list[Values]) -> Values | None:
    """The one kind of values; numbers were joined before."""
    allowed = _ORDERED if condition.function in (Function.MIN, Function.MAX) else _NUMBERS
    if any(values.kind not in allowed for values in found) or len(found) > 1:
        kinds = ", ".join(values.kind.name for values in found)
        raise invalid(
            "AGGREGATE_KIND", f"{condition.function.value}({condition.path}) is not defined for values of {kinds}"
        )
    return found[0] if found else None
