"""The values of one parameter over selected events, and which contact each belongs to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.grouping import dense_codes, unique_pairs
from core.query.ast import EventSelection
from core.query.execute_context import Context
from core.query.rows.domain import ITEMS, BoundDomain, Operand, TableDomain
from core.query.rows.filters import matching
from core.query.rows.numbers_compare import in_units
from core.query.rows.selecting import Picked, matching_types, pick, pick_in
from core.query.rows.selecting_more import refined
from core.query.rows.selecting_products import bound_product_mask
from core.schema import Kind

ITEM_PREFIX = ITEMS + "."
_HIGH = np.uint64(32)
#: The event number of values that no selected event holds.
_UNMATCHED = -1
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL)


@dataclass(frozen=True, slots=True)
class Values:
    """Present values of one kind: `contacts[i]` has `values[i]` at an event; `events[i]` numbers the event (distinct
    across all runs), so that lines of one event can be told from lines of two."""

    kind: Kind
    contacts: NDArray[np.uint32]
    values: NDArray[Any]
    events: NDArray[np.int64]


def values_of(path: str, events: EventSelection, context: Context) -> list[Values]:
    """The values of `path` over the selected events, one entry per kind; integers and decimals are joined as DECIMAL
    units where both occur. "items.p" gives one value a line."""
    parts: list[Values] = []
    base = 0
    for picked in pick(events, context):
        parts.extend(_of_picked(path, picked, base))
        base += len(picked)
    return joined(parts)


def _of_picked(path: str, picked: Picked, base: int) -> list[Values]:
    domain = picked.domain()
    if not path.startswith(ITEM_PREFIX):
        return [_values(operand, picked.contacts, None, base) for operand in domain.operands(path)]
    lines, parents = domain.elements(ITEMS)
    name = path.removeprefix(ITEM_PREFIX)
    return [_values(operand, picked.contacts, parents, base) for operand in lines.operands(name)]


def _values(operand: Operand, contacts: NDArray[np.uint32], parents: NDArray[np.int64] | None, base: int) -> Values:
    """`parents`: the event of each row where rows are lines."""
    rows: NDArray[Any] = np.arange(len(operand)) if operand.rows is None else operand.rows
    events = rows.astype(np.int64) if parents is None else parents[rows]
    return Values(operand.kind, contacts[events], operand.values, events + base)


def joined(parts: list[Values]) -> list[Values]:
    """One entry per kind; numbers of both kinds become one entry of DECIMAL units."""
    by_kind: dict[Kind, list[Values]] = {}
    for part in parts:
        kind = Kind.TEXT if part.kind is Kind.TEXT_LIST else part.kind
        by_kind.setdefault(kind, []).append(part)
    if all(kind in by_kind for kind in _NUMBERS):
        whole = [
            Values(Kind.DECIMAL, part.contacts, in_units(part.values, Kind.INTEGER), part.events)
            for part in by_kind.pop(Kind.INTEGER)
        ]
        by_kind[Kind.DECIMAL] = [*whole, *by_kind[Kind.DECIMAL]]
    return [
        Values(
            kind,
            np.concatenate([part.contacts for part in same]),
            np.concatenate([part.values for part in same]),
            np.concatenate([part.events for part in same]),
        )
        for kind, same in by_kind.items()
    ]


def same_counts(
    path: str, events: EventSelection, context: Context, *, unmatched: bool
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """For `for the same p`: per contact and value the number of selected events that hold it; contacts repeat.

    With `unmatched`, values that only the contact's other events of these types hold are there, too, with 0. Where p
    belongs to a line, conditions on lines bind to the line that holds the value. Equal values are one value, numbers
    of both kinds included.
    """
    if path.startswith(ITEM_PREFIX):
        parts = _line_values(path.removeprefix(ITEM_PREFIX), events, context)
    else:
        parts = values_of(path, events, context)
    if unmatched:
        ever = values_of(path, EventSelection(events.names, with_machines=events.with_machines), context)
        parts = [*parts, *(Values(v.kind, v.contacts, v.values, np.full(len(v.events), _UNMATCHED)) for v in ever)]
    owners, counts = [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)]
    for one in joined(parts):
        pair_owners, pair_counts = _count_pairs(one)
        owners.append(pair_owners)
        counts.append(pair_counts)
    return np.concatenate(owners), np.concatenate(counts)


def _count_pairs(values: Values) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Per (contact, value): the number of distinct events, those marked as unmatched left out."""
    codes, _ = dense_codes(values.values)
    matched = values.events != _UNMATCHED
    weights = matched.astype(np.int64)
    events = values.events[matched]
    if (np.diff(events) <= 0).any():
        # An event may hold a value on several lines: it counts once.
        once = np.unique((events.astype(np.uint64) << _HIGH) | codes[matched], return_index=True)[1]
        weights[:] = 0
        weights[np.flatnonzero(matched)[once]] = 1
    if matched.all() and weights.all():
        return unique_pairs(values.contacts, codes)
    pairs = (values.contacts.astype(np.uint64) << _HIGH) | codes
    distinct, places = np.unique(pairs, return_inverse=True)
    counts = np.bincount(places, weights=weights, minlength=len(distinct)).astype(np.int64)
    return (distinct >> _HIGH).astype(np.uint32), counts


def _line_values(name: str, events: EventSelection, context: Context) -> list[Values]:
    """Each value that some lines of an event hold, where the filter holds on the event with those lines alone."""
    parts: list[Values] = []
    base = 0
    types = matching_types(events.names, context.root)
    found = pick_in(types, (), events.window, context, with_machines=events.with_machines)
    for picked in refined(found, replace(events, products=()), context):
        domain = picked.domain()
        item_rows, parents = picked.run.item_ranges(picked.rows)
        lines = TableDomain(picked.run.items, item_rows, picked.contacts[parents])
        by_line = [_values(operand, picked.contacts[parents], None, 0) for operand in lines.operands(name)]
        # `events` of these are lines; values of both kinds of numbers are joined before lines are grouped.
        for values in joined(by_line):
            codes, _ = dense_codes(values.values)
            owner_event = parents[values.events]
            _, first, owners = np.unique(
                (owner_event.astype(np.uint64) << _HIGH) | codes, return_index=True, return_inverse=True
            )
            of_lines = (domain, owner_event)
            holding = TableDomain(picked.run.items, item_rows[values.events], values.contacts, of_lines)
            bound = BoundDomain(domain, owner_event[first], holding, owners)
            mask = matching(events.filter, bound, context)
            if events.products:
                rows = picked.row_numbers()[owner_event[first]]
                holders = Picked(picked.type_name, picked.run, rows, values.contacts[first])
                mask &= bound_product_mask(holders, item_rows[values.events], owners, events.products, context)
            kept = first[mask]
            parts.append(Values(values.kind, values.contacts[kept], values.values[kept], owner_event[kept] + base))
        base += len(picked)
    return joined(parts)
