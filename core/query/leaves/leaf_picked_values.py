"""The first, the last and the most frequent value of a parameter over events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code, invalid
from core.index.contact_set import ContactSet
from core.query.ast import Comparison, EventAggregate, Function
from core.query.execute_context import Context
from core.query.leaves.leaf_result import LeafResult
from core.query.leaves.most_frequent import most_frequent
from core.query.rows.comparisons import compare, positive_form
from core.query.rows.domain import Domain, Operand
from core.query.rows.selecting import pick
from core.query.rows.total_order import extremes
from core.query.rows.values_in_order import one_kind_of_numbers, read_in_order
from core.schema import Kind

#: The functions that pick one of the values, of whatever kind.
PICKING = (Function.FIRST, Function.LAST, Function.MOST_FREQUENT)


def picked_value_leaf(condition: EventAggregate, context: Context) -> LeafResult:
    """Contacts whose picked value compares as asked; without one it is missing."""
    found = picked_values(condition, context)
    form, complement = positive_form(condition.compare)
    held = compare(Comparison("", form, condition.operands), found, context)
    return LeafResult(ContactSet.from_numbers(found.owners[held]), complement)


def picked_values(condition: EventAggregate, context: Context) -> PickedValues:
    """The value that FIRST, LAST or MOST_FREQUENT gives each contact that has any.

    First and last by the total order of events, of one event by the order of its lines (or of the elements of a list
    of texts). Most frequent: of values that are equally frequent the one that occurred latest, then the smaller one.
    """
    parts = [part for picked in pick(condition.events, context) for part in read_in_order(condition.path, picked)]
    if not parts:
        return PickedValues(np.zeros(0, np.uint32), np.zeros(0, np.uint8), np.zeros(0, np.int64))
    if condition.function is Function.MOST_FREQUENT:
        return PickedValues(*most_frequent(parts, context))
    first = condition.function is Function.FIRST
    kept = extremes([part.entries for part in parts], context.root, first=first)
    return PickedValues(
        np.concatenate([part.entries.contacts()[places] for part, places in zip(parts, kept, strict=True)]),
        np.concatenate([part.kinds[places] for part, places in zip(parts, kept, strict=True)]),
        np.concatenate([part.values[places] for part, places in zip(parts, kept, strict=True)]),
    )


def picked_numbers(condition: EventAggregate, context: Context) -> tuple[NDArray[np.uint32], NDArray[Any], Kind]:
    """The same as `leaf_aggregates.aggregate` gives other aggregates: contacts ascending, values and their kind.
    Raises CdpError where values are of a kind without an order, or of kinds apart."""
    found = picked_values(condition, context)
    order = np.argsort(found.owners)
    held, values = one_kind_of_numbers(found.kinds[order], found.values[order])
    kinds = {Kind(number) for number in np.unique(held).tolist()}
    if len(kinds) > 1 or kinds & {Kind.TEXT, Kind.BOOLEAN}:
        names = ", ".join(sorted(kind.name for kind in kinds))
        raise invalid("AGGREGATE_KIND", f"{condition.function.value}({condition.path}) gives values of {names}")
    return found.owners[order], values, kinds.pop() if kinds else Kind.INTEGER


@dataclass(frozen=True, slots=True)
class PickedValues:
    """A value for each of `owners` (uint32, unique, in no order): `kinds` (Kind numbers), `values` as in columns of
    events, DECIMAL units as Python integers where int64 is too narrow. As a domain, its rows are the owners, and
    whatever name is asked for is the picked value."""

    owners: NDArray[np.uint32]
    kinds: NDArray[np.uint8]
    values: NDArray[Any]

    @property
    def n(self) -> int:
        """The number of owners."""
        return len(self.owners)

    @property
    def binds_missing(self) -> bool:
        """True."""
        return True

    def contacts(self, rows: NDArray[np.integer] | None) -> NDArray[np.uint32]:
        """The owners themselves."""
        return self.owners if rows is None else self.owners[rows]

    def operands(self, _name: str) -> tuple[Operand, ...]:
        """The values, by kind."""
        found = []
        for kind in Kind:
            rows = np.flatnonzero(self.kinds == kind)
            if len(rows):
                values = self.values[rows]
                found.append(Operand(kind, rows, values.astype(np.uint32) if kind is Kind.TEXT else values))
        return tuple(found)

    def elements(self, _name: str) -> tuple[Domain, NDArray[np.int64]]:
        """Values have no elements."""
        return self, np.zeros(0, np.int64)

    def instants(self, _rows: NDArray[np.integer] | None) -> NDArray[np.int64]:
        """Raises: a value is no event."""
        raise CdpError(Code.INTERNAL, "NO_EVENT", "a picked value is compared with attributes as of as_of only")
