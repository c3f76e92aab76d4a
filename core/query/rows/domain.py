"""What a comparison is asked about: rows of contacts, events, order lines or list elements, in one form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code
from core.index.event_run import EventRun
from core.index.packing import Packed
from core.index.table import Column, Selection, Table
from core.kernels.ranges import expand_ranges
from core.query.execute_context import Context, Valid
from core.schema import Kind

#: The name by which filters speak of the lines of an event.
ITEMS = "items"


@dataclass(frozen=True, slots=True)
class Operand:
    """Values of one kind. `rows`: the row of each value (a row may hold several), None: one value in every row.
    `held`: the values, as they are or packed. `holders`: the rows that have a value at all, where an empty list is one;
    None: those in `rows`."""

    kind: Kind
    rows: NDArray[np.integer] | None
    held: NDArray[Any] | Packed
    holders: NDArray[np.integer] | None = None

    def __len__(self) -> int:
        return len(self.held)

    @property
    def values(self) -> NDArray[Any]:
        """The values: dictionary codes (uint32) of texts, int64 of all others; unpacked each time it is asked for."""
        if isinstance(self.held, Packed):
            return Column(self.kind, None, self.held).values
        return self.held


class Domain(Protocol):
    """`n` rows, each of one contact."""

    @property
    def n(self) -> int:
        """The number of rows."""
        ...

    @property
    def binds_missing(self) -> bool:
        """Whether a negative comparison holds in a row that lacks the value: of contacts and events yes, of elements
        no, as missing keys never bind."""
        ...

    def contacts(self, rows: NDArray[np.integer] | None) -> NDArray[np.uint32] | None:
        """The contacts of `rows` (None: of all); None where the rows are those of the context."""
        ...

    def operands(self, name: str) -> tuple[Operand, ...]:
        """The values of `name`, one entry per kind; empty where no row has it."""
        ...

    def elements(self, name: str) -> tuple[Domain, NDArray[np.int64]]:
        """The elements of the lists `name` of all rows, and the row of each."""
        ...

    def instants(self, rows: NDArray[np.integer] | None) -> NDArray[np.int64]:
        """When the event of each of `rows` (None: of all) occurred. Raises CdpError for what is no part of an event."""
        ...


class ContactDomain:
    """The contacts of an evaluation with their attributes."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def n(self) -> int:
        """The number of contacts."""
        return self._context.rows

    @property
    def binds_missing(self) -> bool:
        """True."""
        return True

    def contacts(self, rows: NDArray[np.integer] | None) -> NDArray[np.uint32] | None:
        """None for all rows: they are the context's."""
        return None if rows is None else self._owners()[rows]

    def operands(self, name: str) -> tuple[Operand, ...]:
        """The attribute's values as of as_of, by kind."""
        valid = self._valid(name)
        found = []
        for kind in Kind:
            held = valid.kinds == kind
            if not held.any():
                continue
            rows = None if held.all() else np.flatnonzero(held)
            values = valid.values if rows is None else valid.values[rows]
            found.append(self._texts(rows, values) if kind is Kind.TEXT_LIST else Operand(kind, rows, values))
        return tuple(found)

    def elements(self, name: str) -> tuple[Domain, NDArray[np.int64]]:
        """The objects of the contacts' lists."""
        valid = self._valid(name)
        rows = np.flatnonzero(valid.kinds == Kind.OBJECT_LIST)
        lists = self._context.root.object_lists
        numbers = valid.values[rows]
        places, parents = expand_ranges(lists.offsets[numbers], lists.offsets[numbers + 1])
        owners = rows[parents]
        return TableDomain(lists.elements, places, self._owners()[owners]), owners

    def instants(self, rows: NDArray[np.integer] | None) -> NDArray[np.int64]:
        """Raises: contacts are no events."""
        raise _no_event()

    def _valid(self, name: str) -> Valid:
        return self._context.attribute(name)

    def _owners(self) -> NDArray[np.uint32]:
        return self._context.contact_numbers()

    def _texts(self, rows: NDArray[np.integer] | None, numbers: NDArray[np.int64]) -> Operand:
        lists = self._context.root.text_lists
        holders = np.arange(self.n) if rows is None else rows
        places, parents = expand_ranges(lists.offsets[numbers], lists.offsets[numbers + 1])
        columns = lists.elements.columns.get("", ())
        codes = columns[0].select(places).values if columns else np.zeros(0, np.uint32)
        return Operand(Kind.TEXT_LIST, holders[parents], codes, holders)


