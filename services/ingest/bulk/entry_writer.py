"""One entry in the making, in the process that reads a file."""

from __future__ import annotations

from collections.abc import Callable

from cdp.facts.v1 import facts_pb2
from core.events.columns import Identifier
from core.events.schema import Schema
from core.schema import Kind
from services.ingest.senders import OF_THE_BOOKS
from services.ingest.writer import BatchWriter
from services.ingest.writer_columns import column_of
from services.runtime.facts import columns_to_proto

#: Adds the row of a value, and the value, to a column.
Put = tuple[Callable[[int], None], Callable[[int], None]]


class EntryWriter(BatchWriter):
    """One entry in the making, whose parts the owner puts together with the instant of its reception."""

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema)
        # Whoever begins an import holds a key of the workspace.
        self.reserved = OF_THE_BOOKS
        self._encoded: list[bytes] = []

    def __len__(self) -> int:
        return len(self._ids) + len(self._encoded)

    def events(self) -> bytes:
        """The events as a serialised AcceptedBatch; empty without any."""
        if not self._ids:
            return b""
        return facts_pb2.AcceptedBatch(events=columns_to_proto(self.columns())).SerializeToString()

    def facts(self) -> tuple[bytes, ...]:
        """The other facts, each serialised without `received_at_us`."""
        return tuple(self._encoded)

    def add_fact(self, fact: facts_pb2.AcceptedFact) -> None:
        """See BatchWriter. An import has events or other facts, never both."""
        fact.ClearField("received_at_us")
        self.add_encoded(fact.SerializeToString())

    def add_encoded(self, fact: bytes) -> None:
        """Take a checked fact that is serialised already."""
        self._encoded.append(fact)

    # --- events whose values were checked before, one by one ----------------------------------------------------

    @property
    def row(self) -> int:
        """The row of the next event."""
        return len(self._ids)

    @property
    def line(self) -> int:
        """The row of the next line."""
        return self._lines

    def code(self, text: str) -> int:
        """The number of a sound text in this entry."""
        return self._code(text)

    def put_of(self, name: str, kind: Kind, *, of_lines: bool) -> Put:
        """How to add to the column of a parameter, or of a field of lines."""
        column = column_of(self._line_params if of_lines else self._params, name, kind)
        return column.rows.append, column.values.append

    def end_line(self) -> None:
        """The values of the line are in."""
        self._lines += 1

    def end_event(
        self, event_id: str, type_: str, at_us: int, now_us: int, whose: tuple[Identifier, ...], flags: int
    ) -> None:
        """The values of the event, and its lines, are in."""
        self._end(event_id, type_, at_us, now_us, whose, flags)
