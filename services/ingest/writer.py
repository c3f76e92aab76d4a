"""Accepted items of one log entry, collected as columns; an item that turns out wrong midway is taken back."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from cdp.facts.v1 import facts_pb2
from core.events.canonical import FALLBACKS, item_kind, item_name, param_kind, param_name
from core.events.checks import clean_name, decimal_from_text, is_plain_text
from core.events.columns import Event, EventColumns, Identifier
from core.events.forms import ANSWERS
from core.events.schema import Family, Place, Schema
from core.events.vocabulary import EVENTS
from core.identity.normalise import normalised
from core.identity.rules import IdentityRules
from core.money.at_home import CURRENCY
from core.money.rates import Rates
from core.schema import DECIMAL_SCALE, MAX_DECIMAL_UNITS, DecimalUnits, Instant, Kind, Scalar
from services.ingest.plain_values import LINES, PlainValues
from services.ingest.writer_columns import Column, column_of, cut, encoded, finished
from services.runtime.facts import columns_to_proto
from services.runtime.phone import international

Fields = Mapping[str, facts_pb2.Value]
#: Parameters that the platform writes: what the sender's clock said of the event, and of its sending.
ORIGINAL_AT = "_original_at"
SENT_AT = "_sent_at"

Usable = Callable[[Identifier], bool]
_CURRENCY = (CURRENCY, Kind.TEXT)
_RULES = IdentityRules(phone=international)
_MAX_WHOLE_OF_DECIMAL = MAX_DECIMAL_UNITS // DECIMAL_SCALE


@lru_cache(65_536)
def plainly_usable(identifier: Identifier) -> bool:
    """Whether it names somebody by the rules that hold where a workspace has set none."""
    return normalised(identifier, _RULES) is not None


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
    """One entry of ingest's log in the making. `schema` is what its items are checked against; None: against the
    vocabulary alone."""

    def __init__(self, schema: Schema | None = None) -> None:
        self.schema = schema
        self._plain: PlainValues | None = None
        self._ids: list[str] = []
        self._types: list[int] = []
        self._occurred: list[int] = []
        self._received: list[int] = []
        self._flags: list[int] = []
        self._identifiers: list[tuple[Identifier, ...]] = []
        self._item_offsets: list[int] = [0]
        self._lines = 0
        self._codes: dict[str, int] = {}
        self._params: dict[tuple[str, Kind], Column] = {}
        self._line_params: dict[tuple[str, Kind], Column] = {}
        self._puts: dict[str, _Puts] = {}
        self._line_puts = _Puts()
        self._facts: list[facts_pb2.AcceptedFact] = []
        self._uses: dict[str, int] = {}
        self.size_bytes = 0
        #: Which identifiers name somebody in the workspace.
        self.usable: Usable = plainly_usable
        #: Rates of money; None: money is taken as it is told.
        self.rates: Rates | None = None
        #: Canonical events that whoever brings the next item may not send.
        self.reserved: frozenset[str] = frozenset()
        self._currency: Column | None = None
        self._line_currency: Column | None = None

    def __len__(self) -> int:
        """Events and other facts taken."""
        return len(self._ids) + len(self._facts)

    def use(self, schema: Schema | None) -> None:
        """Check what comes from now on against `schema`."""
        if schema is not self.schema:
            self.schema = schema
            self._puts.clear()
            self._line_puts = _Puts()
            self._plain = None

    def add(self, event: Event) -> None:
        """Take a checked event as the next row."""
        row = len(self._ids)
        for name, value in event.params.items():
            if isinstance(value, tuple):
                column = column_of(self._params, name, Kind.TEXT_LIST)
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
            if not self._in_force(type_):
                return False
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
        if not (good and self._at_home(row, first_line)):
            cut(self._params, row)
            cut(self._line_params, first_line)
            self._lines = first_line
            return False
        self._end(event_id, type_, occurred_at_us, received_at_us, identifiers, flags)
        return True

    def add_plainly(
        self,
        event_id: str,
        type_: str,
        occurred_at_us: int,
        received_at_us: int,
        identifiers: tuple[Identifier, ...],
        flags: int,
        params: Mapping[str, object],
        more: Sequence[Mapping[str, object]],
        lines: Sequence[Mapping[str, object]],
        original_at_us: int | None,
        sent_at_us: int | None,
    ) -> bool:
        """Take an event as a JSON document has it when all of it is plainly right (see `plain_values`); of names in
        `more` the earlier object wins. False, and nothing taken, when anything needs a closer look."""
        if not self._in_force(type_):
            return False
        plain = self._plain
        if plain is None:
            plain = self._plain = PlainValues(self._params, self._line_params, self._codes, self.schema)
        row, first_line = len(self._ids), self._lines
        good = plain.take(params, row, type_) and not (
            type_ in FALLBACKS
            and any(
                name not in params and any(source in params for source in sources)
                for name, sources in FALLBACKS[type_].items()
            )
        )
        for fields in more:
            good = good and plain.take(fields, row, type_, earlier_wins=True)
        if good:
            for line in lines:
                good = plain.take(line, self._lines, LINES)
                if not good:
                    break
                self._lines += 1
        if not (good and self._at_home(row, first_line)):
            cut(self._params, row)
            cut(self._line_params, first_line)
            self._lines = first_line
            return False
        if original_at_us is not None:
            self._put(self._params, ORIGINAL_AT, row, Instant(original_at_us))
            if sent_at_us is not None:
                self._put(self._params, SENT_AT, row, Instant(sent_at_us))
        self._end(event_id, type_, occurred_at_us, received_at_us, identifiers, flags)
        return True

    def count(self, key_id: str, items: int = 1) -> None:
        """`items` of those taken came by this key; empty: by a service of the platform."""
        self._uses[key_id] = self._uses.get(key_id, 0) + items

    @property
    def uses(self) -> Mapping[str, int]:
        """Items by key."""
        return self._uses

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
        uses = [facts_pb2.KeyUse(key_id=key_id, items=items) for key_id, items in self._uses.items()]
        batch = facts_pb2.AcceptedBatch(events=columns_to_proto(self.columns()), facts=self._facts, uses=uses)
        return batch.SerializeToString()

    def columns(self) -> EventColumns:
        """The events so far."""
        return EventColumns(
            ids=tuple(self._ids),
            types=np.array(self._types, np.uint32),
            occurred_at_us=np.array(self._occurred, np.int64),
            received_at_us=np.array(self._received, np.int64),
            flags=np.array(self._flags, np.uint8),
            params=finished(self._params),
            item_offsets=np.array(self._item_offsets, np.uint32),
            item_params=finished(self._line_params),
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

    def _put(self, into: dict[tuple[str, Kind], Column], name: str, row: int, value: Scalar) -> None:
        kind, raw = encoded(value, self._code)
        column = column_of(into, name, kind)
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

    def _at_home(self, row: int, first_line: int) -> bool:
        """Whether the event at `row` (its lines begin at `first_line`) names no currency but the workspace's."""
        if self.rates is None:
            return True
        told = self._currency or self._params.get(_CURRENCY)
        if told is not None:
            self._currency = told
            if told.rows and told.rows[-1] == row and told.values[-1] != self._codes.get(self.rates.home):
                return False
        lines = self._line_currency or self._line_params.get(_CURRENCY)
        if lines is None:
            return True
        self._line_currency, home = lines, self._codes.get(self.rates.home)
        place = bisect_left(lines.rows, first_line)
        return all(code == home for code in lines.values[place:])

    def _in_force(self, type_: str) -> bool:
        """Whether events of this type are taken under this very name, and say nothing that must be read."""
        if type_ in ANSWERS:
            return False
        if self.schema is None or type_ in EVENTS:
            return True
        found = self.schema.find(Place(Family.EVENT, "", type_))
        return found is not None and found.key == type_ and not found.retired

    def _open(
        self, puts: dict[str, _Put], name: str, type_: str | None, kind: Kind, *, wanted_only: bool = False
    ) -> _Put | None:
        """The column for values of `kind` under a canonical `name`, remembered; None when the vocabulary wants
        another kind (or, with `wanted_only`, none in particular)."""
        canonical = item_name(name) if type_ is None else param_name(type_, name)
        if canonical != name or clean_name(name) != name:
            return None
        wanted = item_kind(name) if type_ is None else param_kind(type_, name)
        if wanted is None and self.schema is not None:
            place = Place(Family.ITEM, "", name) if type_ is None else Place(Family.PARAMETER, type_, name)
            found = self.schema.find(place)
            if found is None or found.retired or found.key != name:
                return None
            wanted = found.kind
        if wanted is not kind and (wanted_only or wanted is not None):
            return None
        column = column_of(self._params if type_ is not None else self._line_params, name, kind)
        put = puts[name] = (column.rows.append, column.values.append)
        return put
