"""The events of one entry as a root of their own, so that selections pick among them as they do among all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.events.columns import EventColumns
from core.index.event_decode import decode
from core.index.event_run import EventRun
from core.index.root import Root
from core.query.rows.picked import Picked
from core.segments.toggles import Toggles


class FreshEvents:
    """`root` has the contacts of the root after the entry and the entry's events alone."""

    def __init__(self, rows: NDArray[np.intp], columns: EventColumns, after: Root) -> None:
        """`rows`: those of the entry that count."""
        assert columns.contacts is not None, "unification resolves events before they come here"
        taken = columns if len(rows) == len(columns) else columns.take(rows)
        run, types = decode(taken, after.dictionary)
        runs: dict[str, tuple[EventRun, ...]] = {}
        self._rows: dict[str, NDArray[np.int64]] = {}
        for code in np.unique(types).tolist():
            mine = np.flatnonzero(types == code)
            mine = mine[np.argsort(run.occurred_at_us[mine], kind="stable")]
            name = after.dictionary.text(code)
            runs[name] = (run.take(mine, 0),)
            self._rows[name] = rows[mine].astype(np.int64)
        self.root = replace(after, events=runs)

    def rows_of(self, picked: Picked) -> NDArray[np.int64]:
        """The rows of the entry of events picked from `root`."""
        return self._rows[picked.type_name][picked.rows]


def appeared(rows: NDArray[np.intp], columns: EventColumns, before: Root, after: Root, as_of_us: int) -> Toggles:
    """Who comes to exist by these rows, each at the first row that is not of the future."""
    assert columns.contacts is not None, "unification resolves events before they come here"
    known = rows[columns.occurred_at_us[rows] <= as_of_us]
    contacts, first = np.unique(columns.contacts[known], return_index=True)
    older = contacts < before.contact_count
    fresh = after.contacts.earliest_of(contacts) <= as_of_us
    fresh[older] &= before.contacts.earliest_of(contacts[older]) > as_of_us
    return Toggles(contacts[fresh], known[first[fresh]].astype(np.int64), np.ones(int(fresh.sum()), np.bool_))
