"""Accepted items of one log entry, collected as columns; an item that turns out wrong midway is taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cdp.facts.v1 import facts_pb2
from core.events.canonical import FALLBACKS, item_kind, item_name, param_kind, param_name
from core.events.checks import clean_name, decimal_from_text, is_plain_text
from core.events.columns import Event, EventColumns, Identifier, ParamColumn
from core.schema import DECIMAL_SCALE, MAX_DECIMAL_UNITS, DecimalUnits, Instant, Kind, Scalar
from services.runtime.facts import columns_to_proto

Fields = Mapping[str, facts_pb2.Value]
_MAX_WHOLE_OF_DECIMAL = MAX_DECIMAL_UNITS // DECIMAL_SCALE


class _Column:
    """Rows and raw values of one (name, kind)."""

    __slots__ = ("kind", "name", "rows", "values")

    def __init__(self, name: str, kind: Kind) -> None:
        self.name = name
        self.kind = kind
        self.rows: list[int] = []
        self.values: list[int] = []


#: Where the values of one name go: the kind that the vocabulary wants (None: the kind of the first value here), and
#: the column once there is one.
@dataclass(slots=True)
class _Slot:
    name: str
    wanted: Kind | None
    column: _Column | None = None


class BatchWriter:
    """One entry of ingest's log in the making. `events` and `items` count what was taken so far."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._types: list[int] = []
        self._occurred: list[int] = []
        self._received: list[int] = []
        self._flags: list[int] = []
        self._identifiers: list[tuple[Identifier, ...]] = []
        self._item_offsets: list[int] = [0]
        self._lines = 0
        self._codes: dict[str, int] = {}
        self._params: dict[tuple[str, Kind], _Column] = {}
        self._line_params: dict[tuple[str, Kind], _Column] = {}
        self._slots: dict[str, dict[str, _Slot | None]] = {}
        self._line_slots: dict[str, _Slot | None] = {}
        self._facts: list[facts_pb2.AcceptedFact] = []
        self.size_bytes = 0

    def __len__(self) -> int:
        """Events and other facts taken."""
        return len(self._ids) + len(self._facts)

    def add(self, event: Event) -> None:
        """Take a checked event as the next row."""
        row = len(self._ids)
        for name, value in event.params.items():
            if isinstance(value, tuple):
                column = _column(self._params, name, Kind.TEXT_LIST)
                column.rows += [row] * len(value)
                column.values += [self._code(text) for text in value]
            else:
                self._put(self._params, name, row, value)
        for line in event.items:
            for name, value in line.items():
                self._put(self._line_params, name, self._lines, value)
            self._lines += 1
        self._end(event.id, event.type, event.occurred_at_us, event.received_at_us, event.identifiers, event.flags)

    def add_fact(self, fact: facts_pb2.AcceptedFact) -> None:
        """Take a checked fact that is no event; its `before_event` is set here."""
        fact.before_event = len(self._ids)
        self._facts.append(fact)

    def add_quickly(
        self,
        event_id: str,
        type_: str,
        occurred_at_us: int,
        received_at_us: int,
        identifiers: tuple[Identifier, ...],
        flags: int,
        own: Mapping[str, str],
        params: Fields,
        lines: Sequence[Fields],
    ) -> bool:
        """Take an event straight from the wire when all of it is plainly right: canonical names, kinds of the
        vocabulary, sound texts. False, and nothing taken, when anything needs a closer look (core.events.validate).
        `own` are texts that the caller checked already.
        """
        row, first_line = len(self._ids), self._lines
        slots = self._slots.get(type_)
        if slots is None:
            slots = self._slots[type_] = {}
        good = self._fields(params, row, slots, type_)
        if good:
            for name, text in own.items():
                if name in params:
                    good = False
                self._put(self._params, name, row, text)
        if good and type_ in FALLBACKS:
            good = all(name in params for name in FALLBACKS[type_]) or not any(
                source in params for sources in FALLBACKS[type_].values() for source in sources
            )
        if good:
            line_slots = self._line_slots
            for fields in lines:
                if not self._fields(fields, self._lines, line_slots, None):
                    good = False
                    break
                self._lines += 1
        if not good:
            _cut(self._params, row)
            _cut(self._line_params, first_line)
            self._lines = first_line
            return False
        self._end(event_id, type_, occurred_at_us, received_at_us, identifiers, flags)
        return True

    def restamp(self, received_at_us: int) -> None:
        """All items were received at this instant: that of an entry that was long in the making."""
        self._received = [received_at_us] * len(self._received)
        for fact in self._facts:
            fact.received_at_us = received_at_us

    def payload(self) -> bytes:
        """The entry: a serialised cdp.facts.v1.AcceptedBatch."""
        return facts_pb2.AcceptedBatch(events=columns_to_proto(self.columns()), facts=self._facts).SerializeToString()

    def columns(self) -> EventColumns:
        """The events so far."""
        return EventColumns(
            ids=tuple(self._ids),
            types=np.array(self._types, np.uint32),
            occurred_at_us=np.array(self._occurred, np.int64),
            received_at_us=np.array(self._received, np.int64),
            flags=np.array(self._flags, np.uint8),
            params=_finished(self._params),
            item_offsets=np.array(self._item_offsets, np.uint32),
            item_params=_finished(self._line_params),
            strings=tuple(self._codes),
            identifiers=tuple(self._identifiers),
        )

    def _end(
        self, event_id: str, type_: str, occurred: int, received: int, whose: tuple[Identifier, ...], flags: int
    ) -> None:
        self._ids.append(event_id)
        self._types.append(self._code(type_))
        self._occurred.append(occurred)
        self._received.append(received)
        self._flags.append(flags)
        self._identifiers.append(whose)
        self._item_offsets.append(self._lines)

    def _code(self, text: str) -> int:
        return self._codes.setdefault(text, len(self._codes))

    def _put(self, into: dict[tuple[str, Kind], _Column], name: str, row: int, value: Scalar) -> None:
        kind, raw = encoded(value, self._code)
        column = _column(into, name, kind)
        column.rows.append(row)
        column.values.append(raw)

    def _fields(self, fields: Fields, row: int, slots: dict[str, _Slot | None], type_: str | None) -> bool:
        # The hot loop: about 45 values an order. Everything unusual leaves it with False.
        codes = self._codes
        for name in fields:
            value = fields[name]
            slot = slots[name] if name in slots else self._open_slot(slots, type_, name)
            if slot is None:
                return False
            which = value.WhichOneof("kind")
            wanted = slot.wanted
            if which == "text":
                if wanted is not Kind.TEXT and wanted is not None:
                    return False
                kind = Kind.TEXT
                text = value.text
                found = codes.get(text)
                if found is None:
                    if not is_plain_text(text):
                        return False
                    found = codes[text] = len(codes)
                raw = found
            elif which == "decimal_units" or which == "decimal":
                if wanted is not Kind.DECIMAL and wanted is not None:
                    return False
                kind = Kind.DECIMAL
                if which == "decimal":
                    units = decimal_from_text(value.decimal)
                    if not isinstance(units, DecimalUnits):
                        return False
                    raw = units.units
                else:
                    raw = value.decimal_units
                    if not -MAX_DECIMAL_UNITS <= raw <= MAX_DECIMAL_UNITS:
                        return False
            elif which == "integer":
                raw = value.integer
                if wanted is Kind.INTEGER or wanted is None:
                    kind = Kind.INTEGER
                elif wanted is Kind.DECIMAL and -_MAX_WHOLE_OF_DECIMAL <= raw <= _MAX_WHOLE_OF_DECIMAL:
                    kind = Kind.DECIMAL
                    raw *= DECIMAL_SCALE
                else:
                    return False
            elif which == "boolean" and (wanted is Kind.BOOLEAN or wanted is None):
                kind = Kind.BOOLEAN
                raw = int(value.boolean)
            else:
                return False
            column = slot.column
            if column is None or column.kind is not kind:
                column = _column(self._params if type_ is not None else self._line_params, slot.name, kind)
                slot.column = column
            column.rows.append(row)
            column.values.append(raw)
        return True

    @staticmethod
    def _open_slot(slots: dict[str, _Slot | None], type_: str | None, name: str) -> _Slot | None:
        canonical = item_name(name) if type_ is None else param_name(type_, name)
        slot = None
        if canonical == name and clean_name(name) == name:
            slot = _Slot(name, item_kind(name) if type_ is None else param_kind(type_, name))
        slots[name] = slot
        return slot