class TableDomain:
    """Selected rows of a table: elements of lists, or lines of events."""

    def __init__(
        self,
        table: Table,
        selection: Selection,
        contacts: NDArray[np.uint32],
        events: tuple[Domain, NDArray[np.int64]] | None = None,
    ) -> None:
        """`events`: where the rows are lines, their events and the place of each line's among them."""
        self._table = table
        self._selection = selection
        self._contacts = contacts
        self._events_of_lines = events

    @property
    def n(self) -> int:
        """The number of rows."""
        return len(self._contacts)

    @property
    def binds_missing(self) -> bool:
        """False: the rows are elements."""
        return False

    def instants(self, rows: NDArray[np.integer] | None) -> NDArray[np.int64]:
        """The instant of each line's event."""
        if self._events_of_lines is None:
            raise _no_event()
        events, places = self._events_of_lines
        return events.instants(places if rows is None else places[rows])

    def contacts(self, rows: NDArray[np.integer] | None) -> NDArray[np.uint32] | None:
        """The contact of each row."""
        return self._contacts if rows is None else self._contacts[rows]

    def operands(self, name: str) -> tuple[Operand, ...]:
        """The column's values, by kind."""
        found = []
        for column in self._table.columns.get(name, ()):
            selected = column.select(self._selection)
            if len(selected):
                found.append(Operand(selected.kind, selected.rows, selected.packed))
        return tuple(found)

    def elements(self, name: str) -> tuple[Domain, NDArray[np.int64]]:
        """Elements hold no lists of objects."""
        return TableDomain(Table(0), slice(0, 0), np.zeros(0, np.uint32)), np.zeros(0, np.int64)


class EventDomain(TableDomain):
    """Selected events of a run, with their lines as elements."""

    def __init__(self, run: EventRun, selection: Selection, contacts: NDArray[np.uint32]) -> None:
        super().__init__(run.params, selection, contacts)
        self._run = run

    @property
    def binds_missing(self) -> bool:
        """True."""
        return True

    def instants(self, rows: NDArray[np.integer] | None) -> NDArray[np.int64]:
        """When each event occurred."""
        times = self._run.occurred_at_us[self._selection]
        return times if rows is None else times[rows]

    def elements(self, name: str) -> tuple[Domain, NDArray[np.int64]]:
        """The lines of the events; other lists an event has none of."""
        if name != ITEMS:
            return super().elements(name)
        item_rows, parents = self._run.item_ranges(self._selection)
        return TableDomain(self._run.items, item_rows, self._contacts[parents], (self, parents)), parents


class BoundDomain:
    """Events, each with some of its lines: for `for the same items.p`, where conditions on lines see only the lines
    that hold the value in question. Row i is event `events[i]` of `domain`; `owners` says which row each of `lines`
    belongs to."""

    def __init__(
        self, domain: EventDomain, events: NDArray[np.int64], lines: TableDomain, owners: NDArray[np.int64]
    ) -> None:
        self._domain = domain
        self._events = events
        self._lines = lines
        self._owners = owners

    @property
    def n(self) -> int:
        """The number of rows."""
        return len(self._events)

    @property
    def binds_missing(self) -> bool:
        """True: the comparisons asked here are about the event."""
        return True

    def contacts(self, rows: NDArray[np.integer] | None) -> NDArray[np.uint32] | None:
        """The contact of each row's event."""
        return self._domain.contacts(self._events if rows is None else self._events[rows])

    def operands(self, name: str) -> tuple[Operand, ...]:
        """The event's parameter, in each of its rows."""
        found = []
        for operand in self._domain.operands(name):
            if operand.rows is None:
                found.append(Operand(operand.kind, None, _at(operand.held, self._events)))
                continue
            starts = np.searchsorted(operand.rows, self._events, "left")
            stops = np.searchsorted(operand.rows, self._events, "right")
            places, rows = expand_ranges(starts, stops)
            found.append(Operand(operand.kind, rows, _at(operand.held, places)))
        return tuple(found)

    def elements(self, name: str) -> tuple[Domain, NDArray[np.int64]]:
        """The lines of each row; other lists an event has none of."""
        return (self._lines, self._owners) if name == ITEMS else self._domain.elements(name)

    def instants(self, rows: NDArray[np.integer] | None) -> NDArray[np.int64]:
        """When the event of each row occurred."""
        return self._domain.instants(self._events if rows is None else self._events[rows])


def _no_event() -> CdpError:
    return CdpError(Code.INTERNAL, "NO_EVENT", "only events and their lines have an instant; binding must refuse that")


def _at(held: NDArray[Any] | Packed, places: NDArray[np.int64]) -> NDArray[Any] | Packed:
    return held.take(places) if isinstance(held, Packed) else held[places]
