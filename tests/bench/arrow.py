"""The workload as Arrow tables, for peers that read Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tests.bench.workload import CATEGORIES, EVENT_TYPES, TEXT_ATTRIBUTES, Contacts, Events


def contacts_table(contacts: Contacts) -> pa.Table:
    """Columns contact, the text attributes, age, created (microseconds)."""
    columns: dict[str, Any] = {"contact": pa.array(np.arange(len(contacts.age), dtype=np.uint32))}
    for name, values in TEXT_ATTRIBUTES.items():
        columns[name] = _texts(contacts.texts[name], values)
    columns["age"] = pa.array(contacts.age)
    columns["created"] = pa.array(contacts.created_us)
    return pa.table(columns)


def events_table(events: Events, *, plain_ids: bool = False) -> pa.Table:
    """Columns type, ts (microseconds), contact, category, price (cents), id; a category and a price of messages mean
    nothing. Ids are UUIDs to Arrow, or with `plain_ids` 16 bytes for readers that know no such type."""
    ids = _ids(events.ids)
    if not plain_ids:
        ids = pa.ExtensionArray.from_storage(pa.uuid(), ids)
    return pa.table(
        {
            "type": _texts(events.types, EVENT_TYPES),
            "ts": pa.array(events.at_us),
            "contact": pa.array(events.contacts),
            "category": _texts(events.categories, CATEGORIES),
            "price": pa.array(events.cents),
            "id": ids,
        }
    )


def _texts(codes: NDArray[Any], values: Sequence[str]) -> Any:
    return pa.DictionaryArray.from_arrays(codes.astype(np.int16), pa.array(list(values)))


def _ids(ids: NDArray[np.uint8]) -> Any:
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(ids), [None, pa.py_buffer(ids.tobytes())])