def encoded(value: Scalar, code: Callable[[str], int]) -> tuple[Kind, int]:
    """The kind and the column integer of a scalar; `code` gives the index of a text."""
    if isinstance(value, str):
        return Kind.TEXT, code(value)
    if isinstance(value, bool):
        return Kind.BOOLEAN, int(value)
    if isinstance(value, int):
        return Kind.INTEGER, value
    if isinstance(value, DecimalUnits):
        return Kind.DECIMAL, value.units
    if isinstance(value, Instant):
        return Kind.INSTANT, value.us
    return Kind.DATE, value.toordinal() - _EPOCH_ORDINAL


_EPOCH_ORDINAL = 719_163  # date(1970, 1, 1).toordinal()


def _column(into: dict[tuple[str, Kind], _Column], name: str, kind: Kind) -> _Column:
    column = into.get((name, kind))
    if column is None:
        column = into[(name, kind)] = _Column(name, kind)
    return column


def _cut(columns: dict[tuple[str, Kind], _Column], row: int) -> None:
    """Take back the values of `row` and later ones."""
    for column in columns.values():
        while column.rows and column.rows[-1] >= row:
            column.rows.pop()
            column.values.pop()


def _finished(columns: dict[tuple[str, Kind], _Column]) -> tuple[ParamColumn, ...]:
    return tuple(
        ParamColumn(c.name, c.kind, np.array(c.rows, np.uint32), np.array(c.values, np.int64))
        for c in columns.values()
        if c.rows
    )
