"""A number for each contact that has one: what populations are compared by, and limits choose by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import invalid
from core.index.contact_set import ContactSet
from core.kernels.grouping import count_by_contact
from core.kernels.rfm import all_within
from core.query.ast import (
    AggregateMeasure,
    AttributeMeasure,
    Compare,
    CountMeasure,
    EventAggregate,
    EventTime,
    Interest,
    Measure,
)
from core.query.execute_context import Context
from core.query.leaves.interests import scores_of
from core.query.leaves.leaf_aggregates import aggregate
from core.query.leaves.measured_values import event_instants
from core.query.rows.numbers_compare import in_units
from core.query.rows.selecting import pick
from core.schema import DECIMAL_SCALE, Kind

_NUMBERS = (Kind.INTEGER, Kind.DECIMAL)
#: Kinds that have an order; only numbers have a mean as well.
_ORDERED = (*_NUMBERS, Kind.INSTANT, Kind.DATE)


@dataclass(frozen=True, slots=True)
class MeasureValues:
    """`contacts` (uint32 ascending) that have the measure, and their `values`: INTEGER whole numbers, DECIMAL units,
    INSTANT microseconds, DATE days; int64, or Python integers (dtype object) where they may be larger."""

    contacts: NDArray[np.uint32]
    values: NDArray[Any]
    kind: Kind

    def __len__(self) -> int:
        return len(self.contacts)

    @property
    def scale(self) -> int:
        """What one of `values` is in units of statistics (core.query.knowledge.Statistic)."""
        return DECIMAL_SCALE if self.kind is Kind.INTEGER else 1

    def among(self, members: ContactSet) -> MeasureValues:
        """Those of `members`."""
        if len(self) == 0 or all_within(self.contacts, members.words((int(self.contacts[-1]) >> 6) + 1)):
            return self
        kept = members.has(self.contacts)
        return MeasureValues(self.contacts[kept], self.values[kept], self.kind)


def measure_values(measure: Measure, context: Context) -> MeasureValues:
    """The measure of every contact of `context` that has it, whatever the scope, as of as_of. Whole numbers and
    decimals of one attribute come as decimals. Computed once per context. Raises CdpError for values without an
    order."""
    found: MeasureValues | None = context.computed.get(("measure", measure))
    if found is None:
        found = context.computed[("measure", measure)] = _values(measure, context)
    return found


def _values(measure: Measure, context: Context) -> MeasureValues:
    match measure:
        case AttributeMeasure(name):
            return _of_attribute(name, context)
        case CountMeasure(events):
            parts = [picked.contacts for picked in pick(events, context)]
            joined = np.concatenate(parts) if parts else np.zeros(0, np.uint32)
            contacts, values = count_by_contact(joined, context.root.contact_count)
            return MeasureValues(contacts, values, Kind.INTEGER)
        case AggregateMeasure(function, path, events):
            contacts, values, kind = aggregate(EventAggregate(function, path, events, Compare.PRESENT, ()), context)
            if kind not in _ORDERED:
                raise invalid("MEASURE_KIND", f"{function.value}({path}) has no order for values of {kind.name}")
            return MeasureValues(contacts, values, kind)
        case EventTime(events, first):
            return MeasureValues(*event_instants(events, context, first=first), Kind.INSTANT)
        case Interest():
            return MeasureValues(*scores_of(measure, context), Kind.DECIMAL)


def _of_attribute(name: str, context: Context) -> MeasureValues:
    valid = context.attribute(name)
    held = [kind for kind in _ORDERED if (valid.kinds == kind).any()]
    if held == list(_NUMBERS):
        rows = np.flatnonzero((valid.kinds == Kind.INTEGER) | (valid.kinds == Kind.DECIMAL))
        return _decimals(rows, valid.kinds[rows], valid.values[rows], context)
    if len(held) > 1:
        raise invalid("MEASURE_KIND", f'the attribute "{name}" holds values that have no common order')
    kind = held[0] if held else Kind.INTEGER
    rows = np.flatnonzero(valid.kinds == kind)
    return MeasureValues(_contacts(rows, context), valid.values[rows], kind)


def _decimals(
    rows: NDArray[np.intp], kinds: NDArray[np.uint8], values: NDArray[np.int64], context: Context
) -> MeasureValues:
    whole = kinds == Kind.INTEGER
    scaled = in_units(values[whole], Kind.INTEGER)
    joined: NDArray[Any] = values.astype(scaled.dtype)
    joined[whole] = scaled
    return MeasureValues(_contacts(rows, context), joined, Kind.DECIMAL)


def _contacts(rows: NDArray[np.intp], context: Context) -> NDArray[np.uint32]:
    return rows.astype(np.uint32) if context.candidates is None else context.candidates[rows]
