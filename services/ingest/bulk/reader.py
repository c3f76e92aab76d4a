"""The reading of a file: each row becomes an item, goes through the door's own checks, and into an entry of the log.

This runs in a process of its own: a million rows keep an interpreter busy for half a minute, and what a hostile file
does to a parser stays outside of the process that serves calls.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path

from cdp.bulk.v1 import bulk_pb2 as pb
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from core.errors import Violation
from core.events.checks import Bad
from core.events.schema import Family, Schema
from core.events.schema_changes import Want, learned
from services.ingest.accept import Outcome, take_event, take_order, take_person
from services.ingest.batcher import MAX_ENTRY_BYTES, MAX_ENTRY_ITEMS
from services.ingest.bulk.build import Builder, Built, Item
from services.ingest.bulk.door_rules import DoorRules, Usable, put_up
from services.ingest.bulk.entry_writer import EntryWriter
from services.ingest.bulk.frames import EntryFrame, ReadJob, Tally
from services.ingest.bulk.mapping import unknown_columns
from services.ingest.bulk.orders_seen import ORDER_SCATTERED, OrdersSeen
from services.ingest.bulk.quick_contacts import QuickContacts
from services.ingest.bulk.quick_events import QuickEvents
from services.ingest.bulk.read import open_rows
from services.ingest.bulk.rows import Mark, Row

_PREVIEW_ITEMS = 20
_MOST_NEW_NAMES = 1_000
#: A frame is sent after so many rows or bytes of the report, whatever was accepted.
_FRAME_ROWS = 5_000
_FRAME_REJECTED_BYTES = 256 << 10
_FRAME_S = 1.0
#: The clock is looked at each so many rows.
_CLOCK_ROWS = 16
_SHOWN_CHARACTERS = 1_000
_ROUNDS = 10
REPORT_COLUMNS = ("row", "reason", "path", "description")


class FileReader:
    """One reading. `learn` brings the schema that knows the names;
    `send` takes the frames in order and may wait."""

    def __init__(
        self,
        job: ReadJob,
        spec: pb.ImportSpec,
        rules: DoorRules,
        learn: Callable[[Sequence[Want]], Schema],
        send: Callable[[EntryFrame], None],
        *,
        quickly: bool = True,
        frame_rows: int = _FRAME_ROWS,
    ) -> None:
        """Without `quickly` every row goes to the door whole. A frame is sent after `frame_rows` at the latest."""
        self._job = job
        self._spec = spec
        self.rules = rules
        self._usable = Usable(rules.identity)
        self._learn = learn
        self._send = send
        self._quickly = quickly
        self._frame_rows = frame_rows
        self._source = open_rows(Path(job.file), spec, Mark(job.row, job.offset))
        self._builder = Builder(spec, rules.schema, job.told_at_us, job.id_prefix)
        self._quick = QuickContacts(spec, job.told_at_us, job.id_prefix)
        self._quick.use(rules.schema, self._usable)
        self._quick_events = QuickEvents(spec, job.told_at_us, job.id_prefix)
        self._quick_events.use(rules, self._usable)
        self._writer = self._new_writer()
        self._tally = Tally()
        self._report = io.StringIO()
        self._lines = csv.writer(self._report)
        self._after = Mark(job.row, job.offset)
        self._sent_s = time.monotonic()
        self._preview = pb.Preview()
        self._new_names: dict[str, int] = {}

    def read(self) -> pb.Preview:
        """Read to the end; what was found on the way. Raises INVALID for a file that cannot be read any further."""
        unknown = unknown_columns(self._spec, self.rules.schema)
        try:
            if self._spec.kind == pb.IMPORT_KIND_CONTACTS:
                self._read_contacts()
            elif self._spec.kind == pb.IMPORT_KIND_ORDERS:
                self._read_orders()
            else:
                self._read_events()
            self._flush()
        finally:
            self._source.close()
        self._preview.unknown_columns.extend([*unknown, *sorted(self._source.late)])
        for place, kind in self._new_names.items():
            self._preview.new_names.add(place=place, kind=facts_pb2.Kind.ValueType(kind))
        return self._preview

    def _read_contacts(self) -> None:
        quick = self._quick
        for row in self._source.rows():
            shown = len(self._preview.first) >= _PREVIEW_ITEMS
            fact = quick.fact(row) if shown and self._quickly else None
            if fact is None:
                self._take(self._builder.single(row))
            else:
                self._writer.add_encoded(fact)
                self._writer.size_bytes += len(fact)
                self._accepted(1)
            self._reached(row.after)

    def _read_events(self) -> None:
        quick = self._quick_events
        for row in self._source.rows():
            shown = len(self._preview.first) >= _PREVIEW_ITEMS
            if shown and self._quickly and quick.event(row):
                self._accepted(1)
            else:
                self._take(self._builder.single(row))
            self._reached(row.after)

    def _read_orders(self) -> None:
        quick, seen = self._quick_events, self._orders_before()
        for rows in self._builder.groups(self._source.rows()):
            name = self._builder.order_name(rows[0])
            if name and not seen.add(name):
                self._tally.read += len(rows)
                told = "the order stands further up in the file; all rows of an order must follow one another"
                self._reject(rows, ORDER_SCATTERED, [(self._builder.column_of("order.order_id"), told)])
                self._reached(rows[-1].after)
                continue
            shown = len(self._preview.first) >= _PREVIEW_ITEMS
            if shown and self._quickly and quick.order(rows):
                self._accepted(len(rows))
            else:
                self._take(self._builder.order(rows))
            self._reached(rows[-1].after)

    def _orders_before(self) -> OrdersSeen:
        """The orders of the rows before the place where this reading begins: they are read once more after a kill."""
        seen = OrdersSeen()
        if self._job.row:
            source = open_rows(Path(self._job.file), self._spec)
            try:
                before = takewhile(lambda row: row.number <= self._job.row, source.rows())
                for rows in self._builder.groups(before):
                    seen.add(self._builder.order_name(rows[0]))
            finally:
                source.close()
        return seen

    def _accepted(self, rows: int) -> None:
        """One item more, of so many rows."""
        self._tally.read += rows
        self._tally.accepted += rows
        self._tally.facts += 1

    def _reached(self, after: Mark) -> None:
        self._after = after
        if self._is_full():
            self._flush()

    def use(self, rules: DoorRules) -> None:
        """Check what follows by these rules."""
        if rules.identity != self.rules.identity:
            self._usable = Usable(rules.identity)
        self.rules = rules
        self._quick.use(rules.schema, self._usable)
        self._quick_events.use(rules, self._usable)
        self._builder.use(rules.schema)
        put_up(self._writer, rules, self._usable)

    def _new_writer(self) -> EntryWriter:
        writer = EntryWriter(self.rules.schema)
        put_up(writer, self.rules, self._usable)
        self._quick_events.begin(writer)
        return writer

    def _take(self, built: Built) -> None:
        self._tally.read += len(built.rows)
        if built.item is None:
            reason = built.wrong[0][1].reason
            self._reject(built.rows, reason, [(path, bad.description) for path, bad in built.wrong])
            return
        outcome = self._outcome(built.item)
        if outcome.refusal is not None:
            wrong = outcome.refusal.violations or (Violation("", outcome.refusal.description),)
            told = [(self._builder.column_of(one.path), one.description) for one in wrong]
            self._reject(built.rows, outcome.refusal.reason, told)
            return
        self._tally.accepted += len(built.rows)
        self._tally.facts += 1
        if len(self._preview.first) < _PREVIEW_ITEMS:
            self._show(built.item)

    def _outcome(self, item: Item) -> Outcome:
        size_bytes = item.ByteSize()
        for _ in range(_ROUNDS):
            outcome = self._checked(item)
            if not outcome.wants:
                break
            if self._job.dry_run:
                self._note(outcome.wants)
            self.use(self.rules.learned(self._learn(outcome.wants)))
        if outcome.refusal is None:
            self._writer.size_bytes += size_bytes
        return outcome

    def _checked(self, item: Item) -> Outcome:
        now_us = self._job.told_at_us
        if isinstance(item, ingest_pb2.Event):
            return take_event(self._writer, item, now_us)
        if isinstance(item, ingest_pb2.Order):
            return take_order(self._writer, item, now_us)
        return take_person(self._writer, item, now_us)

    def _show(self, item: Item) -> None:
        if isinstance(item, ingest_pb2.Event):
            self._preview.first.add(event=item)
        elif isinstance(item, ingest_pb2.Order):
            self._preview.first.add(order=item)
        else:
            self._preview.first.add(person=item)

    def _note(self, wants: Sequence[Want]) -> None:
        for want in wants:
            place = want.place
            words = {Family.ATTRIBUTE: "attribute", Family.EVENT: "event", Family.ITEM: "item"}
            parts = (words.get(place.family, place.family.value.rstrip("s")), place.owner, place.name)
            if place.family is Family.PARAMETER:
                parts = ("param", place.owner, place.name)
            if len(self._new_names) < _MOST_NEW_NAMES:
                self._new_names[".".join(part for part in parts if part)] = int(want.kind or 0)

    def _reject(self, rows: Sequence[Row], reason: str, wrong: Sequence[tuple[str, str]]) -> None:
        self._tally.rejected += len(rows)
        self._tally.by_reason[reason] = self._tally.by_reason.get(reason, 0) + len(rows)
        path, description = "; ".join(one for one, _ in wrong), "; ".join(one for _, one in wrong)
        for row in rows:
            fields = ["" if cell is None else _shown(cell) for cell in row.cells]
            self._lines.writerow((row.number, reason, _shown(path), _shown(description), *fields))

    def _is_full(self) -> bool:
        read = self._tally.read
        if len(self._writer) >= MAX_ENTRY_ITEMS or self._writer.size_bytes >= MAX_ENTRY_BYTES:
            return True
        if read >= self._frame_rows:
            return True
        if self._tally.rejected and self._report.tell() >= _FRAME_REJECTED_BYTES:
            return True
        return read % _CLOCK_ROWS == 0 and time.monotonic() - self._sent_s > _FRAME_S

    def _flush(self) -> None:
        if not self._tally.read:
            return
        entry = (b"", ()) if self._job.dry_run else (self._writer.events(), self._writer.facts())
        self._send(
            EntryFrame(
                self._tally,
                self._after.row,
                self._after.offset,
                self._source.bytes_at(self._after),
                len(self._writer),
                *entry,
                self._report.getvalue().encode("utf-8", "surrogateescape"),
            )
        )
        self._writer = self._new_writer()
        self._tally = Tally()
        self._report = io.StringIO()
        self._lines = csv.writer(self._report)
        self._sent_s = time.monotonic()


def learned_here(schema: Schema, wants: Sequence[Want], now_us: int) -> Schema:
    """What the schema would be: for a dry run."""
    return schema.with_rows(learned(schema, wants, now_us), schema.version + 1)


def _shown(cell: object) -> str:
    if isinstance(cell, Bad):
        return ""  # what stood there is no value; the description says so
    text = cell if isinstance(cell, str) else str(cell)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
