"""Cells of events and orders that were met before: what the door made of each stands beside its column."""

from __future__ import annotations

from collections.abc import Callable

from cdp.facts.v1 import facts_pb2
from core.clock import MAX_INSTANT_US, MIN_INSTANT_US
from core.events.checks import Bad, is_plain_text
from core.events.columns import Identifier
from core.schema import Kind
from services.ingest.accept import AHEAD_US
from services.ingest.bulk.cells import Reading, value_of
from services.ingest.bulk.door_rules import Usable
from services.ingest.bulk.entry_writer import EntryWriter, Put
from services.ingest.bulk.times import instant_of

_MOST_CACHED = 50_000

#: What the door makes of a value alone: name, kind and raw value; None: it has to look closer.
Try = Callable[[facts_pb2.Value], tuple[str, Kind, int] | None]


class ValueCells:
    """The cells of a parameter, or of a field of lines. `known`: their raw values, None where the door has to look at
    the row. Texts are numbered anew in each entry."""

    __slots__ = ("_longest", "_made", "_only", "_put", "_reading", "_told_kind", "_try", "known", "of_lines", "place")

    def __init__(
        self,
        place: int,
        kind: Kind | None,
        reading: Reading,
        try_: Try,
        only: str | None,
        longest: int,
        *,
        of_lines: bool,
    ) -> None:
        """`kind`: by which cells are read. `only`: no other text is taken here; None: any is. Cells of more than
        `longest` characters are left to the door."""
        self.place = place
        self.of_lines = of_lines
        self._longest = longest
        self.known: dict[str, int | None] = {}
        self._told_kind = kind
        self._reading = reading
        self._try = try_
        self._only = only
        self._put: Put | None = None
        # Of one text the door says what it says of every sound one; other kinds are tried cell by cell.
        found = try_(facts_pb2.Value(text="x" if only is None else only)) if kind in (None, Kind.TEXT) else None
        self._made = (found[0], found[1]) if found is not None else None

    def begin(self) -> None:
        """What follows is for another entry."""
        self._put = None
        if self._made is not None and self._made[1] is Kind.TEXT:
            self.known.clear()

    def look(self, cell: str, writer: EntryWriter) -> int | None:
        """The raw value of a cell that is not known."""
        if len(self.known) >= _MOST_CACHED:
            self.known.clear()
        raw = None
        if len(cell) <= self._longest and (cell.isascii() or is_plain_text(cell)):
            raw = self._text(cell, writer) if self._told_kind in (None, Kind.TEXT) else self._value(cell)
        self.known[cell] = raw
        return raw

    def put(self, writer: EntryWriter) -> Put:
        """How to add to the column; only for values that `look` gave."""
        if self._put is None:
            assert self._made is not None, "a value was made of a cell"
            self._put = writer.put_of(*self._made, of_lines=self.of_lines)
        return self._put

    def _text(self, cell: str, writer: EntryWriter) -> int | None:
        if self._made is None or self._made[1] is not Kind.TEXT or not is_plain_text(cell):
            return None
        return writer.code(cell) if self._only in (None, cell) else None

    def _value(self, cell: str) -> int | None:
        value = value_of(cell, self._told_kind, self._reading)
        found = None if isinstance(value, Bad) else self._try(value)
        if found is None or found[1] is Kind.TEXT:
            return None
        if self._made is None:
            self._made = found[0], found[1]
        return found[2] if self._made == (found[0], found[1]) else None


class NameCells:
    """The cells of an identifier; None where the door has to look at the row."""

    __slots__ = ("_kind", "_longest", "_usable", "known", "place")

    def __init__(self, place: int, kind: str, usable: Usable, longest: int) -> None:
        self.place = place
        self._longest = longest
        self.known: dict[str, Identifier | None] = {}
        self._kind = kind
        self._usable = usable

    def look(self, cell: str) -> Identifier | None:
        """The identifier of a cell that is not known."""
        if len(self.known) >= _MOST_CACHED:
            self.known.clear()
        found = None
        if len(cell) <= self._longest and is_plain_text(cell):
            told = Identifier(self._kind, cell)
            found = told if self._usable(told) else None
        self.known[cell] = found
        return found


class TimeCells:
    """The cells that tell when it happened; None where the door has to look at the row."""

    __slots__ = ("_before_us", "_reading", "known", "place")

    def __init__(self, place: int, reading: Reading, now_us: int) -> None:
        self.place = place
        self.known: dict[str, int | None] = {}
        self._reading = reading
        self._before_us = min(MAX_INSTANT_US, now_us + AHEAD_US)

    def look(self, cell: str) -> int | None:
        """The instant of a cell that is not known."""
        if len(self.known) >= _MOST_CACHED:
            self.known.clear()
        at = instant_of(cell, self._reading.time_format, self._reading.zone)
        sound = not isinstance(at, Bad) and at.us != 0 and MIN_INSTANT_US <= at.us < self._before_us
        found = self.known[cell] = at.us if sound and not isinstance(at, Bad) else None
        return found
