"""Logged batches into unsorted columns of the index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.errors import invalid
from core.events.columns import MACHINE, EventColumns, ParamColumn
from core.index.dictionary import TextDictionary
from core.index.event_ids import EventIds
from core.index.event_run import EventRun
from core.index.table import TEXT_KINDS, Column, Table, dense_if_full


def decode(events: EventColumns, dictionary: TextDictionary) -> tuple[EventRun, NDArray[np.uint32]]:
    """`events` of all types in log order (no run yet: unsorted), and the dictionary code of each event's type.

    Texts enter the dictionary. Raises CdpError where the events were not resolved to contacts.
    """
    if events.contacts is None:
        raise invalid("EVENTS_UNRESOLVED", "events carry no contact numbers; the index folds resolved events only")
    codes = dictionary.add_all(events.strings)
    n = len(events)
    item_count = int(events.item_offsets[-1])
    run = EventRun(
        serial=0,
        occurred_at_us=events.occurred_at_us,
        contacts=events.contacts,
        flags=events.flags if events.flags.any() else None,
        ids=EventIds.of_texts(events.ids),
        params=_table(events.params, codes, n),
        item_offsets=events.item_offsets if item_count else None,
        items=_table(events.item_params, codes, item_count),
        has_machine=bool((events.flags & MACHINE).any()),
    )
    return run, codes[events.types] if n else np.zeros(0, np.uint32)


def _table(params: tuple[ParamColumn, ...], codes: NDArray[np.uint32], n: int) -> Table:
    columns: dict[str, tuple[Column, ...]] = {}
    for param in params:
        if len(param.rows) == 0:
            continue
        values = codes[param.values] if param.kind in TEXT_KINDS else param.values
        column = dense_if_full(Column.of(param.kind, param.rows, values), n)
        columns[param.name] = (*columns.get(param.name, ()), column)
    return Table(n, columns)
