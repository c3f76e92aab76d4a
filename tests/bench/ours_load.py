"""The workload folded into our index, through its public interface alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.events.columns import EventColumns, ParamColumn
from core.index.bulk import StateColumns, WriteColumns
from core.index.index import Index
from core.schema import Kind
from tests.bench.workload import CATEGORIES, EVENT_TYPES, PRODUCT_TYPES, TEXT_ATTRIBUTES, Contacts, Events, uuid_texts

_STRINGS = (*EVENT_TYPES, *CATEGORIES)
_ORDER = EVENT_TYPES.index("order_completed")
_CONTACTS_AT_ONCE = 500_000


def load_contacts(index: Index, contacts: Contacts, done: Callable[[int], None]) -> None:
    """Every contact known from its creation on, with seven attributes written then. `done` hears of each portion."""
    n = len(contacts.age)
    for first in range(0, n, _CONTACTS_AT_ONCE):
        until = min(first + _CONTACTS_AT_ONCE, n)
        index.apply_columns(_facts(contacts, first, until), index.position + 1)
        done(until - first)


def _facts(contacts: Contacts, first: int, until: int) -> list[StateColumns | WriteColumns]:
    rows = slice(first, until)
    numbers = np.arange(first, until, dtype=np.uint32)
    at_us = contacts.created_us[rows]
    known = np.ones(until - first, np.bool_)
    facts: list[StateColumns | WriteColumns] = [
        StateColumns(numbers, contacts.keys[rows], known, known.astype(np.uint8), at_us),
        WriteColumns("age", numbers, at_us, Kind.INTEGER, contacts.age[rows].astype(np.int64)),
        WriteColumns("created", numbers, at_us, Kind.INSTANT, at_us),
    ]
    for name, values in TEXT_ATTRIBUTES.items():
        codes = contacts.texts[name][rows].astype(np.int64)
        facts.append(WriteColumns(name, numbers, at_us, Kind.TEXT, codes, values))
    return facts


def event_columns(events: Events) -> EventColumns:
    """The batch as unification hands it to the engine. The amount of an order is its `total`, of all else `price`."""
    n = len(events)
    products = np.flatnonzero(events.types < PRODUCT_TYPES).astype(np.uint32)
    orders = np.flatnonzero(events.types == _ORDER).astype(np.uint32)
    priced = products[events.types[products] != _ORDER]
    units = events.cents.astype(np.int64) * 100
    categories = events.categories[products].astype(np.int64) + len(EVENT_TYPES)
    return EventColumns(
        ids=tuple(uuid_texts(events.ids)),
        types=events.types.astype(np.uint32),
        occurred_at_us=events.at_us,
        received_at_us=events.at_us,
        flags=np.zeros(n, np.uint8),
        params=(
            ParamColumn("category", Kind.TEXT, products, categories),
            ParamColumn("price", Kind.DECIMAL, priced, units[priced]),
            ParamColumn("total", Kind.DECIMAL, orders, units[orders]),
        ),
        item_offsets=np.zeros(n + 1, np.uint32),
        item_params=(),
        strings=_STRINGS,
        contacts=events.contacts,
    )
