"""Events and orders without a detour: a row of cells that were each checked before goes straight into the columns.

Each distinct cell passes the door's own quick checks once, alone (`services.ingest.bulk.trial`); a row whose cells all
did is written as the door would write it. Whatever needs a closer look (a refusal, a note, a new name, a type that
tells more than itself, money in another currency) is left to the door as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from cdp.bulk.v1 import bulk_pb2 as pb
from core.events.checks import is_plain_text
from core.events.columns import IMPORTED, Identifier
from core.events.validate import MAX_MESSAGE_ID_CHARACTERS, ORDER_ID_PREFIX
from core.orders.ids import order_event_id
from core.schema import Kind
from services.ingest.bulk.door_rules import DoorRules, Usable
from services.ingest.bulk.entry_writer import EntryWriter
from services.ingest.bulk.quick_cells import ValueCells
from services.ingest.bulk.quick_plan import MOST_LINES, QuickPlan, plan_of
from services.ingest.bulk.rows import Row

_MOST_PLANS = 1_000
_MOST_ORDER_ID = 200
#: Values on their way into a row.
_Values = list[tuple[ValueCells, int]]


class QuickEvents:
    """The quick way of one import of events or orders; `event` and `order` answer False, and write nothing, for what is
    not for it."""

    def __init__(self, spec: pb.ImportSpec, told_at_us: int, id_prefix: str) -> None:
        """`spec` has all columns."""
        self._spec = spec
        self._told_at_us = told_at_us
        self._id_prefix = id_prefix
        of_orders = spec.kind == pb.IMPORT_KIND_ORDERS
        told = "status" if of_orders else "type"
        self._told = (spec.status or "completed") if of_orders else spec.event_type
        self._told_place = _place(spec, told)
        self._id_place = _place(spec, "order_id" if of_orders else "id")
        self._rules: DoorRules | None = None
        self._usable: Usable | None = None
        self._plans: dict[str, QuickPlan | None] = {}
        self._writer: EntryWriter | None = None

    def use(self, rules: DoorRules, usable: Usable) -> None:
        """Check what follows by these rules."""
        if self._rules is None or self._rules.version != rules.version or self._usable is not usable:
            self._plans.clear()
        self._rules, self._usable = rules, usable

    def begin(self, writer: EntryWriter) -> None:
        """Write what follows to `writer`."""
        self._writer = writer
        for plan in self._plans.values():
            if plan is not None:
                plan.begin()

    def event(self, row: Row) -> bool:
        """Write a row as an event."""
        if row.wrong is not None:
            return False
        cells, writer = row.cells, self._writer
        plan = self._plan(cells)
        if plan is None or writer is None:
            return False
        event_id = f"{self._id_prefix}{row.number}"
        if self._id_place is not None and (told := cells[self._id_place]) is not None and told != "":
            if type(told) is not str or len(told) > min(MAX_MESSAGE_ID_CHARACTERS, plan.longest):
                return False
            if told.startswith(ORDER_ID_PREFIX) or not is_plain_text(told):
                return False
            event_id = told
        values: _Values = []
        size = _take(plan.values, cells, writer, values)
        whose, at_us = self._named(plan, cells)
        if size < 0 or not whose or at_us is None:
            return False
        _put(values, writer.row, writer)
        writer.end_event(event_id, plan.type, at_us, self._told_at_us, whose, IMPORTED)
        writer.size_bytes += size + plan.names_bytes
        return True

    def order(self, rows: Sequence[Row]) -> bool:
        """Write the rows of one order as its event and its lines."""
        first, writer = rows[0], self._writer
        if first.wrong is not None or len(rows) > MOST_LINES or self._id_place is None:
            return False
        cells = first.cells
        plan = self._plan(cells)
        order_id = cells[self._id_place]
        if plan is None or writer is None or type(order_id) is not str:
            return False
        if not 1 <= len(order_id) <= min(_MOST_ORDER_ID, plan.longest) or not order_id.strip():
            return False
        if not is_plain_text(order_id):
            return False
        values: _Values = []
        size = _take(plan.values, cells, writer, values)
        whose, at_us = self._named(plan, cells)
        if size < 0 or not whose or at_us is None:
            return False
        lines: list[_Values] = []
        for row in rows:
            line: _Values = []
            of_line = _take(plan.lines, row.cells, writer, line)
            if of_line < 0:
                return False
            size += of_line
            if line:
                lines.append(line)
        _put(values, writer.row, writer)
        for name, text in (("order_id", order_id), ("status", plan.status)):
            add_row, add_value = writer.put_of(name, Kind.TEXT, of_lines=False)
            add_row(writer.row)
            add_value(writer.code(text))
        for line in lines:
            _put(line, writer.line, writer)
            writer.end_line()
        event_id = order_event_id(order_id, plan.status, {})
        writer.end_event(event_id, plan.type, at_us, self._told_at_us, whose, IMPORTED)
        writer.size_bytes += size + len(rows) * plan.names_bytes
        return True

    def _plan(self, cells: Sequence[object]) -> QuickPlan | None:
        told: object = self._told
        if self._told_place is not None:
            cell = cells[self._told_place]
            told = self._told if cell is None or cell == "" else cell
        if type(told) is not str:
            return None
        if told in self._plans:
            return self._plans[told]
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
        assert self._rules is not None and self._usable is not None, "rules come before rows"
        plan = None
        if is_plain_text(told):
            plan = plan_of(self._spec, self._rules, self._usable, told, self._told_at_us)
        self._plans[told] = plan
        return plan

    def _named(self, plan: QuickPlan, cells: Sequence[object]) -> tuple[tuple[Identifier, ...], int | None]:
        """Whose it is (nobody: the door looks), and when it happened (None: the door looks)."""
        whose = []
        for column in plan.names:
            cell = cells[column.place]
            if cell is None or cell == "":
                continue
            if type(cell) is not str:
                return (), None
            identifier = column.known.get(cell) or column.look(cell)
            if identifier is None:
                return (), None
            whose.append(identifier)
        at_us: int | None = self._told_at_us
        if plan.time is not None:
            cell = cells[plan.time.place]
            if cell is not None and cell != "":
                if type(cell) is not str:
                    return (), None
                at_us = plan.time.known.get(cell) or plan.time.look(cell)
        return tuple(whose), at_us


def _take(columns: Sequence[ValueCells], cells: Sequence[object], writer: EntryWriter, into: _Values) -> int:
    """Put the values of a row into `into`; how many characters they have, below 0: the door has to look."""
    size = 0
    for column in columns:
        cell = cells[column.place]
        if cell is None or cell == "":
            continue
        if type(cell) is not str:
            return -1
        known = column.known
        raw = known[cell] if cell in known else column.look(cell, writer)
        if raw is None:
            return -1
        into.append((column, raw))
        size += len(cell)
    return size


def _put(values: _Values, row: int, writer: EntryWriter) -> None:
    for column, raw in values:
        add_row, add_value = column.put(writer)
        add_row(row)
        add_value(raw)


def _place(spec: pb.ImportSpec, target: str) -> int | None:
    return next((place for place, one in enumerate(spec.columns) if one.target == target), None)
