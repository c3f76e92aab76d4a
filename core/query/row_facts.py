"""The facts of one contact as plain Python numbers: what the row path reads.

An evaluation of one contact is bound by the number of calls, not by bytes: reading single numbers out of the columns
takes a tenth of what building arrays of one row does.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from core.index.event_run import EventRun
from core.index.root import Root
from core.index.step_run import MISSING
from core.index.steps import AT, CODE, KIND, VALUE, StepView
from core.index.table import Column
from core.query.ast import Window
from core.query.local_time import find_zone
from core.query.windows import Interval, instants

#: Contacts of a block in the order by contact (core/kernels/contact_order.py).
_BLOCK_BITS = 8
_LOW = 255


class RunRows:
    """The events of one contact in one run: `rows` and `times` ascending."""

    __slots__ = ("rows", "run", "times")

    def __init__(self, run: EventRun, rows: list[int], times: list[int]) -> None:
        self.run = run
        self.rows = rows
        self.times = times

    def inside(self, interval: Interval, as_of_us: int) -> tuple[int, int]:
        """The places of the events in the interval, at or before as_of: first, and after the last."""
        first = bisect_left(self.times, interval.start)
        return first, max(first, bisect_left(self.times, min(interval.until, as_of_us + 1)))


class RowFacts:
    """One contact at one instant. What was read once is kept: conditions of a rule share it."""

    __slots__ = ("_attributes", "_events", "_intervals", "_zone", "as_of_us", "contact", "root")

    def __init__(self, root: Root, contact: int, as_of_us: int, zone_name: str) -> None:
        self.root = root
        self.contact = contact
        self.as_of_us = as_of_us
        self._zone = zone_name
        self._attributes: dict[str, tuple[int, int]] = {}
        self._events: dict[str, list[RunRows]] = {}
        self._intervals: dict[Window | None, Interval] = {}

    def attribute(self, name: str) -> tuple[int, int]:
        """Kind number (0: missing) and raw value as of as_of."""
        found = self._attributes.get(name)
        if found is None:
            view = self.root.attributes.get(name)
            found = (MISSING, 0) if view is None else self._valid(view)
            self._attributes[name] = found
        return found

    def on_list(self, name: str) -> bool | None:
        """Whether the contact is on a static list; None where its parts have to be looked at."""
        if len(self.root.contacts.losers):
            return None
        view = self.root.lists.get(name)
        return view is not None and self._valid(view)[1] == 1

    def events(self, type_name: str) -> list[RunRows]:
        """The contact's events of a type, one entry for each run that has any."""
        found = self._events.get(type_name)
        if found is None:
            runs = self.root.events.get(type_name, ())
            found = self._events[type_name] = [one for run in runs if (one := _rows_of(run, self.contact)) is not None]
        return found

    def interval(self, window: Window | None) -> Interval:
        """A window that is the same for all contacts."""
        found = self._intervals.get(window)
        if found is None:
            zone = find_zone(self._zone)
            assert zone is not None, "binding knows the zone"
            found = self._intervals[window] = instants(window, self.as_of_us, zone)
        return found

    def _valid(self, view: StepView) -> tuple[int, int]:
        table, contact = view.latest, self.contact
        if contact >= table.n:
            return MISSING, 0
        columns, place = table.base, contact
        if len(table.rows):
            at = int(table.rows.searchsorted(contact))
            if at < len(table.rows) and int(table.rows[at]) == contact:
                columns, place = table.patch, at
        if self.as_of_us < view.latest_us and int(columns[AT][place]) > self.as_of_us:
            kinds, values = view.valid_at(_one(contact), _instant(self.as_of_us))
            return int(kinds[0]), int(values[0])
        if view.entries is None:
            return int(columns[KIND][place]), int(columns[VALUE][place])
        code = int(columns[CODE][place])
        return int(view.entries.kinds[code]), int(view.entries.values[code])


def _rows_of(run: EventRun, contact: int) -> RunRows | None:
    order = run.contact_order()
    block = contact >> _BLOCK_BITS
    if block >= order.blocks:
        return None
    first, after = int(order.starts[block]), int(order.starts[block + 1])
    low = order.low[first:after].tobytes()
    wanted = contact & _LOW
    at = low.find(wanted)
    if at < 0:
        return None
    rows = order.rows[first + at : first + low.rfind(wanted) + 1]
    return RunRows(run, rows.tolist(), run.occurred_at_us[rows].tolist())


def value_at(column: Column, row: int) -> int | None:
    """The raw value of a column at a row; None where it has none there. Lists are not read this way."""
    place = row
    if column.rows is not None:
        place = int(column.rows.searchsorted(row))
        if place >= len(column.rows) or int(column.rows[place]) != row:
            return None
    packed = column.packed
    return packed.base + packed.factor * int(packed.codes[place])


def _one(contact: int) -> NDArray[np.uint32]:
    return np.array([contact], np.uint32)


def _instant(us: int) -> NDArray[np.int64]:
    return np.array([us], np.int64)
