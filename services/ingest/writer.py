"""Accepted items of one log entry, collected as columns; an item that turns out wrong midway is taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

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


#: How to add to a column: its rows, its values.
_Put = tuple[Callable[[int], None], Callable[[int], None]]


class _Puts:
    """The columns of the names that were met on one event type (or on lines), by what the wire holds."""

    __slots__ = ("decimals", "integers", "scaled", "texts", "truths")

    def __init__(self) -> None:
        self.texts: dict[str, _Put] = {}
        self.decimals: dict[str, _Put] = {}
        self.integers: dict[str, _Put] = {}
        self.scaled: dict[str, _Put] = {}
        self.truths: dict[str, _Put] = {}


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
        self._puts: dict[str, _Puts] = {}
        self._line_puts = _Puts()
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
        puts = self._puts.get(type_)
        if puts is None:
            puts = self._puts[type_] = _Puts()
        good = self._fields(params, row, puts, type_)
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
            line_puts = self._line_puts
            for fields in lines:
                if not self._fields(fields, self._lines, line_puts, None):
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

    def received_from(self, floor_us: int) -> int:
        """Let no item be received before `floor_us`, nor before one that was taken earlier: those that were get the
        latest instant so far. Returns that of the last item; `floor_us` if there is none."""
        latest_us, row, received = floor_us, 0, self._received
        for fact in self._facts:
            while row < fact.before_event:
                latest_us = received[row] = max(received[row], latest_us)
                row += 1
            latest_us = fact.received_at_us = max(fact.received_at_us, latest_us)
        while row < len(received):
            latest_us = received[row] = max(received[row], latest_us)
            row += 1
        return latest_us

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

    def _fields(self, fields: Fields, row: int, puts: _Puts, type_: str | None) -> bool:
        # The hot loop: about 45 values an order. Everything unusual leaves it with False.
        codes, texts, decimals, integers, scaled = self._codes, puts.texts, puts.decimals, puts.integers, puts.scaled
        for name in fields:
            value = fields[name]
            which = value.WhichOneof("kind")
            if which == "text":
                put = texts.get(name) or self._open(texts, name, type_, Kind.TEXT)
                text = value.text
                raw = codes.get(text, -1)
                if raw < 0:
                    if not is_plain_text(text):
                        return False
                    raw = codes[text] = len(codes)
            elif which == "decimal_units":
                put = decimals.get(name) or self._open(decimals, name, type_, Kind.DECIMAL)
                raw = value.decimal_units
                if not -MAX_DECIMAL_UNITS <= raw <= MAX_DECIMAL_UNITS:
                    return False
            elif which == "integer":
                raw = value.integer
                put = integers.get(name)
                if put is None:
                    put = scaled.get(name) or self._open(scaled, name, type_, Kind.DECIMAL, wanted_only=True)
                    if put is None:
                        put = self._open(integers, name, type_, Kind.INTEGER)
                    elif -_MAX_WHOLE_OF_DECIMAL <= raw <= _MAX_WHOLE_OF_DECIMAL:
                        raw *= DECIMAL_SCALE
                    else:
                        return False
            elif which == "decimal":
                put = decimals.get(name) or self._open(decimals, name, type_, Kind.DECIMAL)
                units = decimal_from_text(value.decimal)
                if not isinstance(units, DecimalUnits):
                    return False
                raw = units.units
            elif which == "boolean":
                put = puts.truths.get(name) or self._open(puts.truths, name, type_, Kind.BOOLEAN)
                raw = int(value.boolean)
            else:
                return False
            if put is None:
                return False
            put[0](row)
            put[1](raw)
        return True

    def _open(
        self, puts: dict[str, _Put], name: str, type_: str | None, kind: Kind, *, wanted_only: bool = False
    ) -> _Put | None:
        """The column for values of `kind` under a canonical `name`, remembered; None when the vocabulary wants
        another kind (or, with `wanted_only`, none in particular)."""
        canonical = item_name(name) if type_ is None else param_name(type_, name)
        if canonical != name or clean_name(name) != name:
            return None
        wanted = item_kind(name) if type_ is None else param_kind(type_, name)
        if wanted is not kind and (wanted_only or wanted is not None):
            return None
        column = _column(self._params if type_ is not None else self._line_params, name, kind)
        put = puts[name] = (column.rows.append, column.values.append)
        return put


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
