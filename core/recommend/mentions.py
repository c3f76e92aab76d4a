"""Which products events name, as their own or on their lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.index.table import TEXT_KINDS, Selection, Table
from core.query.ast import Absolute, EventSelection, Literal
from core.query.execute_context import Context
from core.query.rows.selecting import pick
from core.schema import Instant

PRODUCT_ID = "product_id"
Numbers = NDArray[np.int64]
Codes = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Mentions:
    """One row for each product of an event: the `contacts` (uint32), the `codes` of the product ids (uint32, of the
    dictionary), the instants, which `events` (uint32, numbers of this answer), and where the product's fields stand:
    the row `rows[i]` (uint32) of `tables[places[i]]` (uint32). In no order; a product on two lines of an event stands
    twice.

    `whole`: contacts and instants of all events, of those that name no product as well."""

    contacts: Codes
    codes: Codes
    at_us: Numbers
    events: Codes
    places: Codes
    rows: Codes
    tables: tuple[Table, ...]
    whole: tuple[Codes, Numbers]

    def __len__(self) -> int:
        return len(self.codes)


def mentions(types: Sequence[str], context: Context, start_us: int | None = None) -> Mentions:
    """The products of the events of these types, by humans and at or before as_of, from `start_us` on; those of an
    event itself, or of its lines where it has none of its own."""
    window = None if start_us is None else Absolute(Literal(Instant(start_us)), None)
    parts: list[tuple[Codes, Codes, Numbers, Codes, Codes, Codes]] = []
    tables: list[Table] = []
    contacts, instants = [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)]
    base = 0
    for picked in pick(EventSelection(tuple(types), window=window), context):
        rows = picked.row_numbers()
        at_us = picked.run.occurred_at_us[picked.rows]
        contacts.append(picked.contacts)
        instants.append(at_us)
        own, of_own = _product_ids(picked.run.params, picked.rows)
        without = np.ones(len(rows), np.bool_)
        without[own] = False
        item_rows, parents = picked.run.item_ranges(rows[without])
        lines, of_lines = _product_ids(picked.run.items, item_rows)
        bearers = np.flatnonzero(without)[parents[lines]]
        for table, events, held, table_rows in (
            (picked.run.params, own, of_own, rows[own]),
            (picked.run.items, bearers, of_lines, item_rows[lines]),
        ):
            if len(events):
                place = np.full(len(events), len(tables), np.uint32)
                numbers = (events + base).astype(np.uint32)
                parts.append(
                    (picked.contacts[events], held, at_us[events], numbers, place, table_rows.astype(np.uint32))
                )
                tables.append(table)
        base += len(rows)
    whole = (np.concatenate(contacts), np.concatenate(instants))
    if not parts:
        none = np.zeros(0, np.uint32)
        return Mentions(none, none, np.zeros(0, np.int64), none, none, none, (), whole)
    return Mentions(
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        np.concatenate([part[2] for part in parts]),
        np.concatenate([part[3] for part in parts]),
        np.concatenate([part[4] for part in parts]),
        np.concatenate([part[5] for part in parts]),
        tuple(tables),
        whole,
    )


def _product_ids(table: Table, rows: Selection) -> tuple[Numbers, Codes]:
    """The places among `rows` that have a product id, and its code."""
    places, codes = [np.zeros(0, np.int64)], [np.zeros(0, np.uint32)]
    for column in table.columns.get(PRODUCT_ID, ()):
        if column.kind in TEXT_KINDS:
            selected = column.select(rows)
            held = np.arange(len(selected)) if selected.rows is None else selected.rows.astype(np.int64)
            places.append(held)
            codes.append(selected.values.astype(np.uint32, copy=False))
    return np.concatenate(places), np.concatenate(codes)
