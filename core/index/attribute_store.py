"""Attributes and static lists of contacts: one step function per name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

import numpy as np

from core.errors import CdpError, Code
from core.events.raw import raw_scalar
from core.index.bulk import WriteColumns
from core.index.contacts import Moves
from core.index.dictionary import TextDictionary
from core.index.event_store import learn
from core.index.interner import ListInterner, LocationInterner
from core.index.list_tellers import ListTellers
from core.index.step_run import MISSING, StepRun
from core.index.step_writer import StepWriter
from core.index.steps import StepView
from core.schema import Kind, Location, Value, kind_of

#: Writes wait unsorted at some 100 bytes each.
_MOST_WAITING = 1_000_000
_SCALARS = (Kind.TEXT, Kind.INTEGER, Kind.DECIMAL, Kind.BOOLEAN, Kind.INSTANT, Kind.DATE)


class AttributeStore:
    """The writer."""

    def __init__(self, dictionary: TextDictionary) -> None:
        self._dictionary = dictionary
        self._attributes: dict[str, StepWriter] = {}
        self._lists: dict[str, StepWriter] = {}
        self.text_lists = ListInterner(dictionary)
        self.object_lists = ListInterner(dictionary)
        self.locations = LocationInterner()
        self.tellers = ListTellers()
        self._kinds: dict[str, Kind] = {}
        self._element_kinds: dict[tuple[str, str], Kind] = {}
        self.next_log_order = 0
        self._waiting = 0
        #: What the last unmerge voided: attribute, instant, kind, value -> the log orders of such writes.
        self._voided: dict[tuple[str, int, int, int], list[int]] = {}
        self._folding: StepWriter | None = None

    @property
    def due(self) -> bool:
        """Whether so many writes wait that they should be sealed."""
        return self._waiting >= _MOST_WAITING

    def write(self, contact: int, name: str, value: Value | None, at_us: int) -> None:
        """Attribute `name` of `contact` is `value` from `at_us` on; None: missing."""
        kind, raw = self._encoded(name, value)
        self._writer(self._attributes, name).write(contact, at_us, self._order(), kind, raw)

    def write_anew(self, contact: int, name: str, value: Value | None, at_us: int) -> None:
        """The same, told anew after an unmerge: it has the place in the log order that it had, so that it goes on
        losing to what was told later of that instant."""
        kind, raw = self._encoded(name, value)
        before = self._voided.get((name, at_us, kind, raw))
        order = before.pop(0) if before else self._order()
        self._writer(self._attributes, name).write(contact, at_us, order, kind, raw)

    def write_columns(self, columns: WriteColumns) -> None:
        """The same for many contacts. Raises CdpError for a kind that is no scalar."""
        if columns.kind not in _SCALARS:
            raise CdpError(Code.INTERNAL, "KIND_NOT_COLUMNAR", f"{columns.kind.name} values are written one by one")
        count = len(columns.contacts)
        if count == 0:
            return
        learn(self._kinds, columns.name, columns.kind)
        values, kinds = columns.values, np.full(count, columns.kind, np.uint8)
        if columns.missing is not None:
            kinds[columns.missing] = MISSING
            values = np.where(columns.missing, 0, values)
        if columns.kind is Kind.TEXT:
            values = self._dictionary.add_all(columns.texts).astype(np.int64)[values]
            values[kinds == MISSING] = 0
        log_order = np.arange(self.next_log_order, self.next_log_order + count)
        self.next_log_order += count
        self._waiting += count
        run = StepRun(columns.contacts, columns.occurred_at_us, log_order, kinds, values)
        self._writer(self._attributes, columns.name).write_all(run)

    def put_on_list(self, part: int, name: str, member: bool, at_us: int, parts: tuple[int, ...]) -> None:
        """A contact is on the static list from `at_us` on, or off it: told of one `part` of it, the change holds for
        all its `parts`."""
        log_order = self._order()
        if len(parts) > 1:
            self.tellers.add(name, log_order, part)
        for part in parts:
            self._writer(self._lists, name).write(part, at_us, log_order, Kind.BOOLEAN, int(member))

    def unmerge(self, survivor: int, restored: int, sides: tuple[Collection[int], Collection[int]]) -> None:
        """The parts of two contacts are apart again, as `sides`: no attribute of the two is known until it is told
        anew, and of the lists each side knows what was told of its own parts. All must be sealed."""
        both = np.array(sorted((survivor, restored)), np.uint32)
        self._voided = {}
        for name, writer in self._attributes.items():
            run = writer.void(both)
            for at_us, order, kind, raw in zip(*(column.tolist() for column in run.columns()[1:]), strict=True):
                self._voided.setdefault((name, at_us, kind, raw), []).append(order)
        for name, writer in self._lists.items():
            for side in sides:
                told = partial(self.tellers.told_of, name, side=side)
                writer.keep(np.array(sorted(side), np.uint32), told)

    def seal(self, moves: Moves) -> None:
        """Apply `moves` to all writes and sort what waits in."""
        self._waiting = 0
        for writer in self._attributes.values():
            writer.seal(moves, keep_parts=False)
        for writer in self._lists.values():
            writer.seal(moves, keep_parts=True)

    def fold_some(self) -> None:
        """Tidy up after many small writes, a part of one step function at a time, so that nobody waits long."""
        if self._folding is None or not self._folding.folding:
            writers = [*self._attributes.values(), *self._lists.values()]
            worst = max(writers, key=lambda writer: writer.overdue, default=None)
            self._folding = worst if worst is not None and worst.overdue > 1 else None
        if self._folding is not None:
            self._folding.fold_some()

    def attributes(self) -> Mapping[str, StepView]:
        """Every attribute ever written, pinned."""
        return {name: writer.view() for name, writer in self._attributes.items()}

    def lists(self) -> Mapping[str, StepView]:
        """Every static list, pinned: BOOLEAN by part of contact."""
        return {name: writer.view() for name, writer in self._lists.items()}

    def kinds(self) -> Mapping[str, Kind]:
        """Attribute -> kind."""
        return dict(self._kinds)

    def element_kinds(self) -> Mapping[tuple[str, str], Kind]:
        """(attribute, field) -> kind, for lists of objects."""
        return dict(self._element_kinds)

    def load_attribute(self, name: str, view: StepView) -> None:
        """Put back an attribute of a snapshot."""
        self._writer(self._attributes, name).load(view)

    def load_list(self, name: str, view: StepView) -> None:
        """Put back a static list of a snapshot."""
        self._writer(self._lists, name).load(view)

    def restore(
        self, kinds: Mapping[str, Kind], element_kinds: Mapping[tuple[str, str], Kind], next_log_order: int
    ) -> None:
        """What a snapshot had learned."""
        self._kinds = dict(kinds)
        self._element_kinds = dict(element_kinds)
        self.next_log_order = next_log_order

    def _encoded(self, name: str, value: Value | None) -> tuple[int, int]:
        return (MISSING, 0) if value is None else self._encode(name, value)

    def _encode(self, name: str, value: Value) -> tuple[Kind, int]:
        kind = kind_of(value)
        if value == () and self._kinds.get(name) is Kind.OBJECT_LIST:
            kind = Kind.OBJECT_LIST
        learn(self._kinds, name, kind)
        if isinstance(value, str):
            return kind, self._dictionary.add(value)
        if isinstance(value, Location):
            return kind, self.locations.number(value)
        if isinstance(value, tuple):
            texts = tuple(element for element in value if isinstance(element, str))
            if kind is Kind.TEXT_LIST:
                return kind, self.text_lists.texts(texts)
            objects = tuple(element for element in value if not isinstance(element, str))
            for element in objects:
                for field, scalar in element.items():
                    field_kind = self._element_kinds.get((name, field))
                    if field_kind is None or (field_kind, kind_of(scalar)) == (Kind.INTEGER, Kind.DECIMAL):
                        self._element_kinds[name, field] = kind_of(scalar)
            return kind, self.object_lists.objects(objects)
        return kind, raw_scalar(value)

    def _order(self) -> int:
        self.next_log_order += 1
        self._waiting += 1
        return self.next_log_order - 1

    @staticmethod
    def _writer(writers: dict[str, StepWriter], name: str) -> StepWriter:
        writer = writers.get(name)
        if writer is None:
            writer = writers[name] = StepWriter()
        return writer
