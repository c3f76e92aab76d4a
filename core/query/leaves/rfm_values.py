"""Recency, frequency and monetary value of every contact that has a matching event."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import invalid
from core.index.contact_set import ContactSet
from core.kernels.grouping import count_by_contact, extreme_by_contact, sum_by_contact
from core.kernels.rfm import all_within
from core.query.ast import EventSelection, InLast
from core.query.execute_context import Context
from core.query.leaves.rfm_fold import folded_values
from core.query.rfm_model import RfmModel
from core.query.rows.numbers_compare import in_units
from core.query.rows.selecting import pick
from core.query.rows.values_by_path import values_of
from core.schema import Kind


@dataclass(frozen=True, slots=True)
class RfmValues:
    """Of `contacts` (uint32 ascending): `recency`, the instant of the last matching event, int64; `frequency`, their
    number, int64; `monetary`, the sum in units of 1e-4, 0 over nothing, int64 or Python integers (dtype object)."""

    contacts: NDArray[np.uint32]
    recency: NDArray[np.int64]
    frequency: NDArray[np.int64]
    monetary: NDArray[Any]

    def __len__(self) -> int:
        return len(self.contacts)

    def among(self, members: ContactSet) -> RfmValues:
        """Those of `members`."""
        if len(self) == 0 or all_within(self.contacts, members.words((int(self.contacts[-1]) >> 6) + 1)):
            return self
        kept = members.has(self.contacts)
        return RfmValues(self.contacts[kept], self.recency[kept], self.frequency[kept], self.monetary[kept])


def rfm_values(model: RfmModel, context: Context) -> RfmValues:
    """The values of the contacts of `context` as of as_of, whatever the scope; computed once per context."""
    found: RfmValues | None = context.computed.get(("rfm values", model))
    if found is None:
        folded = folded_values(events_of(model), model.value_path, context)
        found = general_rfm_values(model, context) if folded is None else RfmValues(*folded)
        context.computed[("rfm values", model)] = found
    return found


def events_of(model: RfmModel) -> EventSelection:
    """The model's events within its period."""
    return model.events if model.period_us is None else replace(model.events, window=InLast(model.period_us))


def general_rfm_values(model: RfmModel, context: Context) -> RfmValues:
    """rfm_values by sorting and adding what a selection picks."""
    n = context.root.contact_count
    found = pick(events_of(model), context)
    owners = np.concatenate([np.zeros(0, np.uint32), *(picked.contacts for picked in found)])
    times = np.concatenate([np.zeros(0, np.int64), *(picked.run.occurred_at_us[picked.rows] for picked in found)])
    contacts, frequency = count_by_contact(owners, n)
    _, recency = extreme_by_contact(owners, times, n, largest=True)
    return RfmValues(contacts, recency, frequency, _monetary(model, contacts, context))


def _monetary(model: RfmModel, contacts: NDArray[np.uint32], context: Context) -> NDArray[Any]:
    """One sum for each of `contacts`."""
    result: NDArray[Any] = np.zeros(len(contacts), np.int64)
    if model.value_path is None or len(contacts) == 0:
        return result
    for one in values_of(model.value_path, events_of(model), context):
        if one.kind not in (Kind.INTEGER, Kind.DECIMAL):
            raise invalid("RFM_VALUE", f"{model.value_path} has no sum for values of {one.kind.name}")
        owners, totals = sum_by_contact(one.contacts, in_units(one.values, one.kind), context.root.contact_count)
        result = result.astype(totals.dtype)
        result[np.searchsorted(contacts, owners)] += totals
    return result
