"""A measure as a value of every contact, as if it were an attribute."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.grouping import count_by_contact, extreme_by_contact
from core.query.ast import (
    AggregateMeasure,
    AttributeMeasure,
    Compare,
    CountMeasure,
    EventAggregate,
    EventSelection,
    EventTime,
    Function,
    Interest,
    Measure,
    MeasureCondition,
)
from core.query.execute_context import Context, Valid
from core.query.leaves.interests import scores_of, top_values
from core.query.leaves.leaf_aggregates import aggregate
from core.query.leaves.leaf_picked_values import PICKING, picked_values
from core.query.leaves.leaf_result import LeafResult
from core.query.rows.comparisons import compare
from core.query.rows.domain import ContactDomain
from core.query.rows.selecting import pick
from core.schema import Kind

_ZERO_OVER_NOTHING = (Function.SUM, Function.DISTINCT)


def measure_condition_leaf(condition: MeasureCondition, context: Context) -> LeafResult:
    """Contacts whose measure compares as asked."""
    domain = _MeasuredDomain(context, measured_values(condition.measure, context))
    return LeafResult(context.to_set(compare(condition.test, domain, context)))


def measured_values(measure: Measure, context: Context) -> Valid:
    """The measure of every row of the context: a number of events, a sum, a number of different values and a score are
    0 where nothing is counted, all others are missing then. Values as in columns of attributes; sums beyond 64 bits
    make them Python integers. Computed once per context, not to be written. Raises what an aggregate raises."""
    found: Valid | None = context.computed.get(("measured", measure))
    if found is None:
        found = context.computed["measured", measure] = _values(measure, context)
    return found


def event_instants(
    events: EventSelection, context: Context, *, first: bool
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The contacts that have a selected event, ascending, and the instant of the earliest or the latest of each."""
    found = pick(events, context)
    owners = np.concatenate([np.zeros(0, np.uint32), *(picked.contacts for picked in found)])
    times = np.concatenate([np.zeros(0, np.int64), *(picked.run.occurred_at_us[picked.rows] for picked in found)])
    return extreme_by_contact(owners, times, context.root.contact_count, largest=not first)


def _values(measure: Measure, context: Context) -> Valid:
    match measure:
        case AttributeMeasure(name):
            return context.attribute(name)
        case CountMeasure(events):
            joined = np.concatenate([np.zeros(0, np.uint32), *(one.contacts for one in pick(events, context))])
            contacts, counts = count_by_contact(joined, context.root.contact_count)
            return _whole(contacts, counts, Kind.INTEGER, context, zero=True)
        case AggregateMeasure(function, path, events):
            condition = EventAggregate(function, path, events, Compare.PRESENT, ())
            if function in PICKING:
                picked = picked_values(condition, context)
                return _rows(picked.owners, picked.kinds, picked.values, context)
            contacts, values, kind = aggregate(condition, context)
            return _whole(contacts, values, kind, context, zero=function in _ZERO_OVER_NOTHING)
        case EventTime(events, first):
            return _whole(*event_instants(events, context, first=first), Kind.INSTANT, context, zero=False)
        case Interest(value=None):
            contacts, codes = top_values(measure, context)
            return _whole(contacts, codes.astype(np.int64), Kind.TEXT, context, zero=False)
        case Interest():
            return _whole(*scores_of(measure, context), Kind.DECIMAL, context, zero=True)


def _whole(contacts: NDArray[np.uint32], values: NDArray[Any], kind: Kind, context: Context, *, zero: bool) -> Valid:
    """Values of one kind; all other rows are 0, or missing."""
    found = _rows(contacts, np.full(len(contacts), kind, np.uint8), values, context)
    return Valid(np.full(context.rows, kind, np.uint8), found.values) if zero else found


def _rows(contacts: NDArray[np.uint32], kinds: NDArray[np.uint8], values: NDArray[Any], context: Context) -> Valid:
    """`contacts` may be in any order, and more than those of the context."""
    if context.candidates is not None:
        mine = context.takes_part(contacts)
        contacts, kinds, values = contacts[mine], kinds[mine], values[mine]
    rows = context.row_of(contacts)
    all_kinds = np.zeros(context.rows, np.uint8)
    all_values: NDArray[Any] = np.zeros(context.rows, object if values.dtype == object else np.int64)
    all_kinds[rows] = kinds
    all_values[rows] = values
    return Valid(all_kinds, all_values)


class _MeasuredDomain(ContactDomain):
    """Contacts with one attribute: whatever name is asked for is the measure."""

    def __init__(self, context: Context, valid: Valid) -> None:
        super().__init__(context)
        self._measured = valid

    def _valid(self, name: str) -> Valid:
        return self._measured
