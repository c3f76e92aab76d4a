"""Logged batches into unsorted columns of the index."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from core.errors import invalid
from core.events.columns import MACHINE, EventColumns, ParamColumn
from core.index.dictionary import TextDictionary
from core.index.event_run import EventRun
from core.index.table import Column, Table, dense_if_full
from core.schema import Kind


def decode(
    events: EventColumns, dictionary: TextDictionary, first_log_order: int
) -> tuple[EventRun, NDArray[np.uint32]]:
    """`events` of all types in log order (no run yet: unsorted), and the dictionary code of each event's type.

    Texts enter the dictionary. Raises CdpError where the events were not resolved to contacts.
    """
    if events.contacts is None:
        raise invalid("EVENTS_UNRESOLVED", "events carry no contact numbers; the index folds resolved events only")
    codes = dictionary.add_all(events.strings)
    n = len(events)
    id_bytes, id_offsets = _ids(events.ids)
    run = EventRun(
        serial=0,
        occurred_at_us=events.occurred_at_us,
        contacts=events.contacts,
        flags=events.flags,
        log_order=np.arange(first_log_order, first_log_order + n, dtype=np.int64),
        id_offsets=id_offsets,
        id_bytes=id_bytes,
        params=_table(events.params, codes, n),
        item_offsets=events.item_offsets.astype(np.int64),
        items=_table(events.item_params, codes, int(events.item_offsets[-1])),
        has_machine=bool((events.flags & MACHINE).any()),
    )
    return run, codes[events.types] if n else np.zeros(0, np.uint32)


def _ids(ids: tuple[str, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    joined = "".join(ids)
    data = joined.encode()
    lengths: Iterable[int] = map(len, ids) if len(data) == len(joined) else (len(text.encode()) for text in ids)
    offsets = np.zeros(len(ids) + 1, np.int64)
    np.cumsum(np.fromiter(lengths, np.int64, len(ids)), out=offsets[1:])
    return np.frombuffer(data, np.uint8), offsets


def _table(params: tuple[ParamColumn, ...], codes: NDArray[np.uint32], n: int) -> Table:
    columns: dict[str, tuple[Column, ...]] = {}
    for param in params:
        if len(param.rows) == 0:
            continue
        values = codes[param.values] if param.kind in (Kind.TEXT, Kind.TEXT_LIST) else param.values
        column = dense_if_full(Column(param.kind, param.rows, values), n)
        columns[param.name] = (*columns.get(param.name, ()), column)
    return Table(n, columns)
